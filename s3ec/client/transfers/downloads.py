"""Downloads: parallel ranges of one version, put in order, decrypted in order, delivered after the tag verified.

Parts are fetched by a few threads; one decryptor takes them in order, so that the object's own tag authenticates a
parallel download for free. Nothing is kept but the window of parts in flight. From a server that is close and fast a
large object comes in one answer, which is decrypted as it arrives: no thread has to wait for another then.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from boto3.s3.transfer import TransferConfig

from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.bodies.releases import open_plaintext
from s3ec.client.bodies.sources import CHUNK_SIZE
from s3ec.client.calls.wire import Wire
from s3ec.client.transfers.attempts import BROKEN, Attempts
from s3ec.client.transfers.bandwidth import Throttle
from s3ec.client.transfers.download_targets import writing_to
from s3ec.client.transfers.pace import Pace
from s3ec.s3.download import Part, PartReceiver, PartsToFetch, ask_for_part
from s3ec.s3.managed_download import Download
from s3ec.s3.transfers import Pieces, joined

__all__ = ["DownloadEngine"]

_NEAR_WORKERS = 3
_LARGE = 64 * 1024 * 1024
"""Bytes from which on one answer is tried first: less comes in a few parts, which take no longer."""


class _Parts:
    """The ciphertext of one pinned version, fetched in parallel and read in order, like a `CiphertextReader`."""

    def __init__(self, wire: Wire, download: Download, config: TransferConfig) -> None:
        self._wire = wire
        self._wanted = download.wanted
        self._attempts = config.num_download_attempts
        self._progress = download.progress
        self._plan = PartsToFetch(download.wanted, config)
        workers = self._plan.at_once
        self._pace = Pace(workers, download.answered_in, near=_NEAR_WORKERS)
        self._executor = ThreadPoolExecutor(workers, "s3ec-download") if workers > 1 else None
        self._window: deque[Future[list[bytes]] | Part] = deque()
        self._current = Pieces()
        self._stopped = threading.Event()
        self._throttle = Throttle(config, self._stopped)
        self._in_one = workers > 1 and self._pace.is_near and download.wanted.length >= _LARGE
        self._stream: Iterator[bytes] | None = None
        if not self._in_one:
            self._refill()

    def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        left = size
        while left and self._ready():
            pieces.append(self._current.take(left))
            left -= len(pieces[-1])
        self._progress(size - left)
        return joined(pieces)

    def close(self) -> None:
        self._stopped.set()
        self._end_stream()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        self._window.clear()
        self._current.clear()

    def _ready(self) -> bool:
        """Make sure that there is a chunk to read; False at the end."""
        while not self._current:
            if self._in_one and self._pace.is_near and self._plan.rest[1]:
                self._pace.took(self._current.add([self._next_of_stream()]))
                continue
            self._end_stream()
            self._refill()
            if not self._window:
                return False
            pending = self._window.popleft()
            arrived = self._fetch(*pending) if isinstance(pending, tuple) else pending.result()
            self._pace.took(self._current.add(arrived))
        return True

    def _next_of_stream(self) -> bytes:
        """Return the next chunk of the one answer, and of another one from there on if the connection broke."""
        attempts = Attempts(self._attempts)
        while True:
            try:
                if self._stream is None:
                    self._stream = self._chunks(*self._plan.rest)
                chunk = next(self._stream)
            except BROKEN as error:
                self._end_stream()
                attempts.failed(error)
            else:
                self._plan.took(len(chunk))
                return chunk

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if isinstance(stream, Generator):
            stream.close()

    def _refill(self) -> None:
        while len(self._window) < self._pace.workers and (part := self._plan.next_part()):
            self._window.append(part if self._executor is None else self._executor.submit(self._fetch, *part))

    def _fetch(self, start: int, size: int) -> list[bytes]:
        """Fetch one part, and again if the connection broke."""
        attempts = Attempts(self._attempts)
        while True:
            try:
                return list(self._chunks(start, size))
            except BROKEN as error:
                attempts.failed(error)

    def _chunks(self, start: int, size: int) -> Iterator[bytes]:
        """Ask for some bytes of the pinned version, and yield them as they come; fewer only where all is stopped."""
        body = self._wire.run(ask_for_part(self._wanted, start, size))
        with body:  # which is not what botocore's own body gives on entering it
            reader = CiphertextReader(body, has_tag=self._wanted.has_tag)
            part = PartReceiver(size)
            while wanted := part.wanted:
                if self._stopped.is_set():
                    return
                self._throttle.wait_for(wanted)
                if chunk := part.feed(reader.read(wanted)):
                    yield chunk


class DownloadEngine:
    """Moves what is downloaded, with the threads of one transfer.

    Attributes:
        config: sizes, threads and bandwidth.
    """

    now = staticmethod(time.monotonic)

    def __init__(self, wire: Wire, config: TransferConfig) -> None:
        """Take the wire of the client, and the configuration."""
        self._wire = wire
        self.config = config

    def move(self, download: Download) -> None:
        """Fetch an object, and write its plaintext.

        Raises:
            AuthenticationError: the content does not verify. Unless the plan says that plaintext is delayed nothing was
                written then; if it does, what was written is not to be used.
        """
        wanted, options = download.wanted, self._wire.options
        assert wanted.cipher is not None  # noqa: S101 - what is not encrypted is left to s3transfer
        write = writing_to(download)
        with contextlib.closing(_Parts(self._wire, download, self.config)) as parts:
            release = open_plaintext(
                parts,
                wanted.cipher,
                wanted.length,
                delayed=download.delayed,
                buffer_size=options.buffer_size,
                spool_directory=options.spool_directory,
            )
            try:
                while piece := release.take(CHUNK_SIZE):
                    download.has_begun = True
                    write(piece)
            finally:
                release.close()
