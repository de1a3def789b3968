"""Managed transfers of tasks: boto3's names, verified before a file has its name, aborted where they fail."""

from __future__ import annotations

import asyncio
import gc
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from s3ec import AesKeyring, EncryptionClient
from s3ec.aio import transfer_uploads
from s3ec.errors import AuthenticationError, NotEncryptedError, SourceChangedError, UnsupportedOperationError

from support.loops import on_loop

MiB = 2**20
DATA = os.urandom(11 * MiB + 17)
IN_PARTS = TransferConfig(multipart_threshold=5 * MiB, multipart_chunksize=5 * MiB, max_concurrency=3)
CONFIGS = {
    "one request": TransferConfig(multipart_threshold=64 * MiB),
    "parts": IN_PARTS,
    "one after another": TransferConfig(multipart_threshold=5 * MiB, multipart_chunksize=5 * MiB, use_threads=False),
}


class AsyncFile:
    """A file whose methods are coroutine functions, as aiofiles has them."""

    def __init__(self, data: bytes = b"") -> None:
        self.file = io.BytesIO(data)

    async def read(self, size: int = -1) -> bytes:
        """Less than was asked for, as happens."""
        await asyncio.sleep(0)
        return self.file.read(min(size, 300_000) if size > 0 else size)

    async def write(self, data: bytes) -> int:
        """All of it."""
        await asyncio.sleep(0)
        return self.file.write(data)


@pytest.mark.parametrize("name", CONFIGS)
@on_loop
async def test_there_and_back(
    open_client: Callable[..., Any], bucket: str, tmp_path: Path, aws: dict[str, Any], name: str
) -> None:
    """Files and objects like files, with waiting or without; progress in plaintext, of which the sum is exact."""
    config = CONFIGS[name]
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(DATA)
    told: list[int] = []
    extra = {"Metadata": {"a": "b"}, "ContentType": "text/x"}
    async with open_client() as s3:
        await s3.upload_file(there, bucket, "file", ExtraArgs=extra, Callback=told.append, Config=config)
        assert sum(told) == len(DATA)
        await s3.upload_fileobj(io.BytesIO(DATA), bucket, "fileobj", Config=config)
        await s3.upload_fileobj(AsyncFile(DATA), bucket, "waiting", Config=config)
        head = await s3.head_object(Bucket=bucket, Key="file")
        assert (head["Metadata"], head["ContentType"], head["ContentLength"]) == ({"a": "b"}, "text/x", len(DATA))
        told.clear()
        await s3.download_file(bucket, "file", back, Callback=told.append, Config=config)
        assert back.read_bytes() == DATA
        assert sum(told) == len(DATA)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "there"]
        for key, target in (("fileobj", io.BytesIO()), ("waiting", AsyncFile())):
            await s3.download_fileobj(bucket, key, target, Config=config)
            assert (target if isinstance(target, io.BytesIO) else target.file).getvalue() == DATA
    plain = EncryptionClient(keyring=AesKeyring(bytes(32)), **aws)
    assert plain.get_object(Bucket=bucket, Key="waiting")["Body"].read() == DATA


@on_loop
async def test_small_and_empty(open_client: Callable[..., Any], bucket: str, tmp_path: Path) -> None:
    """Nothing at all is an object too."""
    async with open_client() as s3:
        for data in (b"", b"a"):
            await s3.upload_fileobj(io.BytesIO(data), bucket, "k")
            await s3.download_file(bucket, "k", str(tmp_path / "k"))
            assert (tmp_path / "k").read_bytes() == data
            target = io.BytesIO(b"before")
            await s3.download_fileobj(bucket, "k", target)
            assert target.getvalue()[: len(data)] == data


