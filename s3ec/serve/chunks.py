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
_READ = 64 * 1024
_SIGNATURE = "x-amz-trailer-signature"


class PlainBody:
    """A body without a framing of its own."""

    trailer: Mapping[str, str] = {}  # noqa: RUF012 - never changed

    def __init__(self, body: Body) -> None:
        """Take what HTTP's framing gives."""
        self._body = body

    def readinto(self, view: memoryview) -> int:
        """Write the next bytes; gives back how many, 0 at the end."""
        return self._body.readinto(view)


class ChunkedBody:
    """A body in S3's chunks.

    Attributes:
        trailer: checksums that came after the content, by lower-case name; complete once `readinto` has answered 0.
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
        # What was read ahead for the sake of a line; content goes past it where it can.
        self._ahead = memoryview(b"")
        self._buffer = bytearray(_READ)
        self._left = 0
        self._claimed = ""
        self._hash = hashlib.sha256()
        self._ended = False

    def readinto(self, view: memoryview) -> int:
        """Write the next bytes of content; gives back how many, 0 at the end, when all that follows it was verified.

        Raises:
            RefusedError: the framing is broken, or a signature does not hold.
        """
        if self._ended or not (self._left or self._next_chunk()):
            return 0
        view = view[: self._left]
        count = self._take_ahead(view) if self._ahead else self._body.readinto(view)
        if not count:
            raise _incomplete()
        self._left -= count
        if self._signer is not None:
            self._hash.update(view[:count])
        if not self._left:
            self._end_chunk()
        return count

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
        if self._line() != b"":
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
        if self._ahead or self._body.readinto(bytearray(1)):
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
        while (end := bytes(self._ahead[: _LINE_LIMIT + 2]).find(b"\r\n")) < 0:
            if len(self._ahead) > _LINE_LIMIT:
                raise _broken("a line of its framing is too long")
            self._fill()
        line = bytes(self._ahead[:end])
        self._ahead = self._ahead[end + 2 :]
        return line

    def _take_ahead(self, view: memoryview) -> int:
        count = min(len(self._ahead), len(view))
        view[:count] = self._ahead[:count]
        self._ahead = self._ahead[count:]
        return count

    def _fill(self) -> None:
        """Read more ahead, behind what is left: less than a line."""
        left = bytes(self._ahead)
        room = memoryview(self._buffer)
        room[: len(left)] = left
        count = self._body.readinto(room[len(left) :])
        if not count:
            raise _incomplete()
        self._ahead = room[: len(left) + count]


def _incomplete() -> RefusedError:
    return RefusedError(400, "IncompleteBody", "The body ended before its last chunk; nothing was stored")


def _broken(what: str) -> RefusedError:
    return RefusedError(400, "InvalidRequest", f"The aws-chunked body is broken: {what}; nothing was stored")
