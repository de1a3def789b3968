"""Downloads in parts: the gate once, then ranges of the very version that passed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from s3ec.crypto.content import ContentCipher
from s3ec.errors import AuthenticationError
from s3ec.s3.answers import check_partial, etag_of, is_partial, length_of
from s3ec.s3.flow import Flow, call, close_body, open_cipher, read_body
from s3ec.s3.objects import ReadRequest, check, check_stored_length, resolve
from s3ec.s3.pinning import get_pinned
from s3ec.s3.range_header import ByteRange
from s3ec.s3.receiving import CHUNK_SIZE
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.transfers import Config, at_once, needs_parts

__all__ = ["Downloadable", "Part", "PartReceiver", "PartsToFetch", "ask_for_part", "fetch_part", "look_up", "pass_gate"]

Part: TypeAlias = tuple[int, int]
"""Offset and size of some of the stored bytes."""

_LARGEST_PART = 4 * 1024 * 1024  # bytes; ten of them in flight take less than ten parts of boto3's own size


@dataclass(frozen=True, slots=True)
class Downloadable:
    """An object that has passed the gate, or needs none.

    Attributes:
        cipher: opens it; None for one that is not encrypted, where the client allows such.
        length: bytes that S3 has of it.
        pinned: parameters of every read of it, tied to this version by its ETag.
    """

    cipher: ContentCipher | None = field(repr=False)
    length: int
    pinned: Mapping[str, Any] = field(repr=False)

    @property
    def plaintext_length(self) -> int:
        """Bytes of plaintext, or somewhat more for what is padded."""
        return self.length if self.cipher is None else max(self.length - self.cipher.suite.tag_length, 0)

    @property
    def has_tag(self) -> bool:
        """True if a tag covers all of it."""
        return self.cipher is not None and not self.cipher.suite.is_legacy


def look_up(request: ReadRequest) -> Flow[dict[str, Any]]:
    """Return S3's answer to the HEAD that comes before a download.

    Raises:
        RefusedError: as from a plain client.
    """
    return call("HeadObject", _carried(request))


def pass_gate(s3: Surroundings, request: ReadRequest, head: Mapping[str, Any]) -> Flow[Downloadable]:
    """Pass the gate with an object that was looked at.

    Raises:
        MetadataError, PolicyError, KeyringError, SecurityError: as for any read.
    """
    found = yield from resolve(s3, request, head.get("Metadata", {}))
    length = length_of(head)
    # By the ETag alone: naming a version takes a permission that plain downloads do without.
    pinned = {**_carried(request), "IfMatch": etag_of(head)}
    if found is None:
        return Downloadable(None, length, pinned)
    checked = check(s3, request, found)
    check_stored_length(found.content_metadata, length)
    return Downloadable((yield from open_cipher(checked)), length, pinned)


def _carried(request: ReadRequest) -> dict[str, Any]:
    return {name: value for name, value in request.parameters.items() if name != "ChecksumMode"}


def ask_for_part(wanted: Downloadable, start: int, size: int) -> Flow[Any]:
    """Ask for some of the stored bytes, and return the body that S3 answers with; it is the caller's to close.

    Args:
        wanted: the object.
        start: offset of the first byte.
        size: bytes, at least one.

    Raises:
        AuthenticationError: S3 states other bytes than those it was asked for.
        ReplacedError: the object was replaced.
        RefusedError, UnreachableError: as from a plain client.
    """
    request = dict(wanted.pinned)
    whole = size == wanted.length
    if not whole:
        request["Range"] = f"bytes={start}-{start + size - 1}"
    response = yield from get_pinned(request)
    fits = False
    try:
        if whole:
            states = not is_partial(response) and length_of(response) == size
        else:
            states = check_partial(response, ByteRange(start, start + size - 1)).total == wanted.length
        if not states:
            raise AuthenticationError("S3 states one length of the object first, and another then")
        if etag_of(response) != wanted.pinned["IfMatch"]:
            raise AuthenticationError("the object was replaced while it was downloaded")
        fits = True
    finally:
        if not fits:
            yield from close_body(response["Body"])
    return response["Body"]


class PartReceiver:
    """Receives some of the stored bytes: as many as were asked for, and not one more."""

    def __init__(self, size: int) -> None:
        """Take the number of bytes, at least one."""
        self._left = size
        self._last = b""

    @property
    def wanted(self) -> int:
        """How many bytes to feed next: the last is one that there should not be; 0 at the end."""
        return min(CHUNK_SIZE, self._left) or (1 if self._last else 0)

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, fewer than `wanted` only at the end of the answer.

        Returns:
            Bytes that may be used: those that were fed, or what was kept back of them until the end was seen.

        Raises:
            AuthenticationError: the answer has fewer bytes than were asked for, or more.
        """
        if not self._left:
            if data:
                raise AuthenticationError("S3 answered with more bytes than it was asked for")
            last, self._last = self._last, b""
            return last
        if len(data) < self.wanted:
            raise AuthenticationError("the stored object ended early: it was cut off")
        self._left -= len(data)
        if self._left:
            return data
        self._last = data
        return b""


def fetch_part(wanted: Downloadable, start: int, size: int) -> Flow[list[bytes]]:
    """Fetch some of the stored bytes, and nothing else in their place.

    Args:
        wanted: the object.
        start: offset of the first byte.
        size: bytes, at least one.

    Raises:
        AuthenticationError: S3 answers with other bytes than those it was asked for.
        ReplacedError: the object was replaced.
        RefusedError, UnreachableError: as from a plain client.
    """
    body = yield from ask_for_part(wanted, start, size)
    pieces = []
    try:
        part = PartReceiver(size)
        while part.wanted:
            data = yield from read_body(body, part.wanted, has_tag=wanted.has_tag)
            if piece := part.feed(data):
                pieces.append(piece)
    finally:
        yield from close_body(body)
    return pieces


class PartsToFetch:
    """Which of the stored bytes are asked for next: parts in order, several of them at a time.

    Attributes:
        at_once: how many may be on their way.
    """

    def __init__(self, wanted: Downloadable, config: Config) -> None:
        """Begin at the start of an object."""
        self._total = wanted.length
        self._next = 0
        self._size = max(1, min(config.multipart_chunksize, _LARGEST_PART, self._total))
        parts = -(-self._total // self._size)
        self.at_once = min(at_once(config), parts) if needs_parts(config, self._total) else 1

    @property
    def rest(self) -> Part:
        """Offset and number of the bytes that nobody has asked for."""
        return self._next, self._total - self._next

    def took(self, count: int) -> None:
        """Notice that the first bytes of the rest have been asked for."""
        self._next += count

    def next_part(self) -> Part | None:
        """Offset and size of the part to ask for now; None where all has been asked for."""
        start, left = self.rest
        if not left:
            return None
        self.took(size := min(self._size, left))
        return start, size
