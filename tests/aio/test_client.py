"""The asynchronous client on moto: what it stores the synchronous one reads, and the other way round."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import s3ec.aio
from s3ec import AesKeyring
from s3ec.dates import parse_date
from s3ec.errors import (
    AuthenticationError,
    ConfigurationError,
    NotEncryptedError,
    UnsupportedOperationError,
)

from support.loops import on_loop

MiB = 1024 * 1024


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, MiB, MiB + 1, 3 * MiB + 17])
@on_loop
async def test_both_clients_read_what_either_wrote(
    size: int, open_client: Callable[..., Any], make_client: Callable[..., Any], bucket: str, plain_s3: Any
) -> None:
    """Any size, either way, with the plaintext's own length."""
    data = os.urandom(size)
    sync = make_client(keyring=AesKeyring(bytes(32)))
    async with open_client() as s3:
        await s3.put_object(Bucket=bucket, Key="async", Body=data, Metadata={"a": "b"})
        sync.put_object(Bucket=bucket, Key="sync", Body=data)
        for key in ("async", "sync"):
            assert plain_s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == size + 16
            assert sync.get_object(Bucket=bucket, Key=key)["Body"].read() == data
            answer = await s3.get_object(Bucket=bucket, Key=key)
            assert answer["ContentLength"] == size
            assert await answer["Body"].read() == data
            assert (await s3.head_object(Bucket=bucket, Key=key))["ContentLength"] == size
        assert (await s3.head_object(Bucket=bucket, Key="async"))["Metadata"] == {"a": "b"}


@on_loop
async def test_an_altered_object_gives_nothing(open_client: Callable[..., Any], bucket: str, plain_s3: Any) -> None:
    """Not one byte, and the same error at every read."""
    async with open_client() as s3:
        await s3.put_object(Bucket=bucket, Key="k", Body=bytes(2 * MiB))
        stored = plain_s3.get_object(Bucket=bucket, Key="k")
        altered = bytearray(stored["Body"].read())
        altered[5] ^= 1
        plain_s3.put_object(Bucket=bucket, Key="k", Body=bytes(altered), Metadata=stored["Metadata"])
        body = (await s3.get_object(Bucket=bucket, Key="k"))["Body"]
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                await body.read(1)


