"""The object as a task finds it: read under its ETag, recognised by its own headers, with its instruction file."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec import formats
from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH, FormatVersion
from s3ec.bodies import read_whole
from s3ec.direct.requests import MOST
from s3ec.errors import AuthenticationError, InstructionFileError
from s3ec.formats import ContentMetadata, Detection, MetadataLocation
from s3ec.migrate.model import Action, Result, SkipReason, Task
from s3ec.migrate.steps import suspicion
from s3ec.migrate.steps.placement import refuse_misplaced
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import SSE_C_CODES, TaskEndedError, code_of, status_of
from s3ec.migrate.work.macs import is_etag_mac, shows
from s3ec.s3.answers import NO_SUCH_OBJECT
from s3ec.s3.instruction_files import can_exist, is_marked

__all__ = ["InstructionFile", "Source", "check_length", "is_instruction_file", "open_source"]

_SUFFIXES = (formats.INSTRUCTION_FILE_SUFFIX, formats.LEGACY_DOTNET_SUFFIX)
_WORTH_READING = 2**16  # bytes; a new connection costs more
_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionFile:
    """The object that holds another one's encrypted data key.

    Attributes:
        key: its own key.
        etag: as it was read.
        body: all of it.
        response: the answer to its GET.
    """

    key: str
    etag: str
    body: bytes
    response: Mapping[str, Any]

    @property
    def marks(self) -> Mapping[str, str]:
        """Its own user metadata."""
        metadata: Mapping[str, str] = self.response.get("Metadata", {})
        return metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One object, pinned by its ETag.

    Attributes:
        task: what led here.
        response: the answer to GET, whose ``Body`` has not been read, or to HEAD.
        content_metadata: None for plaintext.
        location: where the encrypted data key lies; None for plaintext.
        instruction_file: the file beside it, where one was read; where the object's key lies elsewhere, a stray one.
    """

    task: Task
    response: Mapping[str, Any]
    content_metadata: ContentMetadata | None = None
    location: MetadataLocation | None = None
    instruction_file: InstructionFile | None = None

    @property
    def etag(self) -> str:
        """With its quotes."""
        return str(self.response["ETag"])

    @property
    def version_id(self) -> str | None:
        """The version that was read; None if the bucket keeps none."""
        return self.response.get("VersionId")

    @property
    def length(self) -> int:
        """Bytes stored.

        Raises:
            AuthenticationError: S3 did not say, as it does of every object.
        """
        if "ContentLength" not in self.response:
            raise AuthenticationError("the answer does not say how long the object is")
        return int(self.response["ContentLength"])

    @property
    def plaintext_length(self) -> int:
        """Bytes of plaintext, or for AES-CBC the most that they can be."""
        if self.content_metadata is None:
            return self.length
        return max(0, self.length - self.content_metadata.algorithm_suite.tag_length)

    @property
    def format(self) -> str:
        """``"plaintext"`` or the format's name."""
        return self.content_metadata.format.value if self.content_metadata else "plaintext"

    @property
    def is_committing(self) -> bool:
        """True if the format is V3."""
        return self.content_metadata is not None and self.content_metadata.format is FormatVersion.V3

    def close(self) -> None:
        """Give the connection back where little is left to read of it, else up."""
        if "Body" not in self.response:
            return
        if self.length <= _WORTH_READING:
            with contextlib.suppress(BotoCoreError, OSError):
                self.response["Body"].read()
        self.response["Body"].close()


