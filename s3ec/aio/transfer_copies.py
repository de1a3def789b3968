"""Managed copies of tasks, inside S3 and of any size: the content metadata goes along, whatever is sent.

See `s3ec.client.transfers.managed.copy`, which is the same on s3transfer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boto3.s3.transfer import TransferConfig
from s3transfer.copies import CopySubmissionTask
from s3transfer.utils import ChunksizeAdjuster

from s3ec.aio import driver
from s3ec.aio.wire import AsyncWire
from s3ec.client.server_side import rules as server_side
from s3ec.errors import UnsupportedOperationError
from s3ec.s3.copy_object import parse_copy_source
from s3ec.s3.flow import Flow, call, together
from s3ec.s3.instruction_copies import copied_with_object
from s3ec.s3.managed_copy import look_at_source, store_keeping
from s3ec.s3.managed_upload import completed_or_aborted
from s3ec.s3.multipart.requests import recorded_part
from s3ec.s3.requests import check_user_metadata
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.transfers import Progress, at_once, needs_parts

__all__ = ["copy"]

_OF_PARTS = frozenset(CopySubmissionTask.UPLOAD_PART_COPY_ARGS)
_NOT_OF_UPLOADS = frozenset({*CopySubmissionTask.CREATE_MULTIPART_ARGS_BLACKLIST, "IfMatch", "IfNoneMatch"})
_OF_COMPLETIONS = frozenset({*CopySubmissionTask.COMPLETE_MULTIPART_ARGS, "IfMatch", "IfNoneMatch"})
_BY_ONE_REQUEST_ONLY = ("Tagging", "TaggingDirective", "AnnotationDirective")


async def copy(
    wire: AsyncWire,
    source: Any,
    target: dict[str, Any],
    from_client: Any,
    config: TransferConfig,
    progress: Any,
) -> None:
    """Copy an object.

    Args:
        wire: the client's.
        source: the caller's ``CopySource``.
        target: bucket and key of the copy, ``CopySource`` and the caller's extra arguments.
        from_client: a client that looks at the source, without encryption.
        config: sizes, and requests at once.
        progress: called with bytes of plaintext that were copied; or None.

    Raises:
        S3ECError: the copy could not be read; nothing was made.
        botocore.exceptions.ClientError: as S3 answers; an upload that was begun is aborted.
    """
    check_user_metadata(target.get("Metadata"))
    server_side.check("CopyObject", target, secure=wire.secure)

    async def look(effect: Any) -> object:
        return await from_client.head_object(**effect.parameters)

    planned = await driver.run(look_at_source(wire, parse_copy_source(source), target), look)

    def send(whole: Mapping[str, str] | None) -> Flow[None]:
        named = planned.arguments(config, whole)
        request = {**named, **{name: target[name] for name in ("Bucket", "Key")}}
        request["CopySource"] = planned.source.parameters()
        told = Progress(progress, planned.plaintext_length)
        if needs_parts(config, planned.length):
            return _in_parts(wire, request, planned.own(whole), told, planned.length, config)
        return _at_once(request, planned.own(whole), told, planned.length)

    await wire.run(copied_with_object(wire, planned.copied, send))


def _at_once(request: dict[str, Any], own: Mapping[str, str], progress: Progress, length: int) -> Flow[None]:
    yield from store_keeping("CopyObject", request, own)
    progress(length)


def _in_parts(
    s3: Surroundings,
    request: dict[str, Any],
    own: Mapping[str, str],
    progress: Progress,
    length: int,
    config: TransferConfig,
) -> Flow[None]:
    if named := [name for name in _BY_ONE_REQUEST_ONLY if name in request]:
        raise UnsupportedOperationError(
            f"{', '.join(named)} of a copy in parts is refused: S3 does it in copies by one request alone. Use "
            "copy_object (up to 5 GiB), a larger multipart_threshold, or put_object_tagging afterwards"
        )
    place = {"Bucket": request["Bucket"], "Key": request["Key"]}
    given = {name: value for name, value in request.items() if name not in _NOT_OF_UPLOADS | {"CopySource"}}
    created = yield from store_keeping("CreateMultipartUpload", {**given, **place}, own)
    copying = _copied_and_completed(request, {**place, "UploadId": created["UploadId"]}, progress, length, config)
    yield from completed_or_aborted(s3, request, created["UploadId"], copying)


def _copied_and_completed(
    request: Mapping[str, Any], upload: Mapping[str, Any], progress: Progress, length: int, config: TransferConfig
) -> Flow[None]:
    size = ChunksizeAdjuster().adjust_chunksize(config.multipart_chunksize, length)
    of_parts = {name: value for name, value in request.items() if name in _OF_PARTS}
    parts: dict[int, dict[str, Any]] = {}

    def part(number: int, start: int) -> Flow[None]:
        end = min(start + size, length)
        ranged = {"CopySourceRange": f"bytes={start}-{end - 1}", "PartNumber": number}
        answer = yield from call(
            "UploadPartCopy", {**of_parts, **upload, "CopySource": request["CopySource"], **ranged}
        )
        parts[number] = recorded_part(number, answer["CopyPartResult"])
        progress(end - start)

    copies = [part(number, start) for number, start in enumerate(range(0, length, size), 1)]
    yield from together(copies, at_once=at_once(config))
    listed = {"MultipartUpload": {"Parts": [parts[number] for number in sorted(parts)]}}
    of_completion = {name: value for name, value in request.items() if name in _OF_COMPLETIONS}
    yield from call("CompleteMultipartUpload", {**of_completion, **upload, **listed})
