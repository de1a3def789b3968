"""Copies inside S3: the ciphertext moves, or gets other metadata, and no byte of it is read.

A copy within one name keeps the ETag, so that ETags show neither that it was done nor that another writer did the same.
The source is therefore pinned by its version where there is one, and what stands there afterwards is looked at. What
slipped in between is for `yielding.give_place_back`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec import formats
from s3ec.bodies import read_whole
from s3ec.formats import MetadataLocation
from s3ec.migrate.model import Outcome, Result, SkipReason
from s3ec.migrate.steps.outcomes import outcome_of
from s3ec.migrate.steps.properties import Properties, put_annotations
from s3ec.migrate.steps.source import InstructionFile, Source
from s3ec.migrate.steps.writing import Target, Written, begin_upload
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError, code_of
from s3ec.s3.carried import text_of

__all__ = ["copy", "copy_as_it_is"]

_GIB = 2**30
_MAX_PARTS = 10_000


def copy(
    source: Source, metadata: Mapping[str, str], target: Target, *, context: MigrationContext, calls: Calls
) -> Written:
    """Copy the object with these user metadata, by one request or in parts.

    Raises:
        TaskEndedError: another writer was there first, or S3 stored something else than was asked for.
    """
    if source.length <= context.settings.copy_limit:
        written = _copy_once(source, metadata, target, context, calls)
    else:
        written = _MultipartCopy(source, metadata, target, context, calls).run()
    pinned = {"VersionId": written.version_id} if written.version_id else {"IfMatch": written.etag}
    found = calls("head_object", Bucket=target.bucket, Key=target.key, **pinned)
    if text_of(found.get("Metadata", {})) != dict(metadata) or found["ContentLength"] != source.length:
        raise TaskEndedError(Result.CHANGED, "what stands there after the copy is another writer's object")
    return written


def copy_as_it_is(
    source: Source, properties: Properties, target: Target, *, context: MigrationContext, calls: Calls
) -> Outcome:
    """Take an object that is encrypted as wanted to another place, with its instruction file."""
    if source.location is MetadataLocation.INSTRUCTION_FILE and source.instruction_file is not None:
        _copy_instruction_file(source.instruction_file, target, calls)
    written = copy(source, text_of(source.response.get("Metadata", {})), target, context=context, calls=calls)
    if source.length > context.settings.copy_limit:
        put_annotations(properties, target.bucket, target.key, written.etag, written.version_id, calls)
    return outcome_of(source, Result.DONE, context, target=target, written=written, notes=properties.notes)


def _copy_instruction_file(file: InstructionFile, target: Target, calls: Calls) -> None:
    """Put the file before its object: killed in between, a file stands there that the next run finds to be the same."""
    key = target.key + formats.INSTRUCTION_FILE_SUFFIX
    try:
        calls(
            "put_object",
            Bucket=target.bucket,
            Key=key,
            Body=file.body,
            Metadata=text_of(file.response.get("Metadata", {})),
            ChecksumAlgorithm="CRC32",
            IfNoneMatch="*",
        )
    except ClientError as error:
        if code_of(error) != "PreconditionFailed":
            raise
        found = read_whole(calls("get_object", Bucket=target.bucket, Key=key)["Body"], len(file.body))
        if found != file.body:
            raise TaskEndedError.skip(
                SkipReason.DESTINATION_EXISTS, f"{key!a} is the name of another object"
            ) from error


def _origin(source: Source) -> dict[str, Any]:
    origin = {"Bucket": source.task.bucket, "Key": source.task.key}
    if source.version_id:
        origin["VersionId"] = source.version_id
    return {"CopySource": origin, "CopySourceIfMatch": source.etag}


def _copy_once(
    source: Source, metadata: Mapping[str, str], target: Target, context: MigrationContext, calls: Calls
) -> Written:
    answer = calls(
        "copy_object",
        Bucket=target.bucket,
        Key=target.key,
        Metadata=dict(metadata),
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        **_origin(source),
        **target.condition,
        **target.arguments,
    )
    return Written(
        etag=answer["CopyObjectResult"]["ETag"],
        version_id=context.version_of(target.bucket, answer),
        length=source.length,
    )


class _MultipartCopy:
    """UploadPartCopy for what is above the limit of CopyObject."""

    def __init__(
        self, source: Source, metadata: Mapping[str, str], target: Target, context: MigrationContext, calls: Calls
    ) -> None:
        self._source = source
        self._metadata = metadata
        self._target = target
        self._context = context
        self._calls = calls

    def run(self) -> Written:
        where = {"Bucket": self._target.bucket, "Key": self._target.key}
        upload_id = begin_upload(self._target, self._context, self._calls, Metadata=dict(self._metadata))
        upload = {**where, "UploadId": upload_id}
        log = self._context.uploads
        try:
            parts = [self._part(upload, number, span) for number, span in enumerate(self._spans(), 1)]
            answer = self._calls(
                "complete_multipart_upload", **upload, MultipartUpload={"Parts": parts}, **self._target.condition
            )
        except BaseException:
            self._abort(upload)
            raise
        if log is not None:
            log.upload_closed(upload["UploadId"])
        version_id = self._context.version_of(self._target.bucket, answer)
        return Written(etag=answer["ETag"], version_id=version_id, length=self._source.length)

    def _spans(self) -> list[str]:
        length = self._source.length
        step = min(self._context.settings.copy_limit, max(_GIB, -(-length // _MAX_PARTS)))
        return [f"bytes={start}-{min(start + step, length) - 1}" for start in range(0, length, step)]

    def _part(self, upload: Mapping[str, str], number: int, span: str) -> dict[str, Any]:
        answer = self._calls(
            "upload_part_copy", **upload, PartNumber=number, CopySourceRange=span, **_origin(self._source)
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    def _abort(self, upload: Mapping[str, str]) -> None:
        try:
            self._calls("abort_multipart_upload", **upload)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                return
        except BotoCoreError:
            return
        if self._context.uploads is not None:
            self._context.uploads.upload_closed(upload["UploadId"])
