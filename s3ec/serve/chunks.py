"""The two framings of a body: as it is, and S3's own chunks (``aws-chunked``) with their signatures and trailer.

Chunks are a format of S3's inside the body, whatever HTTP does around it; the reader takes exactly what its
documentation says and nothing more lenient, within fixed limits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from s3ec.serve.refusals import RefusedError
from s3ec.serve.requests import Body
from s3ec.serve.signatures import Signed

__all__ = ["ChunkedBody", "PlainBody"]

_EMPTY = hashlib.sha256(b"").hexdigest()
_HEAD = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_LINE_LIMIT = 1024
_TRAILER_LINES = 8
_READ = 256 * 1024
_SIGNATURE = "x-amz-trailer-signature"


class PlainBody:
    """A body without a framing of its own."""

    trailer: Mapping[str, str] = {}  # noqa: RUF012 - never changed

    def __init__(self, body: Body) -> None:
        """Take what HTTP's framing gives."""
        self._body = body

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; empty at the end."""
        return self._body.read(size)


class ChunkedBody:
    """A body in S3's chunks.

    Attributes:
        trailer: checksums that came after the content, by lower-case name; complete once `read` has answered nothing.
    """

    def __init__(self, body: Body, length: int, signer: Signed | None, *, trailed: bool) -> None:
        """Take what HTTP's framing gives.

        Args:
            body: it.
            length: bytes of content, as the request states them: no chunk may be longer than what is left of it.
            signer: signs chunks, if they are signed.
            trailed: a trailer follows.
        """
        self.trailer: dict[str, str] = {}
        self._body = body
        self._room = length
        self._signer = signer
        self._previous = signer.signature if signer is not None else ""
        self._trailed = trailed
        self._buffer = b""
        self._left = 0
        self._claimed = ""
        self._hash = hashlib.sha256()
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes of content; empty at its end, when everything after it has been verified.

        Raises:
            RefusedError: the framing is broken, or a signature does not hold.
        """
        if self._ended:
            return b""
        if not self._left and not self._next_chunk():
            return b""
        data = self._some(min(size, self._left))
        self._left -= len(data)
        if self._signer is not None:
            self._hash.update(data)
        if not self._left:
            self._end_chunk()
        return data

    def _next_chunk(self) -> bool:
        found = _HEAD.fullmatch(self._line())
        if found is None or (found[2] is not None) != (self._signer is not None):
            raise _broken("a chunk begins with neither its size nor its signature")
        size = int(found[1], 16)
        if size > self._room:
            raise _broken("there are more bytes than x-amz-decoded-content-length says")
        self._room -= size
        self._left = size
        self._claimed = (found[2] or b"").decode()
        self._hash = hashlib.sha256()
        if size:
            return True
        self._check_chunk()
        self._end()
        return False

    def _end_chunk(self) -> None:
        if self._exactly(2) != b"\r\n":
            raise _broken("a chunk does not end where its size says")
        self._check_chunk()

    def _check_chunk(self) -> None:
        if self._signer is None:
            return
        signer = self._signer
        digests = (self._previous, _EMPTY, self._hash.hexdigest())
        self._previous = signer.sign("\n".join(("AWS4-HMAC-SHA256-PAYLOAD", signer.date, signer.scope, *digests)))
        self._compare(self._claimed)

    def _compare(self, claimed: str) -> None:
        if not hmac.compare_digest(self._previous.encode(), claimed.encode()):
            raise RefusedError(
                403,
                "SignatureDoesNotMatch",
                "The signature of a chunk does not match what was received; nothing was stored",
            )

    def _end(self) -> None:
        signature = self._read_trailer() if self._trailed else None
        if not self._trailed and self._line() != b"":
            raise _broken("something follows the last chunk, and no trailer was announced")
        if self._trailed and self._signer is not None:
            lines = "".join(f"{name}:{value}\n" for name, value in self.trailer.items())
            signer, digest = self._signer, hashlib.sha256(lines.encode()).hexdigest()
            self._previous = signer.sign(
                "\n".join(("AWS4-HMAC-SHA256-TRAILER", signer.date, signer.scope, self._previous, digest))
            )
            self._compare(signature or "")
        if self._buffer or self._body.read(1):
            raise _broken("something follows its end")
        self._ended = True

    def _read_trailer(self) -> str | None:
        """Read the trailer's lines up to the empty one; its signature is answered, the rest kept."""
        signature: str | None = None
        for _ in range(_TRAILER_LINES):
            line = self._line()
            if not line:
                return signature
            name, colon, value = line.decode("latin-1").partition(":")
            name = name.strip().lower()
            if not colon or name in self.trailer or signature is not None:
                raise _broken("its trailer is not lines of NAME:VALUE, each name once")
            if name == _SIGNATURE:
                signature = value.strip()
            else:
                self.trailer[name] = value.strip()
        raise _broken("its trailer is too long")

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > _LINE_LIMIT:
                raise _broken("a line of its framing is too long")
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        if len(line) > _LINE_LIMIT:
            raise _broken("a line of its framing is too long")
        return line

    def _some(self, size: int) -> bytes:
        if not self._buffer:
            self._fill()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        return self._some(size)

    def _fill(self) -> None:
        data = self._body.read(_READ)
        if not data:
            raise RefusedError(400, "IncompleteBody", "The body ended before its last chunk; nothing was stored")
        self._buffer += data


def _broken(what: str) -> RefusedError:
    return RefusedError(400, "InvalidRequest", f"The aws-chunked body is broken: {what}; nothing was stored")
