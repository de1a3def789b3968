"""Bodies on the way home, with the surface of botocore's ``StreamingBody``.

`PlaintextStream` is what verified content is read from; `DecryptedBody` is what the caller gets.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.awsrequest import HeadersDict
from botocore.exceptions import IncompleteReadError
from botocore.response import StreamingBody

from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.bodies.releases import Release
from s3ec.errors import S3ECError

__all__ = ["DecryptedBody", "PlaintextStream"]

_LINE_CHUNK = 8 * 1024


class PlaintextStream(io.RawIOBase):
    """Decrypted content as a stream; verifies on the first read and remembers a failure.

    It stands where botocore's bodies have urllib3's response, and has what readers of content use of that.
    """

    def __init__(
        self,
        reader: CiphertextReader,
        opener: Callable[[], Release],
        location: str | None,
        answer: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the connection and what opens plaintext from it; nothing is read yet.

        Args:
            reader: the connection.
            opener: gives the plaintext that may be released.
            location: the object, for the text of errors.
            answer: the ``ResponseMetadata`` of S3's answer.
        """
        super().__init__()
        self._answer = answer or {}
        self._reader = reader
        self._opener = opener
        self._location = location
        self._release: Release | None = None
        self._failure: S3ECError | None = None
        self._ahead = memoryview(b"")
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes of plaintext read so far."""
        return self._position

    @property
    def status(self) -> int | None:
        """The answer's HTTP status."""
        return self._answer.get("HTTPStatusCode")

    @property
    def headers(self) -> HeadersDict:
        """The answer's headers, by names of any case."""
        headers: HeadersDict = HeadersDict(self._answer.get("HTTPHeaders", {}))
        return headers

    @property
    def data(self) -> bytes:
        """All that is left."""
        return self.read()

    def stream(self, amt: int | None = 2**16, decode_content: object = None) -> Iterator[bytes]:
        """Chunks of ``amt`` bytes; ``decode_content`` means nothing here."""
        return iter(lambda: self.read(amt), b"")

    def _take(self, size: int) -> bytes | memoryview:
        """The next bytes; none only at the end.

        Raises:
            AuthenticationError: at the first read of content that does not verify, and at every read after it.
        """
        if self._failure is not None:
            raise self._failure
        if self._ahead:
            piece, self._ahead = self._ahead[:size], self._ahead[size:]
            return piece
        try:
            if self._release is None:
                self._release = self._opener()
            return self._release.take(size)
        except S3ECError as error:
            self._failure = error if self._location is None else error.locate(self._location)
            self._reader.close()
            raise self._failure from error.__cause__

    def read(self, amt: int | None = -1, decode_content: object = None, cache_content: object = False) -> bytes:
        """``amt`` bytes, fewer only at the end; all that is left without a number. The rest means nothing here."""
        if self.closed or amt == 0:
            return b""
        wanted = sys.maxsize if amt is None or amt < 0 else amt
        data = bytes(self._take(wanted))
        if len(data) < wanted and data:
            pieces, left = [data], wanted - len(data)
            while left and (piece := bytes(self._take(left))):
                pieces.append(piece)
                left -= len(piece)
            data = b"".join(pieces)
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; fewer bytes only at the end."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and not self.closed and (piece := self._take(len(view) - filled)):
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        self._position += filled
        return filled

    def readline(self, size: int | None = -1) -> bytes:
        """One line, or ``size`` bytes of it."""
        limit = sys.maxsize if size is None or size < 0 else size
        line = bytearray()
        while len(line) < limit and not self.closed and (piece := bytes(self._take(_LINE_CHUNK))):
            end = min((piece.find(b"\n") + 1) or len(piece), limit - len(line))
            line += piece[:end]
            if end < len(piece):
                # What follows the line goes first at the next read; what was ahead already goes behind it.
                self._ahead = memoryview(piece[end:] + bytes(self._ahead))
            if line.endswith(b"\n"):
                break
        self._position += len(line)
        return bytes(line)

    def set_socket_timeout(self, timeout: float | None) -> None:
        """Set the read time-out of the connection, in seconds."""
        self._reader.set_socket_timeout(timeout)

    def close(self) -> None:
        """Close the connection and forget the plaintext."""
        if not self.closed:
            self._reader.close()
            if self._release is not None:
                self._release.close()
        super().close()


