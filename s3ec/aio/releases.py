"""Plaintext that may be handed out, over a connection that is waited for: loops around `s3ec.s3.receiving`."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Protocol

from s3ec.aio.reader import AsyncReader
from s3ec.aio.spool import Spool
from s3ec.aio.work import off_loop, work_on
from s3ec.client.options import Options
from s3ec.s3.contents import Nothing, Span, WholeContent
from s3ec.s3.flow import Deliver
from s3ec.s3.receiving import CHUNK_SIZE, FromSpool, InMemory, Receiver, ThroughSpool, receive_span, receive_whole

__all__ = ["AsyncRelease", "opened", "opened_whole"]


class AsyncRelease(Protocol):
    """Plaintext that may be handed out."""

    async def take(self, size: int) -> bytes | memoryview:
        """Return the next bytes: ``size`` at most, and none only at the end."""
        ...

    def close(self) -> None:
        """Forget the plaintext."""
        ...


class _Ready:
    """Hands out what is ready, and asks for more when it is not."""

    _ready: bytes | memoryview = b""

    async def take(self, size: int) -> bytes | memoryview:
        """See `AsyncRelease`."""
        while not self._ready and await self._more():
            pass
        ready = self._ready
        if len(ready) <= size:
            self._ready = b""
            return ready
        view = memoryview(ready)
        self._ready = view[size:]
        return view[:size]

    async def _more(self) -> bool:
        """Make the next chunk ready; False at the end. A chunk may turn out empty."""
        return False

    def close(self) -> None:
        """Forget the plaintext."""
        self._ready = b""


class _InMemory(_Ready):
    """Verified plaintext held in memory, in chunks that are let go as they are read."""

    def __init__(self, chunks: deque[bytes | memoryview]) -> None:
        self._chunks = chunks

    async def _more(self) -> bool:
        if not self._chunks:
            return False
        self._ready = self._chunks.popleft()
        return True

    def close(self) -> None:
        self._chunks.clear()
        super().close()


class _Fed(_Ready):
    """Plaintext of a receiver that is fed from the connection."""

    def __init__(self, receiver: Receiver, reader: AsyncReader, *, drains: bool) -> None:
        self._receiver = receiver
        self._reader = reader
        self._drains = drains

    async def _more(self) -> bool:
        wanted = self._receiver.wanted
        if not wanted:
            return False
        data = await self._reader.read(wanted)
        self._ready = await work_on(len(data), partial(self._receiver.feed, data))
        if self._drains and not self._receiver.wanted:
            await self._reader.drain()
        return True


class _Spooled(_Ready):
    """Plaintext of verified ciphertext that was kept on disk."""

    def __init__(self, receiver: FromSpool, spool: Spool) -> None:
        self._receiver = receiver
        self._spool = spool
        self._offset = 0

    async def _more(self) -> bool:
        if not self._receiver.wanted:
            return False
        self._ready = await off_loop(self._next)
        return True

    def _next(self) -> bytes:
        data = self._spool.read_at(self._offset, CHUNK_SIZE)
        self._offset += len(data)
        return self._receiver.feed(data)

    def close(self) -> None:
        super().close()
        _close_aside(self._spool)


class _Slice:
    """A span of a whole object's plaintext, where the server gave all of it; each byte leaves as the whole's would."""

    def __init__(self, release: AsyncRelease, span: Span) -> None:
        self._release = release
        self._before = span[0]
        self._left = span[1] - span[0] + 1

    async def take(self, size: int) -> bytes | memoryview:
        """See `AsyncRelease`."""
        while self._before and (piece := await self._release.take(self._before)):
            self._before -= len(piece)
        piece = await self._release.take(min(size, self._left)) if self._left else b""
        self._left -= len(piece)
        if not self._left:
            self._release.close()
        return piece

    def close(self) -> None:
        """Forget the plaintext."""
        self._release.close()


async def opened(options: Options, effect: Deliver, reader: AsyncReader) -> AsyncRelease:
    """Return plaintext that may be released, verified first unless the caller chose otherwise.

    Raises:
        AuthenticationError: the content does not verify; nothing was released.
    """
    content = effect.content
    if isinstance(content, Nothing):
        return _Ready()
    if not isinstance(content, WholeContent):
        return _Fed(receive_span(content), reader, drains=True)
    release = await opened_whole(options, content, reader)
    return release if content.span is None else _Slice(release, content.span)


async def opened_whole(options: Options, content: WholeContent, reader: AsyncReader) -> AsyncRelease:
    """Return a whole object's plaintext, see `opened`; its span is not looked at."""
    receiver = receive_whole(content.cipher, content.length, delayed=content.delayed, in_memory=options.buffer_size)
    if isinstance(receiver, ThroughSpool):
        return await _through_spool(receiver, reader, options.spool_directory)
    if not isinstance(receiver, InMemory):
        return _Fed(receiver, reader, drains=False)
    while receiver.wanted:
        data = await reader.read(receiver.wanted)
        await work_on(len(data), partial(receiver.feed, data))
    return _InMemory(receiver.finish())


async def _through_spool(receiver: ThroughSpool, reader: AsyncReader, directory: str | None) -> AsyncRelease:
    spool = Spool(in_memory=0, directory=directory)
    try:
        while receiver.left:
            await off_loop(partial(_feed_and_keep, receiver, spool, await reader.read(receiver.wanted)))
        receiver.feed(await reader.read(receiver.wanted))
    except BaseException:
        _close_aside(spool)
        raise
    return _Spooled(receiver.finish(), spool)


def _feed_and_keep(receiver: ThroughSpool, spool: Spool, chunk: bytes) -> None:
    receiver.feed(chunk)
    spool.append(chunk)


def _close_aside(spool: Spool) -> None:
    """Close a spool without waiting: the system may take a while to forget a large file."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        spool.close()
    else:
        loop.run_in_executor(None, spool.close)
