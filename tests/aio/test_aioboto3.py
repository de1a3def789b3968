"""aioboto3's sessions, whose clients are made when they are entered, and have transfers of their own."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

import s3ec.aio
from s3ec import AesKeyring
from s3ec.errors import ConfigurationError, UnsupportedOperationError

from support.loops import on_loop

aioboto3 = pytest.importorskip("aioboto3", reason="it pins one aiobotocore: tox -e aio-lowest has it")

aiofiles = pytest.importorskip("aiofiles", reason="aioboto3 brings it")

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
    """They are the client's own; what is stored is encrypted."""
    secret = os.urandom(1000)
    async with s3ec.aio.EncryptionClient(session=aioboto3.Session(), keyring=KEYRING, **aws) as s3:
        for name in TRANSFERS:
            assert type(s3).__mro__[1].__dict__[name] is getattr(s3ec.aio.EncryptionClient, name)
        await s3.upload_fileobj(io.BytesIO(secret), bucket, "k")
        assert secret not in plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read()


@pytest.mark.parametrize("size", [1000, 6 * 1024 * 1024], ids=["in one", "in parts"])
@on_loop
async def test_transfers_of_resources(
    aws: dict[str, Any], bucket: str, plain_s3: Any, tmp_path: Path, size: int
) -> None:
    """Those of buckets and objects too: up, down and across, from files and into files of aiofiles."""
    secret = os.urandom(size)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(secret)
    config = TransferConfig(multipart_threshold=5 * 1024 * 1024, multipart_chunksize=5 * 1024 * 1024)
    session = aioboto3.Session()
    s3ec.aio.install(session, keyring=KEYRING)
    async with session.resource("s3", **aws) as resource:
        place, thing = await resource.Bucket(bucket), await resource.Object(bucket, "thing")
        for holder, key in ((place, ("k",)), (thing, ())):
            whose = key[0] if key else "thing"
            await holder.upload_file(str(source), *key, Config=config)
            stored = plain_s3.get_object(Bucket=bucket, Key=whose)["Body"].read()
            assert len(stored) == size + 16
            assert secret[:100] not in stored
            async with aiofiles.open(source, "rb") as file:
                await holder.upload_fileobj(file, *key, Config=config)
            assert plain_s3.get_object(Bucket=bucket, Key=whose)["Body"].read() != stored
            await holder.copy({"Bucket": bucket, "Key": "k"}, *(("copy",) if key else ()), Config=config)
            await holder.download_file(*(key or ()), str(target), Config=config)
            assert target.read_bytes() == secret
            async with aiofiles.open(target, "wb") as file:
                await holder.download_fileobj(*(key or ()), file, Config=config)
            assert target.read_bytes() == secret
        copied = await resource.Object(bucket, "copy")
        assert await (await copied.get())["Body"].read() == secret
        assert await copied.content_length == size
        sizes = {summary.key: await summary.size async for summary in place.objects.all()}
        assert sizes == dict.fromkeys(["copy", "k", "thing"], size + 16)
        await place.objects.all().delete()
        assert [summary async for summary in place.objects.all()] == []


@on_loop
async def test_what_its_transfers_take_beside_boto3s(aws: dict[str, Any], bucket: str, plain_s3: Any) -> None:
    """A callback may be a coroutine function and hears of increments; `Processing` is refused by name."""
    told: list[int] = []

    async def tell(count: int) -> None:
        await asyncio.sleep(0)
        told.append(count)

    async def fail(_: int) -> None:
        raise ZeroDivisionError

    secret = os.urandom(3000)
    place = (bucket, "k")
    async with s3ec.aio.EncryptionClient(session=aioboto3.Session(), keyring=KEYRING, **aws) as s3:
        with pytest.raises(UnsupportedOperationError, match="Processing is refused"):
            await s3.upload_fileobj(io.BytesIO(secret), *place, Processing=bytes.upper)
        assert "Contents" not in plain_s3.list_objects_v2(Bucket=bucket)
        with pytest.raises(ValueError, match="Surprise"):
            await s3.upload_fileobj(io.BytesIO(secret), *place, ExtraArgs={"Surprise": 1})
        with pytest.raises(ZeroDivisionError):
            await s3.upload_fileobj(io.BytesIO(secret), *place, Callback=fail)
        await s3.upload_fileobj(io.BytesIO(secret), *place, {"ContentType": "text/x"}, tell, None, None)
        assert sum(told) == len(secret)
        assert plain_s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/x"
        target = io.BytesIO()
        await s3.download_fileobj(*place, target, {"RequestPayer": "requester"}, tell)
        assert target.getvalue() == secret
        assert sum(told) == 2 * len(secret)
        await s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", Callback=tell, SourceClient=s3)
        assert sum(told) > 2 * len(secret)


def test_the_synchronous_doors_refuse_it() -> None:
    """It passes for a session of boto3's, and would store plaintext."""
    with pytest.raises(ConfigurationError, match=r"s3ec\.aio"):
        s3ec.install(aioboto3.Session(), keyring=KEYRING)
    with pytest.raises(ConfigurationError, match=r"s3ec\.aio"):
        s3ec.EncryptionClient(session=aioboto3.Session(), keyring=KEYRING)
