"""s3ec.open: an object as a seekable, verified, read-only binary file."""

from __future__ import annotations

import io
import operator
from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient

from s3ec.client.calls.wire import Wire
from s3ec.client.encryption_client import EncryptionClient
from s3ec.errors import ConfigurationError
from s3ec.materials import StoredContext
from s3ec.s3 import open_object as opening
from s3ec.s3.contents import Span
from s3ec.s3.names import Located
from s3ec.s3.open_object import DEFAULT_READ_AHEAD, InMemoryObject, OpenObject, read_into, take_open_request

__all__ = ["in_memory", "open_object", "seek_target"]


def open_object(
    client: BaseClient,
    *,
    Bucket: str,  # noqa: N803 - boto3's name
    Key: str,  # noqa: N803 - boto3's name
    EncryptionContext: Mapping[str, str] | StoredContext | None = None,  # noqa: N803 - the client's name
    read_ahead: int = DEFAULT_READ_AHEAD,
    **parameters: Any,
) -> io.BufferedReader:
    """Open an object as a seekable, read-only binary file whose every byte is verified.

    The object is read and authenticated once; up to ``buffer_size`` its plaintext is then in memory, above it only a
    keyed MAC per 64 KiB is kept, and each read fetches what it needs and is checked against them. There is no limit of
    size, and memory is constant. All reads are pinned to what was opened, by its ETag: if the object is replaced
    meanwhile, the former version is read on if the bucket keeps it and the caller may read versions; otherwise the
    read ends in S3's 412.

    Args:
        client: an `EncryptionClient`.
        Bucket: as for get_object.
        Key: as for get_object.
        EncryptionContext: as for get_object.
        read_ahead: bytes fetched at a time.
        **parameters: other parameters of get_object, such as ``VersionId`` or ``InstructionFileSuffix``; no ranges.

    Returns:
        A file for ``with``, to be closed. Writing to it raises `io.UnsupportedOperation`.

    Raises:
        UnsupportedOperationError: CBC content, which nothing can verify.
        AuthenticationError: the object does not verify.
        botocore.exceptions.ClientError: as from get_object.
    """
    if not isinstance(client, EncryptionClient):
        raise ConfigurationError("s3ec.open takes an EncryptionClient")
    client = client._s3ec_for(Bucket)
    wire: Wire = client._s3ec_wire
    named = {"Bucket": Bucket, "Key": Key, **parameters}
    request = take_open_request(named, EncryptionContext, client._s3ec_context(reading=True), read_ahead)
    with Located(request.parameters):
        raw = _file(wire, wire.run(opening.open_object(wire, request, wire.options.buffer_size)))
    return io.BufferedReader(raw, read_ahead)


def _file(wire: Wire, opened: InMemoryObject | OpenObject) -> io.RawIOBase:
    return _MemoryFile(opened) if isinstance(opened, InMemoryObject) else _ObjectFile(wire, opened)


def seek_target(offset: int, whence: int, position: int, length: int) -> int:
    """Where in a file a seek ends.

    Args:
        offset: bytes from there.
        whence: 0, 1 or 2 for the start, the position and the end.
        position: where the file stands.
        length: its bytes.

    Raises:
        TypeError: the offset is not a whole number.
        ValueError: before its start, or from nowhere.
    """
    if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
        raise ValueError(f"whence is 0, 1 or 2, not {whence}")
    target = operator.index(offset) + (0, position, length)[whence]
    if target < 0:
        raise ValueError("a file has nothing before its start")
    return target


def in_memory(opened: InMemoryObject) -> bytearray:
    """The plaintext of a small object in one piece; each of those that it came in is let go as it is copied."""
    whole = bytearray(opened.length)
    filled = 0
    while opened.plaintext:
        piece = opened.plaintext.popleft()
        whole[filled : filled + len(piece)] = piece
        filled += len(piece)
    return whole


class _SeekableFile(io.RawIOBase):
    """Reads any number of bytes at any offset; `io.BufferedReader` above it reads ahead."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check_open()
        self._position = seek_target(offset, whence, self._position, self._length)
        return self._position

    def readinto(self, buffer: Any) -> int:
        self._check_open()
        view = memoryview(buffer).cast("B")
        size = min(len(view), self._length - self._position)
        if size <= 0:
            return 0
        self._read_span(view[:size], (self._position, self._position + size - 1))
        self._position += size
        return size

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _read_span(self, view: memoryview, span: Span) -> None:
        """Fill a buffer with the bytes of a span that lies within the file."""
        raise NotImplementedError("each kind of file has its own")  # pragma: no cover - abstract


class _MemoryFile(_SeekableFile):
    """Verified plaintext in memory, up to ``buffer_size``."""

    def __init__(self, opened: InMemoryObject) -> None:
        super().__init__(opened.length)
        self._plaintext = memoryview(in_memory(opened))

    def close(self) -> None:
        self._plaintext = memoryview(b"")
        super().close()

    def _read_span(self, view: memoryview, span: Span) -> None:
        view[:] = self._plaintext[span[0] : span[1] + 1]


class _ObjectFile(_SeekableFile):
    """Reads of one pinned object."""

    def __init__(self, wire: Wire, opened: OpenObject) -> None:
        super().__init__(opened.length)
        self._wire = wire
        self._opened = opened

    def _read_span(self, view: memoryview, span: Span) -> None:
        self._opened = self._wire.run(read_into(self._opened, span, view))
