"""Multipart uploads of tasks: parts in any order, from many tasks, and cancelled at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec import AesKeyring, EncryptionClient
from s3ec.aio import driver
from s3ec.errors import ConfigurationError, MultipartStateError
from s3ec.s3.flow import Effect, Step, Store, TakeIn, Work

from support.loops import on_loop, stalls

PART = 5 * 2**20
PARTS = {number: os.urandom(PART + number) for number in (1, 2, 3)} | {4: b"the last"}
WHOLE = b"".join(PARTS[number] for number in sorted(PARTS))


class Upload:
    """One upload on its way."""

    def __init__(self, s3: Any, bucket: str, key: str = "k") -> None:
        self.s3 = s3
        self.place = {"Bucket": bucket, "Key": key}
        self.etags: dict[int, str] = {}

    async def begin(self, **more: Any) -> Upload:
        """Create it."""
        self.place["UploadId"] = (await self.s3.create_multipart_upload(**self.place, **more))["UploadId"]
        return self

    async def part(self, number: int, body: Any, **more: Any) -> dict[str, Any]:
        """Give a part."""
        answer: dict[str, Any] = await self.s3.upload_part(**self.place, PartNumber=number, Body=body, **more)
        self.etags[number] = answer["ETag"]
        return answer

    async def complete(self, **more: Any) -> dict[str, Any]:
        """Make the object."""
        listed = [{"PartNumber": number, "ETag": self.etags[number]} for number in sorted(self.etags)]
        answer: dict[str, Any] = await self.s3.complete_multipart_upload(
            **self.place, MultipartUpload={"Parts": listed}, **more
        )
        return answer

    async def content(self) -> bytes:
        """The object, as this client reads it."""
        response = await self.s3.get_object(Bucket=self.place["Bucket"], Key=self.place["Key"])
        content: bytes = await response["Body"].read()
        return content

    async def abort(self) -> None:
        """Give it up."""
        await self.s3.abort_multipart_upload(**self.place)


@on_loop
async def test_parts_of_many_tasks(open_client: Callable[..., Any], bucket: str, aws: dict[str, Any]) -> None:
    """In whatever order they come they are one object, which the other client reads as well."""
    async with open_client() as s3:
        upload = await Upload(s3, bucket).begin()
        async with stalls() as held:
            await asyncio.gather(*[upload.part(number, PARTS[number]) for number in (4, 2, 3, 1)])
        response = await upload.complete()
        assert response["ResponseMetadata"]["ClientSideEncryption"]["format"] == "V3"
        assert await upload.content() == WHOLE
        assert held
    there = EncryptionClient(keyring=AesKeyring(bytes(32)), **aws).get_object(Bucket=bucket, Key="k")
    assert there["Body"].read() == WHOLE


@on_loop
async def test_bodies_of_every_kind(open_client: Callable[..., Any], bucket: str, tmp_path: Any) -> None:
    """Bytes, a file, an asynchronous generator; more than fits into memory is kept on disk, and sent from there."""
    (tmp_path / "part").write_bytes(PARTS[2])

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(PARTS[3]), 1_000_000):
            yield PARTS[3][start : start + 1_000_000]

    for buffer_size in (64 * 2**20, 2**20):
        async with open_client(buffer_size=buffer_size) as s3:
            upload = await Upload(s3, bucket).begin()
            with (tmp_path / "part").open("rb") as file:
                await asyncio.gather(
                    upload.part(4, memoryview(PARTS[4])),
                    upload.part(2, file),
                    upload.part(3, pieces(), ContentLength=len(PARTS[3])),
                    upload.part(1, PARTS[1]),
                )
            await upload.complete()
            assert await upload.content() == WHOLE


@on_loop
async def test_what_a_part_is_not(open_client: Callable[..., Any], bucket: str) -> None:
    """Other bytes, a wrong checksum, an unknown upload, a list with a gap: each is refused, and nothing is lost."""
    async with open_client() as s3:
        upload = await Upload(s3, bucket).begin()
        await upload.part(1, PARTS[1])
        await upload.part(1, PARTS[1])
        with pytest.raises(MultipartStateError, match="other bytes"):
            await upload.part(1, PARTS[2])
        with pytest.raises(ClientError, match="NoSuchUpload"):
            await s3.upload_part(Bucket=bucket, Key="k", UploadId="another", PartNumber=1, Body=b"abc")
        with pytest.raises(ConfigurationError, match="ContentLength"):
            await upload.part(2, b"abc", ContentLength=4)
        await upload.part(2, b"end")
        with pytest.raises(MultipartStateError, match="every part that was given"):
            await s3.complete_multipart_upload(
                **upload.place, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": upload.etags[1]}]}
            )
        await upload.complete()
        assert await upload.content() == PARTS[1] + b"end"


@on_loop
async def test_who_waits_is_told_of_the_end(open_client: Callable[..., Any], bucket: str) -> None:
    """A part that waits for one that is on its way ends with the upload."""
    reading, never = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        reading.set()
        await never.wait()
        yield b""

    async with open_client() as s3:
        upload = await Upload(s3, bucket).begin()
        first = asyncio.ensure_future(upload.part(1, slow()))
        await reading.wait()
        second = asyncio.ensure_future(upload.part(2, b"abc"))
        await asyncio.sleep(0)
        await upload.abort()
        with pytest.raises(MultipartStateError, match="aborted"):
            await second
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


class Cancelling:
    """Cancels the task that runs a flow at one of its effects, before it is carried out or while it is.

    Attributes:
        effects: those so far.
        reached: True if there were as many.
    """

    def __init__(self, s3: Any, at: int) -> None:
        self._wire = s3._s3ec_wire
        self._at = at
        self.effects: list[Effect] = []
        self.reached = False
        self.bodies: list[bytes] = []

    async def perform(self, effect: Effect) -> object:
        """Carry an effect out."""
        self.effects.append(effect)
        if len(self.effects) == self._at + 1 and isinstance(effect, (Store, TakeIn, Work, Step)):
            self.reached = True
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        if isinstance(effect, Store):
            body = effect.parameters["Body"]
            self.bodies.append(body.read())
            body.seek(0)
        return await self._wire.perform(effect)


@pytest.mark.parametrize("other", [False, True], ids=["equal bytes", "other bytes"])
@pytest.mark.parametrize("size", [PART, 100], ids=["sent", "kept"])
@on_loop
async def test_cancelled_at_every_effect(open_client: Callable[..., Any], bucket: str, size: int, other: bool) -> None:
    """Then given again: the same ciphertext or none; with other bytes, that or a refusal. Never a keystream twice."""
    first, second = os.urandom(size), os.urandom(size)
    again = second if other else first
    async with open_client() as s3:
        for at in range(20):
            upload = await Upload(s3, bucket).begin()
            state = s3._s3ec_uploads.find(upload.place["UploadId"])
            cancelling = Cancelling(s3, at)
            wire = s3._s3ec_wire.with_options(state.options)
            given = _part(s3, upload, first)
            task = asyncio.ensure_future(driver.run(given(wire), cancelling.perform))
            with contextlib.suppress(asyncio.CancelledError):
                await task
            entered = state._ledger.get(1) is not None
            if other and entered:
                with pytest.raises(MultipartStateError, match="other bytes"):
                    await upload.part(1, again)
                await upload.abort()
            else:
                assert not (other and cancelling.bodies)
                await upload.part(1, again)
                end = b"end" if size == PART else b""  # S3 wants all but the last part to be large
                if end:
                    await upload.part(2, end)
                await upload.complete()
                assert await upload.content() == again + end
            if not cancelling.reached:
                break
        assert at > 5


def _part(s3: Any, upload: Upload, body: bytes) -> Callable[[Any], Any]:
    parameters = {**upload.place, "PartNumber": 1, "Body": body}
    return lambda wire: s3._s3ec_uploads.upload_part(wire, parameters)[1]


@on_loop
async def test_a_cancelled_upload_is_aborted_or_goes_on(
    open_client: Callable[..., Any], bucket: str, plain_s3: Any
) -> None:
    """Tasks that are cancelled wherever they stand: the parts given again make the object; an abort leaves nothing."""
    async with open_client() as s3:
        for rounds in range(6):
            upload = await Upload(s3, bucket).begin()
            tasks = [asyncio.ensure_future(upload.part(number, PARTS[number])) for number in (2, 1, 3)]
            for _ in range(rounds * 3):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if rounds % 2:
                await upload.abort()
                assert not plain_s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
                continue
            await asyncio.gather(*[upload.part(number, PARTS[number]) for number in sorted(PARTS)])
            await upload.complete()
            assert await upload.content() == WHOLE


@on_loop
async def test_clients_of_a_session_share_uploads(aws: dict[str, Any], bucket: str) -> None:
    """One begins, another goes on; a client of another session knows nothing of it."""
    import s3ec.aio

    session, other = (s3ec.aio.Session(keyring=AesKeyring(bytes(32))) for _ in range(2))
    async with session.create_client("s3", **aws) as one, session.create_client("s3", **aws) as two:
        upload = await Upload(one, bucket).begin()
        upload.s3 = two
        await upload.part(1, b"abc")
        async with other.create_client("s3", **aws) as stranger:
            with pytest.raises(ClientError, match="NoSuchUpload"):
                await stranger.upload_part(**upload.place, PartNumber=2, Body=b"d")
        await upload.complete()
        assert await upload.content() == b"abc"
