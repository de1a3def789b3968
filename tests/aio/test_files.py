"""s3ec.aio.open: what the synchronous client's files give, waited for."""

from __future__ import annotations

import asyncio
import io
import pickle
import random
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import s3ec
import s3ec.aio
from s3ec import KmsKeyring
from s3ec.aio.wire import AsyncWire
from s3ec.errors import (
    AuthenticationError,
    ConfigurationError,
    EncryptionContextMismatchError,
    NotEncryptedError,
    UnsupportedOperationError,
)
from s3ec.s3.flow import ReadBody

from support.cbc import cbc_object, cbc_options
from support.loops import on_loop
from support.lying_s3 import LyingS3, Stored

KiB = 1024
DATA = random.Random(4).randbytes(300_000)
PLACE = {"Bucket": "b", "Key": "k"}
IN_RANGES = {"buffer_size": 1000}
KINDS = pytest.mark.parametrize(
    "options", [{}, IN_RANGES, {"unencrypted_objects": "allow"}], ids=["memory", "ranges", "plain"]
)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 200_000)),
        st.tuples(st.just("readline"), st.integers(-1, 500)),
        st.tuples(st.just("readinto"), st.integers(0, 100_000)),
        st.tuples(st.just("set"), st.integers(0, 320_000)),
        st.tuples(st.just("by"), st.integers(-50_000, 50_000)),
        st.tuples(st.just("end"), st.integers(-300_000, 10_000)),
    ),
    max_size=8,
)


async def put(s3: Any, server: LyingS3, options: dict[str, Any], data: bytes = DATA) -> None:
    """Stores the object; as it is, where such objects are read."""
    if "unencrypted_objects" in options:
        server.state.objects["b/k"] = Stored(data, {})
    else:
        await s3.put_object(**PLACE, Body=data)


async def play(file: Any, steps: list[tuple[str, int]]) -> list[Any]:
    """Does the steps and notes what each gave, with a file of either kind."""

    async def do(what: str, *arguments: Any) -> Any:
        given = getattr(file, what)(*arguments)
        return await given if asyncio.iscoroutine(given) else given

    seen: list[Any] = []
    for what, number in steps:
        if what in ("read", "readline"):
            seen.append(await do(what, number))
        elif what == "readinto":
            buffer = bytearray(number)
            seen.append((await do(what, buffer), bytes(buffer)))
        else:
            offset = number if what != "by" else max(number, -(await do("tell")))
            seen.append(await do("seek", offset, ("set", "by", "end").index(what)))
        seen.append(await do("tell"))
    return seen


@pytest.mark.slow
@KINDS
@pytest.mark.parametrize("read_ahead", [1000, 1024 * KiB])
def test_is_like_bytesio(
    server: LyingS3, connect: Callable[..., Any], options: dict[str, Any], read_ahead: int
) -> None:
    """Any sequence of seeks and reads gives what io.BytesIO gives."""

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=STEPS)
    @on_loop
    async def property_holds(steps: list[tuple[str, int]]) -> None:
        async with connect(**options) as s3:
            await put(s3, server, options)
            async with await s3ec.aio.open(s3, **PLACE, read_ahead=read_ahead) as file:
                assert await play(file, steps) == await play(io.BytesIO(DATA), steps)

    property_holds()


@KINDS
@on_loop
async def test_surface(server: LyingS3, connect: Callable[..., Any], options: dict[str, Any]) -> None:
    """Readable, seekable, not writable; lines; closed after ``async with``; nothing before the start."""
    data = b"first\n\nthird" + bytes(5000) + b"\nlast"
    async with connect(**options) as s3:
        await put(s3, server, options, data)
        async with await s3ec.aio.open(s3, **PLACE, read_ahead=7) as file:
            assert (file.readable(), file.seekable(), file.writable(), file.isatty()) == (True, True, False, False)
            assert [line async for line in file] == data.splitlines(keepends=True)
            assert await file.readline() == b""
            await file.seek(0)
            assert await file.readlines() == data.splitlines(keepends=True)
            await file.seek(0)
            assert await file.readlines(6) == [b"first\n"]
            await file.seek(0)
            assert (await file.peek())[:3] == data[:3]
            assert await file.read1(2) == data[:2]
            assert await file.read1(0) == b""
            buffer = bytearray(5)
            count = await file.readinto1(buffer)
            assert buffer[:count] == data[2 : 2 + count]
            assert count > 0
            for wrong in ((-1,), (0, 7)):
                with pytest.raises(ValueError, match=r"."):
                    await file.seek(*wrong)
            for write in (lambda: file.write(b"x"), lambda: file.writelines([]), lambda: file.truncate(3)):
                with pytest.raises(io.UnsupportedOperation):
                    await write()
            with pytest.raises(io.UnsupportedOperation):
                file.fileno()
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(file)
            await file.flush()
        assert file.closed
        for use in (lambda: file.read(1), file.tell, lambda: file.seek(0), file.peek, file.flush, file.readline):
            with pytest.raises(ValueError, match="closed"):
                await use()


