"""Multipart uploads of tasks: parts in any order, waiting without a thread, cancelled at any moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from s3ec.aio.ciphertext import StoredCiphertext
from s3ec.aio.monitors import TaskMonitor
from s3ec.aio.sources import AsyncSource, is_async_body, open_body
from s3ec.aio.wire import AsyncWire
from s3ec.aio.work import LARGE, off_loop, work_on
from s3ec.client.bodies.sources import CHUNK_SIZE, BytesSource, Source
from s3ec.client.calls.seals import SealedBytes
from s3ec.client.multipart.handlers import MultipartUploads, SharedUploads, Work
from s3ec.client.multipart.storage import PartContent, PartRoom
from s3ec.client.options import Options
from s3ec.s3.flow import hear

__all__ = ["Room", "handlers", "shared_uploads"]

Handler = Callable[[AsyncWire, dict[str, Any]], Awaitable[dict[str, Any]]]


class Room(PartRoom):
    """Where the parts of one upload are kept, which come from tasks."""

    def __init__(self, options: Options) -> None:
        """Keep as much in memory as the options say."""
        super().__init__(TaskMonitor(), options.buffer_size, options.spool_directory)

    def empty(self) -> PartContent:
        """A part without bytes."""
        return _Content(self.spool)

    async def take_in_whole(
        self, source: Source | AsyncSource, observe: Callable[[memoryview], None], check: Callable[[], None]
    ) -> PartContent:
        """Take a whole body, without holding the loop; see `PartContent.read_from`."""
        content = self.empty()
        done = False
        try:
            content.expect(source.length, self.buffer_size)
            size = LARGE if source.length is None else source.length

            def take(chunk: memoryview) -> bool:
                observe(chunk)
                return content.take(chunk)

            if isinstance(source, AsyncSource):
                fits = True
                while fits and (chunk := await source.read_chunk(CHUNK_SIZE)):
                    fits = await work_on(len(chunk), partial(take, memoryview(chunk)))
            elif isinstance(source, BytesSource):
                await work_on(size, partial(_take_all, source, take))
            else:
                await off_loop(partial(_take_all, source, take))

            content.end()
            check()
            done = True
        finally:
            if not done:
                content.close()
        return content


def _take_all(source: Source, take: Callable[[memoryview], bool]) -> None:
    while (chunk := source.read_chunk(CHUNK_SIZE)) and take(chunk):
        pass


class _Content(PartContent):
    """The bytes of one part, as the body of a request that aiohttp sends."""

    def body(self, source: Any = None) -> Any:
        """The ciphertext: bytes where there are few, or what each attempt has a reading of its own of."""
        if self._memory is None:
            return StoredCiphertext(_Kept(self._read_at, self.ciphertext_length, on_disk=True))
        # What is sent stays as it is here, whatever becomes of the part meanwhile.
        memory, length, tag = memoryview(self._memory), self.length, self._tag
        if self.ciphertext_length < LARGE:
            return SealedBytes(bytes(memory[:length]) + tag)

        def read_at(offset: int, size: int) -> bytes:
            return (
                bytes(memory[offset : min(offset + size, length)]) if offset < length else tag[offset - length :][:size]
            )

        return StoredCiphertext(_Kept(read_at, self.ciphertext_length, on_disk=False))


class _Kept:
    """Ciphertext of a part, to be read in pieces."""

    def __init__(self, read_at: Callable[[int, int], bytes], length: int, *, on_disk: bool) -> None:
        self.read_at = read_at
        self.length = length
        self.on_disk = on_disk

    def close(self) -> None:
        """Do nothing: the part itself is closed."""


def shared_uploads() -> SharedUploads:
    """The uploads of the clients of one session."""
    return SharedUploads(Room)


def handlers(uploads: MultipartUploads, read: Handler) -> dict[str, Handler]:
    """What carries out the operations of multipart uploads.

    Args:
        uploads: the client's.
        read: its own ``get_object``.
    """

    async def upload_part(wire: AsyncWire, parameters: dict[str, Any]) -> dict[str, Any]:
        body = parameters.get("Body")
        if not is_async_body(body):
            return await _run(wire, uploads.upload_part(wire, parameters, open_body=open_body))
        del parameters["Body"]  # which botocore would not take
        return await _run(
            wire, uploads.upload_part(wire, parameters, open_body=lambda _, length: open_body(body, length))
        )

    async def upload_part_copy(wire: AsyncWire, parameters: dict[str, Any]) -> dict[str, Any]:
        context = parameters.pop("EncryptionContext", None)
        heard: Any = await wire.run(hear("UploadPartCopy", parameters))
        wire, parameters = wire.after(heard), dict(heard.parameters)
        copy = uploads.begin_part_copy(wire, parameters, context)
        if copy is None:
            return await wire.call("UploadPartCopy", parameters)
        try:
            answer = await read(copy.reading, copy.request)
        except ClientError as refused:
            raise copy.error(refused) from refused
        return await _run(wire, copy.give(answer, AsyncSource))

    return {
        "AbortMultipartUpload": _flow(uploads.abort),
        "CompleteMultipartUpload": _flow(uploads.complete),
        "CreateMultipartUpload": _flow(uploads.create),
        "UploadPart": upload_part,
        "UploadPartCopy": upload_part_copy,
    }


def _flow(operation: Callable[[AsyncWire, dict[str, Any]], Work]) -> Handler:
    async def handle(wire: AsyncWire, parameters: dict[str, Any]) -> dict[str, Any]:
        return await _run(wire, operation(wire, parameters))

    return handle


async def _run(wire: AsyncWire, work: Work) -> dict[str, Any]:
    options, flow = work
    return await wire.with_options(options).run(flow)
