"""s3ec.open: an object as it was when it was opened, and reads of spans of that very object."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from s3ec.crypto.content import ContentCipher
from s3ec.errors import AuthenticationError, ConfigurationError, UnsupportedOperationError
from s3ec.materials import StoredContext
from s3ec.s3.answers import check_partial, etag_of, length_of
from s3ec.s3.contents import Span, VerifiedSpan
from s3ec.s3.flow import Flow, RefusedError, call, close_body, open_cipher, read_body, work
from s3ec.s3.names import Located
from s3ec.s3.objects import ReadRequest, check, check_stored_length, resolve, take_read_request
from s3ec.s3.range_header import ByteRange
from s3ec.s3.ranges import authenticate
from s3ec.s3.receiving import InMemory, receive_span, receive_whole
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.verified import RANGE_CHUNK_SIZE, VerifiedObject

__all__ = [
    "DEFAULT_READ_AHEAD",
    "InMemoryObject",
    "OpenObject",
    "SpanAnswer",
    "open_object",
    "read_into",
    "read_span",
    "take_open_request",
]

DEFAULT_READ_AHEAD = 1024 * 1024
"""Bytes that one request fetches when the file is read on in order."""


@dataclass(frozen=True, slots=True)
class InMemoryObject:
    """A small object, verified.

    Attributes:
        length: bytes of plaintext.
        plaintext: in order; to be taken out, so that no byte is in memory twice.
    """

    length: int
    plaintext: deque[bytes | memoryview] = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An object of which each read makes a request.

    Attributes:
        pinned: parameters of the reads, tied to what was opened by its ETag.
        version_id: the version that was opened, where S3 has named one.
        length: bytes of plaintext.
        verified: what each read is checked against; None for an object that is not encrypted, where the client allows
            such.
    """

    pinned: Mapping[str, Any] = field(repr=False)
    version_id: str | None
    length: int
    verified: VerifiedObject | None = field(repr=False)

    @property
    def total(self) -> int:
        """Bytes that S3 has of it."""
        return self.length if self.verified is None else self.verified.total


@dataclass(frozen=True, slots=True)
class SpanAnswer:
    """S3's answer for a span, which fits.

    Attributes:
        opened: the object, as the next read is to ask for it.
        body: of the answer; to be closed.
        content: what the body's bytes are; None where they are the object's own.
    """

    opened: OpenObject
    body: Any = field(repr=False)
    content: VerifiedSpan | None = field(repr=False)


def take_open_request(
    parameters: Mapping[str, Any],
    context: Mapping[str, str] | StoredContext | None,
    default: Mapping[str, Any],
    read_ahead: int,
) -> ReadRequest:
    """Take apart what is asked to be opened.

    Args:
        parameters: of get_object, without the encryption context.
        context: the caller's, or None.
        default: the context of who gives none, as a parameter.
        read_ahead: bytes fetched at a time.

    Raises:
        ConfigurationError: it names a part of an object, or no number of bytes.
    """
    if {"Range", "PartNumber"} & parameters.keys():
        raise ConfigurationError("s3ec.open reads whole objects; seek in the file instead of giving a range")
    if read_ahead < 1:
        raise ConfigurationError("read_ahead is a number of bytes, at least 1")
    given = default if context is None else {"EncryptionContext": context}
    return take_read_request({**parameters, **given})


def open_object(s3: Surroundings, request: ReadRequest, in_memory: int) -> Flow[InMemoryObject | OpenObject]:
    """Read and authenticate an object once.

    Args:
        s3: the client.
        request: the caller's.
        in_memory: bytes of plaintext up to which it is kept; of a larger one its MACs are.

    Raises:
        UnsupportedOperationError: CBC content, which nothing can verify.
        MetadataError, PolicyError, KeyringError, SecurityError: as for any read.
        RefusedError: as from a plain client.
    """
    response = yield from call("GetObject", request.parameters)
    try:
        return (yield from _open(s3, request, response, in_memory))
    finally:
        yield from close_body(response["Body"])