@on_loop
async def test_what_was_tampered_with_gets_no_name(
    open_client: Callable[..., Any], bucket: str, tmp_path: Path, plain_s3: Any
) -> None:
    """No file, no byte in an object like a file; the file that was there stays."""
    target = tmp_path / "k"
    target.write_bytes(b"before")
    async with open_client() as s3:
        await s3.put_object(Bucket=bucket, Key="k", Body=DATA)
        stored = plain_s3.get_object(Bucket=bucket, Key="k")
        body = bytearray(stored["Body"].read())
        body[7 * MiB] ^= 1
        plain_s3.put_object(Bucket=bucket, Key="k", Body=bytes(body), Metadata=stored["Metadata"])
        fileobj = io.BytesIO()
        for config in CONFIGS.values():
            with pytest.raises(AuthenticationError):
                await s3.download_file(bucket, "k", target, Config=config)
            with pytest.raises(AuthenticationError):
                await s3.download_fileobj(bucket, "k", fileobj, Config=config)
    assert target.read_bytes() == b"before"
    assert fileobj.getvalue() == b""
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


@on_loop
async def test_an_object_that_is_replaced_meanwhile(open_client: Callable[..., Any], bucket: str) -> None:
    """The download begins again with the new one, and mixes nothing."""
    other = os.urandom(len(DATA))
    async with open_client() as s3:
        await s3.put_object(Bucket=bucket, Key="k", Body=DATA)
        seen: list[str] = []

        async def replace(**_: Any) -> None:
            seen.append("GetObject")
            if len(seen) == 1:
                await s3.put_object(Bucket=bucket, Key="k", Body=other)

        s3.meta.events.register("before-call.s3.GetObject", replace)
        fileobj = io.BytesIO()
        told: list[int] = []
        await s3.download_fileobj(bucket, "k", fileobj, Config=IN_PARTS, Callback=told.append)
        assert fileobj.getvalue() == other
        assert sum(told) == len(other)


