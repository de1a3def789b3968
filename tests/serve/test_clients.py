"""Real clients, as they are installed: first against the plain backend, then through the endpoint.

A client that fails at both is not ours to repair; one that fails at the endpoint alone is. What is not installed is
skipped with its name, or fails where ``S3EC_CLIENTS=required`` says that all should be there (``tox -e clients``).
"""

from __future__ import annotations

import io
import os
import urllib.request
from pathlib import Path

import pytest

from support.places import Place, package, program

pytestmark = [pytest.mark.library, pytest.mark.slow]
BIG = 13 * 1024 * 1024


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder: a file in several parts, a small one, and a name that needs encoding."""
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    (folder / "big").write_bytes(os.urandom(1024) * (BIG // 1024))
    (folder / "small").write_bytes(b"small")
    (folder / "sub" / "ä b+c").write_bytes(b"")
    for path in folder.rglob("*"):
        # S3 cuts its times to whole seconds: of the same second a file would be newer than its own copy.
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


def same(left: Path, right: Path) -> None:
    """Compare two folders."""
    for each in left.rglob("*"):
        if each.is_file():
            assert (right / each.relative_to(left)).read_bytes() == each.read_bytes()


def test_aws(place: Place, files: Path, tmp_path: Path):
    """Copies, moves, and a second sync that has nothing to do."""
    aws, root = program("aws", place), f"s3://{place.bucket}"
    aws("s3", "sync", files, f"{root}/sync")
    assert "upload" not in aws("s3", "sync", files, f"{root}/sync")
    aws("s3", "sync", f"{root}/sync", tmp_path / "down")
    assert "download" not in aws("s3", "sync", f"{root}/sync", tmp_path / "down")
    same(files, tmp_path / "down")
    aws("s3", "cp", f"{root}/sync/big", f"{root}/copy")
    aws("s3", "mv", f"{root}/copy", f"{root}/moved")
    aws("s3", "cp", "-", f"{root}/streamed", stdin=b"streamed")
    assert str(BIG) in aws("s3", "ls", f"{root}/moved")
    aws("s3api", "get-object", "--bucket", place.bucket, "--key", "moved", "--range", "bytes=1-3", tmp_path / "range")
    assert (tmp_path / "range").read_bytes() == (files / "big").read_bytes()[1:4]
    aws("s3", "rm", "--recursive", f"{root}/sync")


def test_s5cmd(place: Place, files: Path):
    """The same, by the first SDK for Go."""
    run, root = program("s5cmd", place), f"s3://{place.bucket}"
    s5cmd = ("--endpoint-url", place.url)
    run(*s5cmd, "sync", f"{files}/", f"{root}/sync/")
    assert run(*s5cmd, "sync", f"{files}/", f"{root}/sync/") == ""
    run(*s5cmd, "cp", "-p", "5", files / "big", f"{root}/big")
    run(*s5cmd, "mv", f"{root}/big", f"{root}/moved")
    assert str(BIG) in run(*s5cmd, "ls", f"{root}/moved")
    assert run(*s5cmd, "cat", f"{root}/sync/small") == "small"


def test_rclone(place: Place, files: Path):
    """Which compares lengths, checksums and content, and copies in parts."""
    rclone = program("rclone", place)
    root = f":s3,provider=Other,env_auth=true,endpoint='{place.url}':{place.bucket}"
    parts = ("--s3-chunk-size", "5M", "--s3-upload-cutoff", "6M")
    rclone("copy", files, f"{root}/copy", *parts)
    assert "0 B / 0 B" in rclone("copy", files, f"{root}/copy", "-v", *parts)
    rclone("check", files, f"{root}/copy")
    rclone("check", "--download", files, f"{root}/copy")
    rclone("rcat", f"{root}/streamed", *parts, stdin=bytes(BIG))
    rclone("moveto", f"{root}/copy/big", f"{root}/moved", "--s3-copy-cutoff", "6M")
    assert rclone("cat", f"{root}/copy/small", "--offset", "1", "--count", "2").startswith("ma")


def test_minio(place: Place):
    """Uploads of unknown length, composition, and URLs."""
    minio, common = package("minio"), package("minio.commonconfig")
    host = place.url.removeprefix("http://")
    client = minio.Minio(host, access_key=place.access_key, secret_key=place.secret_key, secure=False)
    client.put_object(place.bucket, "small", io.BytesIO(b"small"), 5)
    client.put_object(place.bucket, "big", io.BytesIO(bytes(BIG)), -1, part_size=5 * 1024 * 1024)
    sources = [common.ComposeSource(place.bucket, key) for key in ("big", "small")]
    client.compose_object(place.bucket, "composed", sources)
    client.copy_object(place.bucket, "copy", common.CopySource(place.bucket, "small"))
    assert client.stat_object(place.bucket, "composed").size == BIG + 5
    with urllib.request.urlopen(client.presigned_get_object(place.bucket, "copy")) as answer:  # noqa: S310 - http
        assert answer.read() == b"small"
    listed = {each.object_name: each.size for each in client.list_objects(place.bucket)}
    assert listed == {"small": 5, "big": BIG, "composed": BIG + 5, "copy": 5}


def test_pyarrow(place: Place):
    """Files that are read from their end, streams, and moves, by the SDK for C++."""
    package("awscrt")  # its checksums, which the endpoint verifies
    package("pyarrow")
    arrow, fs = package("pyarrow"), package("pyarrow.fs")
    parquet, dataset = package("pyarrow.parquet"), package("pyarrow.dataset")
    files = fs.S3FileSystem(
        endpoint_override=place.url.removeprefix("http://"), scheme="http", region="us-east-1",
        access_key=place.access_key, secret_key=place.secret_key,
    )  # fmt: skip
    table = arrow.table({"a": list(range(10_000))})
    parquet.write_table(table, f"{place.bucket}/set/one.parquet", filesystem=files)
    assert dataset.dataset(f"{place.bucket}/set", filesystem=files, format="parquet").to_table().equals(table)
    with files.open_output_stream(f"{place.bucket}/stream") as stream:
        stream.write(bytes(BIG))
    files.move(f"{place.bucket}/stream", f"{place.bucket}/moved")
    assert files.get_file_info(f"{place.bucket}/moved").size == BIG
