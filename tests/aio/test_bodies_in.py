"""Bodies on their way in: whatever can be read, encrypted once, and the same bytes at every attempt."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from s3ec import AesKeyring, EncryptionClient
from s3ec.errors import ConfigurationError, SourceChangedError

from support.loops import on_loop
from support.lying_s3 import LyingS3, lying_s3

MiB = 1024 * 1024
PLACE = {"Bucket": "b", "Key": "k"}
LARGE = os.urandom(3 * MiB + 5)


@pytest.fixture(scope="module", params=["http", "https"])
def running(request: pytest.FixtureRequest, certificate: tuple[str, str]) -> Iterator[LyingS3]:
    """A server of either kind."""
    paths = certificate if request.param == "https" else (None, None)
    with lying_s3(certificate=paths[0], key_file=paths[1]) as server:
        yield server


def stored(server: LyingS3) -> bytes:
    """The content, as the synchronous client reads it."""
    s3 = EncryptionClient(**server.arguments(keyring=AesKeyring(bytes(32))))
    try:
        return bytes(s3.get_object(**PLACE)["Body"].read())
    finally:
        s3.close()


class AsyncFile:
    """As aiofiles gives one: everything is a coroutine, and iteration is by lines."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    async def read(self, size: int = -1) -> bytes:
        await asyncio.sleep(0)
        return self._file.read(min(size, 70_000))

    async def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    async def tell(self) -> int:
        return self._file.tell()

    def __aiter__(self) -> AsyncFile:
        return self

    async def __anext__(self) -> bytes:
        raise AssertionError("it is read, not iterated over")


async def generated(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    """Pieces of it, an empty one among them."""
    yield b""
    for offset in range(0, len(data), size):
        yield data[offset : offset + size]


class AtAnOffset(io.BytesIO):
    """Stands behind 1,000 bytes that are not part of the content."""

    def __init__(self, data: bytes) -> None:
        super().__init__(bytes(1000) + data)
        self.seek(1000)


KINDS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "a file in memory": io.BytesIO,
    "a file at an offset": AtAnOffset,
    "a stream that cannot be rewound": lambda data: io.BufferedReader(_Raw(data)),
    "an iterator": lambda data: iter([data[:7], data[7:]]),
    "a generator that is asynchronous": generated,
    "an asynchronous file": AsyncFile,
}


class _Raw(io.RawIOBase):
    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)