@on_loop
async def test_objects_in_plaintext_are_refused(open_client: Callable[..., Any], bucket: str, plain_s3: Any) -> None:
    """Unless they are allowed by name."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"plain")
    async with open_client() as s3:
        with pytest.raises(NotEncryptedError):
            await s3.get_object(Bucket=bucket, Key="k")
    async with open_client(unencrypted_objects="allow") as s3:
        assert await (await s3.get_object(Bucket=bucket, Key="k"))["Body"].read() == b"plain"


@on_loop
async def test_kms_is_asked_through_aiobotocore(
    open_client: Callable[..., Any], bucket: str, kms_key: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the client's own session: no client of boto3's is made for it."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", endpoint)
    monkeypatch.setattr(boto3.Session, "client", None)
    async with open_client(kms_key_id=kms_key) as s3:
        await s3.put_object(Bucket=bucket, Key="k", Body=b"abc", EncryptionContext={"team": "hr"})
        answer = await s3.get_object(Bucket=bucket, Key="k", EncryptionContext={"team": "hr"})
        assert await answer["Body"].read() == b"abc"


@on_loop
async def test_sessions_whose_clients_encrypt(aws: dict[str, Any], bucket: str, plain_s3: Any) -> None:
    """Installed on one, or born so, and taken off again."""
    from aiobotocore.session import AioSession

    installed = AioSession()
    s3ec.aio.install(installed, keyring=AesKeyring(bytes(32)))
    for session in (installed, s3ec.aio.Session(keyring=AesKeyring(bytes(32)))):
        assert s3ec.aio.is_encrypting(session)
        async with session.create_client("s3", **aws) as s3:
            assert isinstance(s3, s3ec.aio.EncryptionClient)
            await s3.put_object(Bucket=bucket, Key="k", Body=b"abc")
            assert len(plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read()) == 19
            assert await (await s3.get_object(Bucket=bucket, Key="k"))["Body"].read() == b"abc"
        s3ec.aio.uninstall(session)
        assert not s3ec.aio.is_encrypting(session)
        async with session.create_client("s3", **aws) as s3:
            assert not isinstance(s3, s3ec.aio.EncryptionClient)


@on_loop
async def test_nothing_passes_that_has_no_handler(open_client: Callable[..., Any], bucket: str) -> None:
    """No part in plaintext, should an operation ever be forgotten."""
    async with open_client() as s3:
        del s3._s3ec_handlers["UploadPartCopy"]
        with pytest.raises(UnsupportedOperationError, match="UploadPartCopy is refused"):
            await s3.upload_part_copy(Bucket=bucket, Key="k", UploadId="u", PartNumber=1, CopySource=f"{bucket}/k")


@on_loop
async def test_dates_are_read_quickly_and_are_aiobotocores(
    open_client: Callable[..., Any], aws: dict[str, Any], aio_session: Any, bucket: str
) -> None:
    """By the encrypting client alone; a plain one of the same session keeps its own reader."""
    async with open_client() as s3, aio_session.create_client("s3", **aws) as plain:
        await s3.put_object(Bucket=bucket, Key="k", Body=b"abc")
        assert s3._endpoint._response_parser_factory._defaults == {"timestamp_parser": parse_date}
        assert plain._endpoint._response_parser_factory._defaults == {}
        ours, theirs = [(await client.head_object(Bucket=bucket, Key="k"))["LastModified"] for client in (s3, plain)]
        assert (ours, type(ours.tzinfo)) == (theirs, type(theirs.tzinfo))


@on_loop
async def test_an_asynchronous_generator_is_a_body(open_client: Callable[..., Any], bucket: str) -> None:
    """Its length is known at its end only."""

    async def numbers() -> AsyncIterator[bytes]:
        for number in range(30):
            yield bytes([number]) * 100_000

    async with open_client() as s3:
        await s3.put_object(Bucket=bucket, Key="k", Body=numbers())
        content = await (await s3.get_object(Bucket=bucket, Key="k"))["Body"].read()
        assert content == b"".join([bytes([number]) * 100_000 for number in range(30)])


def test_other_sessions_are_refused_by_name() -> None:
    """And so are misspelt options, before anything is awaited."""
    import boto3

    with pytest.raises(ConfigurationError, match=r"takes an aiobotocore\.session\.AioSession"):
        s3ec.aio.EncryptionClient(session=boto3.Session(), keyring=AesKeyring(bytes(32)))
    with pytest.raises(TypeError, match="did you mean keyring"):
        s3ec.aio.EncryptionClient(keyrin=1, keyring=AesKeyring(bytes(32)))


def _of_httpx() -> list[type]:
    """aiobotocore's sessions on httpx where that is installed, and what is made like them where it is not."""
    from aiobotocore.httpsession import AIOHTTPSession

    try:
        from aiobotocore import httpxsession
    except ImportError:
        httpxsession = None
    if getattr(httpxsession, "httpx", None) is None:
        made = type("HttpxSession", (AIOHTTPSession,), {"__module__": "aiobotocore.httpxsession"})
    else:
        made = httpxsession.HttpxSession
    return [made, type("Own", (made,), {})]


@pytest.mark.parametrize("kind", _of_httpx(), ids=lambda kind: kind.__name__)
@on_loop
async def test_connections_by_httpx_are_refused(aws: dict[str, Any], bucket: str, kind: type) -> None:
    """By name when the client is made, so that no key is touched: answers cannot be read in pieces."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession

    try:
        options = {**aws, "config": AioConfig(http_session_cls=kind)}
    except TypeError:
        pytest.skip("this aiobotocore knows aiohttp alone")
    with pytest.raises(ConfigurationError, match=kind.__name__):
        async with s3ec.aio.EncryptionClient(keyring=AesKeyring(bytes(32)), **options):
            pass
    session = AioSession()
    s3ec.aio.install(session, keyring=AesKeyring(bytes(32)))
    with pytest.raises(ConfigurationError, match=kind.__name__):
        async with session.create_client("s3", **options):
            pass
