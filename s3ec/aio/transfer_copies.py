"""Managed copies of tasks, inside S3 and of any size: the content metadata goes along, whatever is sent.

See `s3ec.client.transfers.managed.copy`, which is the same on s3transfer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from s3transfer.copies import CopySubmissionTask
from s3transfer.utils import ChunksizeAdjuster

from s3ec import formats
from s3ec.aio.transfer_uploads import workers
from s3ec.aio.wire import AsyncWire
from s3ec.client.server_side import rules as server_side
from s3ec.client.transfers.downloads import Progress
from s3ec.client.transfers.managed import whole_metadata
from s3ec.errors import UnsupportedOperationError
from s3ec.s3 import copy_object as rules
from s3ec.s3.answers import etag_of, length_of, status_of
from s3ec.s3.flow import Flow, call, store, together
from s3ec.s3.head_object import plaintext_length
from s3ec.s3.instruction_copies import CopiedObject, copied_with_object
from s3ec.s3.multipart.requests import abort_named, recorded_part
from s3ec.s3.requests import check_user_metadata
from s3ec.s3.surroundings import Surroundings

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
    extra = {name: value for name, value in target.items() if name not in ("Bucket", "Key", "CopySource")}
    check_user_metadata(extra.get("Metadata"))
    server_side.check("CopyObject", extra, secure=wire.secure)
    place = rules.parse_copy_source(source)
    try:
        head = await from_client.head_object(**rules.source_request(wire, extra, place))
    except ClientError as error:
        if instead := rules.refusal_of_the_copy(wire, status_of(error.response), "CopyObject"):
            raise instead from error
        raise
    metadata = head.get("Metadata", {})
    rules.refuse_bound_copy(metadata, place, target)
    copied = CopiedObject(place.bucket, place.key, metadata, target)
    # The conditions held for what was looked at, and the copy is of nothing else.
    pinned = {**rules.without_conditions(extra), "CopySourceIfMatch": etag_of(head)}

    def send(whole: Mapping[str, str] | None) -> Flow[None]:
        own = rules.own_metadata(metadata) if whole is None else dict(whole)
        named = whole_metadata(pinned, head, config, whole)
        request = {**named, "Bucket": target["Bucket"], "Key": target["Key"], "CopySource": place.parameters()}
        told = Progress(progress, plaintext_length(head))
        if length_of(head) < config.multipart_threshold:
            return _at_once(request, own, told, length_of(head))
        return _in_parts(wire, request, own, told, length_of(head), config)

    await wire.run(copied_with_object(wire, copied, send))


def _at_once(request: dict[str, Any], own: Mapping[str, str], progress: Progress, length: int) -> Flow[None]:
    if request.get("MetadataDirective") == "REPLACE":
        request = {**request, "Metadata": _keeping(request, own)}
    yield from store("CopyObject", request, own=True)
    progress(length)


def _keeping(request: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, str]:
    return {**formats.strip(request.get("Metadata") or {}), **own}


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
    creation = {**given, **place, "Metadata": _keeping(request, own)}
    created = yield from store("CreateMultipartUpload", creation, own=True)
    upload = {**place, "UploadId": created["UploadId"]}
    completed = False
    try:
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
        yield from together(copies, at_once=workers(config))
        listed = {"MultipartUpload": {"Parts": [parts[number] for number in sorted(parts)]}}
        of_completion = {name: value for name, value in request.items() if name in _OF_COMPLETIONS}
        yield from call("CompleteMultipartUpload", {**of_completion, **upload, **listed})
        completed = True
    finally:
        if not completed:
            yield from abort_named(s3, request, created["UploadId"])
