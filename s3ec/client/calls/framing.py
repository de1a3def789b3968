"""Bodies over https under a length that is known: S3's chunks with a checksum behind them, and no HTTP chunks around.

botocore wraps a body into S3's chunks (``aws-chunked``) to send its checksum as a trailer, does not know how long that
will be, and so has HTTP chunk it once more, in pieces of 16 KiB. Our bodies have a length, and with it the whole frame
has one. S3 gets the same content, checksum and signature, in a fraction of the writes; this pays for the encryption.

Source: Amazon S3 API reference, "Signature calculations: trailing headers (chunked uploads)".
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Iterator
from typing import Any

from botocore.httpchecksum import AwsChunkedWrapper

from s3ec.client.bodies.ciphertext import CiphertextBody
from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.calls.seals import SealedRequest, check_at_last
from s3ec.client.multipart.body import PartBody
from s3ec.errors import SourceChangedError

__all__ = ["FramedBody", "frame"]

_FRAME_SIZE = 256 * 1024
_TRAILER = "x-amz-checksum-crc32"
_CHECKSUM_LENGTH = 8  # four bytes in base64
_CONNECTION_READS = frozenset({8192, 16384})  # http.client, urllib3
_OURS = (CiphertextBody, PartBody, io.BytesIO)


class FramedBody:
    """A body in S3's chunks, each with its length, and the CRC-32 of all of them behind the last.

    To be read like botocore's `AwsChunkedWrapper`, which it replaces.
    """

    def __init__(self, wrapper: AwsChunkedWrapper, raw: Any, length: int) -> None:
        """Take botocore's wrapper, the body in it, which can be read again, and its length in bytes."""
        self._wrapper = wrapper
        self._raw = raw
        self._length = length
        self._reading: Iterator[bytes] | None = None
        self._left = b""
        self._position = 0

    def __len__(self) -> int:
        """Bytes on the wire."""
        whole, rest = divmod(self._length, _FRAME_SIZE)
        chunks = whole * _chunk_length(_FRAME_SIZE) + (_chunk_length(rest) if rest else 0)
        return chunks + len(f"0\r\n{_TRAILER}:\r\n\r\n") + _CHECKSUM_LENGTH

    def __iter__(self) -> Iterator[bytes]:
        """The pieces to be written to the connection: one for a small body."""
        return iter([b"".join(self._pieces())]) if self._length <= _FRAME_SIZE else self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        if self._raw.tell():
            self._raw.seek(0)
        reader = CiphertextReader(self._raw)
        checksum, left, before = 0, self._length, b""
        while left:
            wanted = min(_FRAME_SIZE, left)
            chunk = reader.read(wanted)
            if len(chunk) < wanted:
                raise SourceChangedError(f"Body ended before the {self._length} bytes that were announced")
            checksum = zlib.crc32(chunk, checksum)
            left -= len(chunk)
            yield b"".join((before, b"%x\r\n" % len(chunk), chunk))
            before = b"\r\n"
        trailer = base64.b64encode(checksum.to_bytes(4, "big"))
        yield b"%b0\r\n%b:%b\r\n\r\n" % (before, _TRAILER.encode(), trailer)

    def read(self, size: int | None = None) -> bytes:
        """The next bytes on the wire.

        Args:
            size: how many at most, as for a file. The connection reads by the same few bytes whatever it has to send,
                and writes what it gets: to just that size the answer is a whole piece.
        """
        if self._reading is None:
            self._reading = iter(self)
        if size is None or size < 0:
            data, self._left = b"".join((self._left, *self._reading)), b""
        else:
            data = self._left or next(self._reading, b"")
            keep = len(data) if size in _CONNECTION_READS else size
            data, self._left = data[:keep], data[keep:]
        self._position += len(data)
        return data

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Back to the start: botocore's retries wrap the same wrapper again.

        Raises:
            botocore.exceptions.AwsChunkedWrapperError: to any other place, as botocore's own wrapper answers.
        """
        self._wrapper.seek(offset, whence)
        self._reading, self._left, self._position = None, b"", 0
        return 0


def _chunk_length(length: int) -> int:
    return len(f"{length:x}\r\n") + length + len("\r\n")


def frame(request: Any, **_: Any) -> None:
    """Last handler of ``before-send``: the last look at the seal, and the frame around a body of ours.

    All other bodies stay as they are.

    Nothing that is signed changes: SigV4 leaves ``Transfer-Encoding`` and ``Expect`` out, and chunks are
    signed over http only, where botocore makes none.

    Args:
        request: botocore's prepared request.
    """
    check_at_last(request)
    # s3transfer looks behind this wrapper by the same attribute.
    raw = getattr(request.body, "_raw", None)
    if not isinstance(request.body, AwsChunkedWrapper) or not isinstance(raw, _OURS):
        return
    headers = request.headers
    length = _text(headers.get("X-Amz-Decoded-Content-Length"))
    if _text(headers.get("X-Amz-Trailer")) != _TRAILER or not length:
        return
    framed = FramedBody(request.body, raw, int(length))
    if isinstance(request, SealedRequest):
        request.frame(framed, len(framed))
    else:
        request.body = framed
        headers["Content-Length"] = str(len(framed))
    del headers["Transfer-Encoding"]
    if int(length) <= _FRAME_SIZE:
        # Asking first whether so little may be sent takes longer than sending it.
        headers.pop("Expect", None)


def _text(value: str | bytes | None) -> str:
    """A header's value; prepared requests have them as bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""
