"""Writes: encrypted whatever their way, and nothing left behind when one ends early."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3ec import STORED_CONTEXT, EncryptionClient
from s3ec.errors import EncryptionContextMismatchError, SecurityError

MIB = 1024 * 1024
LARGE = random.Random(7).randbytes(12 * MIB + 123)
SMALL = b"name,salary\nAda,4100\n" * 100


def _pipe(fs: Any, path: str, data: bytes, _: Path) -> None:
    fs.pipe(path, data)


def _pipe_in_parts(fs: Any, path: str, data: bytes, _: Path) -> None:
    fs.pipe_file(path, data, chunksize=5 * MIB)


def _put(fs: Any, path: str, data: bytes, folder: Path) -> None:
    (folder / "source.csv").write_bytes(data)
    fs.put(str(folder / "source.csv"), path)


def _put_in_parts(fs: Any, path: str, data: bytes, folder: Path) -> None:
    (folder / "source.csv").write_bytes(data)
    fs.put_file(str(folder / "source.csv"), path, chunksize=5 * MIB)


def _open(fs: Any, path: str, data: bytes, _: Path) -> None:
    with fs.open(path, "wb", block_size=5 * MIB) as file:
        for start in range(0, len(data), MIB):
            file.write(data[start : start + MIB])


def _transaction(fs: Any, path: str, data: bytes, _: Path) -> None:
    with fs.transaction, fs.open(path, "wb", block_size=5 * MIB) as file:
        file.write(data)


def _append(fs: Any, path: str, data: bytes, _: Path) -> None:
    fs.pipe(path, data[: len(data) // 2])
    with fs.open(path, "ab", block_size=5 * MIB) as file:
        file.write(data[len(data) // 2 :])


def _append_little(fs: Any, path: str, data: bytes, _: Path) -> None:
    fs.pipe(path, data[:-10])
    with fs.open(path, "ab", block_size=5 * MIB) as file:
        file.write(data[-10:])


def _merge(fs: Any, path: str, data: bytes, _: Path) -> None:
    names = [f"{path}-{number}" for number in range(3)]
    third = len(data) // 3
    fs.pipe(dict(zip(names, [data[:third], data[third : 2 * third], data[2 * third :]], strict=True)))
    fs.merge(path, names)
    fs.rm(names)


def _mapper(fs: Any, path: str, data: bytes, _: Path) -> None:
    fs.get_mapper(path.rsplit("/", 1)[0])[path.rsplit("/", 1)[1]] = data


WAYS = {
    "append": _append,
    "append little": _append_little,
    "mapper": _mapper,
    "merge": _merge,
    "open": _open,
    "pipe": _pipe,
    "pipe in parts": _pipe_in_parts,
    "put": _put,
    "put in parts": _put_in_parts,
    "transaction": _transaction,
}


@pytest.mark.parametrize("data", [b"", b"x", SMALL, LARGE], ids=["empty", "one byte", "small", "large"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way(
    fs: Any,
    bucket: str,
    folder: Path,
    plain_s3: Any,
    open_uploads: Callable[[], int],
    way: Callable[[Any, str, bytes, Path], None],
    data: bytes,
) -> None:
    """What is stored is one ciphertext, a tag longer than what was written, and reads back."""
    way(fs, f"{bucket}/folder/file", data, folder)
    response = plain_s3.get_object(Bucket=bucket, Key="folder/file")
    stored = response["Body"].read()
    assert {"x-amz-3", "x-amz-c", "x-amz-d", "x-amz-i"} <= response["Metadata"].keys()
    assert len(stored) == len(data) + 16
    assert len(data) < 20 or data[:20] not in stored
    assert fs.cat(f"{bucket}/folder/file") == data
    assert open_uploads() == 0
    assert [each["Key"] for each in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["folder/file"]


def test_put_guesses_content_type(fs: Any, bucket: str, folder: Path, plain_s3: Any) -> None:
    """As s3fs does, also for what goes in parts."""
    for way, name in ((_put, "small.csv"), (_put_in_parts, "large.csv")):
        way(fs, f"{bucket}/{name}", LARGE if way is _put_in_parts else SMALL, folder)
        assert plain_s3.head_object(Bucket=bucket, Key=name)["ContentType"] == "text/csv"


class TestEncryptionContext:
    """s3fs drops parameters that botocore does not know; the context is not among them."""

    @pytest.fixture
    def make_kms_fs(self, make_fs: Callable[..., Any], kms_key: str, endpoint: str) -> Callable[..., Any]:
        """A file system with a KMS key."""
        return lambda **options: make_fs(
            kms_key=kms_key, kms_client_kwargs={"endpoint_url": endpoint, "region_name": "us-east-1"}, **options
        )

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    def test_of_the_file_system(
        self,
        make_kms_fs: Callable[..., Any],
        make_client: Callable[..., EncryptionClient],
        bucket: str,
        folder: Path,
        way: Callable[[Any, str, bytes, Path], None],
    ) -> None:
        """Every way to write binds it, and every read requires it."""
        data = LARGE if way in (_append, _append_little, _merge, _pipe_in_parts, _put_in_parts) else b""
        fs = make_kms_fs(encryption_context={"team": "hr"})
        path = f"{bucket}/folder/file"
        way(fs, path, data, folder)
        got = make_client().get_object(Bucket=bucket, Key="folder/file", EncryptionContext={"team": "hr"})
        assert got["Body"].read() == data
        assert fs.cat(path) == data
        with fs.open(path) as file:
            assert file.read() == data
        with pytest.raises(EncryptionContextMismatchError):
            make_kms_fs().cat(path)

    def test_of_s3_additional_kwargs(self, make_kms_fs: Callable[..., Any], bucket: str) -> None:
        """By s3fs' own name for further parameters."""
        fs = make_kms_fs(s3_additional_kwargs={"EncryptionContext": {"team": "hr"}})
        fs.pipe(f"{bucket}/file", SMALL)
        assert fs.cat(f"{bucket}/file") == SMALL
        with pytest.raises(EncryptionContextMismatchError):
            make_kms_fs().cat(f"{bucket}/file")

    @pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
    def test_of_one_file(self, make_kms_fs: Callable[..., Any], bucket: str, data: bytes) -> None:
        """Given to `open`, for writing and for reading."""
        fs = make_kms_fs()
        with fs.open(f"{bucket}/file", "wb", block_size=5 * MIB, EncryptionContext={"team": "hr"}) as file:
            file.write(data)
        with fs.open(f"{bucket}/file", EncryptionContext={"team": "hr"}) as file:
            assert file.read() == data
        with fs.open(f"{bucket}/file", EncryptionContext=STORED_CONTEXT) as file:
            assert file.read() == data
        assert fs.cat_file(f"{bucket}/file", EncryptionContext={"team": "hr"}) == data
        with pytest.raises(EncryptionContextMismatchError):
            fs.cat_file(f"{bucket}/file", EncryptionContext={"team": "it"})