@on_loop
async def test_what_is_not_encrypted(open_client: Callable[..., Any], bucket: str, plain_s3: Any) -> None:
    """Refused, but where the client allows it."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=DATA)
    async with open_client() as s3:
        with pytest.raises(NotEncryptedError):
            await s3.download_fileobj(bucket, "k", io.BytesIO())
    async with open_client(unencrypted_objects="allow") as s3:
        fileobj = io.BytesIO()
        await s3.download_fileobj(bucket, "k", fileobj, Config=IN_PARTS)
        assert fileobj.getvalue() == DATA


def uploads_of(plain_s3: Any, bucket: str) -> list[Any]:
    """What S3 has of uploads that were not ended."""
    return plain_s3.list_multipart_uploads(Bucket=bucket).get("Uploads") or []


@on_loop
async def test_uploads_that_fail_are_aborted(open_client: Callable[..., Any], bucket: str, plain_s3: Any) -> None:
    """Whatever fails: the source, S3, or what the caller says."""

    class Broken(io.RawIOBase):
        """Breaks off after some parts."""

        left = 8 * MiB

        def readable(self) -> bool:
            """It is."""
            return True

        def readinto(self, buffer: Any) -> int:
            """Zeros, for a while."""
            if self.left <= 0:
                raise OSError("the disk is gone")
            self.left -= len(buffer)
            return len(buffer)

    async with open_client() as s3:
        with pytest.raises(OSError, match="the disk is gone"):
            await s3.upload_fileobj(Broken(), bucket, "k", Config=IN_PARTS)
        with pytest.raises(SourceChangedError, match="ChecksumCRC32"):
            await s3.upload_fileobj(
                io.BytesIO(DATA), bucket, "k", ExtraArgs={"ChecksumCRC32": "AAAAAA=="}, Config=IN_PARTS
            )
        assert not uploads_of(plain_s3, bucket)
        with pytest.raises(ClientError, match="NoSuchBucket"):
            await s3.upload_fileobj(io.BytesIO(DATA), "no-such-bucket-of-ours", "k", Config=IN_PARTS)
        with pytest.raises(S3UploadFailedError):
            await s3.upload_file(__file__, "no-such-bucket-of-ours", "k")
        with pytest.raises(ValueError, match="Invalid extra_args key"):
            await s3.upload_fileobj(io.BytesIO(b""), bucket, "k", ExtraArgs={"Nonsense": 1})


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
@on_loop
async def test_uploads_that_are_cancelled_are_aborted(
    open_client: Callable[..., Any], bucket: str, plain_s3: Any, operation: str
) -> None:
    """At whichever request, also while S3 is creating the upload; and the next one goes well."""
    async with open_client() as s3:
        reached = asyncio.Event()

        async def wait(**_: Any) -> None:
            reached.set()
            await asyncio.sleep(0)

        s3.meta.events.register(f"before-call.s3.{operation}", wait)
        uploading = asyncio.ensure_future(s3.upload_fileobj(io.BytesIO(DATA), bucket, "k", Config=IN_PARTS))
        await reached.wait()
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading
        assert not uploads_of(plain_s3, bucket)
        await s3.upload_fileobj(io.BytesIO(DATA), bucket, "k", Config=IN_PARTS)
        assert await (await s3.get_object(Bucket=bucket, Key="k"))["Body"].read() == DATA


@pytest.mark.parametrize("way", ["upload", "copy"])
@on_loop
async def test_cancelled_when_it_is_complete_already(open_client: Callable[..., Any], bucket: str, way: str) -> None:
    """S3 has made the object, and its answer is still on its way: there is nothing to abort, and it was cancelled."""
    async with open_client() as s3:
        await s3.upload_fileobj(io.BytesIO(DATA), bucket, "source", Config=IN_PARTS)
        made = asyncio.Event()

        async def hold(**_: Any) -> None:
            made.set()
            await asyncio.sleep(3600)

        s3.meta.events.register("after-call.s3.CompleteMultipartUpload", hold)
        transfer = {
            "upload": lambda: s3.upload_fileobj(io.BytesIO(DATA), bucket, "k", Config=IN_PARTS),
            "copy": lambda: s3.copy({"Bucket": bucket, "Key": "source"}, bucket, "k", Config=IN_PARTS),
        }[way]()
        transferring = asyncio.ensure_future(transfer)
        await made.wait()
        transferring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await transferring


@on_loop
async def test_downloads_that_are_cancelled_leave_nothing(
    open_client: Callable[..., Any], bucket: str, tmp_path: Path
) -> None:
    """No temporary file, and nothing on its way."""
    async with open_client() as s3:
        await s3.put_object(Bucket=bucket, Key="k", Body=DATA)
        reached = asyncio.Event()

        async def wait(**_: Any) -> None:
            reached.set()
            await asyncio.sleep(0)

        s3.meta.events.register("before-call.s3.GetObject", wait)
        loading = asyncio.ensure_future(s3.download_file(bucket, "k", tmp_path / "k", Config=IN_PARTS))
        await reached.wait()
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        assert list(tmp_path.iterdir()) == []
        assert len(asyncio.all_tasks()) == 2  # the test, and what waits for it


@pytest.mark.parametrize("options", [{}, {"instruction_file_writes": True}], ids=["metadata", "file"])
@pytest.mark.parametrize("name", ["one request", "parts"])
@on_loop
async def test_copies_of_any_size(
    open_client: Callable[..., Any], bucket: str, options: dict[str, Any], name: str
) -> None:
    """With their metadata, whatever the copy states of its own; progress ends with the plaintext."""
    async with open_client(**options) as s3:
        await s3.put_object(Bucket=bucket, Key="k", Body=DATA, Metadata={"a": "b"}, ContentType="text/x")
        told: list[int] = []
        await s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", Callback=told.append, Config=CONFIGS[name])
        await s3.copy(
            {"Bucket": bucket, "Key": "k"},
            bucket,
            "other",
            ExtraArgs={"MetadataDirective": "REPLACE", "Metadata": {"c": "d"}},
            SourceClient=s3,
            Config=CONFIGS[name],
        )
        assert sum(told) == len(DATA)
        for key, metadata in (("copy", {"a": "b"}), ("other", {"c": "d"})):
            response = await s3.get_object(Bucket=bucket, Key=key)
            assert response["Metadata"] == metadata
            assert await response["Body"].read() == DATA


@pytest.mark.parametrize("name", ["one request", "parts"])
@on_loop
async def test_handlers_of_copies(open_client: Callable[..., Any], bucket: str, name: str) -> None:
    """They may change what is made, as boto3's may, and the copy keeps its content metadata."""
    source = {"Bucket": bucket, "Key": "k"}
    asked: list[Any] = []

    async def change(params: dict[str, Any], **_: Any) -> None:
        asked.append(params.get("Metadata"))
        params["Metadata"] = {"mine": "1"}
        params["ContentType"] = "text/mine"

    async with open_client() as s3:
        await s3.put_object(**source, Body=DATA, Metadata={"a": "b"})
        for operation in ("CopyObject", "CreateMultipartUpload"):
            s3.meta.events.register(f"provide-client-params.s3.{operation}", change)
        stated = {"MetadataDirective": "REPLACE", "Metadata": {"c": "d"}}
        await s3.copy(source, bucket, "copy", ExtraArgs=stated, Config=CONFIGS[name])
        assert len(asked) == 1
        assert asked[0]["c"] == "d"
        answer = await s3.get_object(Bucket=bucket, Key="copy")
        assert (answer["Metadata"], answer["ContentType"]) == ({"mine": "1"}, "text/mine")
        assert await answer["Body"].read() == DATA


