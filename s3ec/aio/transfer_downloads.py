"""Downloads of tasks: parallel ranges of one version, decrypted in order, delivered after the tag verified.

See `s3ec.client.transfers.downloads`, which is the same for threads. Nothing is kept but the window of parts in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
from boto3.s3.transfer import TransferConfig
from s3transfer.exceptions import RetriesExceededError
from s3transfer.utils import S3_RETRYABLE_DOWNLOAD_ERRORS, OSUtils

from s3ec.aio.driver import to_the_end
from s3ec.aio.releases import AsyncRelease, opened_whole
from s3ec.aio.transfer_uploads import Throttle, workers
from s3ec.aio.wire import AsyncWire
from s3ec.aio.work import off_loop
from s3ec.client.bodies.sources import CHUNK_SIZE
from s3ec.client.transfers import download_targets as targets
from s3ec.client.transfers.downloads import Progress, write_all
from s3ec.s3.contents import WholeContent
from s3ec.s3.download import Downloadable, fetch_part, look_before_download
from s3ec.s3.objects import take_read_request
from s3ec.s3.pinning import ReplacedError

__all__ = ["Download", "deliver", "to_file", "to_fileobj"]

_LARGEST_PART = 4 * 1024 * 1024
_BROKEN = (aiohttp.ClientError, asyncio.TimeoutError, *S3_RETRYABLE_DOWNLOAD_ERRORS)


class _Parts:
    """The stored bytes of one pinned version, fetched in parallel and read in order, like an `AsyncReader`."""

    def __init__(
        self, wire: AsyncWire, wanted: Downloadable, config: TransferConfig, progress: Callable[[int], None]
    ) -> None:
        self._wire = wire
        self._wanted = wanted
        self._attempts = config.num_download_attempts
        self._progress = progress
        total = wanted.length
        self._size = max(1, min(config.multipart_chunksize, _LARGEST_PART, total))
        self._most = workers(config) if total >= config.multipart_threshold else 1
        self._throttle = Throttle(config)
        self._next = 0
        self._window: deque[asyncio.Task[list[bytes]]] = deque()
        self._current: deque[bytes] = deque()

    async def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        left = size
        while left and await self._ready():
            piece = self._current.popleft()
            if len(piece) > left:
                self._current.appendleft(piece[left:])
                piece = piece[:left]
            pieces.append(piece)
            left -= len(piece)
        self._progress(size - left)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

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
            total = self._wanted.length
            while self._next < total and len(self._window) < self._most:
                size = min(self._size, total - self._next)
                self._window.append(asyncio.ensure_future(self._fetch(self._next, size)))
                self._next += size
            if not self._window:
                return False
            # It stays in the window, to be ended with the others, until it is here.
            pieces = await asyncio.shield(self._window[0])
            self._window.popleft()
            self._current.extend(pieces)
        return True

    async def _fetch(self, start: int, size: int) -> list[bytes]:
        """Fetch one part, and again if the connection broke."""
        await self._throttle.wait_for(size)
        for _ in range(1, self._attempts):
            with contextlib.suppress(*_BROKEN):
                return await self._wire.run(fetch_part(self._wanted, start, size))
        try:
            return await self._wire.run(fetch_part(self._wanted, start, size))
        except _BROKEN as error:
            raise RetriesExceededError(error) from error


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


class Download:
    """One object on its way down.

    Attributes:
        handed_out: set by targets that keep what they get: from the first byte on the download cannot start again.
    """

    def __init__(self, wire: AsyncWire, wanted: Downloadable, config: TransferConfig, callback: Any) -> None:
        """Take the object; nothing of it is fetched yet."""
        self._wire = wire
        self._wanted = wanted
        self._progress = Progress(callback, wanted.plaintext_length)
        self._parts = _Parts(wire, wanted, config, self._progress)
        self.handed_out = False

    async def close(self) -> None:
        """End what is on its way."""
        await self._parts.close()

    def take_back_progress(self) -> None:
        """Tell the caller's callback that what it heard of has to be fetched again, as s3transfer tells it."""
        self._progress.take_back()

    async def write_to(self, write: Callable[[bytes | memoryview], Awaitable[object]], *, delayed: bool) -> None:
        """Write all plaintext.

        Raises:
            AuthenticationError: the content does not verify. Without ``delayed`` nothing was written then; with it,
                what was written is not to be used.
        """
        release = await self._release(delayed=delayed)
        try:
            while piece := await release.take(CHUNK_SIZE):
                await write(piece)
        finally:
            release.close()

    async def _release(self, *, delayed: bool) -> AsyncRelease:
        cipher = self._wanted.cipher
        if cipher is None:
            return _Plain(self._parts)
        reader: Any = self._parts
        return await opened_whole(self._wire.options, WholeContent(cipher, self._wanted.length, delayed), reader)

    @property
    def delayed_by_option(self) -> bool:
        """True if the client releases plaintext before it is verified."""
        return self._wire.options.enable_delayed_authentication