class DecryptedBody(StreamingBody):
    """A ``StreamingBody`` of plaintext, whole surface.

    botocore's class hands out its raw stream in several places (``with``, ``readlines``, ``tell``); here that raw
    stream is the decrypted one, so there is no way round the verification.
    """

    def __init__(self, stream: PlaintextStream, length: int | None) -> None:
        """Take decrypted content, and its length where it is known before the end (not for CBC)."""
        super().__init__(stream, length)  # type: ignore[arg-type]  # botocore takes None, its stubs do not
        self._plaintext = stream
        self._length = length

    @property
    def _amount_read(self) -> int:
        """Bytes read so far, under the name that botocore counts them by."""
        return self._plaintext.tell()

    @_amount_read.setter
    def _amount_read(self, _: int) -> None:
        """botocore's constructor sets it to 0."""

    def read(self, amt: int | None = None) -> bytes:
        """At most ``amt`` bytes of plaintext; all of it without ``amt``.

        Raises:
            AuthenticationError: the content does not verify; nothing of it was released.
            botocore.exceptions.IncompleteReadError: the body was closed before all was read.
        """
        if self._plaintext.closed and amt != 0 and self._length is not None and self.tell() < self._length:
            raise IncompleteReadError(actual_bytes=self.tell(), expected_bytes=self._length)
        return self._plaintext.read(amt)

    def readinto(self, b: Any) -> int:
        """Read into a writable buffer; gives back how many bytes, 0 at the end."""
        return 0 if self._plaintext.closed else self._plaintext.readinto(b)

    def readline(self, size: int | None = -1) -> bytes:
        """One line."""
        return self._plaintext.readline(size)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """All lines that are left, or about ``hint`` bytes of them."""
        lines: list[bytes] = []
        total = 0
        while line := self.readline():
            lines.append(line)
            total += len(line)
            if hint and total >= hint:
                break
        return lines

    def readable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes of plaintext read so far."""
        return self._plaintext.tell()

    def set_socket_timeout(self, timeout: float | None) -> None:
        """Set the read time-out of the connection, in seconds."""
        self._plaintext.set_socket_timeout(timeout)

    def close(self) -> None:
        """Close the connection and forget the plaintext; further reads give nothing."""
        self._plaintext.close()

    def __enter__(self) -> DecryptedBody:
        """Iterate over the same content by lines: botocore's gives its raw stream, which iterates so."""
        return _EnteredBody(self._plaintext, self._length)

    def __exit__(self, *details: object) -> None:
        """Close."""
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """Chunks of 1 KiB, as botocore's does (not lines)."""
        return self.iter_chunks(1024)


class _EnteredBody(DecryptedBody):
    """What ``with`` gives: in botocore urllib3's response, of which it has what readers of content use."""

    def __iter__(self) -> Iterator[bytes]:
        """Lines."""
        return iter(self.readline, b"")

    def __next__(self) -> bytes:
        """The next line."""
        if line := self.readline():
            return line
        raise StopIteration

    def read(self, amt: int | None = None, decode_content: object = None, cache_content: object = False) -> bytes:
        """As `DecryptedBody.read`; the rest of urllib3's arguments means nothing here."""
        return super().read(amt)

    @property
    def status(self) -> int | None:
        """The answer's HTTP status."""
        return self._plaintext.status

    @property
    def headers(self) -> HeadersDict:
        """The answer's headers, by names of any case."""
        return self._plaintext.headers

    @property
    def data(self) -> bytes:
        """All that is left."""
        return self.read()

    def stream(self, amt: int | None = 2**16, decode_content: object = None) -> Iterator[bytes]:
        """Chunks of ``amt`` bytes; ``decode_content`` means nothing here."""
        return iter(lambda: self.read(amt), b"")
