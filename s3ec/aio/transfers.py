"""Managed transfers as coroutines, with boto3's names and signatures; see `s3ec.client.transfers.managed`.

aioboto3 gives its clients methods of these names. They would hold a whole object in memory, write what is not verified
under the final name, and lose the content metadata of large copies: these here stand before them.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.exceptions import ClientError
from s3transfer.exceptions import RetriesExceededError as S3TransferRetriesExceededError

from s3ec.aio import transfer_copies, transfer_uploads
from s3ec.aio.transfer_downloads import DownloadEngine
from s3ec.aio.wire import AsyncWire
from s3ec.client.transfers.download_targets import FileTarget, download_failed
from s3ec.client.transfers.managed import Manager, check_extra, classic, upload_parameters
from s3ec.errors import UnsupportedOperationError
from s3ec.s3.flow import Flow
from s3ec.s3.managed_download import Download, download, to_file, to_object
from s3ec.s3.names import Located
from s3ec.s3.pinning import ReplacedError

__all__ = ["copy", "download_file", "download_fileobj", "refuse_processing", "upload_file", "upload_fileobj"]


def refuse_processing(processing: object) -> None:
    """Refuse what aioboto3's ``upload_fileobj`` takes beside boto3's arguments.

    Raises:
        UnsupportedOperationError: it is given.
    """
    if processing is not None:
        raise UnsupportedOperationError(
            "Processing is refused: aioboto3 calls it for each part, and what is stored would depend on where parts "
            "end; let read, which may be a coroutine function, give what it makes of the content"
        )


@contextlib.asynccontextmanager
async def _told(callback: Any) -> AsyncIterator[Callable[[int], object] | None]:
    """A plain function that tells a caller's callback, which may be a coroutine function as aioboto3's may.

    Its calls begin in order, and all have ended, and their errors are raised, when the transfer ends.
    """
    if not inspect.iscoroutinefunction(callback):
        yield callback
        return
    telling: list[asyncio.Future[object]] = []
    try:
        yield lambda count: telling.append(asyncio.ensure_future(callback(count)))
        await asyncio.gather(*telling)
    finally:
        for each in telling:
            each.cancel()


async def upload_file(
    client: Any, filename: Any, bucket: str, key: str, extra: Any, callback: Any, config: Any
) -> None:
    """Upload a file; parts are encrypted in order and sent in parallel."""
    name = _path(filename)
    try:
        await _upload(client, name, bucket, key, extra, callback, config)
    except ClientError as error:
        raise S3UploadFailedError(f"Failed to upload {name} to {bucket}/{key}: {error}") from error


async def upload_fileobj(
    client: Any, fileobj: Any, bucket: str, key: str, extra: Any, callback: Any, config: Any
) -> None:
    """Upload a file-like object, seekable or not; ``read`` may be a coroutine function."""
    if not hasattr(fileobj, "read"):
        raise ValueError("Fileobj must implement read")
    await _upload(client, fileobj, bucket, key, extra, callback, config)


async def _upload(client: Any, body: Any, bucket: str, key: str, extra: Any, callback: Any, config: Any) -> None:
    parameters = upload_parameters(client, bucket, key, extra)
    with Located(parameters):
        async with _told(callback) as report:
            await transfer_uploads.upload(client._s3ec_wire, body, parameters, classic(config), report)


async def download_file(
    client: Any, bucket: str, key: str, filename: Any, extra: Any, callback: Any, config: Any
) -> None:
    """Download into a file, which gets its name only after the content verified."""
    engine = DownloadEngine(client._s3ec_wire, classic(config))
    deliver = partial(to_file, client._s3ec_wire, engine, FileTarget(_path(filename)))
    try:
        await _download(client, bucket, key, extra, callback, engine, deliver)
    except S3TransferRetriesExceededError as error:
        raise RetriesExceededError(error.last_exception) from error  # type: ignore[arg-type]  # boto3 passes the same


async def download_fileobj(
    client: Any, bucket: str, key: str, fileobj: Any, extra: Any, callback: Any, config: Any
) -> None:
    """Download into a file-like object, which gets nothing unverified; ``write`` may be a coroutine function."""
    if not hasattr(fileobj, "write"):
        raise ValueError("Fileobj must implement write")
    engine = DownloadEngine(client._s3ec_wire, classic(config))
    deliver = partial(to_object, client._s3ec_wire, engine, fileobj)
    await _download(client, bucket, key, extra, callback, engine, deliver)


async def _download(
    client: Any,
    bucket: str,
    key: str,
    extra: Any,
    callback: Any,
    engine: DownloadEngine,
    deliver: Callable[[Download], Flow[None]],
) -> None:
    check_extra(extra, Manager.ALLOWED_DOWNLOAD_ARGS)
    parameters = {**(extra or {}), "Bucket": bucket, "Key": key}
    wire: AsyncWire = client._s3ec_wire
    try:
        with Located(parameters):
            async with _told(callback) as report:
                await wire.run(download(wire, engine, parameters, deliver, report))
    except ReplacedError as replaced:
        raise download_failed(replaced, bucket, key) from replaced.error


async def copy(
    client: Any,
    source: Any,
    bucket: str,
    key: str,
    extra: Any,
    callback: Any,
    source_client: Any,
    config: Any,
) -> None:
    """Copy an object of any size inside S3, content metadata, tag and instruction file included."""
    check_extra(extra, Manager.ALLOWED_COPY_ARGS)
    target = {**(extra or {}), "Bucket": bucket, "Key": key, "CopySource": source}
    looking = client if source_client is None else source_client
    view = looking.__dict__.get("_s3ec_view", looking)
    with Located(target):
        async with _told(callback) as report:
            await transfer_copies.copy(client._s3ec_wire, source, target, view, classic(config), report)


def _path(filename: Any) -> str:
    name = os.fspath(filename) if isinstance(filename, os.PathLike) else filename
    if not isinstance(name, str):
        raise ValueError("Filename must be a string or a path-like object")
    return name