@pytest.mark.parametrize("size", [0, 1, 64 * KiB, 64 * KiB + 1, 300_000])
@on_loop
async def test_every_size(connect: Callable[..., Any], size: int) -> None:
    """Whole reads at the edges of chunks, the empty object too."""
    async with connect(buffer_size=0) as s3:
        await s3.put_object(**PLACE, Body=DATA[:size])
        async with await s3ec.aio.open(s3, **PLACE) as file:
            assert await file.read() == DATA[:size]
            assert await file.read() == b""


class _Whole:
    """A whole number of another kind, such as numpy's."""

    def __index__(self) -> int:
        return 7


@KINDS
@on_loop
async def test_numbers(server: LyingS3, connect: Callable[..., Any], options: dict[str, Any]) -> None:
    """Whole ones of any kind, as in every file; others leave the file where it stands."""
    async with connect(**options) as s3:
        await put(s3, server, options)
        async with await s3ec.aio.open(s3, **PLACE) as file:
            number: Any = _Whole()
            assert await file.seek(number) == 7
            assert await file.read(number) == DATA[7:14]
            assert await file.read1(number) == DATA[14:21]
            wrong: Any = 1.5
            for call in (file.seek, file.read, file.read1):
                with pytest.raises(TypeError):
                    await call(wrong)
            assert await file.tell() == 21
            assert await file.read(7) == DATA[21:28]


@on_loop
async def test_requests(server: LyingS3, connect: Callable[..., Any]) -> None:
    """One pass on opening, and then a request for each read-ahead, as the synchronous client makes them."""
    async with connect(verified_range_limit=0, **IN_RANGES) as s3:
        await s3.put_object(**PLACE, Body=DATA)
        server.state.requests.clear()
        async with await s3ec.aio.open(s3, **PLACE, read_ahead=100_000) as file:
            assert [header for _, _, header in server.state.requests] == [None]
            await file.seek(70_000)
            assert await file.read(10) == DATA[70_000:70_010]
            assert await file.read(10) == DATA[70_010:70_020]
        assert [header for _, _, header in server.state.requests] == [None, "bytes=65536-196607"]


