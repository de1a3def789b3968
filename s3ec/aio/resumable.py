"""Uploads of the asynchronous client that go on in another process; see `s3ec.client.tools.resumable`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from s3ec.aio.client import EncryptionClient
from s3ec.aio.wire import AsyncWire
from s3ec.client.tools.resumable import exporting, resuming

__all__ = ["export_upload", "resume_upload"]


async def export_upload(
    client: EncryptionClient, upload_id: str, *, save: Callable[[bytes], Awaitable[None] | None] | None = None
) -> bytes:
    """The sealed state of a multipart upload, to go on with it in another process, by a client of either kind.

    Args:
        client: the client that began (or resumed) the upload.
        upload_id: S3's name for it.
        save: as in `s3ec.export_upload`. It is called in a thread; what a coroutine function returns is awaited on the
            loop.

    Returns:
        The state as of now: some hundred bytes, and about sixty for each part.

    Raises:
        MultipartStateError: the client does not have the upload, or it has ended.
        KeyringError: no data key could be obtained for the state.
    """
    wire: AsyncWire = client._s3ec_wire
    return await wire.run(exporting(client._s3ec_uploads, upload_id, save))


async def resume_upload(
    client: EncryptionClient, blob: bytes, *, save: Callable[[bytes], Awaitable[None] | None], **parameters: Any
) -> dict[str, Any]:
    """Go on with an upload whose state another process exported, with a client of either kind.

    Args:
        client: with a keyring that opens what the exporting client's keyring wrapped.
        blob: the newest state, from a place that can be trusted like the keyring itself.
        save: as in `export_upload`; called with the state before anything leaves.
        parameters: what every request of the upload needs and no state holds: the ``SSECustomer…`` members.

    Returns:
        As `s3ec.resume_upload`.

    Raises:
        AuthenticationError, MalformedMetadataError: the state was altered, or is none.
        KeyringError: the keyring does not open it.
        MultipartStateError: the client has the upload already, another client of this process resumed it, or S3 has
            parts that the state does not know: it is not the newest. Give the upload up and start again.
        botocore.exceptions.ClientError: as S3 answers, ``NoSuchUpload`` among others.
    """
    wire: AsyncWire = client._s3ec_wire
    options, flow = await wire.run(resuming(wire, client._s3ec_uploads, bytes(blob), save, parameters))
    return await wire.with_options(options).run(flow)
