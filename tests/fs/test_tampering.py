"""What is not the object that was written is never handed out, by whichever method it is read."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from s3ec.errors import S3ECError, SecurityError

SIZE = 200_000
CONTENT = bytes(range(256)) * (SIZE // 256 + 1)
CONTENT = CONTENT[:SIZE]


def _open_and_seek(fs: Any, path: str) -> bytes:
    with fs.open(path, cache_type="none", block_size=1000) as file:
        file.seek(1000)
        return bytes(file.read(500))


def _at_the_end(fs: Any, path: str) -> bytes:
    with fs.open(path) as file:
        file.seek(SIZE - 10)
        return bytes(file.read(20))


def _open_and_read(fs: Any, path: str) -> bytes:
    with fs.open(path) as file:
        return bytes(file.read())


def _read_in_pieces(fs: Any, path: str) -> bytes:
    with fs.open(path, block_size=10_000) as file:
        return b"".join(iter(lambda: file.read(7_000), b""))


def _by_numpy(fs: Any, path: str) -> bytes:
    import numpy as np

    return bytes(np.frombuffer(fs.open(path).read(), dtype=np.uint8).tobytes())


def _open_async(fs: Any, path: str) -> bytes:
    async def read() -> bytes:
        file = await fs.open_async(path)
        content = b""
        while piece := await file.read(50_000):
            content += piece
        return content

    return asyncio.run_coroutine_threadsafe(read(), fs.loop).result(60)


def _get(fs: Any, path: str, folder: Path) -> bytes:
    fs.get(path, str(folder / "file"))
    return (folder / "file").read_bytes()


def _ranges(fs: Any, path: str) -> bytes:
    return b"".join(fs.cat_ranges([path, path], [0, 1000], [1000, SIZE], on_error="raise"))


METHODS: dict[str, Callable[[Any, str, Path], tuple[bytes, bytes]]] = {
    "cat": lambda fs, path, _: (fs.cat(path), CONTENT),
    "cat_file": lambda fs, path, _: (fs.cat_file(path), CONTENT),
    "cat_file, a range": lambda fs, path, _: (fs.cat_file(path, start=10, end=2000), CONTENT[10:2000]),
    "cat_file, the end": lambda fs, path, _: (fs.cat_file(path, start=-100), CONTENT[-100:]),
    "cat_file, negative": lambda fs, path, _: (fs.cat_file(path, start=-200, end=-100), CONTENT[-200:-100]),
    "cat_file, negative, perhaps empty": lambda fs, path, _: (fs.cat_file(path, start=2, end=-2), CONTENT[2:-2]),
    "cat_ranges": lambda fs, path, _: (_ranges(fs, path), CONTENT),
    "get": lambda fs, path, folder: (_get(fs, path, folder), CONTENT),
    "head": lambda fs, path, _: (fs.head(path, 100), CONTENT[:100]),
    "mapper": lambda fs, path, _: (fs.get_mapper(path.rsplit("/", 1)[0])[path.rsplit("/", 1)[1]], CONTENT),
    "open": lambda fs, path, _: (_open_and_read(fs, path), CONTENT),
    "open and seek to the end": lambda fs, path, _: (_at_the_end(fs, path), CONTENT[-10:]),
    "open and seek": lambda fs, path, _: (_open_and_seek(fs, path), CONTENT[1000:1500]),
    "open, in pieces": lambda fs, path, _: (_read_in_pieces(fs, path), CONTENT),
    "open_async": lambda fs, path, _: (_open_async(fs, path), CONTENT),
    "read_block": lambda fs, path, _: (fs.read_block(path, 100, 200), CONTENT[100:300]),
    "tail": lambda fs, path, _: (fs.tail(path, 100), CONTENT[-100:]),
}
if importlib.util.find_spec("numpy") is not None:
    METHODS["numpy"] = lambda fs, path, _: (_by_numpy(fs, path), CONTENT)


def _flip(at: int) -> Callable[[bytes], bytes]:
    def changed(content: bytes) -> bytes:
        return (
            content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            if at >= 0
            else _flip(len(content) + at)(content)
        )

    return changed


ATTACKS: dict[str, Callable[[bytes], bytes]] = {
    "first byte": _flip(0),
    "middle": _flip(SIZE // 2),
    "tag": _flip(-1),
    "cut off": lambda content: content[:-5000],
    "without its tag": lambda content: content[:-16],
    "longer": lambda content: content + bytes(16),
    "one byte": lambda content: content[:17],
    "no byte": lambda content: content[:16],
    "its tag alone": lambda content: content[-16:],
    "empty": lambda content: b"",
}


@pytest.fixture
def path(fs: Any, bucket: str) -> str:
    """An object as it was written."""
    fs.pipe(f"{bucket}/file", CONTENT)
    fs.invalidate_cache()
    return f"{bucket}/file"


def refusals(fs: Any, path: str, folder: Path) -> dict[str, Exception]:
    """What each method raises; none of them gives anything, or leaves a file."""
    raised: dict[str, Exception] = {}
    for name, method in METHODS.items():
        with pytest.raises((S3ECError, OSError)) as caught:
            method(fs, path, folder)
        raised[name] = caught.value
        assert list(folder.iterdir()) == [], name
    return raised


def test_as_it_was_written(fs: Any, path: str, folder: Path) -> None:
    """Each method gives the plaintext; so a refusal below is one of the tampering."""
    for name, method in METHODS.items():
        got, wanted = method(fs, path, folder)
        assert got == wanted, name


@pytest.mark.parametrize("listed", [False, True], ids=["", "listed before"])
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_tampered(
    fs: Any,
    bucket: str,
    path: str,
    folder: Path,
    change: Callable[..., None],
    attack: Callable[[bytes], bytes],
    listed: bool,
) -> None:
    """No method gives a byte of an object that was changed, not even one that was not changed itself."""
    change("file", attack)
    if listed:
        fs.ls(bucket)
    for name, error in refusals(fs, path, folder).items():
        # A range behind the end is S3's own error, also where the end was brought nearer.
        assert isinstance(error, S3ECError) or "416" in repr(error.__cause__), (name, error)


def test_another_object(fs: Any, bucket: str, path: str, folder: Path, plain_s3: Any) -> None:
    """The ciphertext of another object with the metadata of this one."""
    fs.pipe(f"{bucket}/other", CONTENT[::-1])
    with plain_s3.get_object(Bucket=bucket, Key="other")["Body"] as body:
        other = body.read()
    own = plain_s3.head_object(Bucket=bucket, Key="file")["Metadata"]
    plain_s3.put_object(Bucket=bucket, Key="file", Body=other, Metadata=own)
    assert all(isinstance(error, SecurityError) for error in refusals(fs, path, folder).values())


def test_plaintext(fs: Any, bucket: str, path: str, folder: Path, plain_s3: Any) -> None:
    """An object that is not encrypted is refused: whoever may write to the bucket could have put it there."""
    plain_s3.put_object(Bucket=bucket, Key="file", Body=CONTENT)
    assert all(isinstance(error, S3ECError) for error in refusals(fs, path, folder).values())


def test_file_that_is_there_already_stays(fs: Any, path: str, folder: Path, change: Callable[..., None]) -> None:
    """A download that fails leaves the older file of the name as it was."""
    (folder / "file").write_bytes(b"older")
    change("file", ATTACKS["middle"])
    with pytest.raises(SecurityError):
        fs.get(path, str(folder / "file"))
    assert [(each.name, each.read_bytes()) for each in folder.iterdir()] == [("file", b"older")]


def test_tables(bucket: str, fs: Any, storage_options: dict[str, Any], change: Callable[..., None]) -> None:
    """Libraries on top hear of it as well."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"number": range(1000)})
    for name, write, read in (
        ("a.parquet", table.to_parquet, pd.read_parquet),
        ("a.csv", table.to_csv, pd.read_csv),
        ("a.json", table.to_json, pd.read_json),
    ):
        write(f"s3ec://{bucket}/{name}", storage_options=storage_options)
        change(name, _flip(100))
        with pytest.raises(SecurityError):
            read(f"s3ec://{bucket}/{name}", storage_options=storage_options)


