"""Presigned requests of the asynchronous client; see `s3ec.client.tools.presigned`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.client import AioBaseClient
from aiohttp.client import URL
from botocore import httpsession
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.exceptions import ClientError

from s3ec.aio import driver, keys
from s3ec.aio.client import EncryptionClient
from s3ec.aio.handlers import AsyncEventsOfCall
from s3ec.aio.making import split_options
from s3ec.aio.plaintext import DecryptedBody
from s3ec.aio.reader import PLAIN_BODY, AsyncReader
from s3ec.aio.releases import opened_whole
from s3ec.aio.soundness import broken_off
from s3ec.aio.wire import AsyncWire
from s3ec.aio.work import off_loop
from s3ec.client.calls.handlers import sending_view
from s3ec.client.calls.presigning import recorded_headers
from s3ec.client.calls.seals import Seal
from s3ec.client.tools.presigned import LONGEST_ERROR, PresignedUpload, rules_of_one_object
from s3ec.errors import ConfigurationError
from s3ec.materials import StoredContext
from s3ec.s3.contents import WholeContent
from s3ec.s3.flow import Effect, Unwrap
from s3ec.s3.presigned import error_of, headers_to_send, open_answer, request_to_sign, sealed_request

__all__ = ["decrypt_presigned", "presigned_upload"]


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


async def decrypt_presigned(
    url: str,
    *,
    Bucket: str | None = None,  # noqa: N803 - boto3's name
    Key: str | None = None,  # noqa: N803 - boto3's name
    EncryptionContext: Mapping[str, str] | StoredContext | None = None,  # noqa: N803 - the client's name
    headers: Mapping[str, str] | None = None,
    verify: bool | str = True,
    **options: Any,
) -> DecryptedBody:
    """Download through a presigned URL and decrypt locally; nothing is released before it is verified.

    Args:
        url: made by ``generate_presigned_url("get_object", …)`` of any client.
        Bucket: see `s3ec.decrypt_presigned`.
        Key: see ``Bucket``.
        EncryptionContext: as for get_object.
        headers: more headers of the request, such as an SSE-C key.
        verify: as for boto3: True, or the path of a CA bundle.
        **options: ``keyring`` (or ``kms_key_id``) and those options of `EncryptionClient` that decide about reading one
            object's content.

    Returns:
        The body, to be read and closed.

    Raises:
        ConfigurationError: an option that has no effect here, or a place that is missing.
        NotEncryptedError: the object carries no content metadata; a presigned URL reaches no instruction file.
        PolicyError, KeyringError, SecurityError: as from get_object.
        botocore.exceptions.ClientError: S3 refuses, for instance an expired URL.
    """
    checked, _ = split_options(options, caller="decrypt_presigned", others=frozenset())
    rules, arn = rules_of_one_object(checked, Bucket, Key)
    answered, answer = await _get(url, headers or {}, verify)
    try:
        opened = await driver.run(open_answer(rules, answered, EncryptionContext, arn), _unwrap)
    except BaseException:
        answer.close()
        raise
    # Not the connection itself, whose errors are aiohttp's own.
    reader = AsyncReader(PLAIN_BODY(answer, None))
    content = WholeContent(opened.cipher, opened.length, checked.enable_delayed_authentication)
    opener = partial(opened_whole, checked, content, reader)
    return DecryptedBody(reader, opener, opened.plaintext_length, urlsplit(url).path)


async def _unwrap(effect: Effect) -> object:
    assert isinstance(effect, Unwrap)  # noqa: S101 - a gate needs nothing else
    return await keys.unwrapped(effect.checked)


async def _get(url: str, headers: Mapping[str, str], verify: bool | str) -> tuple[HeadersDict, aiohttp.ClientResponse]:
    """Ask for what a URL names, by a connection that ends with the answer; a redirection is not followed.

    Raises:
        botocore.exceptions.ClientError: an answer that says no.
        botocore.exceptions.BotoCoreError: no answer.
    """
    secure = await off_loop(partial(_tls, verify)) if url.lower().startswith("https:") else False
    seconds = httpsession.DEFAULT_TIMEOUT
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=secure, force_close=True, resolver=aiohttp.ThreadedResolver()),
        timeout=aiohttp.ClientTimeout(sock_connect=seconds, sock_read=seconds),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    sent = {**headers, "Accept-Encoding": "identity"}
    try:
        answer = await session.get(URL(url, encoded=True), headers=sent, allow_redirects=False)
        if answer.status >= 300:
            raise await _refusal(answer)  # noqa: TRY301 - told apart from an error of the connection by its class
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
        raise broken_off(error, AWSRequest("GET", url)) from error
    finally:
        # The answer keeps its connection, which is closed with it; the session has no other.
        session.detach()
    answered = HeadersDict()
    for name, value in answer.headers.items():
        answered[name] = f"{answered[name]}, {value}" if name in answered else value
    return answered, answer


def _tls(verify: Any) -> ssl.SSLContext | bool:
    """What aiohttp takes for boto3's ``verify``; reading certificates takes its time."""
    certificates = httpsession.get_cert_path(verify)
    return ssl.create_default_context(cafile=certificates) if certificates else False


async def _refusal(answer: aiohttp.ClientResponse) -> ClientError:
    try:
        text = await AsyncReader(PLAIN_BODY(answer, None)).read(LONGEST_ERROR)
    finally:
        answer.close()
    parsed: Any = error_of(answer.status, text.decode("utf-8", "replace"))
    return ClientError(parsed, "GetObject")
