"""Uploads of tasks that go on in another process, with a client of either kind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import s3ec
import s3ec.aio
from s3ec import AesKeyring, EncryptionClient, UploadStateFile
from s3ec.errors import AuthenticationError, MalformedMetadataError, MultipartStateError
from s3ec.s3.multipart import state as multipart_state

from support.loops import on_loop
from support.lying_s3 import LyingS3
from support.one_shot import one_shot, sent_parts

PLACE = {"Bucket": "b", "Key": "k"}
PARTS = {number: os.urandom(100 + number) for number in (1, 2, 3)}
WHOLE = b"".join(PARTS.values())


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart_state, "MINIMUM_PART_LENGTH", 64)


@pytest.fixture
def sync(server: LyingS3) -> Iterator[EncryptionClient]:
    """A synchronous client of the same server."""
    with contextlib.closing(EncryptionClient(**server.arguments(keyring=AesKeyring(bytes(32))))) as made:
        yield made


async def begin(s3: Any) -> str:
    """Begins an upload."""
    return str((await s3.create_multipart_upload(**PLACE))["UploadId"])


async def part(s3: Any, upload: str, number: int, data: bytes | None = None) -> dict[str, Any]:
    """Gives a part, as it is to be listed."""
    body = PARTS[number] if data is None else data
    answer = await s3.upload_part(**PLACE, UploadId=upload, PartNumber=number, Body=body)
    return {"PartNumber": number, "ETag": answer["ETag"]}


async def finish(s3: Any, found: dict[str, Any]) -> None:
    """Gives what S3 does not have, and completes the upload."""
    parts = [{"PartNumber": each["PartNumber"], "ETag": each["ETag"]} for each in found["Parts"]]
    there = {each["PartNumber"] for each in parts}
    parts += [await part(s3, found["UploadId"], number) for number in sorted(PARTS.keys() - there)]
    parts.sort(key=lambda each: each["PartNumber"])
    await s3.complete_multipart_upload(**PLACE, UploadId=found["UploadId"], MultipartUpload={"Parts": parts})


def is_stored(server: LyingS3) -> None:
    """The object is what one call of AES-GCM gives, and no part was sent in two ways."""
    stored = server.state.objects["b/k"]
    assert stored.body == one_shot(stored.metadata, bytes(32), WHOLE)


@pytest.mark.parametrize("kind", ["function", "coroutine function"])
@on_loop
async def test_from_one_client_to_another(server: LyingS3, connect: Callable[..., Any], kind: str) -> None:
    """Every state is safe before a part leaves; another client of the same process goes on, and the first one ends."""
    states: list[bytes] = []
    sent: list[int] = []

    def save(state: bytes) -> None:
        sent.append(len(sent_parts(server.state, upload)))
        states.append(state)

    async def waited_for(state: bytes) -> None:
        await asyncio.sleep(0)
        save(state)

    async with connect() as first, connect() as second:
        upload = await begin(first)
        given: Any = save if kind == "function" else waited_for
        assert await s3ec.aio.export_upload(first, upload, save=given) == states[-1]
        for number in (1, 2):
            await part(first, upload, number)
        assert sent == [0, 0, 1]
        found = await s3ec.aio.resume_upload(second, states[-1], save=given)
        assert [each["PartNumber"] for each in found["Parts"]] == [1, 2]
        assert [each["Size"] for each in found["Parts"]] == [101, 102]
        with pytest.raises(MultipartStateError, match="resumed by another client"):
            await part(first, upload, 3)
        await finish(second, found)
        assert await (await second.get_object(**PLACE))["Body"].read() == WHOLE
    is_stored(server)


@on_loop
async def test_handed_over(server: LyingS3, connect: Callable[..., Any]) -> None:
    """Without a store the upload leaves this client."""
    async with connect() as first, connect() as second:
        upload = await begin(first)
        await part(first, upload, 1)
        state = await s3ec.aio.export_upload(first, upload)
        with pytest.raises(MultipartStateError, match="did not begin"):
            await part(first, upload, 2)
        await finish(second, await s3ec.aio.resume_upload(second, state, save=lambda _: None))
    is_stored(server)


@pytest.mark.parametrize("handed_over", [False, True], ids=["saved", "handed over"])
@on_loop
async def test_to_a_synchronous_client(
    server: LyingS3, connect: Callable[..., Any], sync: EncryptionClient, handed_over: bool
) -> None:
    """In the same process: what tasks began ends there, and threads go on with it."""
    states: list[bytes] = []
    async with connect() as s3:
        upload = await begin(s3)
        if not handed_over:
            await s3ec.aio.export_upload(s3, upload, save=states.append)
        await part(s3, upload, 1)
        if handed_over:
            states.append(await s3ec.aio.export_upload(s3, upload))
        found = await asyncio.to_thread(s3ec.resume_upload, sync, states[-1], save=states.append)
        with pytest.raises(MultipartStateError):
            await part(s3, upload, 2)
        parts = [{"PartNumber": 1, "ETag": found["Parts"][0]["ETag"]}]
        for number in (2, 3):
            answer = await asyncio.to_thread(
                sync.upload_part, **PLACE, UploadId=upload, PartNumber=number, Body=PARTS[number]
            )
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        await asyncio.to_thread(
            sync.complete_multipart_upload, **PLACE, UploadId=upload, MultipartUpload={"Parts": parts}
        )
    is_stored(server)


@on_loop
async def test_from_a_synchronous_client(
    server: LyingS3, connect: Callable[..., Any], sync: EncryptionClient, tmp_path: Path
) -> None:
    """In the same process, by a file: what threads began ends there, and tasks go on with it."""
    upload = sync.create_multipart_upload(**PLACE)["UploadId"]
    with UploadStateFile(tmp_path / "state") as state:
        s3ec.export_upload(sync, upload, save=state.save)
        sync.upload_part(**PLACE, UploadId=upload, PartNumber=1, Body=PARTS[1])
        async with connect() as s3:
            found = await s3ec.aio.resume_upload(s3, state.read(), save=state.save)
            with pytest.raises(MultipartStateError, match="resumed by another client"):
                sync.upload_part(**PLACE, UploadId=upload, PartNumber=2, Body=PARTS[2])
            await finish(s3, found)
            state.remove()
    is_stored(server)


@on_loop
async def test_refused(connect: Callable[..., Any]) -> None:
    """A state that was altered, one that is none, one that is not the newest, and one that is in use."""
    states: list[bytes] = []
    async with connect() as first, connect() as second:
        upload = await begin(first)
        await s3ec.aio.export_upload(first, upload, save=states.append)
        await part(first, upload, 1)
        altered = states[-1][:-1] + bytes([states[-1][-1] ^ 1])
        with pytest.raises(AuthenticationError):
            await s3ec.aio.resume_upload(second, altered, save=states.append)
        with pytest.raises(MalformedMetadataError):
            await s3ec.aio.resume_upload(second, b"something", save=states.append)
        with pytest.raises(MultipartStateError, match="does not know"):
            await s3ec.aio.resume_upload(second, states[0], save=states.append)
        with pytest.raises(MultipartStateError, match="has the upload already"):
            await s3ec.aio.resume_upload(first, states[-1], save=states.append)
        with pytest.raises(MultipartStateError, match="did not begin"):
            await s3ec.aio.export_upload(second, "nothing")
        await part(first, upload, 2)  # none of these has ended it


@pytest.mark.parametrize("other", [False, True], ids=["equal bytes", "other bytes"])
@on_loop
async def test_cancelled_while_it_is_saved(server: LyingS3, connect: Callable[..., Any], other: bool) -> None:
    """The part does not leave. It was encrypted: the same bytes may follow, and others are refused."""
    saving = asyncio.Event()
    waits = False

    async def save(_: bytes) -> None:
        if waits:
            saving.set()
            await asyncio.Event().wait()

    async with connect() as s3:
        upload = await begin(s3)
        await s3ec.aio.export_upload(s3, upload, save=save)
        waits = True
        sending = asyncio.ensure_future(part(s3, upload, 1))
        await saving.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert sent_parts(server.state, upload) == []
        waits = False
        if other:
            with pytest.raises(MultipartStateError, match="other bytes"):
                await part(s3, upload, 1, bytes(101))
        await part(s3, upload, 1)
        assert len(sent_parts(server.state, upload)) == 1
