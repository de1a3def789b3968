"""Multipart uploads of the file system: some parts at once, and nothing left behind on failure or cancellation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec.errors import S3ECError

__all__ = ["abort", "in_parts", "pieces_of_bytes", "pieces_of_file", "pieces_of_objects", "send_parts"]

_log = logging.getLogger("s3ec")

MiB = 1024 * 1024


async def in_parts(
    fs: Any,
    path: str,
    pieces: AsyncIterator[bytes],
    *,
    concurrency: int,
    arguments: Mapping[str, Any],
    condition: Mapping[str, Any],
    sent: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """Upload one object in parts; whatever ends it before its end aborts it.

    Args:
        fs: the file system.
        path: where it goes.
        pieces: its bytes, each piece one part.
        concurrency: parts that are under way at once.
        arguments: for CreateMultipartUpload.
        condition: for CompleteMultipartUpload.
        sent: hears how many bytes have arrived, a part at a time.

    Returns:
        S3's answer to CompleteMultipartUpload.

    Raises:
        whatever an upload raises.
    """
    bucket, key, _ = fs.split_path(path)
    upload = {"Bucket": bucket, "Key": key}
    # One that is cancelled meanwhile is aborted by the client itself.
    upload["UploadId"] = (await fs._call_s3("create_multipart_upload", arguments, **upload))["UploadId"]
    try:
        parts = await send_parts(fs, upload, pieces, concurrency=concurrency, sent=sent)
        if not parts:
            await abort(fs, upload)
            return dict(await fs._call_s3("put_object", arguments, Bucket=bucket, Key=key, Body=b"", **condition))
        answer: dict[str, Any] = await fs._call_s3(
            "complete_multipart_upload", **upload, MultipartUpload={"Parts": parts}, **condition
        )
    except BaseException:
        await abort(fs, upload)
        raise
    return answer


async def abort(fs: Any, upload: Mapping[str, str]) -> None:
    """Abort an upload, also in a task that is being cancelled; a failure is logged, since another is on its way.

    Args:
        fs: the file system.
        upload: ``Bucket``, ``Key`` and ``UploadId``.
    """

    async def call() -> None:
        try:
            await fs._call_s3("abort_multipart_upload", **upload)
        except (OSError, S3ECError, ClientError, BotoCoreError) as error:
            _log.warning("an upload could not be aborted, and its parts stay (%s): %s", upload["UploadId"], error)

    await _to_its_end(call())


async def _to_its_end(work: Any) -> None:
    """Wait for some work, however often the task that waits is cancelled meanwhile."""
    running = asyncio.ensure_future(work)
    cancelled = False
    while not running.done():
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            if running.cancelled():
                raise
            cancelled = True
    running.result()
    if cancelled:
        raise asyncio.CancelledError


async def send_parts(
    fs: Any,
    upload: Mapping[str, str],
    pieces: AsyncIterator[bytes],
    *,
    concurrency: int,
    first: int = 1,
    sent: Callable[[int], object] = lambda _: None,
) -> list[dict[str, Any]]:
    """Send pieces as parts of an upload, in their order.

    Args:
        fs: the file system.
        upload: ``Bucket``, ``Key`` and ``UploadId``.
        pieces: each is one part.
        concurrency: parts that are under way at once.
        first: number of the first part.
        sent: hears how many bytes have arrived.

    Returns:
        What CompleteMultipartUpload is told of them.
    """
    running: set[asyncio.Task[None]] = set()
    done: dict[int, dict[str, Any]] = {}

    async def send(number: int, piece: bytes) -> None:
        answer = await fs._call_s3("upload_part", **upload, PartNumber=number, Body=piece)
        done[number] = {"PartNumber": number, "ETag": answer["ETag"]}
        sent(len(piece))

    try:
        number = first
        async for piece in pieces:
            while len(running) >= concurrency:
                running = await _one_less(running)
            running.add(asyncio.ensure_future(send(number, piece)))
            number += 1
        while running:
            running = await _one_less(running)
    finally:
        for task in running:
            task.cancel()
        if running:
            # Before the upload is aborted: a part that arrives afterwards would stay, and be paid for.
            await asyncio.gather(*running, return_exceptions=True)
    return [done[number] for number in sorted(done)]


async def _one_less(running: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    finished, pending = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in finished if task.cancelled() or task.exception() is not None]
    if failed:
        # Those that are still under way are for the caller's clean-up.
        running.intersection_update(pending)
        failed[0].result()
    return pending


async def pieces_of_bytes(data: bytes | memoryview, size: int) -> AsyncIterator[bytes]:
    """Cut bytes in memory."""
    for start in range(0, len(data), size):
        yield bytes(data[start : start + size])


async def pieces_of_file(file: Any, size: int) -> AsyncIterator[bytes]:
    """Read an open file, off the loop."""
    while piece := await asyncio.to_thread(file.read, size):
        yield piece


async def pieces_of_objects(fs: Any, sources: list[dict[str, Any]], size: int) -> AsyncIterator[bytes]:
    """Read objects one after the other, verified and pinned, as if they were one; no piece but the last is shorter.

    Args:
        fs: the file system.
        sources: the parameters of a GetObject each.
        size: bytes of a piece.
    """
    held = bytearray()
    for source in sources:
        body = (await fs._call_s3("get_object", **source))["Body"]
        try:
            while piece := await body.read(min(size, 8 * MiB)):
                held += piece
                while len(held) >= size:
                    yield bytes(held[:size])
                    del held[:size]
        finally:
            body.close()
    if held:
        yield bytes(held)
