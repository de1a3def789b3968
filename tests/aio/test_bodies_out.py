"""Bodies on their way out: aiobotocore's surface, and nothing before it was verified."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError

from s3ec import AesKeyring
from s3ec.aio import reader
from s3ec.aio.work import LARGE
from s3ec.crypto import content
from s3ec.errors import AuthenticationError
from s3ec.keyrings import DefaultMaterialsManager

from support.counting import CountingManager
from support.loops import on_loop
from support.lying_s3 import LyingS3

MiB = 1024 * 1024
PLACE = {"Bucket": "b", "Key": "k"}
LINES = b"".join(b"line %d\r\n" % number for number in range(5000)) + b"last"


# Three ways a whole object is verified: in memory, through a file, and as it is handed out.
WAYS = [{}, {"buffer_size": MiB}, {"enable_delayed_authentication": True}]


class TestSurface:
    """What aiobotocore's body can do, this one can; of its reads each gives all that it was asked for."""

    @pytest.mark.parametrize("options", WAYS)
    @on_loop
    async def test_reads_of_any_size(self, options: dict[str, Any], connect: Callable[..., Any]) -> None:
        data = os.urandom(2 * MiB + 3)
        async with connect(**options) as s3:
            await s3.put_object(**PLACE, Body=data)
            for sizes in ((None,), (-1,), (-7,), (1, 0, 70_000, MiB, -1), (2 * MiB + 3, 1), (5 * MiB,)):
                body = (await s3.get_object(**PLACE))["Body"]
                at = 0
                for size in sizes:
                    end = len(data) if size is None or size < 0 else min(at + size, len(data))
                    assert await body.read(size) == data[at:end]
                    at = end
                    assert body.tell() == at
                assert await body.read() == b""
                assert await body.read(10) == b""
                assert not body.readable()
                body.close()

    @on_loop
    async def test_iterations_and_buffers(self, connect: Callable[..., Any]) -> None:
        async with connect() as s3:
            await s3.put_object(**PLACE, Body=LINES)

            async def body() -> Any:
                return (await s3.get_object(**PLACE))["Body"]

            assert [c async for c in await body()] == [LINES[n : n + 1024] for n in range(0, len(LINES), 1024)]
            assert b"".join([c async for c in (await body()).iter_chunks(999)]) == LINES
            assert [c async for c in (await body()).iter_lines()] == LINES.splitlines()
            assert [c async for c in (await body()).iter_lines(7, keepends=True)] == LINES.splitlines(keepends=True)
            assert await (await body()).readlines() == LINES.splitlines()
            async with await body() as entered:
                assert await entered.__anext__() == LINES[:1024]
                buffer = bytearray(100)
                assert await entered.readinto(buffer) == 100
                assert bytes(buffer) == LINES[1024:1124]
                assert entered.tell() == 1124
                assert entered.readable()
            assert entered.closed
            await entered.aclose()
            with pytest.raises(NotImplementedError):
                entered.set_socket_timeout(1)

    @on_loop
    async def test_what_is_not_asynchronous_is_refused(self, connect: Callable[..., Any]) -> None:
        async with connect() as s3:
            await s3.put_object(**PLACE, Body=b"abc")
            body = (await s3.get_object(**PLACE))["Body"]
            with pytest.raises(TypeError):
                iter(body)
            with pytest.raises((TypeError, AttributeError)):
                body.__enter__()
            assert not hasattr(body, "raw_stream")
            assert not hasattr(body, "_raw_stream")
            body.close()

    @on_loop
    async def test_closed_before_its_end_it_gives_no_end(self, connect: Callable[..., Any]) -> None:
        async with connect() as s3:
            await s3.put_object(**PLACE, Body=LINES)
            body = (await s3.get_object(**PLACE))["Body"]
            await body.read(10)
            body.close()
            body.close()
            with pytest.raises(IncompleteReadError):
                await body.read()

    @on_loop
    async def test_two_tasks_do_not_share_it(self, connect: Callable[..., Any]) -> None:
        async with connect() as s3:
            await s3.put_object(**PLACE, Body=bytes(3 * MiB))
            async with (await s3.get_object(**PLACE))["Body"] as body:
                outcomes = await asyncio.gather(body.read(), body.read(), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [bytes, RuntimeError]


class TestForgeries:
    """Not a byte of what does not verify, by whatever way it is read."""

    @pytest.mark.parametrize("options", WAYS[:2])
    @pytest.mark.parametrize("at", [0, MiB + 1, -1])
    @on_loop
    async def test_altered_content(
        self, at: int, options: dict[str, Any], connect: Callable[..., Any], server: LyingS3
    ) -> None:
        def altered(body: bytes) -> bytes:
            changed = bytearray(body)
            changed[at] ^= 1
            return bytes(changed)

        async with connect(**options) as s3:
            await s3.put_object(**PLACE, Body=os.urandom(3 * MiB))
            server.lies.tamper = altered
            for read in (
                lambda body: body.read(1),
                lambda body: body.read(),
                lambda body: body.readinto(bytearray(5)),
                lambda body: body.readlines(),
                lambda body: body.__anext__(),
            ):
                body = (await s3.get_object(**PLACE))["Body"]
                for _ in range(2):
                    with pytest.raises(AuthenticationError):
                        await read(body)

    @pytest.mark.parametrize("options", WAYS)
    @on_loop
    async def test_a_connection_that_is_cut(
        self, options: dict[str, Any], connect: Callable[..., Any], server: LyingS3
    ) -> None:
        """As plain aiobotocore says so: callers repeat the read for just these errors."""
        import aiohttp

        async with connect(**options) as s3:
            await s3.put_object(**PLACE, Body=os.urandom(3 * MiB))
            server.lies.cut_answers, server.lies.cut_by = 1, MiB // 2
            body = (await s3.get_object(**PLACE))["Body"]
            with pytest.raises((aiohttp.ClientPayloadError, IncompleteReadError)):
                await body.read()
            with pytest.raises(IncompleteReadError):
                await body.read()
            assert len(await (await s3.get_object(**PLACE))["Body"].read()) == 3 * MiB

    @on_loop
    async def test_delayed_authentication_keeps_the_last_chunk(
        self, connect: Callable[..., Any], server: LyingS3
    ) -> None:
        async with connect(enable_delayed_authentication=True) as s3:
            await s3.put_object(**PLACE, Body=bytes(3 * MiB))
            server.lies.tamper = lambda body: body[:-16] + bytes(16)
            body = (await s3.get_object(**PLACE))["Body"]
            assert await body.read(2 * MiB) == bytes(2 * MiB)
            with pytest.raises(AuthenticationError):
                await body.read(1)


class TestRanges:
    """Ten at once need one pass, and no task holds another."""

    @on_loop
    async def test_one_pass_for_all_that_wait(self, connect: Callable[..., Any], server: LyingS3) -> None:
        data = os.urandom(2 * MiB)
        manager = CountingManager(DefaultMaterialsManager(AesKeyring(bytes(32))))
        async with connect(materials_manager=manager) as s3:
            await s3.put_object(**PLACE, Body=data)
            server.state.requests.clear()
            spans = [(n * 100_000, n * 100_000 + 99_999) for n in range(20)]
            answers = await asyncio.gather(*[s3.get_object(**PLACE, Range=f"bytes={a}-{b}") for a, b in spans])
            for (first, last), answer in zip(spans, answers, strict=True):
                assert await answer["Body"].read() == data[first : last + 1]
        assert manager.decryptions == 1
        # One for each range, at most one more for each that came before the pass, and the pass.
        assert len([method for method, _, _ in server.state.requests if method == "GET"]) <= 2 * len(spans) + 1

    @pytest.mark.parametrize("text", ["bytes=0-0", "bytes=-5", "bytes=70000-", "bytes=65530-65545", "bytes=0-9999999"])
    @on_loop
    async def test_they_are_what_boto3_gives(self, text: str, connect: Callable[..., Any], server: LyingS3) -> None:
        from s3ec import EncryptionClient

        data = os.urandom(200_000)
        sync = EncryptionClient(**server.arguments(keyring=AesKeyring(bytes(32))))
        async with connect() as s3:
            await s3.put_object(**PLACE, Body=data)
            ours = await s3.get_object(**PLACE, Range=text)
            theirs = sync.get_object(**PLACE, Range=text)
            assert await ours["Body"].read() == theirs["Body"].read()
            for name in ("ContentRange", "ContentLength", "AcceptRanges", "ETag", "Metadata"):
                assert ours.get(name) == theirs.get(name)
            assert (
                ours["ResponseMetadata"]["ClientSideEncryption"] == theirs["ResponseMetadata"]["ClientSideEncryption"]
            )
        sync.close()

    @on_loop
    async def test_an_object_that_was_replaced_in_between(self, connect: Callable[..., Any], server: LyingS3) -> None:
        """Each answer is of one version."""
        first, second = bytes(200_000), b"x" * 300_000
        async with connect() as s3:
            await s3.put_object(**PLACE, Body=first)
            body = (await s3.get_object(**PLACE, Range="bytes=10-90000"))["Body"]
            assert await body.read() == first[10:90001]
            await s3.put_object(**PLACE, Body=second)
            body = (await s3.get_object(**PLACE, Range="bytes=10-90000"))["Body"]
            assert await body.read() == second[10:90001]


class TestReader:
    """aiobotocore's reads give what has arrived."""

    @on_loop
    async def test_short_reads_are_filled(self) -> None:
        class Short:
            def __init__(self) -> None:
                self.left = 1000

            async def read(self, size: int) -> bytes:
                count = min(size, 7, self.left)
                self.left -= count
                return bytes(count)

            def close(self) -> None:
                pass

        reading = reader.AsyncReader(Short())
        assert len(await reading.read(500)) == 500
        assert len(await reading.read(800)) == 500
        await reading.drain()
        reading.close()


class TestLoop:
    """It goes on while much is encrypted and decrypted."""

    @pytest.mark.parametrize("options", WAYS)
    @on_loop
    async def test_no_cipher_holds_it(
        self, options: dict[str, Any], connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No more than 256 KiB at a time on the loop's own thread; a thousand times that takes part of a second."""
        worked: list[tuple[int, int]] = []
        admit = content._Stream._admit

        def admitted(stream: Any, data: Any) -> memoryview:
            view = admit(stream, data)
            worked.append((threading.get_ident(), view.nbytes))
            return view

        async def pieces() -> Any:
            for _ in range(8):
                yield bytes(MiB)

        monkeypatch.setattr(content._Stream, "_admit", admitted)
        async with connect(**options) as s3:
            for body in (bytes(8 * MiB), io.BytesIO(bytes(8 * MiB)), pieces()):
                await s3.put_object(**PLACE, Body=body)
                async with (await s3.get_object(**PLACE))["Body"] as answer:
                    assert len(await answer.read()) == 8 * MiB
            async with (await s3.get_object(**PLACE, Range="bytes=5-10"))["Body"] as answer:
                assert await answer.read() == bytes(6)
        own = threading.get_ident()
        assert sum(size for _, size in worked) >= 48 * MiB
        assert max((size for thread, size in worked if thread == own), default=0) < LARGE


@on_loop
async def test_nothing_of_a_read_waits_for_the_garbage(connect: Callable[..., Any]) -> None:
    """An answer that is dropped is gone, with its connection and its plaintext: none of it leads back to itself."""
    async with connect() as s3:
        await s3.put_object(Bucket="b", Key="k", Body=b"abc")
        for options in ({}, {"Range": "bytes=1-1"}):
            await (await s3.get_object(Bucket="b", Key="k", **options))["Body"].read()
            gc.collect()
            gc.disable()
            try:
                answer = await s3.get_object(Bucket="b", Key="k", **options)
                body = weakref.ref(answer["Body"])
                assert await answer["Body"].read() == b"abc"[1 if options else 0 :][: 1 if options else 3]
                del answer
                assert body() is None, options
            finally:
                gc.enable()