def open_source(
    task: Task, *, context: MigrationContext, calls: Calls, with_body: bool, is_ours: bool = False
) -> Source:
    """Read the object's headers, and by them what it is, and refuse one that was put in another's place.

    Args:
        task: the object; its ETag, where it has one, must still be the object's.
        context: context of the worker.
        calls: counts the requests.
        with_body: GET rather than HEAD.
        is_ours: True for what this job has written; the context that its sources must have is not asked of it.

    Raises:
        TaskEndedError: it is gone, changed, archived, an instruction file, or not readable from here.
        s3ec.errors.MisplacedObjectError: it is bound to another place, or has another context than the one asserted.
    """
    condition = {"IfMatch": task.etag} if task.etag and not is_etag_mac(task.etag) else {}
    condition |= _version(task, context)
    if with_body:
        # S3 tells its checksum only where asked, and botocore compares it with what arrives.
        condition["ChecksumMode"] = "ENABLED"
    try:
        ask = calls.small if not with_body or (task.size is not None and task.size <= MOST) else calls
        response = ask("get_object" if with_body else "head_object", Bucket=task.bucket, Key=task.key, **condition)
    except ClientError as error:
        if status_of(error) == 400 and code_of(error) in SSE_C_CODES:
            # S3 answers this when such an object is read without its key; an expired token is a 400 as well.
            raise TaskEndedError.skip(SkipReason.SSE_C) from error
        raise
    source = Source(task=task, response=response)
    try:
        _check(source, context.mac_key)
        found = _recognised(source, context, calls)
        if found.content_metadata is not None:
            refuse_misplaced(found.content_metadata, task.bucket, task.key, context.settings, is_ours=is_ours)
    except BaseException:
        source.close()
        raise
    return found


def _check(source: Source, mac_key: bytes | None) -> None:
    response, task = source.response, source.task
    is_listed = shows(task, source.etag, mac_key)
    if is_listed is False:
        # In place of If-Match: the ETag that was listed is known by its MAC alone.
        raise TaskEndedError(Result.CHANGED, "another writer changed the object; it is looked at again")
    if task.version_id and source.version_id and task.version_id != source.version_id:
        raise TaskEndedError(Result.CHANGED, "the version listed is not the current one any more")
    if is_listed and task.size is not None and task.size != source.length:
        raise TaskEndedError(
            Result.RETRY, f"S3 sends {source.length} bytes of an object that it lists with {task.size}"
        )
    if response.get("SSECustomerAlgorithm"):
        raise TaskEndedError.skip(SkipReason.SSE_C)
    archived = response.get("StorageClass") in _ARCHIVED or response.get("ArchiveStatus")
    if archived and 'ongoing-request="false"' not in response.get("Restore", ""):
        raise TaskEndedError.skip(SkipReason.ARCHIVED)


def _recognised(source: Source, context: MigrationContext, calls: Calls) -> Source:
    metadata = source.response.get("Metadata", {})
    detection = formats.detect(metadata)
    if detection in (Detection.V1, Detection.V2, Detection.V3):
        return Source(
            task=source.task,
            response=source.response,
            content_metadata=formats.parse_object(metadata),
            location=MetadataLocation.OBJECT_METADATA,
            # Left there by an upgrade that was killed before its last request, or by a careless copy.
            instruction_file=_instruction_file(source, context, calls) if source.task.has_instruction_file else None,
        )
    if detection is Detection.NONE and is_instruction_file(source, context, calls):
        raise TaskEndedError.skip(SkipReason.INSTRUCTION_FILE)
    suspicious: bool | None = None
    if detection is Detection.NONE and context.settings.action in (Action.MIGRATE, Action.UPGRADE):
        # Calling it plaintext would get its bytes encrypted.
        source, suspicious = _looked_at(source, calls)
    file = None
    # What evidently is not ciphertext needs no file, even if one should come that the listing could not show.
    if suspicious is not False or source.task.has_instruction_file is not False:
        required = detection is not Detection.NONE or bool(suspicious)
        file = _instruction_file(source, context, calls, required=required)
    found = None
    if file is not None:
        marked = is_marked(file.response.get("Metadata", {}))
        found = formats.judge_instruction_file(file.body, metadata, is_marked=marked)
    if found is None:
        if detection is Detection.V3_INSTRUCTION_FILE:
            raise InstructionFileError("the instruction file that holds its data key is not there")
        formats.refuse_remnants(metadata)
        if suspicious:
            beside = None if file is None else (file.body, file.marks)
            suspicion.refuse_orphan(source.task, source.response, context, calls, file=beside)
        return source
    return Source(
        task=source.task,
        response=source.response,
        content_metadata=found,
        location=MetadataLocation.INSTRUCTION_FILE,
        instruction_file=file,
    )


