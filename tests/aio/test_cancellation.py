"""Cancelled at every effect, and called again: one keystream for one content, and no plaintext set free."""

from __future__ import annotations

import asyncio
import gc
import io
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import IncompleteReadError

from s3ec import AesKeyring, EncryptionClient
from s3ec.aio.wire import AsyncWire
from s3ec.errors import MultipartStateError, SourceChangedError

from support.loops import on_loop
from support.lying_s3 import LyingS3

# aiobotocore does not close an answer that it is cancelled in the middle of reading; the collector does.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")

MiB = 1024 * 1024
PLACE = {"Bucket": "b", "Key": "k"}
CONTENT = os.urandom(2 * MiB + 7)
OTHER = os.urandom(2 * MiB + 7)
FORMER = os.urandom(1000)


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What a test leaves to the collector is found while that test is still running, and not in another one."""
    yield
    gc.collect()


class Canceller:
    """Cancels the task that performs the effect of a number, so many passes of the loop after it has begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = -1
        self.passes = 0
        self.seen = 0
        self.done = False
        perform = AsyncWire.perform

        async def performed(wire: AsyncWire, effect: Any) -> object:
            self.seen += 1
            if self.seen == self.at:
                self._cancel(asyncio.current_task(), self.passes)
            return await perform(wire, effect)

        monkeypatch.setattr(AsyncWire, "perform", performed)

    def _cancel(self, task: asyncio.Task[Any] | None, passes: int) -> None:
        assert task is not None
        if passes:
            asyncio.get_running_loop().call_soon(self._cancel, task, passes - 1)
        elif not task.done():
            self.done = task.cancel()

    async def cancelled(self, call: Callable[[], Any], at: int, passes: int) -> bool:
        """Make a call; True if it was cancelled, False if it was over before."""
        self.at, self.passes, self.seen, self.done = at, passes, 0, False
        calling = asyncio.ensure_future(call())
        try:
            answer = await calling
        except asyncio.CancelledError:
            return True
        finally:
            self.at = -1
        if "Body" in answer:
            answer["Body"].close()
        return False


@pytest.fixture
def canceller(monkeypatch: pytest.MonkeyPatch) -> Canceller:
    """See `Canceller`."""
    return Canceller(monkeypatch)


async def generated(data: bytes) -> AsyncIterator[bytes]:
    """Its pieces, waited for."""
    for offset in range(0, len(data), 300_000):
        await asyncio.sleep(0)
        yield data[offset : offset + 300_000]


def never_two_contents_under_one_key(server: LyingS3) -> None:
    """What arrived under one encrypted data key, at whatever attempt, is one ciphertext."""
    seen: dict[str, bytes] = {}
    for attempt in server.state.attempts:
        own = sorted(f"{k}={v}" for k, v in attempt.headers.items() if k.lower().startswith("x-amz-meta-"))
        if own:
            assert seen.setdefault("&".join(own), attempt.body) == attempt.body


@pytest.mark.parametrize("passes", [0, 1, 4, 40])
@pytest.mark.parametrize("body", [bytes, generated], ids=["bytes", "generator"])
@on_loop
async def test_a_put(
    body: Callable[[bytes], Any], passes: int, connect: Callable[..., Any], server: LyingS3, canceller: Canceller
) -> None:
    """The same call with equal and with other bytes stores just those."""
    sync = EncryptionClient(**server.arguments(keyring=AesKeyring(bytes(32))))
    async with connect() as s3:
        at, cancelled = 0, True
        while cancelled or at < 4:
            at += 1
            cancelled = await canceller.cancelled(lambda: s3.put_object(**PLACE, Body=body(CONTENT)), at, passes)
            for content in (CONTENT, OTHER):
                await s3.put_object(**PLACE, Body=body(content))
                assert sync.get_object(**PLACE)["Body"].read() == content
        assert len(asyncio.all_tasks()) <= 2
    assert at >= 4
    never_two_contents_under_one_key(server)
    assert all(CONTENT[:100] not in attempt.body for attempt in server.state.attempts)
    sync.close()


@pytest.mark.parametrize("passes", [0, 1, 4])
@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=100-70000"}], ids=["whole", "range"])
@on_loop
async def test_a_get(
    asked: dict[str, str], passes: int, connect: Callable[..., Any], server: LyingS3, canceller: Canceller
) -> None:
    """A range's gate is left, whoever was cancelled in it."""
    wanted = CONTENT if not asked else CONTENT[100:70001]
    async with connect() as writer:
        await writer.put_object(**PLACE, Body=CONTENT)
    at, cancelled = 0, True
    while cancelled or at < 2:
        at += 1
        async with connect() as s3:
            cancelled = await canceller.cancelled(lambda s3=s3: s3.get_object(**PLACE, **asked), at, passes)
            answer = await s3.get_object(**PLACE, **asked)
            assert await answer["Body"].read() == wanted
    assert at >= 2


@pytest.mark.parametrize("options", [{}, {"buffer_size": MiB}, {"enable_delayed_authentication": True}])
@pytest.mark.parametrize("passes", [0, 1, 3, 10, 30, 100])
@on_loop
async def test_a_read(options: dict[str, Any], passes: int, connect: Callable[..., Any], server: LyingS3) -> None:
    """A read that was cancelled gives nothing afterwards, and what is left is not taken for all of it."""
    async with connect(**options) as s3:
        await s3.put_object(**PLACE, Body=CONTENT)
        body = (await s3.get_object(**PLACE))["Body"]
        reading = asyncio.ensure_future(body.read())
        for _ in range(passes):
            await asyncio.sleep(0)
        reading.cancel()
        try:
            assert await reading == CONTENT
        except asyncio.CancelledError:
            if passes:
                assert body.closed
                with pytest.raises(IncompleteReadError):
                    await body.read()
        body.close()
        assert await (await s3.get_object(**PLACE))["Body"].read() == CONTENT