class TestLies:
    """What the server does wrong is refused when it is opened, or when it is read."""

    @pytest.mark.parametrize("options", [{}, IN_RANGES])
    @pytest.mark.parametrize("left", [0, 15, 16, 1000, 299_999, -1])
    @on_loop
    async def test_altered(
        self, server: LyingS3, connect: Callable[..., Any], left: int, options: dict[str, Any]
    ) -> None:
        """A cut object and a flipped bit do not open."""
        async with connect(**options) as s3:
            await s3.put_object(**PLACE, Body=DATA)
            body = server.state.objects["b/k"].body
            server.state.objects["b/k"].body = body[:-1] + bytes([body[-1] ^ 1]) if left < 0 else body[:left]
            with pytest.raises(AuthenticationError, match="s3://b/k"):
                await s3ec.aio.open(s3, **PLACE)

    @pytest.mark.parametrize("options", [{}, IN_RANGES])
    @on_loop
    async def test_a_connection_that_is_cut(
        self, server: LyingS3, connect: Callable[..., Any], options: dict[str, Any]
    ) -> None:
        """A broken line shows as aiobotocore's own error, and not as the object's fault."""
        async with connect(**options) as s3:
            await s3.put_object(**PLACE, Body=DATA)
            server.lies.cut_answers = 1
            with pytest.raises((IncompleteReadError, ResponseStreamingError, aiohttp.ClientPayloadError)):
                await s3ec.aio.open(s3, **PLACE)
            async with await s3ec.aio.open(s3, **PLACE) as file:
                assert await file.read() == DATA

    @on_loop
    async def test_after_opening(self, server: LyingS3, connect: Callable[..., Any]) -> None:
        """Each later answer is compared with what was verified; the file stays where it stood, and can be read on."""
        async with connect(**IN_RANGES) as s3:
            await s3.put_object(**PLACE, Body=DATA)
            async with await s3ec.aio.open(s3, **PLACE, read_ahead=100) as file:
                server.lies.tamper = lambda body: body[:200_000] + bytes([body[200_000] ^ 1]) + body[200_001:]
                assert await file.read(1000) == DATA[:1000]
                await file.seek(200_000)
                for read in (file.read, file.readline, file.peek):
                    with pytest.raises(AuthenticationError, match=r"altered.*s3://b/k"):
                        await read(1)
                server.lies.tamper = None
                assert await file.tell() == 200_000
                assert await file.read(7) == DATA[200_000:200_007]

    @pytest.mark.parametrize(
        "lie",
        [
            {"ignore_ranges": True},
            {"wrong_range": 1},
            {"headers": {"ETag": '"other"'}},
            {"total": 300_100, "total_answers": 500},
        ],
        ids=str,
    )
    @on_loop
    async def test_other_answers(self, server: LyingS3, connect: Callable[..., Any], lie: dict[str, Any]) -> None:
        """Another range, everything, or another object."""
        async with connect(**IN_RANGES) as s3:
            await s3.put_object(**PLACE, Body=DATA)
            async with await s3ec.aio.open(s3, **PLACE, read_ahead=100) as file:
                for name, value in lie.items():
                    setattr(server.lies, name, value)
                with pytest.raises(AuthenticationError):
                    await file.read(1)

    @on_loop
    async def test_replaced(self, connect: Callable[..., Any]) -> None:
        """Reads are pinned to what was opened."""
        async with connect(**IN_RANGES) as s3:
            await s3.put_object(**PLACE, Body=DATA)
            async with await s3ec.aio.open(s3, **PLACE, read_ahead=100) as file:
                await s3.put_object(**PLACE, Body=DATA[::-1])
                with pytest.raises(ClientError, match="PreconditionFailed"):
                    await file.read(1)


