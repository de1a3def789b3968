"""The body of a request, verified in whichever way its sender protected it, before the last byte is handed on.

What reads from here can therefore start at once and in bounded memory: without its last byte no request to S3 can
complete, and that byte comes only after the hash, the signature of each chunk, the trailer and every checksum held.
Source: Amazon S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
Chunks" and "Including trailing headers"; "Checking object integrity".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Protocol

from s3ec.client.bodies.claims import Digest, decoded, digest_for
from s3ec.errors import ConfigurationError
from s3ec.serve.chunks import ChunkedBody, PlainBody
from s3ec.serve.refusals import RefusedError
from s3ec.serve.requests import Request
from s3ec.serve.signatures import Signed

__all__ = ["Payload", "open_payload"]

_UNSIGNED = "UNSIGNED-PAYLOAD"
_SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_STREAMS = {_SIGNED_CHUNKS, f"{_SIGNED_CHUNKS}-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CHECKSUM = re.compile(r"x-amz-checksum-(crc32|crc32c|crc64nvme|md5|sha1|sha256|sha512)", re.ASCII)
_NOT_A_VALUE = frozenset({"x-amz-checksum-mode", "x-amz-checksum-algorithm", "x-amz-checksum-type"})
_OF_PARTS = frozenset({"partNumber", "uploadId"})
_LONGEST = 2**36


class _Framing(Protocol):
    """What gives the bytes, and the trailer once they have ended."""

    @property
    def trailer(self) -> Mapping[str, str]: ...

    def readinto(self, view: memoryview) -> int: ...


class Payload:
    """A body with a length, to be read once.

    Attributes:
        length: bytes of content.
        algorithms: checksums that the sender chose, as S3 spells them.
        trailer: checksums that came after the content, once all of it was read.
    """

    def __init__(
        self, framing: _Framing, length: int, hashed: str | None, expected: Mapping[str, str], trailing: list[str]
    ):
        """Take what is claimed.

        Args:
            framing: gives the content.
            length: bytes of it.
            hashed: its SHA-256 in hexadecimal, if it was signed.
            expected: checksums stated in headers, by header name.
            trailing: names of the checksums that the trailer will state.

        Raises:
            RefusedError: a checksum that cannot be verified here.
        """
        self.length = length
        self.algorithms = [name.rpartition("-")[2].upper() for name in (*expected, *trailing) if name != "content-md5"]
        self._framing = framing
        self.trailer: dict[str, str] = {}
        self._left = length
        self._hash = None if hashed is None else (hashlib.sha256(), hashed)
        self._digests: dict[str, Digest] = {name: _digest(name) for name in (*expected, *trailing)}
        self._expected = {name: _decoded(name, value) for name, value in expected.items()}
        self._trailing = trailing
        if not length:
            self._finish()

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, all that are left by default; empty at the end.

        Raises:
            RefusedError: the body is not what was signed or stated, or not of its length; its last byte stays here.
        """
        buffer = bytearray(self._left if size < 0 else min(size, self._left))
        view, filled = memoryview(buffer), 0
        while filled < len(buffer) and (count := self.readinto(view[filled:])):
            filled += count
            if size >= 0:
                break
        return bytes(view[:filled])

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Write the next bytes into a buffer; gives back how many, 0 at the end.

        Raises:
            RefusedError: as `read`; what the buffer then holds is not to be used.
        """
        view = memoryview(buffer)[: self._left]
        if not view:
            return 0
        count = self._framing.readinto(view)
        if not count:
            raise RefusedError(400, "IncompleteBody", "The body ended before the number of bytes that it was to have")
        self._take(view[:count])
        if count == self._left:
            self._finish()
        # Only now: a body that is not what it should be has no end, however often it is read.
        self._left -= count
        return count

    def _take(self, data: memoryview) -> None:
        if self._hash is not None:
            self._hash[0].update(data)
        for digest in self._digests.values():
            digest.update(data)

    def _finish(self) -> None:
        """Look at all that was claimed; called while the last bytes are still held back."""
        if self._framing.readinto(memoryview(bytearray(1))):
            raise RefusedError(400, "IncompleteBody", "The body has more bytes than it was to have")
        if self._hash is not None and not hmac.compare_digest(self._hash[0].hexdigest(), self._hash[1]):
            raise RefusedError(
                400,
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was sent",
            )
        trailer = self.trailer = dict(self._framing.trailer)
        if sorted(trailer) != sorted(self._trailing):
            raise RefusedError(400, "MalformedTrailerError", "The trailer does not hold what x-amz-trailer announced")
        for name, wanted in (*self._expected.items(), *((n, _decoded(n, v)) for n, v in trailer.items())):
            if not hmac.compare_digest(self._digests[name].digest(), wanted):
                raise RefusedError(
                    400, "BadDigest", f"The {name} that was stated does not match what was received; nothing was stored"
                )


def open_payload(request: Request, signed: Signed, *, of_object: bool = False) -> Payload:
    """Make a request's body ready to be read; refuses by the headers alone whatever they decide.

    Args:
        request: as it arrived.
        signed: its signature.
        of_object: the checksums in its headers are not those of the body, but of an object that it is about.

    Raises:
        RefusedError: what protects the body is not known, contradicts itself or cannot be verified here.
    """
    mode = signed.payload
    expected = {
        name: value
        for name, value in request.headers.items()
        if name == "content-md5" or (name.startswith("x-amz-checksum-") and name not in _NOT_A_VALUE and not of_object)
    }
    trailing = [name.strip().lower() for name in request.headers.get("x-amz-trailer", "").split(",") if name.strip()]
    chunked = "aws-chunked" in request.headers.get("content-encoding", "").lower()
    if mode in _STREAMS:
        if mode.endswith("-TRAILER") != bool(trailing):
            raise RefusedError(
                400, "InvalidRequest", f"x-amz-content-sha256 is {mode}, which does not fit x-amz-trailer"
            )
        length = _length(request.headers.get("x-amz-decoded-content-length"), "x-amz-decoded-content-length")
        signer = signed if mode.startswith(_SIGNED_CHUNKS) else None
        return Payload(
            ChunkedBody(request.body, length, signer, trailed=bool(trailing)), length, None, expected, trailing
        )
    if chunked or trailing:
        raise RefusedError(400, "InvalidRequest", "A body in aws-chunked framing has x-amz-content-sha256: STREAMING-…")
    hashed = None if mode == _UNSIGNED else mode
    if hashed is not None and not _HASH.fullmatch(hashed):
        raise RefusedError(
            501, "NotImplemented", "x-amz-content-sha256 is neither a SHA-256 nor a way of signing that is known here"
        )
    length = _stated_length(request)
    return Payload(PlainBody(request.body), length, hashed, expected, [])


def _stated_length(request: Request) -> int:
    if "transfer-encoding" in request.headers:
        return _length(request.headers.get("x-amz-decoded-content-length"), "Content-Length")
    if request.content_length is None and _stores_body(request):
        return _length(None, "Content-Length")
    return request.content_length or 0


def _stores_body(request: Request) -> bool:
    """True for objects and their parts: what HTTP takes for no body would be stored as an empty one."""
    is_copy = "x-amz-copy-source" in request.headers
    return request.method == "PUT" and bool(request.key) and not is_copy and request.arguments.keys() <= _OF_PARTS


def _length(value: str | None, name: str) -> int:
    if value is None:
        raise RefusedError(411, "MissingContentLength", f"You must provide the {name} HTTP header")
    if not re.fullmatch(r"\d{1,16}", value, re.ASCII) or int(value) > _LONGEST:
        raise RefusedError(400, "InvalidArgument", f"{name} is not a number of bytes that an object can have")
    return int(value)


def _digest(name: str) -> Digest:
    found = _CHECKSUM.fullmatch(name)
    if found is None and name != "content-md5":
        raise RefusedError(400, "InvalidRequest", f"{name} is not a checksum that is known here")
    try:
        return digest_for("ContentMD5" if found is None else f"Checksum{found[1].upper()}")
    except ConfigurationError as error:
        raise RefusedError(400, "InvalidRequest", str(error)) from error


def _decoded(name: str, value: str) -> bytes:
    try:
        return decoded(name, value)
    except ConfigurationError as error:
        raise RefusedError(400, "InvalidDigest", f"The {name} you specified is not valid") from error