async def deliver(
    wire: AsyncWire,
    parameters: dict[str, Any],
    config: TransferConfig,
    callback: Any,
    write: Callable[[Download], Awaitable[None]],
) -> None:
    """Download an object, and begin again once where it was replaced meanwhile and nothing was handed out.

    Raises:
        s3transfer.exceptions.S3DownloadFailedError: it was replaced again; the error of boto3's own downloads.
    """
    for is_last in (False, True):
        wanted = await wire.run(look_before_download(wire, take_read_request(dict(parameters))))
        download = Download(wire, wanted, config, callback)
        try:
            await write(download)
        except ReplacedError as replaced:
            if is_last or download.handed_out:
                what = f'"{parameters["Key"]}" in bucket "{parameters["Bucket"]}"'
                raise targets.download_failed(replaced, what) from replaced.error
        else:
            return
        finally:
            await download.close()
        download.take_back_progress()


async def to_file(filename: str, download: Download) -> None:
    """Write into a temporary file beside the target, and rename it once the tag has verified.

    See `s3ec.client.transfers.download_targets.to_file`.
    """
    if await off_loop(partial(OSUtils().is_special_file, filename)):
        special: Any = await off_loop(partial(open, filename, "wb", buffering=0))
        try:
            await download.write_to(_noted(download, _writing(special.write)), delayed=download.delayed_by_option)
        finally:
            await off_loop(special.close)
        return
    temporary = targets.temporary_name(filename)
    # On the loop: a file that a thread makes for a task which is cancelled meanwhile would stay.
    descriptor = targets.create_private(temporary, filename)
    renamed = False
    try:
        with open(descriptor, "wb", buffering=0) as file:
            await download.write_to(_writing(file.write), delayed=True)
        await off_loop(partial(targets.give_name, temporary, filename))
        renamed = True
    finally:
        if not renamed:
            # After a cancellation the renaming may have been carried out all the same.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


async def to_fileobj(fileobj: Any, download: Download) -> None:
    """Write into a file-like object: nothing before it is verified, unless the client delays authentication.

    Its methods may be coroutine functions. One that can seek is written from its start, as s3transfer does.
    """
    if await _answer(fileobj, "seekable", default=False):
        await _answer(fileobj, "seek", 0)
    write = fileobj.write
    if inspect.iscoroutinefunction(write):

        async def awaited(piece: bytes | memoryview) -> None:
            await write(bytes(piece))

        await download.write_to(_noted(download, awaited), delayed=download.delayed_by_option)
        return
    plain = _writing(lambda piece: write(bytes(piece)))
    await download.write_to(_noted(download, plain), delayed=download.delayed_by_option)


async def _answer(fileobj: Any, name: str, *arguments: Any, default: Any = None) -> Any:
    method = getattr(fileobj, name, None)
    if method is None:
        return default
    found = method(*arguments)
    return await found if inspect.isawaitable(found) else found


def _writing(write: Callable[[bytes | memoryview], object]) -> Callable[[bytes | memoryview], Awaitable[object]]:
    """Write in a thread: a disk may be slow."""
    return lambda piece: off_loop(partial(write_all, write, piece))


def _noted(
    download: Download, write: Callable[[bytes | memoryview], Awaitable[object]]
) -> Callable[[bytes | memoryview], Awaitable[object]]:
    def noting(piece: bytes | memoryview) -> Awaitable[object]:
        download.handed_out = True
        return write(piece)

    return noting
