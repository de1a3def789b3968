"""upload_part_copy into an encrypted upload: the source passes through this process, verified, and becomes that part.

S3 cannot copy the bytes itself: what is stored elsewhere was encrypted under another key, at another place of another
stream. Everything else is as S3 has it: ranges, versions, conditions, and its errors.
Source: Amazon S3 API reference, UploadPartCopy.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from typing import Any

from botocore.exceptions import ClientError

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.client.bodies.sources import StreamSource
from s3ec.client.calls import copies
from s3ec.client.calls.wire import Wire
from s3ec.client.multipart.live_upload import LiveUpload
from s3ec.s3.copy_object import heard_source, source_request
from s3ec.s3.flow import Flow
from s3ec.s3.range_header import parse_content_range

__all__ = ["Read", "copy_part"]

_OPERATION = "UploadPartCopy"
_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{1,19})")
_OF_THE_PART = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5", "RequestPayer", "ExpectedBucketOwner")

Read = Callable[[Wire, dict[str, Any]], dict[str, Any]]
"""The handler of ``get_object``."""


def copy_part(
    wire: Wire,
    parameters: dict[str, Any],
    read: Read,
    state: LiveUpload,
    run: Callable[[Flow[dict[str, Any]]], dict[str, Any]],
) -> dict[str, Any]:
    """Read a source, verified, and encrypt it as a part.

    Args:
        wire: plain calls of the client that is called.
        parameters: ``upload_part_copy``'s, as the caller's handlers left them; ``EncryptionContext`` is the source's.
        read: the client's own ``get_object``.
        state: state of the upload.
        run: runs a flow through this client, under the options of the upload.

    Returns:
        What S3 answers to UploadPartCopy.

    Raises:
        NotEncryptedError: the source is plaintext, and the client does not allow such.
        S3ECError: as reading the source and `LiveUpload.give` raise.
        botocore.exceptions.ClientError: as S3 answers the copy.
    """
    wanted = _wanted(wire, parameters.get("CopySourceRange"))
    with _as_of_the_copy(wire):
        # Parts of a large object are copied as ranges of it, and each of them has to be verified.
        options = dataclasses.replace(wire.options, verified_range_limit=GCM_MAX_PLAINTEXT_LENGTH + 16)
        answer = read(wire.with_options(options), _read_request(wire, parameters))
    with closing(answer["Body"]) as body:
        _check_range(wire, wanted, answer)
        source = StreamSource(body, answer.get("ContentLength"))
        given = {name: parameters[name] for name in _OF_THE_PART if name in parameters}
        own, number, claims = wire.with_options(state.options), parameters["PartNumber"], PlaintextClaims(None, {})
        part = run(state.give(own, number, source, claims, given, own=True))
    result = {name: part.pop(name) for name in list(part) if name == "ETag" or name.startswith("Checksum")}
    if "VersionId" in answer:
        part["CopySourceVersionId"] = answer["VersionId"]
    return {**part, "CopyPartResult": {**result, "LastModified": datetime.now(timezone.utc).replace(microsecond=0)}}


def _read_request(wire: Wire, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The read of the source, with its own SSE-C key, owner and conditions."""
    request = source_request(wire, parameters, heard_source(parameters["CopySource"]))
    renamed = {"CopySourceRange": "Range", "EncryptionContext": "EncryptionContext"}
    return {**request, **{theirs: parameters[ours] for ours, theirs in renamed.items() if ours in parameters}}


def _wanted(wire: Wire, header: str | None) -> tuple[int, int] | None:
    """First and last offset; S3 takes no other form of range here than the closed one."""
    if header is None:
        return None
    found = _RANGE.fullmatch(header)
    if found is None or int(found[1]) > int(found[2]):
        raise wire.refusal(
            _OPERATION,
            400,
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    return int(found[1]), int(found[2])


def _check_range(wire: Wire, wanted: tuple[int, int] | None, answer: Mapping[str, Any]) -> None:
    """A range that reaches past the end is shortened by a read, and refused by a copy."""
    if wanted is None:
        return
    # Without the header the range is the whole object.
    header = answer.get("ContentRange")
    total = answer["ContentLength"] if header is None else parse_content_range(header).total
    if wanted[1] >= total:
        raise _past_the_end(wire, total)


def _past_the_end(wire: Wire, total: object) -> ClientError:
    message = f"Range specified is not valid for source object of size: {total}"
    return wire.refusal(_OPERATION, 400, "InvalidArgument", message)


@contextmanager
def _as_of_the_copy(wire: Wire) -> Iterator[None]:
    """S3's errors about the source, as it gives them for the copy."""
    try:
        with copies.of_the_copy(wire, _OPERATION):
            yield
    except ClientError as error:
        details: Mapping[str, Any] = error.response.get("Error", {})
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 416:
            raise _past_the_end(wire, details.get("ActualObjectSize", "unknown")) from error
        kind: type[ClientError] = wire.exceptions.from_code(details.get("Code"))
        raise kind(error.response, _OPERATION) from error
