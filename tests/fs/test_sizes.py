"""Sizes are those of plaintext everywhere, whether a listing came before or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

MIB = 1024 * 1024
SIZES = [0, 1, 15, 16, 17, 100, 70_000]
LISTINGS: dict[str, Callable[[Any, str], object]] = {
    "nothing": lambda fs, bucket: None,
    "ls": lambda fs, bucket: fs.ls(bucket, detail=True),
    "find": lambda fs, bucket: fs.find(bucket),
    "glob": lambda fs, bucket: fs.glob(f"{bucket}/*"),
    "walk": lambda fs, bucket: list(fs.walk(bucket)),
    "du": lambda fs, bucket: fs.du(bucket),
}

before = pytest.mark.parametrize("listing", LISTINGS.values(), ids=LISTINGS)


def content(size: int) -> bytes:
    """Bytes that differ from place to place."""
    return (b"0123456789abcdef-" * (size // 17 + 1))[:size]


@before
def test_every_way_to_ask(fs: Any, bucket: str, listing: Callable[[Any, str], object]) -> None:
    """All methods that give a size agree."""
    paths = {f"{bucket}/file-{size}": size for size in SIZES}
    fs.pipe({path: content(size) for path, size in paths.items()})
    fs.invalidate_cache()
    listing(fs, bucket)
    for path, size in paths.items():
        assert fs.info(path)["size"] == fs.size(path) == fs.du(path) == size
        assert fs.ls(path, detail=True)[0]["size"] == size
        with fs.open(path) as file:
            assert (file.size, file.seek(0, 2)) == (size, size)
    assert fs.sizes(list(paths)) == SIZES
    assert {path: info["size"] for path, info in fs.find(bucket, detail=True).items()} == paths
    assert fs.du(bucket) == sum(SIZES)


RANGES = [
    (2, -2),
    (-4, None),
    (-10, -3),
    (None, -5),
    (0, 4),
    (5, None),
    (96, 120),
    (-1000, 10),
    (3, 3),
    (-2, -2),
    (None, -100),
]


@before
def test_ranges(fs: Any, bucket: str, listing: Callable[[Any, str], object]) -> None:
    """Bounds count from the plaintext's ends, as those of a slice do."""
    path = f"{bucket}/file"
    fs.pipe(path, content(100))
    for start, end in RANGES:
        fs.invalidate_cache()
        listing(fs, bucket)
        assert fs.cat_file(path, start=start, end=end) == content(100)[start:end], (start, end)
    starts, ends = zip(*RANGES, strict=True)
    wanted = [content(100)[start:end] for start, end in RANGES]
    assert fs.cat_ranges([path] * len(RANGES), starts, ends) == wanted


@before
def test_tails(fs: Any, bucket: str, listing: Callable[[Any, str], object]) -> None:
    """What reads from the end finds the end."""
    path = f"{bucket}/file"
    fs.pipe(path, content(100))
    fs.invalidate_cache()
    listing(fs, bucket)
    assert fs.tail(path, 7) == content(100)[-7:]
    assert fs.head(path, 7) == content(100)[:7]
    assert fs.read_block(path, 90, 50) == content(100)[90:]
    with fs.open(path, block_size=10, cache_type="none") as file:
        file.seek(-4, 2)
        assert file.read() == content(100)[-4:]


@before
def test_tables(fs: Any, bucket: str, storage_options: dict[str, Any], listing: Callable[[Any, str], object]) -> None:
    """Formats that are read from their end, and to it."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"name": ["Ada", "Grace"], "salary": [4100, 4200]})
    table.to_parquet(f"s3ec://{bucket}/people.parquet", storage_options=storage_options)
    table.to_csv(f"s3ec://{bucket}/people.csv", index=False, storage_options=storage_options)
    fs.invalidate_cache()
    listing(fs, bucket)
    with fs.open(f"{bucket}/people.parquet") as file:
        assert pd.read_parquet(file).equals(table)
    with fs.open(f"{bucket}/people.csv") as file:
        assert pd.read_csv(file).equals(table)


def test_stored_size_stays(fs: Any, bucket: str) -> None:
    """What S3 said stands beside it, by S3's own name."""
    fs.pipe(f"{bucket}/file", b"x" * 10)
    fs.invalidate_cache()
    (entry,) = fs.ls(bucket, detail=True)
    assert (entry["size"], entry["Size"]) == (10, 26)


def test_marker_of_a_folder(fs: Any, bucket: str, plain_s3: Any) -> None:
    """An empty object, as consoles make them for folders, is not shorter than nothing."""
    plain_s3.put_object(Bucket=bucket, Key="folder/", Body=b"")
    fs.pipe(f"{bucket}/folder/file", b"x")
    fs.invalidate_cache()
    assert fs.du(bucket) == 1
    assert fs.isdir(f"{bucket}/folder")
    assert fs.info(f"{bucket}/folder/")["size"] == 0


