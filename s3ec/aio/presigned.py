"""Presigned uploads of the asynchronous client; see `s3ec.client.tools.presigned`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiobotocore.client import AioBaseClient

from s3ec.aio.client import EncryptionClient
from s3ec.aio.handlers import AsyncEventsOfCall
from s3ec.aio.wire import AsyncWire
from s3ec.client.calls.handlers import sending_view
from s3ec.client.calls.presigning import recorded_headers
from s3ec.client.calls.seals import Seal
from s3ec.client.tools.presigned import PresignedUpload
from s3ec.errors import ConfigurationError
from s3ec.s3.presigned import headers_to_send, request_to_sign, sealed_request

__all__ = ["presigned_upload"]


async def presigned_upload(
    client: AioBaseClient,
    *,
    Bucket: str,  # noqa: N803 - boto3's name
    Key: str,  # noqa: N803 - boto3's name
    EncryptionContext: Mapping[str, str] | None = None,  # noqa: N803 - the client's name
    ExpiresIn: int = 3600,  # noqa: N803 - boto3's name
    overwrite: bool = False,
    **parameters: Any,
) -> PresignedUpload:
    """Make an upload that its holder encrypts locally, with a key for this one object that is handed over once.

    Args:
        client: an `s3ec.aio.EncryptionClient`.
        Bucket: as for put_object.
        Key: as for put_object.
        EncryptionContext: as for put_object.
        ExpiresIn: seconds for which the URL is valid.
        overwrite: see `s3ec.presigned_upload`.
        **parameters: other parameters of put_object, such as ``Metadata`` or ``ContentType``.

    Returns:
        The same as `s3ec.presigned_upload` gives: its ``send`` waits for the network, and is for those who hold it.

    Raises:
        UnsupportedOperationError: instruction files, which a second request would have to write.
        ConfigurationError, KeyringError: as from put_object.
    """
    if not isinstance(client, EncryptionClient):
        raise ConfigurationError("s3ec.aio.presigned_upload takes an s3ec.aio.EncryptionClient")
    client = client._s3ec_for(Bucket)
    wire: AsyncWire = client._s3ec_wire
    if EncryptionContext is None:
        EncryptionContext = client._s3ec_context(reading=False).get("EncryptionContext")  # noqa: N806 - the client's name
    named = request_to_sign(wire, {**parameters, "Bucket": Bucket, "Key": Key}, overwrite=overwrite)
    heard = await wire.hear("PutObject", named, is_presign_request=True)
    request, cipher = await wire.run(sealed_request(wire, heard.parameters, EncryptionContext))
    view = sending_view(client, client._s3ec_sender, heard, None, AsyncEventsOfCall)
    with recorded_headers(client) as recorded:
        url = await view.generate_presigned_url("put_object", Params=request, ExpiresIn=ExpiresIn)
    Seal("PutObject", request).check(None, recorded, "before-sign")
    return PresignedUpload(url, headers_to_send(url, recorded), cipher)
