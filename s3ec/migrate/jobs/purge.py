"""Removes old plaintext versions: a step of its own, and only where an encrypted version holds the same content.

A plaintext version goes only where a later version of the same key is encrypted, commits to its key, and has just been
read whole, authenticated, and found to have the same plaintext. Nothing is deleted unless ``dry_run=False`` is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec import formats
from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.errors import ConfigurationError, MisplacedObjectError, S3ECError
from s3ec.materials import STORED_CONTEXT
from s3ec.migrate.jsonable import Jsonable
from s3ec.migrate.model import Action, Result, SkipReason
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.steps import plaintext
from s3ec.migrate.steps.source import Source, open_source
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import PASSING_ERRORS, TaskEndedError, ended_by
from s3ec.migrate.work.object_lists import task_from
from s3ec.migrate.work.pages import check_page, pages

__all__ = ["Purge", "purge_plaintext_versions"]

ERRORS = (TaskEndedError, S3ECError, ClientError, BotoCoreError, *PASSING_ERRORS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge(Jsonable):
    """What becomes of one version.

    Attributes:
        bucket: the bucket.
        key: the key.
        version_id: the version.
        size: its stored bytes.
        action: ``"removed"``, ``"would-remove"`` (a dry run) or ``"kept"``.
        because: why it is kept, or which encrypted version holds the same content.
        leaves_undone: True if plaintext, or what may be plaintext, stays, and where what should replace it is
            damaged.
        error: class of the error behind it, or the service's code; None where there is none.
    """

    bucket: str
    key: str
    version_id: str
    size: int
    action: str
    because: str
    leaves_undone: bool = False
    error: str | None = None


def purge_plaintext_versions(
    settings: MigrationSettings,
    *,
    context: MigrationContext | None = None,
    dry_run: bool = True,
    history: bool = False,
) -> Iterator[Purge]:
    """Go through the source's versions and remove plaintext ones whose content a later, encrypted one holds.

    Both are read: a plaintext version goes only where a later version of the same key is encrypted, commits to its key,
    authenticates, and has the same plaintext. What was overwritten before it was ever encrypted exists nowhere else: it
    stays unless ``history`` says that it is to go.

    Args:
        settings: an ``Action.VERIFY`` job: source, keyring and connection.
        context: context of the process; None builds one.
        dry_run: only say what would be removed.
        history: also remove contents that no encrypted version holds, where any later version is encrypted and
            verified. They are lost for good.

    Yields:
        One entry for every version that is not current and holds content, and one for a current version that should be
        the encrypted one and is damaged.

    Raises:
        s3ec.errors.ConfigurationError: the settings are for another action.
        s3ec.errors.MigrationError: S3 did not give the whole list.
        botocore.exceptions.ClientError: versions cannot be listed, or credentials are not valid.
    """
    if settings.action is not Action.VERIFY:
        raise ConfigurationError("versions are read and never written here: give settings with Action.VERIFY")
    own = context is None
    context = context or MigrationContext.open(settings)
    try:
        for key, versions in itertools.groupby(_versions(context, settings), key=lambda entry: str(entry["Key"])):
            yield from _Key(settings.source.bucket, key, list(versions), context, dry_run, history).purge()
    finally:
        if own:
            context.close()


def _versions(context: MigrationContext, settings: MigrationSettings) -> Iterator[dict[str, Any]]:
    place = {"Bucket": settings.source.bucket, "Prefix": settings.source.prefix}
    # Newest first within a key; delete markers hold nothing and are not evidence of anything.
    for page in pages(context.s3, "list_object_versions", **place):
        yield from page.get("Versions", [])


@dataclass(slots=True)
class _Successor:
    """A version that is encrypted, and what reading it has shown; read at most once."""

    entry: dict[str, Any]
    is_read: bool = False
    length: int = -1
    digest: str = ""
    fault: TaskEndedError | None = None

    @property
    def version_id(self) -> str:
        return str(self.entry["VersionId"])


class _Key:
    """All versions of one key, newest first."""

    def __init__(
        self,
        bucket: str,
        key: str,
        versions: list[dict[str, Any]],
        context: MigrationContext,
        dry_run: bool,
        history: bool,
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._versions = versions
        self._context = context
        self._dry_run = dry_run
        self._history = history
        self._successors: list[_Successor] = []
        self._ambiguous: bool | None = None
        self._named: set[str] = set()
        """Damaged versions that an entry has named."""

    def purge(self) -> Iterator[Purge]:
        for entry in self._versions:
            state, ended = self._state(entry)
            if state == "encrypted":
                self._successors.append(_Successor(entry))
            if entry["IsLatest"]:
                if ended is not None and ended.error == MisplacedObjectError.__name__:
                    yield self._kept(entry, "the current version is not the object that belongs there", ended)
                continue
            if state == "plaintext":
                yield self._purge_one(entry)
            else:
                because = {"encrypted": "it is encrypted", "file": "it is an instruction file"}.get(state)
                yield self._kept(entry, because or "what it is cannot be seen", ended)
        # Users of the current version learn that it is damaged, even if an older one took its place here.
        for successor in self._successors:
            fault = successor.fault
            if fault is not None and successor.entry["IsLatest"] and successor.version_id not in self._named:
                yield self._kept(successor.entry, "the current version is encrypted and does not verify", fault)

    def _purge_one(self, entry: dict[str, Any]) -> Purge:
        if self._ambiguous is None:
            self._ambiguous = self._had_instruction_file()
        if self._ambiguous:
            because = "an instruction file has stood beside it: what looks like plaintext may be encrypted"
            return self._kept(entry, because, undone=True)
        if not self._successors:
            return self._kept(entry, "no later version of it is encrypted", undone=True)
        self._read(self._successors[0])
        try:
            length, digest = self._digest(entry)
        except ERRORS as error:
            return self._kept(entry, "it cannot be read", _ended(error))
        for successor in reversed(self._successors):
            if self._may_hold(successor, length) and self._holds(successor, length, digest):
                return self._remove(entry, f"version {successor.version_id} holds the same content, encrypted")
        return self._without_match(entry)

    def _without_match(self, entry: dict[str, Any]) -> Purge:
        for successor in self._successors if self._history else ():
            if self._read(successor):
                because = f"version {successor.version_id} is encrypted and verified; this content is in none"
                return self._remove(entry, because)
        damaged = next((successor for successor in self._successors if successor.fault), None)
        if damaged is not None:
            self._named.add(damaged.version_id)
            because = f"the later version {damaged.version_id} does not verify"
            return self._kept(entry, because, damaged.fault)
        return self._kept(entry, "no encrypted version holds its content: it is history", undone=True)

    def _may_hold(self, successor: _Successor, length: int) -> bool:
        """True if its size allows it to hold this much plaintext; reading costs more than comparing."""
        return successor.is_read or int(successor.entry["Size"]) == length + GCM_TAG_LENGTH

    def _holds(self, successor: _Successor, length: int, digest: str) -> bool:
        return self._read(successor) and (successor.length, successor.digest) == (length, digest)

    def _read(self, successor: _Successor) -> bool:
        """Read it whole and authenticate it, once."""
        if not successor.is_read:
            successor.is_read = True
            try:
                successor.length, successor.digest = self._verified(successor.entry)
            except ERRORS as error:
                successor.fault = _ended(error)
        return successor.fault is None

    def _verified(self, entry: dict[str, Any]) -> tuple[int, str]:
        source = self._open(entry)
        try:
            if not source.is_committing:
                raise TaskEndedError(Result.FAILED, "it does not commit to its data key; upgrade it first")
            wanted = self._context.settings.encryption_context or STORED_CONTEXT
            manager = self._context.read_manager
            cipher = plaintext.cipher_of(source, manager, allow_legacy=False, encryption_context=wanted)
            return plaintext.digest(plaintext.plaintext_of(source, cipher))
        finally:
            source.close()

    def _digest(self, entry: dict[str, Any]) -> tuple[int, str]:
        source = self._open(entry)
        try:
            return plaintext.digest(plaintext.plaintext_of(source, None))
        finally:
            source.close()

    def _open(self, entry: dict[str, Any], *, with_body: bool = True) -> Source:
        task = task_from(self._bucket, entry)
        return open_source(task, context=self._context, calls=Calls(self._context.s3), with_body=with_body)

    def _state(self, entry: dict[str, Any]) -> tuple[str, TaskEndedError | None]:
        """``"plaintext"``, ``"encrypted"``, ``"file"``, or ``""`` and why none of them is known."""
        try:
            source = self._open(entry, with_body=False)
        except ERRORS as error:
            ended = _ended(error)
            if ended.reason is SkipReason.INSTRUCTION_FILE:
                return "file", None
            # What is archived is not read, but its headers are.
            is_archived = ended.reason is SkipReason.ARCHIVED
            return ("encrypted", None) if is_archived and self._says_encrypted(entry) else ("", ended)
        return ("plaintext" if source.content_metadata is None else "encrypted"), None

    def _says_encrypted(self, entry: dict[str, Any]) -> bool:
        try:
            answer = self._context.s3.head_object(Bucket=self._bucket, Key=self._key, VersionId=entry["VersionId"])
            return formats.detect(answer.get("Metadata", {})) is not formats.Detection.NONE
        except ERRORS as error:
            _ended(error)
            return False

    def _had_instruction_file(self) -> bool:
        """True if any version of an instruction file is known for this key, deleted ones included."""
        for suffix in (formats.INSTRUCTION_FILE_SUFFIX, formats.LEGACY_DOTNET_SUFFIX):
            name = self._key + suffix
            answer = self._context.s3.list_object_versions(Bucket=self._bucket, Prefix=name, MaxKeys=1)
            check_page(answer)
            if any(found["Key"] == name for found in [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]):
                return True
        return False

    def _remove(self, entry: dict[str, Any], because: str) -> Purge:
        if self._dry_run:
            return self._entry(entry, "would-remove", because)
        version = {"Bucket": self._bucket, "Key": self._key, "VersionId": entry["VersionId"]}
        try:
            # The null version alone can be another one by now: a write without versions replaces it.
            if entry["VersionId"] == "null" and self._context.s3.head_object(**version)["ETag"] != entry["ETag"]:
                return self._kept(entry, "another writer has replaced it", undone=True)
            self._context.s3.delete_object(**version)
        except ERRORS as error:
            ended = _ended(error)
            if ended.result is Result.GONE:
                return self._entry(entry, "kept", "it is gone already")
            return self._kept(entry, "S3 does not let it go (a lock?)", ended)
        return self._entry(entry, "removed", because)

    def _kept(
        self, entry: dict[str, Any], because: str, ended: TaskEndedError | None = None, *, undone: bool = False
    ) -> Purge:
        if ended is None:
            return self._entry(entry, "kept", because, leaves_undone=undone)
        text = f"{because}: {ended.message}" if ended.message else because
        gone = ended.result is Result.GONE
        return self._entry(entry, "kept", text, leaves_undone=not gone, error=None if gone else ended.error)

    def _entry(self, entry: dict[str, Any], action: str, because: str, **more: Any) -> Purge:
        return Purge(
            bucket=self._bucket,
            key=self._key,
            version_id=str(entry["VersionId"]),
            size=int(entry["Size"]),
            action=action,
            because=because,
            **more,
        )


def _ended(error: Exception) -> TaskEndedError:
    """What an error means for one version; raises what concerns the whole job."""
    ended = ended_by(error)
    if ended is None:
        raise error
    return ended