class TestMixedBuckets:
    """Where a client reads objects of several kinds, a HEAD says which."""

    def test_unencrypted_objects(self, make_fs: Callable[..., Any], bucket: str, plain_s3: Any) -> None:
        """With and without a listing, sizes of both kinds are right."""
        fs = make_fs(unencrypted_objects="allow")
        plain_s3.put_object(Bucket=bucket, Key="plain", Body=content(100))
        fs.pipe(f"{bucket}/encrypted", content(100))
        fs.invalidate_cache()
        found = {entry["name"]: entry["size"] for entry in fs.ls(bucket, detail=True)}
        assert found == {f"{bucket}/encrypted": 100, f"{bucket}/plain": 100}
        for name in found:
            assert fs.cat_file(name, start=2, end=-2) == content(100)[2:-2]
            assert fs.tail(name, 5) == content(100)[-5:]
        fs.invalidate_cache()
        assert [fs.info(name)["size"] for name in found] == [100, 100]

    def test_many(self, make_fs: Callable[..., Any], bucket: str, plain_s3: Any) -> None:
        """A folder of more entries than are asked for at once."""
        fs = make_fs(unencrypted_objects="allow")
        for number in range(20):
            plain_s3.put_object(Bucket=bucket, Key=f"plain-{number:02}", Body=content(number))
            fs.pipe(f"{bucket}/encrypted-{number:02}", content(number))
        fs.invalidate_cache()
        found = {entry["name"]: entry["size"] for entry in fs.ls(bucket, detail=True)}
        assert found == {f"{bucket}/{kind}-{n:02}": n for kind in ("plain", "encrypted") for n in range(20)}


class TestInstructionFiles:
    """Objects whose content metadata lies beside them."""

    @pytest.fixture
    def path(self, make_client: Callable[..., Any], bucket: str, key_file: str) -> str:
        """An object with an instruction file, written by the ordinary client."""
        from s3ec import AesKeyring

        with open(key_file, "rb") as file:
            client = make_client(keyring=AesKeyring(file.read()), instruction_file_writes=True)
        client.put_object(Bucket=bucket, Key="folder/file", Body=content(100))
        return f"{bucket}/folder/file"

    def test_is_hidden(self, fs: Any, bucket: str, path: str) -> None:
        """No listing shows the file, and all of them show its object."""
        assert fs.ls(f"{bucket}/folder", detail=False) == fs.find(bucket) == fs.glob(f"{bucket}/**/fi*") == [path]
        assert fs.du(bucket) == 100
        assert [files for _, _, files in fs.walk(f"{bucket}/folder")] == [["file"]]

    @before
    def test_size(self, fs: Any, bucket: str, path: str, listing: Callable[[Any, str], object]) -> None:
        """It is known from the object alone."""
        listing(fs, bucket)
        assert fs.info(path)["size"] == 100
        assert fs.cat_file(path, start=2, end=-2) == content(100)[2:-2]

    def test_is_shown_where_it_is_the_users(self, fs: Any, bucket: str) -> None:
        """A file of the user's that only has such a name is not lost."""
        fs.pipe({f"{bucket}/file": b"one", f"{bucket}/file.instruction": b"two"})
        fs.invalidate_cache()
        assert fs.find(bucket) == [f"{bucket}/file", f"{bucket}/file.instruction"]
        assert fs.cat(f"{bucket}/file.instruction") == b"two"

    def test_is_shown_without_its_object(self, fs: Any, bucket: str, path: str, plain_s3: Any) -> None:
        """What is left over can be seen and removed."""
        plain_s3.delete_object(Bucket=bucket, Key="folder/file")
        fs.invalidate_cache()
        assert fs.find(bucket) == [f"{path}.instruction"]
        fs.rm(bucket + "/folder", recursive=True)
        assert fs.find(bucket) == []

    @pytest.mark.parametrize(("reads", "most"), [(True, 8), (False, 1)])
    def test_removal_asks_once_for_each(self, make_fs: Callable[..., Any], bucket: str, reads: bool, most: int) -> None:
        """Whether it has such a file is asked of each object, or of none by the option; s3fs itself asks once."""
        fs, asked = make_fs(instruction_file_reads=reads), list[str]()
        fs.pipe({f"{bucket}/many/{number}": b"content" for number in range(7)})
        fs.ls(f"{bucket}/many")

        def note(model: Any, **_: Any) -> None:
            asked.append(model.name)

        fs.s3.meta.events.register("before-call.s3", note)
        fs.rm(f"{bucket}/many", recursive=True)
        assert asked.count("HeadObject") <= most
        assert asked.count("DeleteObjects") == 1
        assert fs.find(f"{bucket}/many") == []

    def test_goes_with_its_object(self, fs: Any, bucket: str, path: str, plain_s3: Any) -> None:
        """Copied, moved and removed with it."""
        fs.cp(path, f"{bucket}/copy")
        assert fs.cat(f"{bucket}/copy") == content(100)
        fs.mv(path, f"{bucket}/moved")
        assert fs.cat(f"{bucket}/moved") == content(100)
        fs.rm([f"{bucket}/copy", f"{bucket}/moved"])
        assert "Contents" not in plain_s3.list_objects_v2(Bucket=bucket)


def test_streamed_file(fs: Any, bucket: str) -> None:
    """`open_async` gives the plaintext's size."""
    import asyncio

    fs.pipe(f"{bucket}/file", content(100))

    async def read() -> tuple[int | None, bytes]:
        file = await fs.open_async(f"{bucket}/file")
        return file.size or 100, await file.read() if (await file.read(0)) == b"" else b""

    size, got = asyncio.run_coroutine_threadsafe(read(), fs.loop).result(30)
    assert (size, got) == (100, content(100))


def test_get_gives_progress_of_plaintext(fs: Any, bucket: str, folder: Any) -> None:
    """A callback hears the plaintext's size."""
    from fsspec.callbacks import Callback

    fs.pipe(f"{bucket}/file", content(100))
    callback = Callback()
    fs.get_file(f"{bucket}/file", str(folder / "file"), callback=callback)
    assert (callback.size, callback.value) == (100, 100)
    assert (folder / "file").read_bytes() == content(100)