class TestKinds:
    """Every kind of body, small and large."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("data", [b"", b"x" * 5000, LARGE], ids=["empty", "small", "large"])
    @on_loop
    async def test_it_is_stored_whole(
        self, kind: str, data: bytes, connect: Callable[..., Any], server: LyingS3
    ) -> None:
        async with connect() as s3:
            await s3.put_object(**PLACE, Body=KINDS[kind](data))
        assert stored(server) == data
        assert data[:100] not in server.state.objects["b/k"].body or not data

    @on_loop
    async def test_text_is_sent_as_utf_8(self, connect: Callable[..., Any], server: LyingS3) -> None:
        async with connect() as s3:
            await s3.put_object(**PLACE, Body="Übersicht")
            assert stored(server) == "Übersicht".encode()
            await s3.put_object(**PLACE)
            assert stored(server) == b""

    @on_loop
    async def test_a_file_and_a_reader_of_asyncio(
        self, connect: Callable[..., Any], server: LyingS3, tmp_path: Path
    ) -> None:
        (tmp_path / "big").write_bytes(LARGE)
        reader = asyncio.StreamReader()
        reader.feed_data(LARGE)
        reader.feed_eof()
        async with connect() as s3:
            with (tmp_path / "big").open("rb") as file:
                await s3.put_object(**PLACE, Body=file)
            assert stored(server) == LARGE
            await s3.put_object(**PLACE, Body=reader)
            assert stored(server) == LARGE
            body = (await s3.get_object(**PLACE))["Body"]
            await s3.put_object(Bucket="b", Key="again", Body=body)
            assert await (await s3.get_object(Bucket="b", Key="again"))["Body"].read() == LARGE

    @on_loop
    async def test_what_is_none_of_them_is_refused_before_any_key(
        self, connect: Callable[..., Any], server: LyingS3
    ) -> None:
        async def text() -> AsyncIterator[str]:
            yield "text"

        async with connect() as s3:
            for body in (io.StringIO("text"), text()):
                with pytest.raises(ConfigurationError, match="text"):
                    await s3.put_object(**PLACE, Body=body)
            with pytest.raises(ParamValidationError):
                await s3.put_object(**PLACE, Body=asyncio.sleep)
        assert not server.state.attempts


class TestClaims:
    """What the caller says about the plaintext is verified, and never sent."""

    @pytest.mark.parametrize("kind", KINDS)
    @on_loop
    async def test_a_wrong_length_stores_nothing(self, kind: str, connect: Callable[..., Any], server: LyingS3) -> None:
        async with connect() as s3:
            for wrong in (len(LARGE) - 1, len(LARGE) + 1):
                with pytest.raises((ConfigurationError, SourceChangedError)):
                    await s3.put_object(**PLACE, Body=KINDS[kind](LARGE), ContentLength=wrong)
            assert not server.state.attempts
            await s3.put_object(**PLACE, Body=KINDS[kind](LARGE), ContentLength=len(LARGE))
        assert stored(server) == LARGE

    @on_loop
    async def test_checksums_of_the_plaintext(self, connect: Callable[..., Any], server: LyingS3) -> None:
        right = base64.b64encode(hashlib.sha256(LARGE).digest()).decode()
        async with connect() as s3:
            for body in (LARGE, generated(LARGE)):
                await s3.put_object(**PLACE, Body=body, ChecksumSHA256=right)
                assert stored(server) == LARGE
            count = len(server.state.attempts)
            for body in (LARGE[:-1], generated(LARGE[:-1])):
                with pytest.raises(SourceChangedError, match="ChecksumSHA256"):
                    await s3.put_object(**PLACE, Body=body, ChecksumSHA256=right)
        assert len(server.state.attempts) == count
        assert all(right not in attempt.headers.values() for attempt in server.state.attempts)

    @pytest.mark.parametrize("algorithm", ["SHA256", "SHA1", "CRC32"])
    @on_loop
    async def test_a_checksum_of_the_ciphertext_goes_with_it(
        self, algorithm: str, connect: Callable[..., Any], server: LyingS3
    ) -> None:
        async with connect() as s3:
            await s3.put_object(**PLACE, Body=LARGE, ChecksumAlgorithm=algorithm)
        assert stored(server) == LARGE


class TestAttempts:
    """Each attempt reads a pass of its own: the same ciphertext, and no cipher behind it."""

    @pytest.mark.parametrize(
        ("kind", "size"), [("bytes", 1000), ("an asynchronous file", 1000), *((kind, 3 * MiB) for kind in KINDS)]
    )
    @on_loop
    async def test_the_same_bytes_arrive_each_time(
        self, kind: str, size: int, connect: Callable[..., Any], server: LyingS3
    ) -> None:
        server.lies.fail_after_body = 1
        async with connect() as s3:
            await s3.put_object(**PLACE, Body=KINDS[kind](LARGE[:size]))
        bodies = server.state.bodies()
        assert len(bodies) == 2
        assert len(set(bodies)) == 1
        assert stored(server) == LARGE[:size]

    @on_loop
    async def test_a_spool_on_disk_serves_all_of_them(
        self, connect: Callable[..., Any], server: LyingS3, tmp_path: Path
    ) -> None:
        server.lies.fail_after_body = 1
        async with connect(buffer_size=MiB, spool_directory=str(tmp_path)) as s3:
            await s3.put_object(**PLACE, Body=generated(LARGE))
            assert len(set(server.state.bodies())) == 1
            answer = await s3.get_object(**PLACE)
            assert await answer["Body"].read() == LARGE

    @on_loop
    async def test_expect_is_not_sent(self, connect: Callable[..., Any], server: LyingS3) -> None:
        """A server that never answers it would be waited for, for ever."""
        async with connect() as s3:
            for body in (b"small", LARGE, generated(LARGE)):
                await s3.put_object(**PLACE, Body=body)
        assert server.state.attempts
        for attempt in server.state.attempts:
            names = {name.lower() for name in attempt.headers}
            assert "expect" not in names
            # Nor is anything framed as the synchronous client does it: aiohttp sends it as it is.
            assert "transfer-encoding" not in names
            assert "content-length" in names

    @on_loop
    async def test_an_error_of_the_body_comes_out_as_it_is(self, connect: Callable[..., Any], server: LyingS3) -> None:
        class OwnError(Exception):
            pass

        async def failing() -> AsyncIterator[bytes]:
            yield LARGE
            raise OwnError

        class Failing(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any) -> int:
                raise OwnError

        async with connect() as s3:
            for body in (failing(), Failing()):
                with pytest.raises(OwnError):
                    await s3.put_object(**PLACE, Body=body)
        assert not server.state.attempts

    @on_loop
    async def test_no_body_is_read_on_the_loop(self, connect: Callable[..., Any], server: LyingS3) -> None:
        threads: set[int] = set()

        class Watched(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                threads.add(threading.get_ident())
                return super().read(size)

        async with connect() as s3:
            await s3.put_object(**PLACE, Body=Watched(LARGE))
        assert threads
        assert threading.get_ident() not in threads