@on_loop
async def test_copies_that_are_refused_or_cancelled(
    open_client: Callable[..., Any], bucket: str, plain_s3: Any
) -> None:
    """What is not encrypted stays where it is, and an upload that was begun is aborted."""
    plain_s3.put_object(Bucket=bucket, Key="plain", Body=b"text")
    source = {"Bucket": bucket, "Key": "k"}
    async with open_client() as s3:
        with pytest.raises(UnsupportedOperationError):
            await s3.copy({"Bucket": bucket, "Key": "plain"}, bucket, "copy")
        with pytest.raises(ClientError):
            await s3.copy({"Bucket": bucket, "Key": "none"}, bucket, "copy")
        await s3.put_object(Bucket=bucket, Key="k", Body=DATA)
        with pytest.raises(UnsupportedOperationError, match="Tagging"):
            await s3.copy(source, bucket, "copy", ExtraArgs={"Tagging": "a=b"}, Config=IN_PARTS)
        reached = asyncio.Event()

        async def wait(**_: Any) -> None:
            reached.set()
            await asyncio.sleep(0)

        s3.meta.events.register("before-call.s3.UploadPartCopy", wait)
        copying = asyncio.ensure_future(s3.copy(source, bucket, "copy", Config=IN_PARTS))
        await reached.wait()
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copying
        assert not uploads_of(plain_s3, bucket)


@on_loop
async def test_methods_that_a_session_gives_its_clients(aws: dict[str, Any], bucket: str, plain_s3: Any) -> None:
    """As aioboto3's sessions do, by the same event: this client's own stand before them."""
    from aiobotocore.session import AioSession

    import s3ec.aio

    async def stores_plaintext(*_: Any, **__: Any) -> None:
        raise AssertionError("another method was called")

    def inject(class_attributes: dict[str, Any], **_: Any) -> None:
        names = ("upload_file", "upload_fileobj", "download_file", "download_fileobj", "copy")
        class_attributes.update(dict.fromkeys(names, stores_plaintext))

    session = AioSession()
    session.get_component("event_emitter").register("creating-client-class.s3", inject)
    s3ec.aio.install(session, keyring=AesKeyring(bytes(32)))
    async with session.create_client("s3", **aws) as s3:
        await s3.upload_fileobj(io.BytesIO(b"text"), bucket, "k")
        await s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy")
        target = io.BytesIO()
        await s3.download_fileobj(bucket, "copy", target)
        assert target.getvalue() == b"text"
        assert b"text" not in plain_s3.get_object(Bucket=bucket, Key="copy")["Body"].read()


@on_loop
async def test_parts_that_fail_at_once(
    open_client: Callable[..., Any], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first error is raised, and asyncio does not shout about the others."""
    shouted: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: shouted.append(context))

    async def fail(*_: object) -> None:
        raise ConnectionError("no")

    monkeypatch.setattr(transfer_uploads._PartedUpload, "_send", fail)
    config = TransferConfig(multipart_threshold=5 * MiB, multipart_chunksize=5 * MiB, max_concurrency=4)
    async with open_client() as s3:
        with pytest.raises(ConnectionError):
            await s3.upload_fileobj(io.BytesIO(bytes(20 * MiB)), bucket, "k", Config=config)
    gc.collect()
    assert shouted == []
