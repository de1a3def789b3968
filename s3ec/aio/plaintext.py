"""Bodies on the way home, with the surface of aiobotocore's streaming body; verified before anything is handed out."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from botocore.exceptions import IncompleteReadError

from s3ec.aio.reader import AsyncReader
from s3ec.aio.releases import AsyncRelease
from s3ec.errors import S3ECError

__all__ = ["DecryptedBody"]

_CHUNK_SIZE = 1024


class DecryptedBody:
    """Plaintext of a response, as aiobotocore hands out a body; there is no way round the verification.

    Its reads give as many bytes as they are asked for, fewer only at the end. One task at a time reads it.
    """

    def __init__(
        self,
        reader: AsyncReader,
        opener: Callable[[], Awaitable[AsyncRelease]],
        length: int | None,
        location: str | None,
    ) -> None:
        """Take the connection and what opens plaintext from it; nothing is read yet.

        Args:
            reader: the connection.
            opener: gives the plaintext that may be released.
            length: bytes of plaintext, or None where the end tells (CBC).
            location: the object, for the text of errors.
        """
        self._reader = reader
        self._opener = opener
        self._length = length
        self._location = location
        self._release: AsyncRelease | None = None
        self._failure: S3ECError | None = None
        self._position = 0
        self._ended = False
        self._closed = False
        self._busy = False

    async def read(self, amt: int | None = None) -> bytes:
        """``amt`` bytes of plaintext, fewer only at the end; all that is left without a number, or with a negative one.

        Raises:
            AuthenticationError: the content does not verify; nothing of it was released.
            botocore.exceptions.IncompleteReadError: the body was closed, or a read was cancelled, before all was read.
        """
        if amt == 0:
            return b""
        left = sys.maxsize if amt is None or amt < 0 else amt
        first = b""
        together: io.BytesIO | None = None
        self._begin()
        try:
            while left and (piece := await self._take(left)):
                if together is not None:
                    together.write(piece)
                elif not first:
                    first = bytes(piece)
                else:
                    # Gives out its own memory in the end: a large read is not there twice.
                    together = io.BytesIO()
                    together.write(first)
                    together.write(piece)
                left -= len(piece)
                self._position += len(piece)
        finally:
            self._busy = False
        return first if together is None else together.getvalue()

    def _begin(self) -> None:
        if self._busy:
            raise RuntimeError("another task is reading this body")
        if self._failure is None and self._closed and not self._ended:
            missing = -1 if self._length is None else self._length
            raise IncompleteReadError(actual_bytes=self._position, expected_bytes=missing)
        self._busy = True

    async def _take(self, size: int) -> bytes | memoryview:
        if self._failure is not None:
            raise self._failure
        if self._ended:
            return b""
        try:
            if self._release is None:
                self._release = await self._opener()
            piece = await self._release.take(size)
        except S3ECError as error:
            self._failure = error if self._location is None else error.locate(self._location)
            self.close()
            raise self._failure from error.__cause__
        except BaseException:  # a connection that was cut, or a task that was cancelled: the rest is never to follow
            self.close()
            raise
        self._ended = not piece
        return piece

    async def readinto(self, b: Any) -> int:
        """Fill a buffer; gives back how many bytes, fewer only at the end."""
        view = memoryview(b).cast("B")
        data = await self.read(len(view))
        view[: len(data)] = data
        return len(data)

    async def iter_chunks(self, chunk_size: int = _CHUNK_SIZE) -> AsyncIterator[bytes]:
        """Chunks of ``chunk_size`` bytes, the last one shorter."""
        while chunk := await self.read(chunk_size):
            yield chunk

    async def iter_lines(self, chunk_size: int = _CHUNK_SIZE, keepends: bool = False) -> AsyncIterator[bytes]:
        """Lines, without their ends unless ``keepends``."""
        pending = b""
        async for chunk in self.iter_chunks(chunk_size):
            lines = (pending + chunk).splitlines(keepends=True)
            for line in lines[:-1]:
                yield line.splitlines(keepends)[0]
            pending = lines[-1]
        if pending:
            yield pending.splitlines(keepends)[0]

    async def readlines(self) -> list[bytes]:
        """All lines that are left, without their ends."""
        return [line async for line in self.iter_lines()]

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Chunks of 1 KiB, as aiobotocore's does (not lines)."""
        return self.iter_chunks(_CHUNK_SIZE)

    async def __anext__(self) -> bytes:
        """The next 1 KiB."""
        if chunk := await self.read(_CHUNK_SIZE):
            return chunk
        raise StopAsyncIteration

    anext = __anext__

    def readable(self) -> bool:
        """True until the end, or until it is closed."""
        return not (self._ended or self._closed)

    def tell(self) -> int:
        """Bytes of plaintext read so far."""
        return self._position

    def set_socket_timeout(self, timeout: float | None) -> None:
        """Not for asynchronous bodies, as aiobotocore says.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("set_socket_timeout is not there for asynchronous bodies: configure the client")

    @property
    def closed(self) -> bool:
        """True once nothing more can be read."""
        return self._closed

    def close(self) -> None:
        """Close the connection and forget the plaintext; nothing is waited for."""
        if not self._closed:
            self._closed = True
            self._reader.close()
            if self._release is not None:
                self._release.close()

    async def aclose(self) -> None:
        """The same."""
        self.close()
        await asyncio.sleep(0)

    async def __aenter__(self) -> DecryptedBody:
        return self

    async def __aexit__(self, *details: object) -> None:
        self.close()
