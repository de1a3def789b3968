"""What an answer of S3 says about itself: read in one place, and compared with what was asked.

A server, or a proxy in front of it, may leave out any header, or state in it what it likes. Nothing here is proof of
anything; it is what must fit before the proof is worth the effort.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from s3ec.errors import AuthenticationError
from s3ec.s3.range_header import ByteRange, ContentRange, parse_content_range

__all__ = [
    "NO_SUCH_OBJECT",
    "NUMBER",
    "check_partial",
    "code_of",
    "etag_of",
    "is_partial",
    "length_of",
    "state_span",
    "stated_length",
    "status_of",
]

NO_SUCH_OBJECT = frozenset({"404", "NoSuchKey"})
"""S3's codes for an object that is not there: of HEAD, whose answer has no text, and of all others."""

NUMBER = re.compile(r"\d{1,19}", re.ASCII)
"""A number of bytes, or of parts, in a header."""


def code_of(response: Mapping[str, Any]) -> str:
    """The service's own word for an error, as ``error.response`` has it; empty where the answer has none."""
    return str(response.get("Error", {}).get("Code", ""))


def etag_of(response: Mapping[str, Any]) -> str:
    """The ETag, to which the next request is pinned.

    Raises:
        AuthenticationError: there is none.
    """
    etag = response.get("ETag")
    if isinstance(etag, str) and etag:
        return etag
    raise AuthenticationError("the answer has no ETag: what is read next could be of another object")


def length_of(response: Mapping[str, Any]) -> int:
    """Bytes of the answer's body.

    Raises:
        AuthenticationError: it does not say (a proxy that sends chunks, or closes the connection at the end).
    """
    length = response.get("ContentLength")
    if isinstance(length, int) and length >= 0:
        return length
    raise AuthenticationError("the answer has no Content-Length: content could be cut off without anyone noticing")


def stated_length(headers: Mapping[str, str]) -> int:
    """Bytes of an answer's body, by raw headers.

    Raises:
        AuthenticationError: they do not say, or make no sense.
    """
    value = headers.get("Content-Length", "")
    return length_of({"ContentLength": int(value)} if NUMBER.fullmatch(value) else {})


def status_of(response: Mapping[str, Any]) -> int | None:
    """The HTTP status, or None for an answer that was put together without one."""
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def is_partial(response: Mapping[str, Any]) -> bool:
    """True if an answer has a part of the object, False if it has all of it.

    Raises:
        AuthenticationError: it says both.
    """
    named = response.get("ContentRange") is not None
    if status_of(response) not in (None, 206 if named else 200):
        raise AuthenticationError(
            f"the answer's status is {status_of(response)}, with{'' if named else 'out'} a Content-Range"
        )
    return named


def check_partial(response: Mapping[str, Any], asked: ByteRange) -> ContentRange:
    """The Content-Range of an answer, which is what an honest server gives for what was asked.

    Raises:
        AuthenticationError: it is another range, or the length is not the range's.
    """
    answered = parse_content_range(response.get("ContentRange") or "")
    if status_of(response) not in (None, 206) or asked.within(answered.total) != (answered.first, answered.last):
        raise AuthenticationError(f"S3 was asked for another range than it answered with ({answered})")
    if length_of(response) != answered.last - answered.first + 1:
        raise AuthenticationError(f"the answer has {length_of(response)} bytes, and says that it is {answered}")
    return answered


def state_span(response: dict[str, Any], span: tuple[int, int] | None, length: int) -> None:
    """Rewrite the answer to say that it holds these bytes of plaintext, of that many, as S3 describes a range.

    Where it holds none (a part that is our tag), the range has the form that HTTP has for that: ``bytes */length``.
    """
    response["ContentLength"] = 0 if span is None else span[1] - span[0] + 1
    response["ContentRange"] = f"bytes */{length}" if span is None else str(ContentRange(*span, length))
    response["AcceptRanges"] = "bytes"
    response.setdefault("ResponseMetadata", {})["HTTPStatusCode"] = 206
