"""Uploads: one thread at a time encrypts the parts in order, many threads send them.

The plaintext is read once, into the buffer of a part, and encrypted where it lies; the buffers go round. Nothing of the
object's size is ever held, and as many parts are on their way as plain boto3 would have.
"""

from __future__ import annotations

import os
import queue
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from boto3.s3.transfer import TransferConfig
from s3transfer.utils import ChunksizeAdjuster

from s3ec import forks
from s3ec.client.bodies.claims import take_claims
from s3ec.client.bodies.sources import CHUNK_SIZE, BytesSource, FileSource, Source, open_source
from s3ec.client.calls import puts
from s3ec.client.calls.handlers import hear_source
from s3ec.client.calls.wire import Wire
from s3ec.client.multipart.sequential_upload import PART_ROOM, EncryptedPart, SentParts, begin_upload
from s3ec.client.transfers.bandwidth import Throttle
from s3ec.client.transfers.pace import Pace
from s3ec.crypto.buffers import room_for
from s3ec.s3.flow import hear
from s3ec.s3.managed_upload import check_total, for_one_request, take_completion, upload_in_parts
from s3ec.s3.transfers import at_once, needs_parts

__all__ = ["upload"]

_NEAR_BUFFERS = 4


def upload(
    wire: Wire,
    body: Any,
    parameters: Mapping[str, Any],
    config: TransferConfig,
    callback: Callable[[int], object] | None,
) -> None:
    """Upload a body: in one request below the configured threshold, in parts from there on.

    Args:
        wire: plain calls.
        body: a path, or a file-like object, seekable or not, read from where it stands.
        parameters: bucket, key and the extra arguments.
        config: sizes, threads and bandwidth.
        callback: called with plaintext bytes as they are sent; their sum is exact.

    Raises:
        S3ECError: as `put_object` does; an upload that was begun is aborted.
        botocore.exceptions.ClientError: as S3 answers.
    """
    if isinstance(body, str):
        with open(body, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            # As s3transfer does: a log that grows meanwhile is uploaded as far as it reached. A pipe has no size.
            grows = stat.S_ISREG(status.st_mode)
            source = FileSource(file, 0, status.st_size, may_grow=True) if grows else open_source(file)
            _upload(wire, source, {**parameters}, config, callback, known=source.length)
        return
    source = open_source(body)
    _upload(wire, source, {**parameters}, config, callback, known=source.length)


def _upload(
    wire: Wire,
    source: Source,
    parameters: dict[str, Any],
    config: TransferConfig,
    callback: Callable[[int], object] | None,
    *,
    known: int | None,
) -> None:
    report = callback if callback is not None else _nobody
    head = b""
    if known is None:
        # Whether it needs parts is known only after reading up to the threshold.
        head = _read(source, config.multipart_threshold)
        known = None if needs_parts(config, len(head)) else len(head)
        source = BytesSource(head) if known is not None else _Joined(head, source)
    if known is not None and not needs_parts(config, known):
        heard, other = wire.run(hear_source("PutObject", for_one_request(parameters), source))
        puts.put_source(wire.after(heard), heard.parameters, source if other is None else other)
        if known:  # callers divide by what is reported
            report(known)
        return
    _PartedUpload(wire, source, parameters, config, report, known).run()


def _nobody(_: int) -> None:
    """Ignore the progress: the caller gave no callback."""


def _read(source: Source, size: int) -> bytes:
    pieces, left = [], size
    while left and (chunk := source.read_chunk(min(CHUNK_SIZE, left))):
        pieces.append(bytes(chunk))
        left -= len(chunk)
    return b"".join(pieces)


class _Joined:
    """Yield what was read already, and then the rest."""

    length: int | None = None
    rewindable: bool = False
    immutable: bool = False

    def __init__(self, head: bytes, rest: Source) -> None:
        self._head = BytesSource(head)
        self._rest = rest

    def read_chunk(self, size: int) -> memoryview:
        return self._head.read_chunk(size) or self._rest.read_chunk(size)

    def fill(self, view: memoryview) -> int:
        filled = self._head.fill(view)
        return filled + self._rest.fill(view[filled:]) if filled < len(view) else filled

    def rewind(self) -> None:
        self._rest.rewind()

    def report_position(self, offset: int) -> None:
        self._rest.report_position(offset)

    def signal(self, name: str) -> None:
        self._rest.signal(name)


class _PartedUpload:
    """One multipart upload on its way: the engine of its transfer."""

    now = staticmethod(time.monotonic)

    def __init__(
        self,
        wire: Wire,
        source: Source,
        parameters: dict[str, Any],
        config: TransferConfig,
        report: Callable[[int], object],
        known: int | None,
    ) -> None:
        self._source = source
        self._report = report
        self._known = known
        self._completion = take_completion(parameters, known)
        self._part_size = ChunksizeAdjuster().adjust_chunksize(config.multipart_chunksize, known)
        self._most = at_once(config)
        self._threads = config.use_threads
        self._stopped = threading.Event()
        self._throttle = Throttle(config, self._stopped)
        claims = take_claims(parameters)
        place = {name: parameters[name] for name in ("Bucket", "Key")}
        heard: Any = wire.run(hear("CreateMultipartUpload", parameters))
        self._asked = self.now()
        options, self._creating = begin_upload(wire.after(heard), heard.parameters)
        self._wire = wire.after(heard).with_options(options)
        self._parts_of = partial(SentParts, self._wire, claims=claims, place=place)
        self._buffers: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._made = 0
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

    def run(self) -> None:
        """Send everything, or abort."""
        self._wire.run(upload_in_parts(self._wire, self, self._creating, self._parts_of, self._completion))

    def move(self, upload: SentParts) -> None:
        """Read and encrypt all parts, and send them."""
        # A KMS call is part of it, too: what takes longer than an answer of a close server has all requests at once.
        self._pace = Pace(self._most, self.now() - self._asked, near=_NEAR_BUFFERS)
        self._upload = upload
        if self._threads:
            self._send_in_parallel()
            return
        for part, buffer in self._parts():
            self._send_and_return(part, buffer)

    def _send_in_parallel(self) -> None:
        pending: set[Future[None]] = set()
        with ThreadPoolExecutor(self._most, "s3ec-upload") as executor:
            try:
                for part, buffer in self._parts():
                    pending.add(executor.submit(self._send_and_return, part, buffer))
                    pending = self._raise_early(pending)
                for future in pending:
                    future.result()
            finally:
                self._stopped.set()
                executor.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def _raise_early(pending: set[Future[None]]) -> set[Future[None]]:
        """Wait for the parts still on their way; the first failure ends the upload."""
        done = {future for future in pending if future.done()}
        for future in done:
            future.result()
        return pending - done

    def _send_and_return(self, part: EncryptedPart, buffer: memoryview) -> None:
        try:
            self._send(part)
        finally:
            self._buffers.put(buffer)

    def _send(self, part: EncryptedPart) -> None:
        self._throttle.wait_for(part.plaintext_length)
        self._upload.send(part)
        if part.plaintext_length:
            with self._lock:
                self._pace.took(part.plaintext_length)
                self._report(part.plaintext_length)

    def _parts(self) -> Iterator[tuple[EncryptedPart, memoryview]]:
        """Read, encrypt and yield the parts in order, each with its buffer."""
        ahead, total = b"", 0
        while True:
            buffer = self._buffer()
            # Straight to where it is encrypted and sent from: each copy of a part passes through the memory twice.
            buffer[: len(ahead)] = ahead
            filled = len(ahead) + self._source.fill(buffer[len(ahead) : self._part_size])
            ahead = bytes(self._source.read_chunk(1)) if filled == self._part_size else b""
            total += filled
            last = not ahead
            check_total(self._known, total, last=last)
            yield self._encrypted(buffer[:filled], buffer, last=last), buffer
            if last:
                return

    def _encrypted(self, plaintext: memoryview, buffer: memoryview, *, last: bool) -> EncryptedPart:
        """Return the next part, from what the caller's handlers make of it."""
        heard, other = self._upload.hear_next(plaintext)
        if other is not None:
            plaintext = memoryview(_read(other, sys.maxsize))
            buffer = room_for(len(plaintext) + PART_ROOM)
        return self._upload.encrypt_next(plaintext, buffer, last=last, heard=heard)

    def _buffer(self) -> memoryview:
        """Return a part's buffer: one that is free, a new one while there may be more, or the next to become free."""
        try:
            return self._buffers.get_nowait()
        except queue.Empty:
            if self._made < self._pace.workers:
                self._made += 1
                return room_for(self._part_size + PART_ROOM)
            return self._buffers.get()
