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
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from boto3.s3.transfer import TransferConfig
from s3transfer.exceptions import RetriesExceededError
from s3transfer.utils import S3_RETRYABLE_DOWNLOAD_ERRORS

from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.bodies.releases import Release, open_plaintext
from s3ec.client.bodies.sources import CHUNK_SIZE
from s3ec.client.calls.wire import Wire
from s3ec.client.transfers.bandwidth import Throttle
from s3ec.client.transfers.pace import Pace
from s3ec.crypto.content import ContentCipher
from s3ec.errors import AuthenticationError
from s3ec.s3.answers import etag_of
from s3ec.s3.download import Downloadable, ask_for_part, look_up, pass_gate
from s3ec.s3.objects import take_read_request

__all__ = ["Download", "Progress", "begin"]

_MIB = 1024 * 1024
_NEAR_WORKERS = 3
_LARGEST_PART = 4 * _MIB  # ten of them in flight take less than ten parts of boto3's own size
_LARGE = 64 * _MIB
"""Bytes from which on one answer is tried first: less comes in a few parts, which take no longer."""


class _Parts:
    """The ciphertext of one pinned version, fetched in parallel and read in order, like a `CiphertextReader`."""

    def __init__(
        self,
        wire: Wire,
        wanted: Downloadable,
        config: TransferConfig,
        progress: Callable[[int], None],
        *,
        answered_in: float,
    ) -> None:
        self._wire = wire
        self._wanted = wanted
        self._total = total = wanted.length
        self._attempts = config.num_download_attempts
        self._progress = progress
        self._size = max(1, min(config.multipart_chunksize, _LARGEST_PART, total))
        parallel = config.use_threads and total >= config.multipart_threshold
        workers = min(config.max_request_concurrency, -(-total // self._size)) if parallel else 1
        self._pace = Pace(workers, answered_in, near=_NEAR_WORKERS)
        self._executor = ThreadPoolExecutor(workers, "s3ec-download") if workers > 1 else None
        self._next = 0
        self._window: deque[Future[deque[bytes]] | tuple[int, int]] = deque()
        self._current: deque[bytes] = deque()
        self._stopped = threading.Event()
        self._throttle = Throttle(config, self._stopped)
        self._in_one = workers > 1 and self._pace.is_near and total >= _LARGE
        self._stream: Iterator[bytes] | None = None
        if not self._in_one:
            self._refill()

    def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        left = size
        while left and self._ready():
            chunk = self._current.popleft()
            if len(chunk) > left:
                self._current.appendleft(chunk[left:])
                chunk = chunk[:left]
            pieces.append(chunk)
            left -= len(chunk)
        self._progress(size - left)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

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
            if self._in_one and self._pace.is_near and self._next < self._total:
                self._current.append(self._next_of_stream())
                self._pace.took(len(self._current[0]))
                continue
            self._end_stream()
            self._refill()
            if not self._window:
                return False
            pending = self._window.popleft()
            self._current = self._fetch(*pending) if isinstance(pending, tuple) else pending.result()
            self._pace.took(sum(map(len, self._current)))
        return True

    def _next_of_stream(self) -> bytes:
        """Return the next chunk of the one answer, and of another one from there on if the connection broke."""
        for left in range(self._attempts - 1, -1, -1):
            try:
                if self._stream is None:
                    self._stream = self._chunks(self._next, self._total - self._next)
                chunk = next(self._stream)
            except S3_RETRYABLE_DOWNLOAD_ERRORS as error:
                self._end_stream()
                if not left:
                    raise RetriesExceededError(error) from error
            else:
                self._next += len(chunk)
                return chunk
        raise AssertionError("unreachable: the last round returns or raises")  # pragma: no cover - for the type checker

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if isinstance(stream, Generator):
            stream.close()

    def _refill(self) -> None:
        while self._next < self._total and len(self._window) < self._pace.workers:
            part = (self._next, min(self._size, self._total - self._next))
            self._next += part[1]
            self._window.append(part if self._executor is None else self._executor.submit(self._fetch, *part))

    def _fetch(self, start: int, size: int) -> deque[bytes]:
        """Fetch one part, and again if the connection broke."""
        for _ in range(1, self._attempts):
            with contextlib.suppress(*S3_RETRYABLE_DOWNLOAD_ERRORS):
                return self._fetch_once(start, size)
        try:
            return self._fetch_once(start, size)
        except S3_RETRYABLE_DOWNLOAD_ERRORS as error:
            raise RetriesExceededError(error) from error

    def _fetch_once(self, start: int, size: int) -> deque[bytes]:
        return deque(self._chunks(start, size))

    def _chunks(self, start: int, size: int) -> Iterator[bytes]:
        """Ask for some bytes of the pinned version, and yield them as they come; fewer only where all is stopped."""
        body = self._wire.run(ask_for_part(self._wanted, start, size))
        with body:  # which is not what botocore's own body gives on entering it
            reader = CiphertextReader(body, has_tag=self._wanted.has_tag)
            for offset in range(0, size, CHUNK_SIZE):
                if self._stopped.is_set():
                    return
                wanted = min(CHUNK_SIZE, size - offset)
                self._throttle.wait_for(wanted)
                chunk = reader.read(wanted)
                if len(chunk) < wanted:
                    raise AuthenticationError("the stored object ended early: it was cut off")
                if offset + wanted == size and reader.read(1):
                    raise AuthenticationError("S3 answered with more bytes than it was asked for")
                yield chunk


class Download:
    """One object on its way down; a context that ends every thread.

    Attributes:
        handed_out: set by targets that keep what they get: from the first byte on the download cannot start again.
    """

    def __init__(self, wire: Wire, parts: _Parts, cipher: ContentCipher, total: int, progress: Progress) -> None:
        """Take the parts and what opens them."""
        self._wire = wire
        self._parts = parts
        self._cipher = cipher
        self._total = total
        self._progress = progress
        self.handed_out = False

    def __enter__(self) -> Download:
        """Do nothing: the first parts are on their way."""
        return self

    def __exit__(self, *details: object) -> None:
        """Stop what is still in flight."""
        self._parts.close()

    def take_back_progress(self) -> None:
        """Tell the caller's callback that what it heard of has to be fetched again, as s3transfer tells it."""
        self._progress.take_back()

    def release(self, *, delayed: bool) -> Release:
        """Return plaintext, verified first unless ``delayed``; see `s3ec.client.bodies.releases.open_plaintext`."""
        options = self._wire.options
        return open_plaintext(
            self._parts,
            self._cipher,
            self._total,
            delayed=delayed,
            buffer_size=options.buffer_size,
            spool_directory=options.spool_directory,
        )

    def write_to(self, write: Callable[[bytes | memoryview], object], *, delayed: bool) -> None:
        """Write all plaintext.

        Raises:
            AuthenticationError: the content does not verify. Without ``delayed`` nothing was written then; with it,
                what was written is not to be used.
        """
        release = self.release(delayed=delayed)
        try:
            while piece := release.take(CHUNK_SIZE):
                write_all(write, piece)
        finally:
            release.close()

    @property
    def delayed_by_option(self) -> bool:
        """True if the client releases plaintext before it is verified."""
        return self._wire.options.enable_delayed_authentication


def begin(wire: Wire, parameters: dict[str, Any], config: TransferConfig, callback: Any) -> Download | str:
    """Look at an object, pass the gate, and start fetching the very version that was looked at.

    Returns:
        The ETag of an object that is not encrypted, where the client allows such; nothing is fetched of it.

    Raises:
        MetadataError, PolicyError, KeyringError, SecurityError: before any content is read.
        botocore.exceptions.ClientError: as from a plain client, which heads the object first too.
    """
    request = take_read_request(parameters)
    asked = time.monotonic()
    head = wire.run(look_up(request))
    answered_in = time.monotonic() - asked
    wanted = wire.run(pass_gate(wire, request, head))
    if wanted.cipher is None:
        return etag_of(head)
    progress = Progress(callback, wanted.plaintext_length)
    parts = _Parts(wire, wanted, config, progress, answered_in=answered_in)
    return Download(wire, parts, wanted.cipher, wanted.length, progress)


class Progress:
    """Reports plaintext bytes to the caller's callback; their sum is exact."""

    def __init__(self, callback: Any, length: int) -> None:
        """Take the caller's callback or None, and the bytes of plaintext."""
        self._callback = callback
        self._left = length
        self._told = 0

    def __call__(self, count: int) -> None:
        """Count this many more bytes, of plaintext or of what follows it."""
        count = min(count, self._left)
        self._left -= count
        self._told += count
        if self._callback is not None and count:
            self._callback(count)

    def take_back(self) -> None:
        """Begin again at zero."""
        told, self._told = self._told, 0
        self._left += told
        if self._callback is not None and told:
            self._callback(-told)


def write_all(write: Callable[[bytes | memoryview], object], piece: bytes | memoryview) -> None:
    """Write all of a piece; a raw file may take less than it is given."""
    view = memoryview(piece)
    while view:
        count = write(view)
        # Other objects than raw files answer with anything or nothing.
        view = view[count:] if isinstance(count, int) and 0 < count < len(view) else memoryview(b"")