def _looked_at(source: Source, calls: Calls) -> tuple[Source, bool]:
    """The source with the beginning of its body read ahead, and whether its bytes could be ciphertext."""
    if "Body" not in source.response:
        return source, suspicion.could_be_ciphertext(_beginning(source, calls), source.length)
    body = suspicion.PeekedBody(source.response["Body"])
    looked = Source(task=source.task, response={**source.response, "Body": body})
    return looked, suspicion.could_be_ciphertext(body.beginning, source.length)


def _beginning(source: Source, calls: Calls) -> bytes:
    """The first bytes of an object of which a dry run has the headers alone; a run has read it, and sends no more."""
    if not source.length:
        return b""
    where = {"Bucket": source.task.bucket, "Key": source.task.key}
    ask = f"bytes=0-{min(source.length, suspicion.SAMPLE) - 1}"
    body = calls.small("get_object", **where, IfMatch=source.etag, Range=ask)["Body"]
    calls.counts["get_object"] -= 1
    with contextlib.closing(body):
        return bytes(body.read())


def _version(task: Task, context: MigrationContext) -> dict[str, str]:
    """The version to read, where it may be an old one; else the current one is read, and no right to others needed."""
    is_named = task.version_id and context.settings.action is Action.VERIFY
    return {"VersionId": str(task.version_id)} if is_named else {}


def is_instruction_file(source: Source, context: MigrationContext, calls: Calls) -> bool:
    """True if the object is the instruction file of another: by its marker, or, as not all write one, its body."""
    if not source.task.key.endswith(_SUFFIXES):
        return False
    if is_marked(source.response.get("Metadata", {})):
        return True
    if source.length > formats.INSTRUCTION_FILE_MAX_LENGTH:
        return False
    # A request of its own, so that the body of the source's answer stays unread.
    task = source.task
    answer = calls("get_object", Bucket=task.bucket, Key=task.key, IfMatch=source.etag, **_version(task, context))
    return formats.is_instruction_file_body(read_whole(answer["Body"]))


def _instruction_file(
    source: Source, context: MigrationContext, calls: Calls, *, required: bool = False
) -> InstructionFile | None:
    """The file beside the object, or None. A file that may not be read is an error: it may hold the data key."""
    if not required and not _may_have_file(source, context.settings.settle_seconds):
        return None
    # Who wrote the second suffix wrote it before 2014: no such file comes after a list that shows none.
    for suffix in _SUFFIXES[: 1 if source.task.has_instruction_file is False else 2]:
        key = source.task.key + suffix
        if not can_exist(key):
            continue
        try:
            answer = calls.small("get_object", Bucket=source.task.bucket, Key=key)
        except ClientError as error:
            if code_of(error) in NO_SUCH_OBJECT:
                continue
            raise
        return InstructionFile(key=key, etag=answer["ETag"], body=read_whole(answer["Body"]), response=answer)
    return None


def _may_have_file(source: Source, settle_seconds: float) -> bool:
    """Believe a listing that shows none only for an object that was there, unchanged, well before."""
    if source.task.has_instruction_file is not False:
        return True
    age = datetime.datetime.now(datetime.timezone.utc) - source.response["LastModified"]
    return bool(age < datetime.timedelta(seconds=settle_seconds))


def check_length(source: Source) -> None:
    """Refuse what one GCM stream cannot carry.

    Raises:
        TaskEndedError: the plaintext is longer than 2^36 - 32 bytes.
    """
    if source.plaintext_length > GCM_MAX_PLAINTEXT_LENGTH:
        raise TaskEndedError.skip(SkipReason.TOO_LARGE)
