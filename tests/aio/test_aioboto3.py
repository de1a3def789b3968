"""aioboto3's sessions, whose clients are made when they are entered, and have transfers of their own."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest

import s3ec.aio
from s3ec import AesKeyring
from s3ec.errors import ConfigurationError, UnsupportedOperationError

from support.loops import on_loop

aioboto3 = pytest.importorskip("aioboto3", reason="it pins one aiobotocore: tox -e aio-lowest has it")

KEYRING = AesKeyring(bytes(32))
TRANSFERS = ("upload_file", "upload_fileobj", "download_file", "download_fileobj", "copy")


@on_loop
async def test_installed_on_a_session(aws: dict[str, Any], bucket: str, plain_s3: Any) -> None:
    """Its clients and its resources encrypt."""
    session = aioboto3.Session()
    s3ec.aio.install(session, keyring=KEYRING)
    assert s3ec.aio.is_encrypting(session)
    assert s3ec.is_encrypting(session)
    async with session.client("s3", **aws) as s3:
        assert s3ec.aio.is_encrypting(s3)
        await s3.put_object(Bucket=bucket, Key="k", Body=b"abc")
    async with session.resource("s3", **aws) as resource:
        found = await resource.Object(bucket, "k")
        assert await (await found.get())["Body"].read() == b"abc"
        assert await found.content_length == 3
        await found.put(Body=b"abcdef")
    assert len(plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read()) == 6 + 16


@on_loop
async def test_one_client_of_a_session(aws: dict[str, Any], bucket: str, plain_s3: Any) -> None:
    """The session is as it was afterwards."""
    session = aioboto3.Session()
    async with s3ec.aio.EncryptionClient(session=session, keyring=KEYRING, **aws) as s3:
        await s3.put_object(Bucket=bucket, Key="k", Body=b"abc")
        assert len(plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read()) == 19
    async with session.client("s3", **aws) as plain:
        assert not s3ec.aio.is_encrypting(plain)


@on_loop
async def test_its_transfers_never_go_by_the_client(aws: dict[str, Any], bucket: str, plain_s3: Any) -> None:
    """Either they are the client's own, or they are refused; what is stored is encrypted."""
    secret = os.urandom(1000)
    async with s3ec.aio.EncryptionClient(session=aioboto3.Session(), keyring=KEYRING, **aws) as s3:
        for name in TRANSFERS:
            assert type(s3).__mro__[1].__dict__[name] is getattr(s3ec.aio.EncryptionClient, name)
        try:
            await s3.upload_fileobj(io.BytesIO(secret), bucket, "k")
        except UnsupportedOperationError:
            return
        assert secret not in plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_the_synchronous_doors_refuse_it() -> None:
    """It passes for a session of boto3's, and would store plaintext."""
    with pytest.raises(ConfigurationError, match=r"s3ec\.aio"):
        s3ec.install(aioboto3.Session(), keyring=KEYRING)
    with pytest.raises(ConfigurationError, match=r"s3ec\.aio"):
        s3ec.EncryptionClient(session=aioboto3.Session(), keyring=KEYRING)
