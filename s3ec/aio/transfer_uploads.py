"""Uploads of tasks: the parts are encrypted in order, off the loop, and several are on their way at once.

A part has memory of its own until it is sent, and no more parts are begun than may be on their way: nothing of the
object's size is ever held.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from boto3.s3.transfer import TransferConfig
from s3transfer.bandwidth import LeakyBucket, RequestExceededException, RequestToken
from s3transfer.utils import ChunksizeAdjuster

from s3ec.aio.ciphertext import StoredCiphertext
from s3ec.aio.driver import to_the_end
from s3ec.aio.sources import AsyncSource, open_body
from s3ec.aio.wire import AsyncWire
from s3ec.aio.work import LARGE, off_loop
from s3ec.client.bodies.claims import take_claims
from s3ec.client.bodies.sources import CHUNK_SIZE, BytesSource, FileSource, Source, open_source
from s3ec.client.calls.handlers import hear_source
from s3ec.client.calls.seals import SealedBytes
from s3ec.client.multipart.sequential_upload import PART_ROOM, EncryptedPart, PartsInOrder, begin_upload
from s3ec.s3 import put_object as puts
from s3ec.s3.flow import hear
from s3ec.s3.managed_upload import check_total, for_one_request, take_completion, upload_in_parts
from s3ec.s3.transfers import at_once, needs_parts

__all__ = ["Throttle", "upload"]


class Throttle:
    """Makes the tasks of one transfer keep to its bytes per second; does nothing where no limit is set."""

    def __init__(self, config: TransferConfig) -> None:
        """Take the configuration."""
        self._bucket = LeakyBucket(config.max_bandwidth) if config.max_bandwidth else None

    async def wait_for(self, size: int) -> None:
        """Wait until this many bytes may pass."""
        token = RequestToken()
        while self._bucket is not None:
            try:
                self._bucket.consume(size, token)
            except RequestExceededException as error:
                await asyncio.sleep(error.retry_time)
            else:
                return


async def upload(
    wire: AsyncWire,
    body: Any,
    parameters: Mapping[str, Any],
    config: TransferConfig,
    callback: Callable[[int], object] | None,
) -> None:
    """Upload a body: in one request below the configured threshold, in parts from there on.

    Args:
        wire: plain calls.
        body: a path, or a file-like object, whose ``read`` may be a coroutine function; read from where it stands.
        parameters: bucket, key and the extra arguments.
        config: sizes, requests at once, and bandwidth.
        callback: called on the loop with plaintext bytes as they are sent; their sum is exact.

    Raises:
        S3ECError: as ``put_object`` does; an upload that was begun is aborted, also where the task is cancelled.
        botocore.exceptions.ClientError: as S3 answers.
    """
    if not isinstance(body, str):
        await _upload(wire, open_body(body, None), {**parameters}, config, callback)
        return
    file = await off_loop(partial(open, body, "rb", buffering=0))
    try:
        status = os.fstat(file.fileno())
        # As s3transfer does: a log that grows meanwhile is uploaded as far as it reached. A pipe has no size.
        grows = stat.S_ISREG(status.st_mode)
        source: Any = FileSource(file, 0, status.st_size, may_grow=True) if grows else open_source(file)
        await _upload(wire, source, {**parameters}, config, callback)
    finally:
        file.close()


async def _upload(
    wire: AsyncWire,
    source: Source | AsyncSource,
    parameters: dict[str, Any],
    config: TransferConfig,
    callback: Callable[[int], object] | None,
) -> None:
    report = callback if callback is not None else _nobody
    known, head = source.length, b""
    if known is None:
        # Whether it needs parts is known only after reading up to the threshold.
        buffer = bytearray(config.multipart_threshold)
        count = await _Filling(source, b"").fill(memoryview(buffer))
        head = bytes(memoryview(buffer)[:count])
        known = None if needs_parts(config, count) else count
    if known is not None and not needs_parts(config, known):
        small: Any = BytesSource(head) if source.length is None else source
        await _put(wire, parameters, small)
        if known:  # callers divide by what is reported
            report(known)
        return
    await _PartedUpload(_Filling(source, head), config, report, known).run(wire, parameters)


def _nobody(_: int) -> None:
    """Ignore the progress: the caller gave no callback."""


async def _put(wire: AsyncWire, parameters: dict[str, Any], source: Source) -> None:
    heard, other = await wire.run(hear_source("PutObject", for_one_request(parameters), source))
    request, of_this_call = heard.parameters, wire.after(heard)
    context = request.pop("EncryptionContext", None)
    claims = take_claims(request)
    of_this_call.validate("PutObject", request)
    found = source if other is None else other
    await of_this_call.run(puts.put_object(of_this_call, request, context, found, claims))


class _Filling:
    """Fills the memory of parts from a source, one after the other."""

    def __init__(self, source: Source | AsyncSource, head: bytes) -> None:
        """Take the source, and what was read of it already."""
        self._source = source
        self._rest = memoryview(head)
        self.at_end = False

    async def fill(self, target: memoryview) -> int:
        """Return the bytes that were filled in: fewer than there is room for only at the end."""
        source = self._source
        if not isinstance(source, AsyncSource):
            return await off_loop(partial(self._fill, source, target))
        filled = self._take_rest(target)
        while filled < len(target):
            chunk = await source.read_chunk(min(CHUNK_SIZE, len(target) - filled))
            if not chunk:
                self.at_end = True
                break
            target[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        return filled

    async def look_ahead(self) -> None:
        """Notice whether there is more."""
        if self._rest or self.at_end:
            return
        source = self._source
        if isinstance(source, AsyncSource):
            chunk = await source.read_chunk(CHUNK_SIZE)
        else:
            chunk = await off_loop(lambda: bytes(source.read_chunk(CHUNK_SIZE)))
        self._rest = memoryview(chunk)
        self.at_end = not chunk

    def _fill(self, source: Source, target: memoryview) -> int:
        filled = self._take_rest(target)
        while filled < len(target):
            chunk = source.read_chunk(min(CHUNK_SIZE, len(target) - filled))
            if not chunk:
                self.at_end = True
                break
            target[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        return filled

    def _take_rest(self, target: memoryview) -> int:
        piece, self._rest = self._rest[: len(target)], self._rest[len(target) :]
        target[: len(piece)] = piece
        return len(piece)


class _PartedUpload:
    """One multipart upload on its way: the engine of its transfer."""

    now = staticmethod(time.monotonic)
    _wire: AsyncWire

    def __init__(
        self, filling: _Filling, config: TransferConfig, report: Callable[[int], object], known: int | None
    ) -> None:
        self._filling = filling
        self._report = report
        self._known = known
        self._part_size = ChunksizeAdjuster().adjust_chunksize(config.multipart_chunksize, known)
        self._workers = at_once(config)
        self._throttle = Throttle(config)

    async def run(self, wire: AsyncWire, parameters: dict[str, Any]) -> None:
        """Send everything, or abort."""
        completion = take_completion(parameters, self._known)
        claims = take_claims(parameters)
        place = {name: parameters[name] for name in ("Bucket", "Key")}
        heard: Any = await wire.run(hear("CreateMultipartUpload", parameters))
        options, creating = begin_upload(wire.after(heard), heard.parameters)
        self._wire = wire.after(heard).with_options(options)
        parts_of = partial(PartsInOrder, claims=claims, place=place)
        await self._wire.run(upload_in_parts(self._wire, self, creating, parts_of, completion))

    async def move(self, parts: PartsInOrder) -> None:
        """Read and encrypt all parts, and send them."""
        pending: set[asyncio.Task[None]] = set()
        total = 0
        try:
            last = False
            while not last:
                buffer = bytearray(self._part_size + PART_ROOM)
                filled = await self._filling.fill(memoryview(buffer)[: self._part_size])
                await self._filling.look_ahead()
                last = self._filling.at_end
                total += filled
                check_total(self._known, total, last=last)
                part = await self._encrypted(parts, buffer, filled, last=last)
                pending.add(asyncio.ensure_future(self._send(parts, part)))
                while pending and (last or len(pending) >= self._workers):
                    done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                    # Every error is looked at: asyncio shouts about one that nobody has seen.
                    for error in [sent.exception() for sent in done]:
                        if error is not None:
                            raise error
        finally:
            for sending in pending:
                sending.cancel()
            if pending:
                await to_the_end(_ended(pending))

    async def _encrypted(self, parts: PartsInOrder, buffer: bytearray, filled: int, *, last: bool) -> EncryptedPart:
        """Return the next part, from what the caller's handlers make of it."""
        plaintext = memoryview(buffer)[:filled]
        source = BytesSource(plaintext)
        asking = hear_source("UploadPart", parts.request_of_next(self._wire), source)
        heard, other = await self._wire.run(asking)
        if other is not None:
            pieces = await off_loop(lambda: list(iter(lambda: bytes(other.read_chunk(CHUNK_SIZE)), b"")))
            plaintext = memoryview(b"".join(pieces))
            buffer = bytearray(len(plaintext) + PART_ROOM)
        return await off_loop(partial(parts.encrypt_next, plaintext, buffer, last=last, heard=heard))

    async def _send(self, parts: PartsInOrder, part: EncryptedPart) -> None:
        await self._throttle.wait_for(part.plaintext_length)
        heard: Any = getattr(part.parameters, "heard", None)
        of_this_call = self._wire if heard is None else self._wire.after(heard)
        await of_this_call.run(parts.sending(of_this_call, part, _body(part.ciphertext)))
        if part.plaintext_length:
            self._report(part.plaintext_length)


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _body(ciphertext: memoryview) -> Any:
    """A part's ciphertext, whose memory is its own."""
    return SealedBytes(bytes(ciphertext)) if len(ciphertext) < LARGE else StoredCiphertext(_InMemory(ciphertext))


class _InMemory:
    """Ciphertext that is in memory already."""

    on_disk = False

    def __init__(self, ciphertext: memoryview) -> None:
        self._ciphertext = ciphertext
        self.length = len(ciphertext)

    def read_at(self, offset: int, size: int) -> bytes:
        """Some bytes from an offset on, ``size`` at most; none only at the end."""
        return bytes(self._ciphertext[offset : offset + size])

    def close(self) -> None:
        """Do nothing: whoever encrypted it lets go of it."""