def test_replaced_between_pieces(fs: Any, path: str) -> None:
    """One open file is one object: its successor's bytes are never mixed in."""
    from s3fs.utils import FileExpired

    with fs.open(path, block_size=10_000, cache_type="none") as file:
        first = file.read(10_000)
        fs.pipe(path, CONTENT[::-1])
        with pytest.raises(FileExpired):
            file.read(10_000)
    assert first == CONTENT[:10_000]


def test_replaced_after_a_listing(fs: Any, make_fs: Callable[..., Any], bucket: str, path: str) -> None:
    """A negative bound counts from the object that is read, not from the one that was listed."""
    fs.ls(bucket)
    make_fs(skip_instance_cache=True).pipe(path, b"0123456789")
    assert fs.cat_file(path, start=2, end=-2) == b"234567"
    assert fs.cat_file(path, start=-4, end=-1) == b"678"


def test_ranges_authenticate_once(fs: Any, path: str) -> None:
    """Many ranges of one object cost one pass over it."""
    requests: list[str] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        requests.append(params.get("headers", {}).get("Range", "whole"))

    fs.s3.meta.events.register("before-call.s3.GetObject", note)
    starts = list(range(0, SIZE, 20_000))
    got = fs.cat_ranges([path] * len(starts), starts, [start + 100 for start in starts], on_error="raise")
    assert got == [CONTENT[start : start + 100] for start in starts]
    # Each range is asked for once or twice (before it is known that nothing is authenticated yet); everything, once.
    assert requests.count("whole") == 1


def test_large_file_is_one_request(fs: Any, bucket: str, folder: Path) -> None:
    """Above s3fs' block size a file is still read as one object, whatever becomes of it meanwhile."""
    fs.default_block_size = 100_000
    data = random.Random(1).randbytes(350_000)
    fs.pipe(f"{bucket}/large", data)
    assert fs.cat_file(f"{bucket}/large") == data
    fs.get_file(f"{bucket}/large", str(folder / "large"))
    assert (folder / "large").read_bytes() == data


def test_files_on_disk(
    storage_options: dict[str, Any], fs: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing leaves plaintext on disk but the caches of fsspec's that are asked for it by name."""
    places = {name: tmp_path / name for name in ("temporary", "cache")}
    for place in places.values():
        place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(places["temporary"]))
    fs.pipe(f"{bucket}/file", CONTENT)

    def opened(url: str, **options: Any) -> bytes:
        with fsspec.open(url, **options) as file:
            content: bytes = file.read()
            return content

    assert opened(f"s3ec://{bucket}/file", **storage_options) == CONTENT
    assert not [path for place in places.values() for path in place.rglob("*")]
    cached = {"s3ec": storage_options, "simplecache": {"cache_storage": str(places["cache"])}}
    assert opened(f"simplecache::s3ec://{bucket}/file", **cached) == CONTENT
    assert CONTENT in [path.read_bytes() for path in places["cache"].iterdir()]
