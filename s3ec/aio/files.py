"""s3ec.aio.open: an object as a seekable, verified, read-only file, whose reads are waited for."""

from __future__ import annotations

import contextlib
import io
import operator
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, NoReturn

from aiobotocore.client import AioBaseClient

from s3ec.aio.client import EncryptionClient
from s3ec.aio.wire import AsyncWire
from s3ec.aio.work import work_on
from s3ec.client.tools.files import in_memory, seek_target
from s3ec.errors import ConfigurationError
from s3ec.materials import StoredContext
from s3ec.s3.contents import Span
from s3ec.s3.names import Located
from s3ec.s3.open_object import (
    DEFAULT_READ_AHEAD,
    InMemoryObject,
    OpenObject,
    open_object,
    read_into,
    take_open_request,
)
from s3ec.secrets import Unpicklable

__all__ = ["VerifiedFile", "open"]


async def open(
    client: AioBaseClient,
    *,
    Bucket: str,  # noqa: N803 - boto3's name
    Key: str,  # noqa: N803 - boto3's name
    EncryptionContext: Mapping[str, str] | StoredContext | None = None,  # noqa: N803 - the client's name
    read_ahead: int = DEFAULT_READ_AHEAD,
    **parameters: Any,
) -> VerifiedFile:
    """Open an object as a seekable, read-only binary file whose every byte is verified; see `s3ec.open`.

    Args:
        client: an `s3ec.aio.EncryptionClient`; the file is read while it is open.
        Bucket: as for get_object.
        Key: as for get_object.
        EncryptionContext: as for get_object.
        read_ahead: bytes fetched at a time.
        **parameters: other parameters of get_object, such as ``VersionId`` or ``InstructionFileSuffix``; no ranges.

    Returns:
        A file for ``async with``, to be closed. Writing to it raises `io.UnsupportedOperation`.

    Raises:
        UnsupportedOperationError: CBC content, which nothing can verify.
        AuthenticationError: the object does not verify.
        botocore.exceptions.ClientError: as from get_object.
    """
    if not isinstance(client, EncryptionClient):
        raise ConfigurationError("s3ec.aio.open takes an s3ec.aio.EncryptionClient")
    client = client._s3ec_for(Bucket)
    wire: AsyncWire = client._s3ec_wire
    named = {"Bucket": Bucket, "Key": Key, **parameters}
    request = take_open_request(named, EncryptionContext, client._s3ec_context(reading=True), read_ahead)
    with Located(request.parameters):
        opened = await wire.run(open_object(wire, request, wire.options.buffer_size))
    if isinstance(opened, InMemoryObject):
        whole = await work_on(opened.length, partial(in_memory, opened))
        return VerifiedFile(_nothing_to_fetch, opened.length, read_ahead, whole)
    return VerifiedFile(_Fetching(wire, opened).fill, opened.length, read_ahead)


class _Fetching:
    """Reads of one pinned object."""

    def __init__(self, wire: AsyncWire, opened: OpenObject) -> None:
        self._wire = wire
        self._opened = opened

    async def fill(self, span: Span, view: memoryview) -> None:
        """Fill a buffer with the bytes of a span that lies within the object."""
        self._opened = await self._wire.run(read_into(self._opened, span, view))


async def _nothing_to_fetch(span: Span, view: memoryview) -> None:
    raise AssertionError("unreachable: all of it is in memory")  # pragma: no cover - by construction


