"""Downloads of tasks: parallel ranges of one version, decrypted in order, delivered after the tag verified.

See `s3ec.client.transfers.downloads`, which is the same for threads. Nothing is kept but the window of parts in flight.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
from boto3.s3.transfer import TransferConfig

from s3ec.aio.driver import to_the_end
from s3ec.aio.releases import AsyncRelease, opened_whole
from s3ec.aio.transfer_uploads import Throttle
from s3ec.aio.wire import AsyncWire
from s3ec.aio.work import off_loop
from s3ec.client.bodies.sources import CHUNK_SIZE
from s3ec.client.transfers import download_targets as targets
from s3ec.client.transfers.attempts import BROKEN, Attempts
from s3ec.s3.contents import WholeContent
from s3ec.s3.download import PartsToFetch, fetch_part
from s3ec.s3.managed_download import Download
from s3ec.s3.transfers import Pieces, joined

__all__ = ["DownloadEngine"]

_BROKEN = (aiohttp.ClientError, asyncio.TimeoutError, *BROKEN)


class _Parts:
    """The stored bytes of one pinned version, fetched in parallel and read in order, like an `AsyncReader`."""

    def __init__(self, wire: AsyncWire, download: Download, config: TransferConfig) -> None:
        self._wire = wire
        self._wanted = download.wanted
        self._attempts = config.num_download_attempts
        self._progress = download.progress
        self._plan = PartsToFetch(download.wanted, config)
        self._throttle = Throttle(config)
        self._window: deque[asyncio.Task[list[bytes]]] = deque()
        self._current = Pieces()

    async def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        left = size
        while left and await self._ready():
            pieces.append(self._current.take(left))
            left -= len(pieces[-1])
        self._progress(size - left)
        return joined(pieces)

    async def drain(self) -> None:
        """Do nothing: every part was read to its end."""

    async def close(self) -> None:
        """Let nothing be on its way any more."""
        for fetching in self._window:
            fetching.cancel()
        if self._window:
            await to_the_end(_ended(list(self._window)))
        self._window.clear()
        self._current.clear()

    async def _ready(self) -> bool:
        """Make sure that there is a piece to read; False at the end."""
        while not self._current:
            while len(self._window) < self._plan.at_once and (part := self._plan.next_part()):
                self._window.append(asyncio.ensure_future(self._fetch(*part)))
            if not self._window:
                return False
            # It stays in the window, to be ended with the others, until it is here.
            pieces = await asyncio.shield(self._window[0])
            self._window.popleft()
            self._current.add(pieces)
        return True

    async def _fetch(self, start: int, size: int) -> list[bytes]:
        """Fetch one part, and again if the connection broke."""
        await self._throttle.wait_for(size)
        attempts = Attempts(self._attempts)
        while True:
            try:
                return await self._wire.run(fetch_part(self._wanted, start, size))
            except _BROKEN as error:
                attempts.failed(error)


async def _ended(tasks: list[asyncio.Task[list[bytes]]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


class _Plain:
    """What is not encrypted, as it comes."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts

    async def take(self, size: int) -> bytes | memoryview:
        return await self._parts.read(size)

    def close(self) -> None:
        """Do nothing: the parts themselves are closed."""


class DownloadEngine:
    """Moves what is downloaded, with the tasks of one transfer."""

    now = staticmethod(time.monotonic)

    def __init__(self, wire: AsyncWire, config: TransferConfig) -> None:
        """Take the wire of the client, and the sizes, requests at once and bandwidth."""
        self._wire = wire
        self._config = config

    async def move(self, download: Download) -> None:
        """Fetch an object, and write its plaintext; see `s3ec.client.transfers.downloads.DownloadEngine`."""
        write = await _writing_to(download)
        parts = _Parts(self._wire, download, self._config)
        try:
            release = await self._release(download, parts)
            try:
                while piece := await release.take(CHUNK_SIZE):
                    download.has_begun = True
                    await write(piece)
            finally:
                release.close()
        finally:
            await parts.close()

    async def _release(self, download: Download, parts: _Parts) -> AsyncRelease:
        cipher = download.wanted.cipher
        if cipher is None:
            return _Plain(parts)
        reader: Any = parts
        content = WholeContent(cipher, download.wanted.length, download.delayed)
        return await opened_whole(self._wire.options, content, reader)


async def _writing_to(download: Download) -> Callable[[bytes | memoryview], Awaitable[object]]:
    """Return what writes a piece of plaintext to where it goes, in a thread: a disk may be slow.

    The methods of a caller's object may be coroutine functions. One that can seek is written from its start, as
    s3transfer does.
    """
    into = download.into
    if download.is_file:
        return lambda piece: off_loop(partial(targets.write_all, into.write, piece))
    if await _answer(into, "seekable", default=False):
        await _answer(into, "seek", 0)
    if inspect.iscoroutinefunction(into.write):
        return lambda piece: into.write(bytes(piece))
    return lambda piece: off_loop(partial(targets.write_all, lambda view: into.write(bytes(view)), piece))


async def _answer(fileobj: Any, name: str, *arguments: Any, default: Any = None) -> Any:
    method = getattr(fileobj, name, None)
    if method is None:
        return default
    found = method(*arguments)
    return await found if inspect.isawaitable(found) else found
