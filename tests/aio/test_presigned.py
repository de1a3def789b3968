"""Presigned uploads that encrypt, made by the asynchronous client, and downloads that it opens."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
    ResponseStreamingError,
    SSLError,
)

import s3ec
import s3ec.aio
from s3ec import AesKeyring, KmsKeyring
from s3ec.errors import (
    AuthenticationError,
    ConfigurationError,
    EncryptionContextMismatchError,
    NotEncryptedError,
    UnsupportedOperationError,
)

from support.loops import on_loop
from support.lying_s3 import LyingS3


@on_loop
async def test_there_and_back(open_client: Callable[..., Any], bucket: str) -> None:
    """Tickets of many tasks each have headers of their own, and store what the client reads."""
    async with open_client() as s3:
        tickets = await asyncio.gather(
            *(
                s3ec.aio.presigned_upload(s3, Bucket=bucket, Key=f"k{number}", Metadata={"mine": str(number)})
                for number in range(8)
            ),
            s3.put_object(Bucket=bucket, Key="other", Body=b"meanwhile", Metadata={"mine": "other"}),
        )
        for number, ticket in enumerate(tickets[:-1]):
            holder = s3ec.PresignedUpload.from_json(ticket.to_json())
            await asyncio.to_thread(holder.send, b"%d" % number)
            answer = await s3.get_object(Bucket=bucket, Key=f"k{number}")
            assert await answer["Body"].read() == b"%d" % number
            assert answer["Metadata"] == {"mine": str(number)}


@on_loop
async def test_handlers(open_client: Callable[..., Any], bucket: str) -> None:
    """They see the request before it is encrypted, and change it; afterwards they do not."""
    seen: list[Any] = []

    async def change(params: dict[str, Any], **_: Any) -> None:
        seen.append(dict(params.get("Metadata", {})))
        params["Metadata"] = {**params.get("Metadata", {}), "added": "1"}

    async with open_client() as s3:
        s3.meta.events.register("provide-client-params.s3.PutObject", change)
        ticket = await s3ec.aio.presigned_upload(s3, Bucket=bucket, Key="k")
        assert (seen, ticket.headers["x-amz-meta-added"]) == ([{}], "1")
        s3.meta.events.unregister("provide-client-params.s3.PutObject", change)

        def late(request: Any, **_: Any) -> None:
            request.headers["x-amz-meta-x-amz-3"] = "another data key"

        s3.meta.events.register("before-sign.s3.PutObject", late)
        with pytest.raises(UnsupportedOperationError, match="x-amz-3"):
            await s3ec.aio.presigned_upload(s3, Bucket=bucket, Key="l")


@on_loop
async def test_refused(open_client: Callable[..., Any], bucket: str, plain_s3: Any) -> None:
    """Before any key is touched: other clients, and instruction files."""
    with pytest.raises(ConfigurationError, match=r"takes an s3ec\.aio"):
        await s3ec.aio.presigned_upload(plain_s3, Bucket=bucket, Key="k")
    async with open_client(instruction_file_writes=True) as s3:
        with pytest.raises(UnsupportedOperationError, match="instruction files"):
            await s3ec.aio.presigned_upload(s3, Bucket=bucket, Key="k")


class TestDownloads:
    """What a holder of a URL opens, with the synchronous client's answers and refusals."""

    @pytest.mark.parametrize("size", [0, 5, 3_000_000])
    @pytest.mark.parametrize("options", [{}, {"buffer_size": 1000}, {"enable_delayed_authentication": True}], ids=str)
    @on_loop
    async def test_decrypted_locally(
        self, open_client: Callable[..., Any], bucket: str, size: int, options: dict[str, Any]
    ) -> None:
        """Of any size, by every way to hand out, with a URL that the asynchronous client signs."""
        place = {"Bucket": bucket, "Key": "a folder/k ey"}
        async with open_client() as s3:
            await s3.put_object(**place, Body=bytes(size))
            url = await s3.generate_presigned_url("get_object", Params=place)
            async with await s3ec.aio.decrypt_presigned(url, keyring=AesKeyring(bytes(32)), **options) as body:
                assert await body.read() == bytes(size)
                assert await body.read() == b""
            unread = await s3ec.aio.decrypt_presigned(url, keyring=AesKeyring(bytes(32)))
            unread.close()

    @on_loop
    async def test_through_kms(
        self, open_client: Callable[..., Any], bucket: str, kms: Any, kms_key: str, plain_s3: Any
    ) -> None:
        """Contexts are compared; what nobody encrypted, and what is not there, have their own errors."""
        keyring = KmsKeyring(kms_key, client=kms)
        plain_s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
        async with open_client(keyring=keyring) as s3:
            await s3.put_object(Bucket=bucket, Key="k", Body=b"x", EncryptionContext={"team": "hr"})

            async def opened(key: str, **more: Any) -> bytes:
                url = await s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
                async with await s3ec.aio.decrypt_presigned(url, keyring=keyring, **more) as body:
                    content: bytes = await body.read()
                    return content

            assert await opened("k", EncryptionContext={"team": "hr"}) == b"x"
            with pytest.raises(EncryptionContextMismatchError):
                await opened("k")
            with pytest.raises(NotEncryptedError):
                await opened("plain")
            with pytest.raises(ClientError) as caught:
                await opened("absent")
            assert caught.value.response["Error"]["Code"] == "NoSuchKey"
            assert caught.value.operation_name == "GetObject"
            for wrong in ({"bind_object": True}, {"Bucket": "b"}, {"unencrypted_objects": "allow"}):
                with pytest.raises(ConfigurationError):
                    await opened("k", **wrong)
            with pytest.raises(TypeError, match="bogus"):
                await opened("k", bogus=1)

    @pytest.mark.parametrize(
        ("lie", "found"),
        [
            ({"cut_answers": 1}, (IncompleteReadError, ResponseStreamingError, aiohttp.ClientPayloadError)),
            ({"tamper": lambda body: body[:-1] + bytes([body[-1] ^ 1])}, AuthenticationError),
            ({"tamper": lambda body: body[:-17]}, AuthenticationError),
            ({"without": ("Content-Length",)}, AuthenticationError),
        ],
        ids=["cut", "flipped", "shortened", "no length"],
    )
    @on_loop
    async def test_lies(self, server: LyingS3, connect: Callable[..., Any], lie: dict[str, Any], found: Any) -> None:
        """Nothing is handed out, and no connection stays open."""
        async with connect() as s3:
            await s3.put_object(Bucket="b", Key="k", Body=bytes(100_000))
            url = await s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
        for name, value in lie.items():
            setattr(server.lies, name, value)
        with pytest.raises(found):
            async with await s3ec.aio.decrypt_presigned(url, keyring=AesKeyring(bytes(32))) as body:
                await body.read()

    @on_loop
    async def test_no_redirection_is_followed(self) -> None:
        """Headers of the caller's, such as an SSE-C key, stay with the host that they are for."""
        asked: list[bytes] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
            port = other.sockets[0].getsockname()[1]
            with pytest.raises(ClientError, match="307"):
                await s3ec.aio.decrypt_presigned(
                    f"http://127.0.0.1:{port}/b/k%2Bk?a=%2F", headers={"x-mine": "1"}, keyring=AesKeyring(bytes(32))
                )
        assert len(asked) == 1
        assert asked[0].startswith(b"GET /b/k%2Bk?a=%2F HTTP/1.1\r\n")
        assert b"x-mine: 1\r\n" in asked[0]
        assert b"Accept-Encoding: identity\r\n" in asked[0]
        with pytest.raises(EndpointConnectionError):
            await s3ec.aio.decrypt_presigned(f"http://127.0.0.1:{port}/b/k", keyring=AesKeyring(bytes(32)))

    @on_loop
    async def test_over_tls(self, certificate: tuple[str, str]) -> None:
        """The server's certificate and its name are looked at, unless that is turned off."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 404 Not here\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as other:
            url = f"https://127.0.0.1:{other.sockets[0].getsockname()[1]}/b/k"
            for verify, error in ((certificate[0], ClientError), (False, ClientError), (True, SSLError)):
                with pytest.raises(error):
                    await s3ec.aio.decrypt_presigned(url, verify=verify, keyring=AesKeyring(bytes(32)))

    @pytest.mark.parametrize("passes", [0, 1, 3, 5, 10, 30])
    @on_loop
    async def test_cancelled(self, connect: Callable[..., Any], passes: int) -> None:
        """No connection stays open, and the same URL opens afterwards."""
        async with connect() as s3:
            await s3.put_object(Bucket="b", Key="k", Body=bytes(100_000))
            url = await s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})

        async def read() -> bytes:
            async with await s3ec.aio.decrypt_presigned(url, keyring=AesKeyring(bytes(32))) as body:
                content: bytes = await body.read()
                return content

        reading = asyncio.ensure_future(read())
        for _ in range(passes):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert await read() == bytes(100_000)