@pytest.mark.parametrize("other", [False, True], ids=["equal bytes", "other bytes"])
@pytest.mark.parametrize(
    ("size", "passes"), [(1000, 0), (1000, 3), *(pytest.param(5 * MiB, n, marks=pytest.mark.slow) for n in (0, 20))]
)
@on_loop
async def test_a_part_copy(
    size: int, passes: int, other: bool, connect: Callable[..., Any], server: LyingS3, canceller: Canceller
) -> None:
    """Copied again it is that part; other bytes are refused once it was encrypted. Nothing is encrypted in two ways."""
    first, second = os.urandom(size + 9), os.urandom(size + 9)
    async with connect() as s3:
        await s3.put_object(Bucket="b", Key="first", Body=first)
        await s3.put_object(Bucket="b", Key="second", Body=second)
        at, cancelled = 0, True
        while cancelled or at < 6:
            at += 1
            upload = {**PLACE, "UploadId": (await s3.create_multipart_upload(**PLACE))["UploadId"]}
            request = {**upload, "PartNumber": 1, "CopySourceRange": f"bytes=9-{size + 8}"}
            cancelled = await canceller.cancelled(
                lambda request=request: s3.upload_part_copy(**request, CopySource="b/first"), at, passes
            )
            content = first
            if other:
                try:
                    await s3.upload_part_copy(**request, CopySource="b/second")
                    content = second
                except MultipartStateError as refused:
                    assert "other bytes" in str(refused)  # noqa: PT017 - it may also be taken
            answer = await s3.upload_part_copy(**request, CopySource="b/first" if content is first else "b/second")
            parts = [{"PartNumber": 1, "ETag": answer["CopyPartResult"]["ETag"]}]
            await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
            assert await (await s3.get_object(**PLACE))["Body"].read() == content[9 : size + 9]
        assert len(asyncio.all_tasks()) <= 2
    never_two_contents_in_one_part(server)


def never_two_contents_in_one_part(server: LyingS3) -> None:
    """What arrived of one part, at whatever attempt, begins with one ciphertext; the tag may follow."""
    seen: dict[str, bytes] = {}
    for attempt in server.state.attempts:
        if "partNumber=" in attempt.path:
            body = seen.setdefault(attempt.path, attempt.body)
            shared = min(len(body), len(attempt.body))
            assert body[:shared] == attempt.body[:shared]
    assert seen


@on_loop
async def test_an_instruction_file_is_taken_back(
    connect: Callable[..., Any], server: LyingS3, canceller: Canceller
) -> None:
    """Whenever the put is cancelled, the object that was there before is read as it was."""
    async with connect() as s3:
        await s3.put_object(**PLACE, Body=FORMER)
    async with connect(instruction_file_writes=True) as s3:
        for passes in (0, 2):
            at, cancelled = 0, True
            while cancelled or at < 6:
                at += 1
                cancelled = await canceller.cancelled(lambda: s3.put_object(**PLACE, Body=CONTENT), at, passes)
                content = await (await s3.get_object(**PLACE))["Body"].read()
                assert content in (FORMER, CONTENT)
    never_two_contents_under_one_key(server)


@on_loop
async def test_many_at_once_cancelled_together(connect: Callable[..., Any], server: LyingS3) -> None:
    """No lock stays taken, and nothing of them goes on."""
    async with connect() as s3:
        await s3.put_object(**PLACE, Body=CONTENT)
        ranges = [f"bytes={n * 1000}-{n * 1000 + 500}" for n in range(20)]
        for passes in (0, 3, 20):
            tasks = [asyncio.ensure_future(s3.get_object(**PLACE, Range=text)) for text in ranges]
            for _ in range(passes):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        answers = await asyncio.gather(*[s3.get_object(**PLACE, Range=text) for text in ranges])
        for number, answer in enumerate(answers):
            assert await answer["Body"].read() == CONTENT[number * 1000 : number * 1000 + 501]


@pytest.mark.parametrize("passes", [0, 1, 3, 20])
@on_loop
async def test_while_a_failed_transfer_is_undone(connect: Callable[..., Any], server: LyingS3, passes: int) -> None:
    """The upload is aborted all the same, where the task is cancelled in the middle of that."""
    config = TransferConfig(multipart_threshold=MiB, multipart_chunksize=MiB, use_threads=False)
    wrong = {"ChecksumSHA256": "A" * 43 + "="}
    aborting: list[str] = []

    async def cancel(**_: Any) -> None:
        aborting.append(next(iter(server.state.uploads)))
        for _ in range(passes):
            await asyncio.sleep(0)
        uploading.cancel()

    async with connect() as s3:
        s3.meta.events.register("before-call.s3.AbortMultipartUpload", cancel)
        uploading = asyncio.ensure_future(
            s3.upload_fileobj(io.BytesIO(CONTENT), "b", "k", ExtraArgs=wrong, Config=config)
        )
        with pytest.raises((SourceChangedError, asyncio.CancelledError)):
            await uploading
        assert len(aborting) == 1
        assert not server.state.uploads
        assert "b/k" not in server.state.objects