class VerifiedFile(Unpicklable):
    """A read-only binary file in S3, each byte of which was verified. One task at a time reads it.

    Its methods are those of `io.BufferedReader`. Those that read, `seek`, `tell` and `close` are coroutines, as
    in other asynchronous files. A read that fails or is cancelled leaves the file where it stood; it can be repeated.
    """

    def __init__(
        self,
        fill: Callable[[Span, memoryview], Awaitable[None]],
        length: int,
        read_ahead: int,
        ahead: bytearray | None = None,
    ) -> None:
        """Begin at the start.

        Args:
            fill: fills a buffer with the bytes of a span.
            length: bytes of plaintext.
            read_ahead: bytes fetched at a time.
            ahead: all of it, where it is in memory.
        """
        self._fill = fill
        self._length = length
        self._read_ahead = read_ahead
        self._position = 0
        self._start = 0
        self._ahead = bytearray() if ahead is None else ahead
        self._closed = False
        self._busy = False

    # Reading.

    async def read(self, size: int | None = -1) -> bytes:
        """``size`` bytes, fewer only at the end; all that is left without a number, or with a negative one.

        Raises:
            AuthenticationError: S3 answers with other bytes than those that were opened.
            botocore.exceptions.ClientError: S3's own errors; 412 where the object was replaced and cannot be read on.
            ValueError: the file is closed.
        """
        with self._reading():
            data = await self._bytes(self._at_most(size))
            return self._taken(data)

    async def read1(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, by one request at most."""
        with self._reading():
            held = await self._held() if size else memoryview(b"")
            return self._taken(bytes(held if operator.index(size) < 0 else held[:size]))

    async def peek(self, size: int = 0) -> bytes:
        """Some of the bytes that come next, by one request at most; the file stays where it stands."""
        with self._reading():
            return bytes((await self._held())[: self._read_ahead])

    async def readinto(self, buffer: Any) -> int:
        """Fill a buffer; gives back how many bytes, fewer only at the end."""
        return _put(await self.read(memoryview(buffer).nbytes), buffer)

    async def readinto1(self, buffer: Any) -> int:
        """The same by one request at most."""
        return _put(await self.read1(memoryview(buffer).nbytes), buffer)

    async def readline(self, size: int | None = -1) -> bytes:
        """The next line with its end, or ``size`` bytes of it; nothing at the end of the file."""
        with self._reading():
            left, pieces, at = self._at_most(size), list[bytes](), self._position
            while left and (held := await self._held(at)):
                before = at - self._start
                end = self._ahead.find(b"\n", before, before + left) + 1
                pieces.append(bytes(held[: end - before if end else left]))
                at += len(pieces[-1])
                left -= len(pieces[-1])
                if end:
                    break
            return self._taken(b"".join(pieces))

    async def readlines(self, hint: int | None = -1) -> list[bytes]:
        """The lines that are left; with a positive number as many as have that many bytes together."""
        lines, count = [], 0
        while line := await self.readline():
            lines.append(line)
            count += len(line)
            if hint is not None and 0 < hint <= count:
                break
        return lines

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Lines."""
        return self

    async def __anext__(self) -> bytes:
        """The next line."""
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    # Where it stands.

    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset from the start, the position or the end; no request is made."""
        self._check_open()
        self._position = seek_target(offset, whence, self._position, self._length)
        return self._position

    async def tell(self) -> int:
        """Where the file stands."""
        self._check_open()
        return self._position

    def readable(self) -> bool:
        """True."""
        self._check_open()
        return True

    def seekable(self) -> bool:
        """True."""
        self._check_open()
        return True

    def writable(self) -> bool:
        """False."""
        self._check_open()
        return False

    def isatty(self) -> bool:
        """False."""
        self._check_open()
        return False

    def fileno(self) -> NoReturn:
        """There is none."""
        raise io.UnsupportedOperation("fileno")

    async def flush(self) -> None:
        """Do nothing."""
        self._check_open()

    async def write(self, data: Any) -> NoReturn:
        """It is read-only."""
        raise io.UnsupportedOperation("write")

    async def writelines(self, lines: Any) -> NoReturn:
        """It is read-only."""
        raise io.UnsupportedOperation("write")

    async def truncate(self, size: int | None = None) -> NoReturn:
        """It is read-only."""
        raise io.UnsupportedOperation("truncate")

    @property
    def closed(self) -> bool:
        """True once nothing more can be read."""
        return self._closed

    async def close(self) -> None:
        """Forget the plaintext."""
        self._closed = True
        self._ahead = bytearray()

    async def __aenter__(self) -> VerifiedFile:
        self._check_open()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.close()

    # What is in hand.

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        self._check_open()
        if self._busy:
            raise RuntimeError("another task is reading this file")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("I/O operation on closed file")

    def _at_most(self, size: int | None) -> int:
        left = max(self._length - self._position, 0)
        return left if size is None or (count := operator.index(size)) < 0 else min(count, left)

    def _taken(self, data: bytes) -> bytes:
        self._check_open()  # it may have been closed meanwhile
        self._position += len(data)
        return data

    def _in_hand(self, at: int) -> memoryview:
        offset = at - self._start
        return memoryview(self._ahead)[offset:] if offset >= 0 else memoryview(b"")

    async def _held(self, at: int | None = None) -> memoryview:
        """What is in hand from there on, and is fetched if nothing is; nothing at the end."""
        at = self._position if at is None else at
        held = self._in_hand(at)
        size = min(self._read_ahead, self._length - at)
        if held or size <= 0:
            return held
        ahead = bytearray(size)
        await self._fill((at, at + size - 1), memoryview(ahead))
        self._check_open()
        self._start, self._ahead = at, ahead
        return memoryview(ahead)

    async def _bytes(self, size: int) -> bytes:
        at = self._position
        held = self._in_hand(at)[:size]
        rest = size - len(held)
        if not rest:
            return await work_on(size, partial(bytes, held))
        if rest < self._read_ahead:
            first = bytes(held)
            return first + (await self._held(at + len(held)))[:rest]
        # Gives out its own memory in the end: a large read is not there twice.
        room: io.BytesIO = await work_on(size, lambda: io.BytesIO(bytes(size)))
        with room.getbuffer() as view, view[len(held) :] as rest_of_it:
            view[: len(held)] = held
            await self._fill((at + len(held), at + size - 1), rest_of_it)
        return room.getvalue()


def _put(data: bytes, buffer: Any) -> int:
    memoryview(buffer).cast("B")[: len(data)] = data
    return len(data)