@on_loop
async def test_a_version_is_read_on(
    open_client: Callable[..., Any], plain_s3: Any, bucket: str, kms_key: str, kms: Any
) -> None:
    """Where the bucket keeps it; contexts are compared."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    place, context = {"Bucket": bucket, "Key": "k"}, {"team": "hr"}
    async with open_client(keyring=KmsKeyring(kms_key, client=kms), buffer_size=0) as s3:
        await s3.put_object(**place, Body=b"first", EncryptionContext=context)
        async with await s3ec.aio.open(s3, **place, EncryptionContext=context) as file:
            await s3.put_object(**place, Body=b"later", EncryptionContext=context)
            assert await file.read() == b"first"
        async with await s3ec.aio.open(s3, **place, EncryptionContext=s3ec.STORED_CONTEXT) as file:
            assert await file.read() == b"later"
        with pytest.raises(EncryptionContextMismatchError):
            await s3ec.aio.open(s3, **place)
        with pytest.raises(s3.exceptions.NoSuchKey):
            await s3ec.aio.open(s3, Bucket=bucket, Key="absent")


@on_loop
async def test_refused(server: LyingS3, connect: Callable[..., Any], plain_s3: Any) -> None:
    """What nothing can verify, what is not encrypted, other clients, and parts of objects."""
    async with connect() as s3:
        await s3.put_object(**PLACE, Body=DATA)
        with pytest.raises(ConfigurationError, match=r"s3ec\.aio\.EncryptionClient"):
            await s3ec.aio.open(plain_s3, **PLACE)
        for wrong in ({"Range": "bytes=0-1"}, {"PartNumber": 1}, {"read_ahead": 0}):
            with pytest.raises(ConfigurationError):
                await s3ec.aio.open(s3, **PLACE, **wrong)
        server.state.objects["b/k"] = Stored(DATA, {})
        with pytest.raises(NotEncryptedError):
            await s3ec.aio.open(s3, **PLACE)
    server.state.objects["b/k"] = cbc_object(DATA)
    async with connect(**cbc_options(enable_unauthenticated_ranges=True)) as s3:
        with pytest.raises(UnsupportedOperationError, match=r"CBC.*get_object.*s3://b/k"):
            await s3ec.aio.open(s3, **PLACE)


class TestTasks:
    """A file is read by one task at a time, and survives one that is cancelled."""

    @pytest.mark.parametrize("passes", [0, 1, 3, 10, 40])
    @on_loop
    async def test_a_cancelled_read(self, connect: Callable[..., Any], passes: int) -> None:
        """It leaves the file where it stood, and every connection free."""
        async with connect(**IN_RANGES) as s3:
            await s3.put_object(**PLACE, Body=DATA)
            async with await s3ec.aio.open(s3, **PLACE, read_ahead=1000) as file:
                await file.seek(5)
                for size in (10, 200_000):
                    reading = asyncio.ensure_future(file.read(size))
                    for _ in range(passes):
                        await asyncio.sleep(0)
                    reading.cancel()
                    ended = await asyncio.gather(reading, return_exceptions=True)
                    if isinstance(ended[0], asyncio.CancelledError):
                        assert await file.tell() == 5
                    await file.seek(5)
                    assert await file.read(size) == DATA[5 : 5 + size]
                    await file.seek(5)

    @pytest.mark.parametrize("options", [{}, IN_RANGES])
    @on_loop
    async def test_cancelled_while_it_is_opened(
        self, connect: Callable[..., Any], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At every effect: nothing is left open, and it opens afterwards."""
        perform = AsyncWire.perform
        seen = 0
        at = -1

        async def performed(wire: AsyncWire, effect: Any) -> object:
            nonlocal seen
            seen += 1
            if seen == at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            return await perform(wire, effect)

        async with connect(**options) as s3:
            await s3.put_object(**PLACE, Body=DATA)
            monkeypatch.setattr(AsyncWire, "perform", performed)
            ended = False
            while not ended:
                at, seen = at + 1 if at > 0 else 1, 0
                opening = asyncio.ensure_future(s3ec.aio.open(s3, **PLACE))
                (ended,) = [
                    not isinstance(each, BaseException)
                    for each in await asyncio.gather(opening, return_exceptions=True)
                ]
            assert at > 4
            at = -1
            async with await s3ec.aio.open(s3, **PLACE) as file:
                assert await file.read() == DATA

    @on_loop
    async def test_two_at_once(self, connect: Callable[..., Any]) -> None:
        """The second is refused, and the first is not disturbed; a file that is closed meanwhile gives nothing."""
        async with connect(**IN_RANGES) as s3:
            await s3.put_object(**PLACE, Body=DATA)
            file = await s3ec.aio.open(s3, **PLACE)
            reading = asyncio.ensure_future(file.read())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await file.read(1)
            assert await reading == DATA
            for size in (-1, 10):
                file = await s3ec.aio.open(s3, **PLACE)
                reading = asyncio.ensure_future(file.read(size))
                await asyncio.sleep(0)
                await file.close()
                with pytest.raises(ValueError, match="closed"):
                    await reading
                assert not file._ahead  # of what arrived afterwards nothing is kept

    @on_loop
    async def test_no_large_piece_on_the_loop(self, connect: Callable[..., Any]) -> None:
        """What is decrypted there at a time is a chunk of 64 KiB."""
        async with connect(**IN_RANGES) as s3:
            await s3.put_object(**PLACE, Body=DATA * 5)
            sizes: list[int] = []
            perform = AsyncWire.perform

            async def performed(wire: AsyncWire, effect: Any) -> object:
                if isinstance(effect, ReadBody):
                    sizes.append(effect.size)
                return await perform(wire, effect)

            async with await s3ec.aio.open(s3, **PLACE) as file:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(AsyncWire, "perform", performed)
                    assert await file.read() == DATA * 5
            assert max(sizes) <= 64 * KiB + 32