def _connected(fs: Any) -> Any:
    """The client of a file system that has asked something: before that, older s3fs makes another one."""
    fs.call_s3("list_buckets")
    return fs.s3


class _Held:
    """Stops a request of one kind before it is sent, or answers it with an error."""

    def __init__(self, fs: Any, operation: str, number: int = 1, error: Exception | None = None) -> None:
        self.reached = threading.Event()
        self._number, self._error, self._loop = number, error, fs.loop
        # Kept here: a task that waits for what nobody else knows of is collected as it waits.
        self._released = asyncio.Event()
        _connected(fs).meta.events.register(f"before-call.s3.{operation}", self._stop)

    async def _stop(self, **_: Any) -> None:
        self._number -= 1
        if self._number:
            return
        self.reached.set()
        if self._error is not None:
            raise self._error
        await self._released.wait()

    def release(self) -> None:
        """Lets the request go on."""
        self._loop.call_soon_threadsafe(self._released.set)


CANCELLED = ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]


class TestEndedEarly:
    """Failed and cancelled writes leave no upload open, which would be paid for, and no half file."""

    @pytest.mark.parametrize("operation", CANCELLED)
    @pytest.mark.parametrize("way", ["pipe", "put", "merge"])
    def test_cancelled(
        self,
        fs: Any,
        bucket: str,
        folder: Path,
        open_uploads: Callable[[], int],
        operation: str,
        way: str,
    ) -> None:
        """A task that is cancelled aborts its upload; s3fs and aioboto3 look at errors only."""
        (folder / "source").write_bytes(LARGE)
        fs.pipe({f"{bucket}/a": LARGE[: 6 * MIB], f"{bucket}/b": LARGE[6 * MIB :]})
        fs.default_block_size = 5 * MIB
        held = _Held(fs, operation)
        path = f"{bucket}/file"
        work = {
            "pipe": lambda: fs._pipe_file(path, LARGE, chunksize=5 * MIB),
            "put": lambda: fs._put_file(str(folder / "source"), path, chunksize=5 * MIB),
            "merge": lambda: fs._merge(path, [f"{bucket}/a", f"{bucket}/b"]),
        }[way]()
        running = asyncio.run_coroutine_threadsafe(work, fs.loop)
        assert held.reached.wait(60)
        running.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            running.result(60)
        # What was not cancelled goes on: the creation of an upload, whose name is needed to abort it.
        held.release()
        _settled(fs)
        assert open_uploads() == 0
        assert not fs.exists(path)

    def test_cancelled_when_it_is_made_already(
        self, fs: Any, bucket: str, open_uploads: Callable[[], int], plain_s3: Any
    ) -> None:
        """S3 has made the upload, and its answer is still on its way."""
        reached, go = threading.Event(), asyncio.Event()

        async def hold(**_: Any) -> None:
            reached.set()
            await go.wait()

        _connected(fs).meta.events.register("after-call.s3.CreateMultipartUpload", hold)
        running = asyncio.run_coroutine_threadsafe(fs._pipe_file(f"{bucket}/file", LARGE, chunksize=5 * MIB), fs.loop)
        assert reached.wait(60)
        assert open_uploads() == 1
        running.cancel()
        fs.loop.call_soon_threadsafe(go.set)
        with pytest.raises(concurrent.futures.CancelledError):
            running.result(60)
        _settled(fs)
        assert open_uploads() == 0

    @pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
    @pytest.mark.parametrize("way", [_pipe_in_parts, _put_in_parts, _open, _append, _append_little])
    def test_failed(
        self,
        fs: Any,
        bucket: str,
        folder: Path,
        open_uploads: Callable[[], int],
        operation: str,
        way: Callable[[Any, str, bytes, Path], None],
    ) -> None:
        """An error is the caller's to hear; what was there before stays."""
        path = f"{bucket}/file"
        _Held(fs, operation, number=2 if operation == "UploadPart" else 1, error=RuntimeError("the network is gone"))
        with pytest.raises(RuntimeError, match="the network is gone"):
            way(fs, path, LARGE, folder)
        gc.collect()
        assert open_uploads() == 0
        before = {_append: LARGE[: len(LARGE) // 2], _append_little: LARGE[:-10]}.get(way)
        fs.invalidate_cache()
        assert (fs.cat(path) if fs.exists(path) else None) == before

    def test_closing_after_a_failure(self, fs: Any, bucket: str) -> None:
        """A file whose write failed stores nothing any more, neither when it is closed nor when it is collected."""
        _Held(fs, "UploadPart", error=RuntimeError("the network is gone"))
        file = fs.open(f"{bucket}/file", "wb", block_size=5 * MIB)
        with pytest.raises(RuntimeError):
            file.write(LARGE)
        file.close()
        del file
        gc.collect()
        assert not fs.exists(f"{bucket}/file")

    def test_discarded_transaction(self, fs: Any, bucket: str, open_uploads: Callable[[], int]) -> None:
        """An error in a transaction leaves nothing."""

        def write_and_fail() -> None:
            with fs.transaction:
                with fs.open(f"{bucket}/file", "wb", block_size=5 * MIB) as file:
                    file.write(LARGE)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            write_and_fail()
        assert open_uploads() == 0
        assert not fs.exists(f"{bucket}/file")

    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
    def test_a_discarded_file_is_closed(
        self, fs: Any, bucket: str, open_uploads: Callable[[], int], data: bytes
    ) -> None:
        """Whoever still has it may close it, in a ``finally`` that is not to hide why the transaction failed."""

        def write_and_fail() -> None:
            with fs.transaction:
                file = fs.open(f"{bucket}/file", "wb", block_size=5 * MIB)
                files.append(file)
                file.write(data)
                raise RuntimeError("of the caller")

        files: list[Any] = []
        with pytest.raises(RuntimeError, match="of the caller"):
            write_and_fail()
        files[0].close()
        assert files[0].closed
        with pytest.raises(ValueError, match="write mode|closed"):
            files[0].write(data)
        with fs.open(f"{bucket}/other", "wb", autocommit=False) as file:
            file.write(data)
            file.discard()
        assert open_uploads() == 0
        assert fs.find(bucket) == []

    @pytest.mark.parametrize("size", [1000, 6 * MIB])
    def test_append_to_what_cannot_be_read(
        self,
        fs: Any,
        bucket: str,
        change: Callable[..., None],
        plain_s3: Any,
        size: int,
        open_uploads: Callable[[], int],
    ) -> None:
        """Appending to a tampered object is refused, and it stays as it is: its owner may have a backup of its key."""
        path = f"{bucket}/file"
        fs.pipe(path, LARGE[:size])
        change("file", lambda content: content[:-1] + bytes([content[-1] ^ 1]))
        before = plain_s3.get_object(Bucket=bucket, Key="file")["Body"].read()

        def append() -> None:
            with fs.open(path, "ab", block_size=5 * MIB) as file:
                file.write(b"more")

        with pytest.raises(SecurityError):
            append()
        gc.collect()
        assert plain_s3.get_object(Bucket=bucket, Key="file")["Body"].read() == before
        assert open_uploads() == 0

    def test_merge_of_what_cannot_be_read(
        self, fs: Any, bucket: str, change: Callable[..., None], open_uploads: Callable[[], int]
    ) -> None:
        """Nothing is made of a tampered piece."""
        fs.pipe({f"{bucket}/a": LARGE, f"{bucket}/b": SMALL})
        change("b", lambda content: content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(SecurityError):
            fs.merge(f"{bucket}/merged", [f"{bucket}/a", f"{bucket}/b"])
        assert open_uploads() == 0
        assert not fs.exists(f"{bucket}/merged")


def _settled(fs: Any) -> None:
    """Waits until the loop has nothing left of what was cancelled: `Future.result` answers before the task ends."""

    async def wait() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, pending = await asyncio.wait(others, timeout=60)
            assert not pending

    asyncio.run_coroutine_threadsafe(wait(), fs.loop).result(90)


class TestCopies:
    """Copies and moves keep files readable, or are refused before anything is lost."""

    @pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
    @pytest.mark.parametrize("verb", ["cp", "mv"])
    def test_every_size(
        self, fs: Any, bucket: str, data: bytes, verb: str, monkeypatch: pytest.MonkeyPatch, plain_s3: Any
    ) -> None:
        """Also above the size from which s3fs copies by parts, which loses the key."""
        monkeypatch.setattr("s3fs.core.MANAGED_COPY_THRESHOLD", 5 * MIB)
        fs.pipe_file(f"{bucket}/file", data, chunksize=5 * MIB, Metadata={"own": "1"}, ContentType="text/csv")
        getattr(fs, verb)(f"{bucket}/file", f"{bucket}/copy")
        assert fs.cat(f"{bucket}/copy") == data
        assert fs.exists(f"{bucket}/file") is (verb == "cp")
        assert fs.metadata(f"{bucket}/copy") == {"own": "1"}
        assert plain_s3.head_object(Bucket=bucket, Key="copy")["ContentType"] == "text/csv"

    def test_folders(self, fs: Any, bucket: str) -> None:
        """Whole folders."""
        fs.pipe({f"{bucket}/one/{name}": name.encode() for name in ("a", "b/c")})
        fs.mv(f"{bucket}/one", f"{bucket}/two", recursive=True)
        found = {path: fs.cat(path) for path in fs.find(f"{bucket}/two")}
        assert found == {f"{bucket}/two/a": b"a", f"{bucket}/two/b/c": b"b/c"}
        assert not fs.exists(f"{bucket}/one")

    def test_unencrypted_source(self, fs: Any, bucket: str, plain_s3: Any) -> None:
        """A move that is refused does not remove."""
        from s3ec.errors import S3ECError

        plain_s3.put_object(Bucket=bucket, Key="plain", Body=b"content")
        with pytest.raises(S3ECError):
            fs.mv(f"{bucket}/plain", f"{bucket}/moved")
        assert plain_s3.get_object(Bucket=bucket, Key="plain")["Body"].read() == b"content"

    def test_bound_objects(self, make_fs: Callable[..., Any], bucket: str, kms_key: str, endpoint: str) -> None:
        """An object that is bound to its name is not moved to where nobody could read it."""
        from s3ec.errors import UnsupportedOperationError

        fs = make_fs(kms_key=kms_key, kms_client_kwargs={"endpoint_url": endpoint}, bind_object=True)
        fs.pipe(f"{bucket}/file", SMALL)
        with pytest.raises(UnsupportedOperationError):
            fs.mv(f"{bucket}/file", f"{bucket}/moved")
        assert fs.cat(f"{bucket}/file") == SMALL

    def test_attributes(self, fs: Any, bucket: str) -> None:
        """Changing an object's own metadata copies it onto itself."""
        fs.pipe_file(f"{bucket}/file", SMALL, Metadata={"one": "1", "two": "2"})
        fs.setxattr(f"{bucket}/file", two=None, three="3")
        assert fs.metadata(f"{bucket}/file") == {"one": "1", "three": "3"}
        assert fs.getxattr(f"{bucket}/file", "three") == "3"
        assert fs.cat(f"{bucket}/file") == SMALL


def _create_by_opening(fs: Any, path: str, data: bytes, _: Path) -> None:
    with fs.open(path, "xb") as file:
        file.write(data)


def _create_by_pipe(fs: Any, path: str, data: bytes, _: Path) -> None:
    fs.pipe_file(path, data, mode="create")


def _create_by_put(fs: Any, path: str, data: bytes, folder: Path) -> None:
    (folder / "source.csv").write_bytes(data)
    fs.put_file(str(folder / "source.csv"), path, mode="create")


@pytest.mark.parametrize("data", [b"", SMALL], ids=["empty", "small"])
@pytest.mark.parametrize("create", [_create_by_opening, _create_by_pipe, _create_by_put])
def test_what_is_there_is_not_created_again(
    fs: Any, bucket: str, folder: Path, create: Callable[..., None], data: bytes, open_uploads: Callable[[], int]
) -> None:
    """Exclusive creation makes a file once, an empty one as well, and leaves the one that is there."""
    path = f"{bucket}/made-once"
    create(fs, path, data, folder)
    assert fs.cat(path) == data
    fs.pipe(path, b"what is there")
    with pytest.raises(OSError, match="(?i)pre-?condition"):
        create(fs, path, data, folder)
    assert fs.cat(path) == b"what is there"
    assert open_uploads() == 0
