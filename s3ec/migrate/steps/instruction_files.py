"""Instruction files that a task writes or removes, so that at no time they come between an object and its readers.

A file is written right before the request that commits its object. Killed in between, a stray file of V3 stands beside
an object that is what it was, and every reader and the next run pass over it (`formats.judge_instruction_file`). A file
is removed only for an object that this task has just written, only while it is the one that was read, on condition.
Source: Amazon S3 API reference, DeleteObject ("If-Match").
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec import formats
from s3ec.bodies import read_whole
from s3ec.migrate.model import Result, SkipReason
from s3ec.migrate.steps import suspicion
from s3ec.migrate.steps.sealing import Sealing
from s3ec.migrate.steps.source import InstructionFile, Source
from s3ec.migrate.steps.writing import Target, Written
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError, code_of, status_of
from s3ec.s3.answers import NO_SUCH_OBJECT
from s3ec.s3.carried import text_of
from s3ec.s3.instruction_files import is_marked

__all__ = ["PLACED", "REMOVED", "holds_old_key", "place", "remove"]

PLACED = "an instruction file is written beside it"
REMOVED = "its instruction file is removed after it"
"""What a dry run notes of an object, and a plan reckons with."""

_ABSENT = NO_SUCH_OBJECT | {"NoSuchVersion"}
_UNKNOWN_CONDITION = ("NotImplemented", "InvalidRequest", "InvalidArgument")


def place(
    source: Source, sealed: Sealing, target: Target, context: MigrationContext, calls: Calls
) -> Callable[[], None]:
    """Write the file of an object that is about to be committed. Returns what takes it back if that fails.

    Raises:
        TaskEndedError: another object has that name, or the file of another writer lies there.
    """
    if sealed.instruction_body is None:
        return lambda: None
    key = target.key + formats.INSTRUCTION_FILE_SUFFIX
    in_place = (target.bucket, target.key) == (source.task.bucket, source.task.key)
    is_beside_plaintext = in_place and source.content_metadata is None
    mark = suspicion.own_mark(source.task, source.etag, context) if is_beside_plaintext else {}
    answer = calls(
        "put_object",
        Bucket=target.bucket,
        Key=key,
        Body=sealed.instruction_body,
        Metadata={formats.INSTRUCTION_FILE_MARKER: "Crypto Instruction File", **mark},
        ContentType="application/json",
        ChecksumAlgorithm="CRC32",
        **{name: value for name, value in target.arguments.items() if name.startswith(("ServerSide", "SSE", "Bucket"))},
        **_condition(target, key, calls),
    )
    version = context.version_of(target.bucket, answer)
    file = InstructionFile(key=key, etag=answer["ETag"], body=sealed.instruction_body, response=answer)
    return lambda: _take_back(file, version, sealed, target, calls)


def _condition(target: Target, key: str, calls: Calls) -> dict[str, str]:
    """Only a stray file of V3 is replaced: it opens nothing. One of V1 or V2 may hold the only key of an object."""
    try:
        answer = calls("get_object", Bucket=target.bucket, Key=key)
    except ClientError as error:
        if code_of(error) not in _ABSENT:
            raise
        return {"IfNoneMatch": "*"}
    body = read_whole(answer["Body"])
    if not formats.is_instruction_file_body(body):
        raise TaskEndedError.skip(SkipReason.DESTINATION_EXISTS, f"{key!a} is the name of another object")
    if formats.judge_instruction_file(body, {}, is_marked=is_marked(answer.get("Metadata", {}))) is not None:
        raise TaskEndedError(Result.CHANGED, f"{key!a} is an instruction file that another writer has put there")
    return {"IfMatch": answer["ETag"]}


def _take_back(file: InstructionFile, version: str | None, sealed: Sealing, target: Target, calls: Calls) -> None:
    """Remove a file whose object was not written. Where that is in doubt the file stays, where it does no harm."""
    try:
        found = text_of(calls("head_object", Bucket=target.bucket, Key=target.key).get("Metadata", {}))
    except ClientError as error:
        if code_of(error) not in _ABSENT:
            return
        found = {}
    except BotoCoreError:
        return
    # A lost answer to a write that S3 did carry out looks like a failed write; the commitment tells.
    if sealed.metadata.items() <= found.items():
        return
    with contextlib.suppress(ClientError, BotoCoreError):
        if version is not None:
            # Our own version and no other: what stood there before stands again, and no trace of ours is left.
            calls("delete_object", Bucket=target.bucket, Key=file.key, VersionId=version)
        elif calls("head_object", Bucket=target.bucket, Key=file.key)["ETag"] == file.etag:
            calls("delete_object", Bucket=target.bucket, Key=file.key, IfMatch=file.etag)


def holds_old_key(file: InstructionFile) -> bool:
    """True if a file is whole and of V1 or V2; beside an object of V3 such a one opens older versions alone."""
    return (
        formats.is_instruction_file_body(file.body)
        and formats.judge_instruction_file(file.body, {}, is_marked=True) is not None
    )


def remove(
    file: InstructionFile, key: str, written: Written, bucket: str, context: MigrationContext, calls: Calls
) -> str:
    """Remove the file of an object that does not need it any more. Returns a note where it stays, or nothing.

    The condition of the request is what protects another writer's file. Not every server obeys it: so object and file
    are looked at before, and the object once more after.

    Raises:
        TaskEndedError: the server obeyed no condition, and another writer came between.
    """
    where = {"Bucket": bucket, "Key": file.key}
    try:
        if calls("head_object", Bucket=bucket, Key=key)["ETag"] != written.etag:
            return "its old instruction file stays: another writer has put a new object there"
        if calls("head_object", **where)["ETag"] != file.etag:
            return "its old instruction file stays: another writer has replaced it"
        context.note_lost_file(bucket, key)
        answer = _delete(where, file.etag, bucket, context, calls)
    except ClientError as error:
        if code_of(error) in _ABSENT:
            return ""
        if status_of(error) == 412:
            return "its old instruction file stays: another writer has replaced it"
        raise
    if answer is None:
        return "its old instruction file stays: this server deletes under no condition"
    _look_after(answer, where, key, written, calls)
    return ""


def _delete(
    where: dict[str, str], etag: str, bucket: str, context: MigrationContext, calls: Calls
) -> dict[str, Any] | None:
    try:
        return calls("delete_object", **where, IfMatch=etag)
    except ClientError as error:
        if code_of(error) not in _UNKNOWN_CONDITION and status_of(error) != 501:
            raise
    # Unconditional only where a version brings back whatever was hit.
    return calls("delete_object", **where) if context.facts(bucket).keeps_versions else None


def _look_after(answer: dict[str, Any], where: dict[str, str], key: str, written: Written, calls: Calls) -> None:
    try:
        stands = calls("head_object", Bucket=where["Bucket"], Key=key)["ETag"]
    except ClientError as error:
        if code_of(error) not in _ABSENT:
            raise
        return
    if stands == written.etag:
        return
    if answer.get("DeleteMarker") and answer.get("VersionId"):
        # Where it is the new object's file that was hit, it stands again; where it is the old one, it does no harm.
        calls("delete_object", **where, VersionId=answer["VersionId"])
        raise TaskEndedError(Result.CHANGED, "another writer put a new object there; its instruction file stands")
    raise TaskEndedError(
        Result.FAILED,
        "another writer put a new object there while its old instruction file was removed, and this server may obey no "
        "condition on that: write the new object again if its own file is gone",
    )
