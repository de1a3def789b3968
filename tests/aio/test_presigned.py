"""Presigned uploads that encrypt, made by the asynchronous client, and downloads that it opens."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import io
import pickle
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)

import s3ec
import s3ec.aio
from s3ec import AesKeyring, KmsKeyring
from s3ec.aio import PresignedUpload
from s3ec.errors import (
    AuthenticationError,
    ConfigurationError,
    EncryptionContextMismatchError,
    MultipartStateError,
    NotEncryptedError,
    SourceChangedError,
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
            text = ticket.to_json()
            if number % 2:
                await s3ec.aio.PresignedUpload.from_json(text).send(b"%d" % number)
            else:
                await asyncio.to_thread(s3ec.PresignedUpload.from_json(text).send, b"%d" % number)
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


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    """A body that is waited for."""
    for start in range(0, len(data), 100_000):
        await asyncio.sleep(0)
        yield data[start : start + 100_000]


class Waiting:
    """A file whose ``read`` is a coroutine function."""

    def __init__(self, data: bytes) -> None:
        """Take the content."""
        self._file = io.BytesIO(data)

    async def read(self, size: int = -1) -> bytes:
        """As a file."""
        await asyncio.sleep(0)
        return self._file.read(size)


class TestSending:
    """By its holder, from a task: with the answers and the refusals of the synchronous client's ``send``."""

    @pytest.fixture
    def tickets(self, make_client: Callable[..., Any], bucket: str) -> Callable[..., PresignedUpload]:
        """Gives tickets as they are handed over, that S3 itself would take any number of times."""

        def give(key: str, **more: Any) -> PresignedUpload:
            ticket = s3ec.presigned_upload(
                make_client(keyring=AesKeyring(bytes(32))), Bucket=bucket, Key=key, **{"overwrite": True, **more}
            )
            return PresignedUpload.from_json(ticket.to_json())

        return give

    @pytest.mark.parametrize("size", [0, 5, 300_000, 3_000_000])
    @pytest.mark.parametrize("body", [bytes, io.BytesIO, pieces, Waiting])
    @on_loop
    async def test_what_is_stored(
        self, tickets: Callable[..., PresignedUpload], make_client: Callable[..., Any], plain_s3: Any, bucket: str,
        size: int, body: Callable[[bytes], Any],
    ) -> None:  # fmt: skip
        """The same of every kind of body: ciphertext, the metadata, and what S3 makes of it without being told."""
        data = bytes(range(256)) * (size // 256 + 1)
        data = data[:size]
        etag = await tickets("ours", Metadata={"mine": "1"}).send(body(data))
        client = make_client(keyring=AesKeyring(bytes(32)))
        s3ec.presigned_upload(client, Bucket=bucket, Key="theirs", Metadata={"mine": "1"}).send(data)
        ours, theirs = (plain_s3.get_object(Bucket=bucket, Key=key) for key in ("ours", "theirs"))
        assert (ours["ETag"], len(ours["Body"].read())) == (etag, size + 16)
        assert ours["ContentType"] == theirs["ContentType"]
        answer = client.get_object(Bucket=bucket, Key="ours")
        assert (answer["Body"].read(), answer["Metadata"]) == (data, {"mine": "1"})

    @on_loop
    async def test_used_once(self, tickets: Callable[..., PresignedUpload]) -> None:
        """By two tasks at once, by one after the other, and by one that has another object of the same key."""
        ticket = tickets("k")
        other = PresignedUpload(ticket.url, ticket.headers, ticket.cipher)
        begun = await asyncio.gather(
            *(each.send(pieces(bytes(300_000))) for each in (ticket, ticket, other)), return_exceptions=True
        )
        assert [type(each) for each in begun] == [str, MultipartStateError, MultipartStateError]
        for again in (ticket, other):
            with pytest.raises(MultipartStateError, match="used already"):
                await again.send(b"second")
            with pytest.raises(MultipartStateError, match="used already"):
                again.to_json()
        given = tickets("l")
        given.to_json()
        with pytest.raises(MultipartStateError, match="handed over"):
            await given.send(b"second")
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="used once"):
                copied(given)  # type: ignore[operator]
        assert given.cipher.key.reveal().hex() not in repr(given)
        assert "Signature" not in repr(given)

    @on_loop
    async def test_refused_bodies(self, tickets: Callable[..., PresignedUpload]) -> None:
        """What is not a body encrypts nothing, and the ticket is still good; one that changes uses it up."""

        class Shrinking(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                return super().read(size) if self.tell() < 100_000 else b""

        ticket = tickets("k")
        for wrong in (5, None):
            with pytest.raises((TypeError, ValueError)):
                await ticket.send(wrong)
        assert await ticket.send(b"body")
        ticket = tickets("l")
        with pytest.raises(SourceChangedError):
            await ticket.send(Shrinking(bytes(7_000_000)))
        with pytest.raises(MultipartStateError, match="used already"):
            await ticket.send(b"body")

    @on_loop
    async def test_what_s3_refuses(self, tickets: Callable[..., PresignedUpload]) -> None:
        """Is a ``ClientError`` of PutObject."""
        await tickets("k").send(b"first")
        with pytest.raises(ClientError) as caught:
            await tickets("k", overwrite=False).send(b"second")
        assert caught.value.operation_name == "PutObject"
        assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412

    @pytest.mark.parametrize("size", [5, 3_000_000])
    @on_loop
    async def test_a_cut_connection(self, tickets: Callable[..., PresignedUpload], size: int) -> None:
        """Is botocore's error, and nothing is sent a second time: S3 may have carried it out."""
        asked: list[bytes] = []

        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(size + 16)
            writer.close()

        async with await asyncio.start_server(cut, "127.0.0.1", 0) as other:
            port = other.sockets[0].getsockname()[1]
            ticket = tickets("k")
            ticket.url = f"http://127.0.0.1:{port}/b/k%2Bk?a=%2F"
            with pytest.raises(ConnectionClosedError):
                await ticket.send(bytes(size))
        assert len(asked) == 1
        assert asked[0].startswith(b"PUT /b/k%2Bk?a=%2F HTTP/1.1\r\n")
        assert f"content-length: {size + 16}\r\n".encode() in asked[0].lower()
        for header in (b"\r\ntransfer-encoding:", b"\r\nexpect:", b"\r\ncontent-type:"):
            assert header not in asked[0].lower()
        ticket = tickets("k")
        ticket.url = f"http://127.0.0.1:{port}/b/k"
        with pytest.raises(EndpointConnectionError):
            await ticket.send(b"")

    @on_loop
    async def test_a_server_that_is_silent(
        self, tickets: Callable[..., PresignedUpload], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Has botocore's errors: for a connection that is not made, and for an answer that does not come."""
        monkeypatch.setattr("botocore.httpsession.DEFAULT_TIMEOUT", 0.1)
        with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
            ticket = tickets("k")
            ticket.url = f"http://127.0.0.1:{silent.getsockname()[1]}/b/k"
            with pytest.raises(ReadTimeoutError):
                await ticket.send(b"body")

            async def never(*_: Any, **__: Any) -> Any:
                await asyncio.Event().wait()

            # Connecting, as a router lets it end that drops what it is sent.
            monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", never)
            ticket = tickets("k")
            ticket.url = f"http://127.0.0.1:{silent.getsockname()[1]}/b/k"
            with pytest.raises(ConnectTimeoutError):
                await ticket.send(b"body")

    @pytest.mark.parametrize("passes", [0, 1, 3, 5, 10, 30])
    @pytest.mark.parametrize("body", [bytes, pieces])
    @on_loop
    async def test_cancelled(
        self, server: LyingS3, connect: Callable[..., Any], passes: int, body: Callable[[bytes], Any]
    ) -> None:
        """The key is used or it is not, and no second body is ever encrypted under it."""
        async with connect() as s3:
            ticket = await s3ec.aio.presigned_upload(s3, Bucket="b", Key="k", overwrite=True)
        sending = asyncio.ensure_future(ticket.send(body(bytes(2_000_000))))
        for _ in range(passes):
            await asyncio.sleep(0)
        sending.cancel()
        (ended,) = await asyncio.gather(sending, return_exceptions=True)
        assert isinstance(ended, (str, asyncio.CancelledError))
        if passes:
            with pytest.raises(MultipartStateError, match="used already"):
                await ticket.send(b"other")
        else:
            assert await ticket.send(b"other")

    @on_loop
    async def test_cancelled_on_its_way(
        self, tickets: Callable[..., PresignedUpload], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While the server waits for the body, or does not answer: the connection is closed, and so is the spool."""
        monkeypatch.setattr("s3ec.aio.presigned.KEPT_IN_MEMORY", 1000)
        files: list[Any] = []
        make = tempfile.TemporaryFile
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **how: files.append(make(**how)) or files[-1])
        for waits_for in (0, 40_000_016):
            asked, cut = asyncio.Event(), asyncio.Event()

            async def wait(
                reader: asyncio.StreamReader,
                writer: asyncio.StreamWriter,
                size: int = waits_for,
                asked: asyncio.Event = asked,
                cut: asyncio.Event = cut,
            ) -> None:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(size)
                asked.set()
                with contextlib.suppress(ConnectionError):
                    while await reader.read(2**20):
                        pass
                cut.set()
                writer.close()

            async with await asyncio.start_server(wait, "127.0.0.1", 0) as other:
                ticket = tickets("k")
                ticket.url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}/b/k"
                sending = asyncio.ensure_future(ticket.send(bytes(40_000_000)))
                await asked.wait()
                sending.cancel()
                with pytest.raises(asyncio.CancelledError) as ended:
                    await sending
                # Whoever keeps the error keeps all that it passed.
                assert ended.value.__traceback__ is not None
                assert [file.closed for file in files] == [True] * len(files) != []
                await cut.wait()

    @on_loop
    async def test_an_answer_that_goes_on(self, tickets: Callable[..., PresignedUpload]) -> None:
        """Is not waited for: the connection is closed."""
        cut = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 100\r\n\r\nsome')
            with contextlib.suppress(ConnectionError):
                while await reader.read(2**20):
                    pass
            cut.set()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
            ticket = tickets("k")
            ticket.url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}/b/k"
            assert await ticket.send(b"body") == '"e"'
            await cut.wait()


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
