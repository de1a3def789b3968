"""upload_part_copy into an encrypted upload: what is read of the source, and what the answer says.

S3 cannot copy the bytes itself: what is stored elsewhere was encrypted under another key, at another place of another
stream. So the source passes through this process, verified. Everything else is as S3 has it: ranges, versions,
conditions, and its errors.
Source: Amazon S3 API reference, UploadPartCopy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from s3ec.s3.copy_object import heard_source, refusal_of_the_copy, source_request
from s3ec.s3.flow import Flow, close_body
from s3ec.s3.range_header import parse_content_range
from s3ec.s3.surroundings import Surroundings

__all__ = ["OPERATION", "copied", "part_parameters", "read_request", "refusal_of_the_part"]

OPERATION = "UploadPartCopy"

_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{1,19})")
_OF_THE_PART = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5", "RequestPayer", "ExpectedBucketOwner")


def read_request(s3: Surroundings, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The read of the source, with its own SSE-C key, owner and conditions.

    Args:
        s3: the client.
        parameters: ``upload_part_copy``'s, as the caller's handlers left them; ``EncryptionContext`` is the source's.

    Raises:
        botocore.exceptions.ClientError: S3's InvalidArgument, for a range of another form than it takes.
    """
    _wanted(s3, parameters)
    request = source_request(s3, parameters, heard_source(parameters["CopySource"]))
    renamed = {"CopySourceRange": "Range", "EncryptionContext": "EncryptionContext"}
    return {**request, **{theirs: parameters[ours] for ours, theirs in renamed.items() if ours in parameters}}


def part_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What of a copy's parameters is about the part, and not about its source."""
    return {name: parameters[name] for name in _OF_THE_PART if name in parameters}


def refusal_of_the_part(s3: Surroundings, status: int | None, details: Mapping[str, Any]) -> Exception | None:
    """What S3 answers the copy, whose source it refuses to a read like this; None where that is the same.

    Args:
        s3: the client.
        status: of the answer to the read.
        details: its ``Error``.
    """
    if status == 416:
        return _past_the_end(s3, details.get("ActualObjectSize", "unknown"))
    return refusal_of_the_copy(s3, status, OPERATION)


def copied(
    s3: Surroundings, parameters: Mapping[str, Any], answer: Mapping[str, Any], give: Flow[dict[str, Any]]
) -> Flow[dict[str, Any]]:
    """Give the part what was read, and answer as S3 answers the copy; the body of the source is closed in any case.

    Args:
        s3: the client.
        parameters: as for `read_request`.
        answer: to the read of the source.
        give: encrypts the body of that answer as the part; not started.

    Raises:
        botocore.exceptions.ClientError: S3's InvalidArgument, for a range past the end; nothing was given.
        whatever leaves ``give``.
    """
    try:
        _check_range(s3, parameters, answer)
        part = yield from give
    finally:
        yield from close_body(answer["Body"])
    result = {name: part.pop(name) for name in list(part) if name == "ETag" or name.startswith("Checksum")}
    if "VersionId" in answer:
        part["CopySourceVersionId"] = answer["VersionId"]
    return {**part, "CopyPartResult": {**result, "LastModified": datetime.now(timezone.utc).replace(microsecond=0)}}


def _wanted(s3: Surroundings, parameters: Mapping[str, Any]) -> tuple[int, int] | None:
    """First and last offset; S3 takes no other form of range here than the closed one."""
    header = parameters.get("CopySourceRange")
    if header is None:
        return None
    found = _RANGE.fullmatch(header)
    if found is None or int(found[1]) > int(found[2]):
        raise s3.refusal(
            OPERATION,
            400,
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    return int(found[1]), int(found[2])


def _check_range(s3: Surroundings, parameters: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    """A range that reaches past the end is shortened by a read, and refused by a copy."""
    wanted = _wanted(s3, parameters)
    if wanted is None:
        return
    # Without the header the range is the whole object.
    header = answer.get("ContentRange")
    total = answer["ContentLength"] if header is None else parse_content_range(header).total
    if wanted[1] >= total:
        raise _past_the_end(s3, total)


def _past_the_end(s3: Surroundings, total: object) -> Exception:
    message = f"Range specified is not valid for source object of size: {total}"
    return s3.refusal(OPERATION, 400, "InvalidArgument", message)
