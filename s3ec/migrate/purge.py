"""Removes old plaintext versions: a step of its own, and only where an encrypted version proves itself.

A plaintext version goes only where a later version of the same key is encrypted, commits to its key, and has just been
read whole and authenticated. Nothing is deleted unless ``dry_run=False`` is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec import formats
from s3ec.errors import ConfigurationError, S3ECError
from s3ec.migrate import plaintext
from s3ec.migrate.context import Calls, MigrationContext
from s3ec.migrate.ending import TaskEndedError, ended_by, status_of
from s3ec.migrate.jsonable import Jsonable
from s3ec.migrate.model import Action, Result, Task
from s3ec.migrate.object_lists import task_from
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.source import open_source

__all__ = ["Purge", "purge_plaintext_versions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge(Jsonable):
    """What becomes of one version that is not current.

    Attributes:
        bucket: the bucket.
        key: the key.
        version_id: the version.
        size: its stored bytes.
        action: ``"removed"``, ``"would-remove"`` (a dry run) or ``"kept"``.
        because: why it is kept, or which encrypted version takes its place.
        leaves_undone: True where plaintext stays that was to go.
    """

    bucket: str
    key: str
    version_id: str
    size: int
    action: str
    because: str
    leaves_undone: bool = False


def purge_plaintext_versions(
    settings: MigrationSettings, *, context: MigrationContext | None = None, dry_run: bool = True
) -> Iterator[Purge]:
    """Go through the source's versions and remove plaintext ones that an encrypted one has replaced.

    Args:
        settings: an ``Action.VERIFY`` job: source, keyring and connection.
        context: of the process; None builds one.
        dry_run: only say what would be removed.

    Yields:
        One entry for every version that is not current and holds content.

    Raises:
        s3ec.errors.ConfigurationError: the settings are for another action.
        botocore.exceptions.ClientError: versions cannot be listed.
    """
    if settings.action is not Action.VERIFY:
        raise ConfigurationError("versions are read and never written here: give settings with Action.VERIFY")
    own = context is None
    context = context or MigrationContext.open(settings)
    try:
        for _, versions in itertools.groupby(_versions(context, settings), key=lambda entry: str(entry["Key"])):
            yield from _purge_key(list(versions), settings.source.bucket, context, dry_run=dry_run)
    finally:
        if own:
            context.close()


def _versions(context: MigrationContext, settings: MigrationSettings) -> Iterator[dict[str, Any]]:
    pages = context.s3.get_paginator("list_object_versions").paginate(
        Bucket=settings.source.bucket, Prefix=settings.source.prefix
    )
    # Newest first within a key; delete markers hold nothing and are no evidence of anything.
    for page in pages:
        yield from page.get("Versions", [])


def _purge_key(
    versions: list[dict[str, Any]], bucket: str, context: MigrationContext, *, dry_run: bool
) -> Iterator[Purge]:
    verified: str | None = None
    fault = "no later version of it is encrypted"
    ambiguous: bool | None = None
    for entry in versions:
        state = _state(task_from(bucket, entry), context)
        if state == "plaintext" and not entry["IsLatest"]:
            if ambiguous is None:
                ambiguous = _had_instruction_file(bucket, str(entry["Key"]), context)
            if ambiguous:
                because = "an instruction file has stood beside it: what looks like plaintext may be encrypted"
                yield _entry(entry, bucket, "kept", because, leaves_undone=True)
            else:
                yield _remove(entry, bucket, context, verified, fault, dry_run=dry_run)
            continue
        if not entry["IsLatest"]:
            yield _entry(entry, bucket, "kept", "it is encrypted" if state == "encrypted" else state)
        if state == "encrypted" and verified is None:
            try:
                _verify(task_from(bucket, entry), context)
                verified = str(entry["VersionId"])
            except (TaskEndedError, S3ECError, ClientError, BotoCoreError) as error:
                ended = ended_by(error)
                if ended is None:
                    raise
                fault = f"the later version {entry['VersionId']} does not verify: {ended.message}"


def _had_instruction_file(bucket: str, key: str, context: MigrationContext) -> bool:
    """Whether any version of an instruction file is known for this key, deleted ones included."""
    for suffix in (formats.INSTRUCTION_FILE_SUFFIX, formats.LEGACY_DOTNET_SUFFIX):
        answer = context.s3.list_object_versions(Bucket=bucket, Prefix=key + suffix, MaxKeys=1)
        entries = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
        if any(entry["Key"] == key + suffix for entry in entries):
            return True
    return False


def _state(task: Task, context: MigrationContext) -> str:
    """``"plaintext"``, ``"encrypted"``, or why neither is known."""
    try:
        source = open_source(task, context=context, calls=Calls(context.s3), with_body=False)
    except (TaskEndedError, S3ECError, ClientError, BotoCoreError) as error:
        ended = ended_by(error)
        if ended is None:
            raise
        return ended.message
    return "plaintext" if source.content_metadata is None else "encrypted"


def _verify(task: Task, context: MigrationContext) -> None:
    source = open_source(task, context=context, calls=Calls(context.s3), with_body=True)
    try:
        if not source.is_committing:
            raise TaskEndedError(Result.FAILED, "it does not commit to its data key; upgrade it first")
        cipher = plaintext.cipher_of(source, context.read_manager, allow_legacy=False)
        plaintext.digest(plaintext.plaintext_of(source, cipher))
    finally:
        source.close()


def _remove(
    entry: dict[str, Any], bucket: str, context: MigrationContext, verified: str | None, fault: str, *, dry_run: bool
) -> Purge:
    if verified is None:
        return _entry(entry, bucket, "kept", fault, leaves_undone=True)
    because = f"version {verified} is encrypted and verified"
    if dry_run:
        return _entry(entry, bucket, "would-remove", because)
    try:
        context.s3.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])
    except ClientError as error:
        if status_of(error) not in (400, 401, 403):
            raise
        return _entry(entry, bucket, "kept", f"S3 does not let it go (a lock?): {error}", leaves_undone=True)
    return _entry(entry, bucket, "removed", because)


def _entry(entry: dict[str, Any], bucket: str, action: str, because: str, *, leaves_undone: bool = False) -> Purge:
    return Purge(
        bucket=bucket,
        key=entry["Key"],
        version_id=entry["VersionId"],
        size=int(entry["Size"]),
        action=action,
        because=because,
        leaves_undone=leaves_undone,
    )
