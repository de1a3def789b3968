"""What the asynchronous client says and does about objects and buckets, beside the operations of S3."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

import s3ec
import s3ec.aio
from s3ec import EncryptionClient, KmsKeyring, SseKms, SseS3
from s3ec.errors import AuthenticationError, ConfigurationError

from support.loops import on_loop
from support.lying_s3 import LyingS3


@pytest.mark.parametrize("options", [{}, {"instruction_file_writes": True}], ids=["metadata", "instruction file"])
@on_loop
async def test_inspect(
    open_client: Callable[..., Any],
    aws: dict[str, Any],
    aio_session: Any,
    bucket: str,
    kms: Any,
    kms_key: str,
    options: dict[str, Any],
) -> None:
    """It says what the synchronous function says, with an encrypting client and with a plain one."""
    place = {"Bucket": bucket, "Key": "k"}
    keyring = KmsKeyring(kms_key, client=kms)
    sync = EncryptionClient(keyring=keyring, **aws)
    async with open_client(keyring=keyring, **options) as s3, aio_session.create_client("s3", **aws) as plain:
        await s3.put_object(**place, Body=bytes(100), EncryptionContext={"team": "hr"})
        wanted = s3ec.inspect(sync, **place)
        assert wanted.encryption_context is not None
        assert (wanted.plaintext_length, wanted.encryption_context["team"]) == (100, "hr")
        for client in (s3, plain):
            assert await s3ec.aio.inspect(client, **place) == wanted
        with pytest.raises(ClientError, match="404"):
            await s3ec.aio.inspect(s3, Bucket=bucket, Key="absent")
    sync.close()


@on_loop
async def test_inspect_is_lied_to(server: LyingS3, connect: Callable[..., Any]) -> None:
    """An answer that does not say how long the object is says nothing."""
    async with connect() as s3:
        await s3.put_object(Bucket="b", Key="k", Body=b"text")
        server.lies.without = ("Content-Length",)
        with pytest.raises(AuthenticationError):
            await s3ec.aio.inspect(s3, Bucket="b", Key="k")


class TestBuckets:
    """The synchronous functions, asked through the connections of the asynchronous client."""

    @on_loop
    async def test_defaults_and_requirements(self, open_client: Callable[..., Any], bucket: str, kms_key: str) -> None:
        """What one sets the other reads."""
        arn = f"arn:aws:kms:us-east-1:123456789012:key/{kms_key.rpartition('/')[2]}"
        async with open_client() as s3:
            await s3ec.aio.set_default_encryption(s3, Bucket=bucket, mode=SseKms(arn, bucket_key=True))
            assert await s3ec.aio.get_default_encryption(s3, Bucket=bucket) == SseKms(arn, bucket_key=True)
            assert await s3ec.aio.required_encryption(s3, Bucket=bucket) is None
            policy = await s3ec.aio.require_encryption(s3, Bucket=bucket, mode=SseS3())
            assert policy["Statement"]
            found = await s3ec.aio.required_encryption(s3, Bucket=bucket)
            assert found is not None
            assert found.mode == SseS3()
            assert await s3ec.aio.unrequire_encryption(s3, Bucket=bucket)
            with pytest.raises(ClientError, match="NoSuchBucket"):
                await s3ec.aio.get_default_encryption(s3, Bucket="absent-bucket")

    @pytest.mark.parametrize("copy_limit", [5 * 1024**3, 5 * 1024 * 1024], ids=["copy", "copy in parts"])
    @on_loop
    async def test_a_mode_is_changed(self, open_client: Callable[..., Any], bucket: str, copy_limit: int) -> None:
        """The content stays encrypted and readable; a copy in parts asks from several threads at once."""
        place, data = {"Bucket": bucket, "Key": "k"}, bytes(11 * 1024 * 1024)
        async with open_client() as s3:
            await s3.put_object(**place, Body=data, Metadata={"mine": "1"})
            done = await s3ec.aio.change_server_side_encryption(s3, **place, mode=SseKms(), copy_limit=copy_limit)
            assert done.method == ("copy" if copy_limit > len(data) else "multipart-copy")
            assert done.after.name == "SSE-KMS"
            answer = await s3.get_object(**place)
            assert (await answer["Body"].read(), answer["Metadata"]) == (data, {"mine": "1"})

    @on_loop
    async def test_cancelled(self, open_client: Callable[..., Any], bucket: str) -> None:
        """It is carried out to its end, and then the cancellation goes on: nothing of it is left running."""
        async with open_client() as s3:
            setting = asyncio.ensure_future(s3ec.aio.set_default_encryption(s3, Bucket=bucket, mode=SseKms()))
            await asyncio.sleep(0)
            setting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await setting
            assert isinstance(await s3ec.aio.get_default_encryption(s3, Bucket=bucket), SseKms)

    @on_loop
    async def test_other_clients(self, plain_s3: Any, bucket: str) -> None:
        """They are refused, before a thread waits for them."""
        with pytest.raises(ConfigurationError, match="takes a client of aiobotocore's"):
            await s3ec.aio.get_default_encryption(plain_s3, Bucket=bucket)