def _open(
    s3: Surroundings, request: ReadRequest, response: dict[str, Any], in_memory: int
) -> Flow[InMemoryObject | OpenObject]:
    found = yield from resolve(s3, request, response.get("Metadata", {}))
    etag, stored = etag_of(response), length_of(response)
    if found is None:
        return OpenObject(request.pinned(etag), response.get("VersionId"), stored, None)
    checked = check(s3, request, found)
    if found.content_metadata.algorithm_suite.is_legacy:
        raise UnsupportedOperationError(
            "s3ec.open is refused for CBC content: nothing can verify it. get_object reads it as a stream"
        )
    check_stored_length(found.content_metadata, stored)
    cipher = yield from open_cipher(checked)
    length = stored - cipher.suite.tag_length
    if length <= in_memory:
        return InMemoryObject(length, (yield from _all_of(response["Body"], cipher, stored, in_memory)))
    verified = yield from authenticate(response, cipher, found.content_metadata)
    return OpenObject(request.pinned(etag), response.get("VersionId"), verified.length, verified)


def _all_of(body: Any, cipher: ContentCipher, stored: int, in_memory: int) -> Flow[deque[bytes | memoryview]]:
    receiver = receive_whole(cipher, stored, delayed=False, in_memory=in_memory)
    assert isinstance(receiver, InMemory)  # noqa: S101 - it fits into memory, and waits for its tag
    while wanted := receiver.wanted:
        data = yield from read_body(body, wanted)
        yield from work(partial(receiver.feed, data), len(data))
    return receiver.finish()


def read_span(opened: OpenObject, span: Span) -> Flow[SpanAnswer]:
    """Ask for some bytes of the object that was opened.

    Args:
        opened: the object.
        span: first and last offset of plaintext, both within it.

    Raises:
        AuthenticationError: S3 answers for another object, or with another range.
        RefusedError: S3's own errors; 412 where the object was replaced, and what was opened cannot be read any more.
    """
    first, last = span
    if opened.verified is not None:
        first = first // RANGE_CHUNK_SIZE * RANGE_CHUNK_SIZE
        last = min((last // RANGE_CHUNK_SIZE + 1) * RANGE_CHUNK_SIZE, opened.length) - 1
    asked = ByteRange(first, last)
    opened, response = yield from _ask(opened, asked)
    fits = False
    try:
        total = check_partial(response, asked).total
        if (etag_of(response), total) != (opened.pinned["IfMatch"], opened.total):
            raise AuthenticationError("S3 answered for another object than the one that was opened")
        content = None if opened.verified is None else VerifiedSpan(opened.verified, first, span)
        fits = True
    finally:
        if not fits:
            yield from close_body(response["Body"])
    return SpanAnswer(opened, response["Body"], content)


def read_into(opened: OpenObject, span: Span, view: memoryview) -> Flow[OpenObject]:
    """Fill a buffer with some bytes of the object that was opened.

    Args:
        opened: the object.
        span: first and last offset of plaintext, both within it.
        view: of as many bytes. What is in it after an error is not to be used.

    Returns:
        The object, as the next read is to ask for it.

    Raises:
        AuthenticationError: S3 answers for another object or with another range, or the content does not verify.
        RefusedError, UnreachableError: as from a plain client.
    """
    with Located(opened.pinned):
        answer = yield from read_span(opened, span)
    with Located(answer.opened.pinned):
        try:
            filled = yield from _fill(answer, view)
        finally:
            yield from close_body(answer.body)
        if filled < len(view):
            raise AuthenticationError("the answer ended before the range that it announced")
    return answer.opened


def _fill(answer: SpanAnswer, view: memoryview) -> Flow[int]:
    receiver = None if answer.content is None else receive_span(answer.content)
    filled = 0
    while wanted := len(view) - filled if receiver is None else receiver.wanted:
        data = yield from read_body(answer.body, wanted, has_tag=receiver is not None)
        piece = data if receiver is None else (yield from work(partial(receiver.feed, data), len(data)))
        view[filled : filled + len(piece)] = piece
        filled += len(piece)
        if receiver is None and not data:
            break
    return filled


def _ask(opened: OpenObject, asked: ByteRange) -> Flow[tuple[OpenObject, dict[str, Any]]]:
    try:
        return opened, (yield from call("GetObject", {**opened.pinned, "Range": str(asked)}))
    except RefusedError as refused:
        if refused.status != 412 or opened.version_id in (None, opened.pinned.get("VersionId")):
            raise
        replaced = refused
    # Naming a version takes a permission that the caller may not have, hence only if nothing else is left.
    named = {**opened.pinned, "VersionId": opened.version_id}
    try:
        response = yield from call("GetObject", {**named, "Range": str(asked)})
    except RefusedError:
        raise replaced from None
    return replace(opened, pinned=named), response
