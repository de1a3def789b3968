"""Presigned requests of the asynchronous client; see `s3ec.client.tools.presigned`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
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
from s3ec.aio.ciphertext import StoredCiphertext, encrypted_body
from s3ec.aio.client import EncryptionClient
from s3ec.aio.handlers import AsyncEventsOfCall
from s3ec.aio.making import split_options
from s3ec.aio.plaintext import DecryptedBody
from s3ec.aio.reader import PLAIN_BODY, AsyncReader
from s3ec.aio.releases import opened_whole
from s3ec.aio.soundness import broken_off
from s3ec.aio.sources import open_body
from s3ec.aio.wire import AsyncWire
from s3ec.aio.work import off_loop
from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.client.calls.handlers import sending_view
from s3ec.client.calls.presigning import recorded_headers
from s3ec.client.calls.seals import Seal
from s3ec.client.tools.presigned import KEPT_IN_MEMORY, LONGEST_ERROR, rules_of_one_object
from s3ec.client.tools.tickets import HeldUpload
from s3ec.errors import ConfigurationError
from s3ec.materials import StoredContext
from s3ec.s3.contents import WholeContent
from s3ec.s3.flow import Effect, Unwrap
from s3ec.s3.presigned import error_of, headers_to_send, open_answer, upload_to_sign
from s3ec.s3.put_object import check_length

__all__ = ["PresignedUpload", "decrypt_presigned", "presigned_upload"]


class PresignedUpload(HeldUpload):
    """One upload to hand to a person without AWS credentials, sent by a task; see `s3ec.PresignedUpload`.

    Either reads what the other's ``to_json`` wrote.

    Attributes:
        url: where to PUT, valid for a limited time.
        headers: what the request must carry; they are part of the signature.
        cipher: encrypts exactly one plaintext.
    """

    __slots__ = ()

    async def send(self, body: Any, *, verify: bool | str = True) -> str:
        """Encrypt a body and upload it. Once: a second body under the same key would give both away.

        Args:
            body: any body that put_object of the asynchronous client takes.
            verify: as for boto3: True, or the path of a CA bundle.

        Returns:
            The object's ETag.

        Raises:
            MultipartStateError: the upload was sent or handed over before, or belongs to another process.
            SourceChangedError: the body gave other bytes, or fewer, than it said.
            botocore.exceptions.ClientError: S3 refuses, for instance with 412 where the object exists already.
            asyncio.CancelledError: the upload is used up, and S3 may have taken the object.
        """
        with self._ticket.using():
            source = open_body(body, None)
            check_length(source.length)
        ciphertext = await encrypted_body(
            source, self.cipher, PlaintextClaims(None, {}), buffer_size=KEPT_IN_MEMORY, spool_directory=None
        )
        headers = {**self.headers, "Content-Length": str(len(ciphertext))}
        try:
            answer = await _send("PUT", self.url, headers, _Once(ciphertext), verify)
        finally:
            if isinstance(ciphertext, StoredCiphertext):
                await ciphertext.close()
        answer.close()
        return str(answer.headers.get("ETag"))


class _Once:
    """A body as aiohttp takes it, which would send another one where the connection was cut: S3 may have this one."""

    def __init__(self, ciphertext: bytes | StoredCiphertext) -> None:
        self._pieces = _piece(ciphertext) if isinstance(ciphertext, bytes) else ciphertext.pieces()
        self._is_begun = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._is_begun:
            raise aiohttp.ServerDisconnectedError
        self._is_begun = True
        return self._pieces


async def _piece(data: bytes) -> AsyncIterator[bytes]:
    yield data


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
        What `s3ec.presigned_upload` gives, with ``send`` as a coroutine function.

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
    named = {**parameters, "Bucket": Bucket, "Key": Key}
    ready = await wire.run(upload_to_sign(wire, named, EncryptionContext, overwrite=overwrite))
    heard: Any = ready.heard
    view = sending_view(client, client._s3ec_sender, heard, None, AsyncEventsOfCall)
    with recorded_headers(client) as recorded:
        url = await view.generate_presigned_url("put_object", Params=ready.request, ExpiresIn=ExpiresIn)
    Seal("PutObject", ready.request).check(None, recorded, "before-sign")
    return PresignedUpload(url, headers_to_send(url, recorded), ready.cipher)


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
    answer = await _send("GET", url, headers or {}, None, verify)
    try:
        opened = await driver.run(open_answer(rules, _headers(answer), EncryptionContext, arn), _unwrap)
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


async def _send(
    method: str, url: str, headers: Mapping[str, str], body: _Once | None, verify: bool | str
) -> aiohttp.ClientResponse:
    """Send one request, by a connection that ends with the answer; a redirection is not followed.

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
        skip_auto_headers={"Content-Type"},  # S3 would store aiohttp's
    )
    sent = {**headers, "Accept-Encoding": "identity"}
    try:
        answer = await session.request(method, URL(url, encoded=True), headers=sent, data=body, allow_redirects=False)
        if answer.status >= 300:
            raise await _refusal(answer, "PutObject" if method == "PUT" else "GetObject")  # noqa: TRY301 - told apart from an error of the connection by its class
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
        raise broken_off(error, AWSRequest(method, url)) from error
    finally:
        # The answer keeps its connection, which is closed with it; the session has no other.
        session.detach()
    return answer


def _headers(answer: aiohttp.ClientResponse) -> HeadersDict:
    """As botocore has them."""
    found = HeadersDict()
    for name, value in answer.headers.items():
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _tls(verify: Any) -> ssl.SSLContext | bool:
    """What aiohttp takes for boto3's ``verify``; reading certificates takes its time."""
    certificates = httpsession.get_cert_path(verify)
    return ssl.create_default_context(cafile=certificates) if certificates else False


async def _refusal(answer: aiohttp.ClientResponse, operation_name: str) -> ClientError:
    try:
        text = await AsyncReader(PLAIN_BODY(answer, None)).read(LONGEST_ERROR)
    finally:
        answer.close()
    parsed: Any = error_of(answer.status, text.decode("utf-8", "replace"))
    return ClientError(parsed, operation_name)
