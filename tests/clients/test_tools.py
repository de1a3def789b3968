"""Real clients, as they are installed: first against the plain backend, then through the endpoint.

A client that fails at both is not ours to repair; one that fails at the endpoint alone is. What is not installed is
skipped with its name, or fails where ``S3EC_CLIENTS=required`` says that all should be there (``tox -e clients``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.places import HTTPS, Place, program

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
    """The AWS CLI v1 with a botocore of its own."""
    command_line(program("aws", place), place, files, tmp_path)


def test_aws_145(place: Place, files: Path, tmp_path: Path, built: Callable[[str], Callable[..., str]]):
    """The AWS CLI v1 before that; what is the same code in both is asked of the newer one."""
    synchronised(built("old-cli"), place, files, tmp_path)


def test_aws_v2(place: Place, files: Path, tmp_path: Path, built: Callable[[str], Callable[..., str]]):
    """The AWS CLI v2 as Debian ships it, which does not read its endpoint from the environment."""
    run = built("debian-cli")
    assert run("--version").startswith("aws-cli/2")

    def aws(*words: str | Path, **options: Any) -> str:
        return run("--endpoint-url", place.url, *words, **options)

    synchronised(aws, place, files, tmp_path)


def synchronised(aws: Callable[..., str], place: Place, files: Path, tmp_path: Path) -> None:
    """A second sync that has nothing to do, a move in parts, a stream and a range."""
    root = f"s3://{place.bucket}"
    if place.name == "minio-plain":
        # botocore expects a 100 for empty bodies as well. MinIO answers at once, and before 1.44 the next answer on
        # that connection is mistaken for another: "upload failed: 'ETag'". Through the endpoint the file stays empty.
        (files / "sub" / "ä b+c").write_bytes(b"not empty")
        os.utime(files / "sub" / "ä b+c", (1_700_000_000, 1_700_000_000))
    aws("s3", "sync", files, f"{root}/sync")
    place.did("put", "parts")
    assert "upload" not in aws("s3", "sync", files, f"{root}/sync")
    aws("s3", "sync", f"{root}/sync", tmp_path / "down")
    assert "download" not in aws("s3", "sync", f"{root}/sync", tmp_path / "down")
    same(files, tmp_path / "down")
    # Which lengths the lists state decides whether there is something to do.
    place.did("get", "list", "sync")
    aws("s3", "mv", f"{root}/sync/big", f"{root}/moved")
    place.did("copy in parts", "move")
    aws("s3", "cp", "-", f"{root}/streamed", stdin=b"streamed")
    place.did("stream")
    aws("s3api", "get-object", "--bucket", place.bucket, "--key", "moved", "--range", "bytes=1-3", tmp_path / "range")
    assert (tmp_path / "range").read_bytes() == (files / "big").read_bytes()[1:4]
    place.did("range")


def command_line(aws: Callable[..., str], place: Place, files: Path, tmp_path: Path) -> None:
    """The same, and copies, lists and removals."""
    synchronised(aws, place, files, tmp_path)
    root = f"s3://{place.bucket}"
    aws("s3", "cp", f"{root}/sync/small", f"{root}/copied")
    place.did("copy")
    assert str(BIG) in aws("s3", "ls", f"{root}/moved")
    assert aws("s3", "rm", "--recursive", f"{root}/sync").count("delete:") == 2
    place.did("delete")


def test_s5cmd(place: Place, files: Path, tmp_path: Path):
    """The same, by the first SDK for Go."""
    run, root = program("s5cmd", place), f"s3://{place.bucket}"
    s5cmd = ("--endpoint-url", place.url)
    run(*s5cmd, "sync", f"{files}/", f"{root}/sync/")
    place.did("put")
    assert run(*s5cmd, "sync", f"{files}/", f"{root}/sync/") == ""
    place.did("sync")
    run(*s5cmd, "cp", "-p", "5", files / "big", f"{root}/big")
    place.did("parts")
    run(*s5cmd, "mv", f"{root}/big", f"{root}/moved")
    place.did("move")
    run(*s5cmd, "cp", f"{root}/sync/small", f"{root}/copied")
    place.did("copy")
    run(*s5cmd, "pipe", f"{root}/streamed", stdin=b"streamed")
    place.did("stream")
    assert str(BIG) in run(*s5cmd, "ls", f"{root}/moved")
    place.did("list")
    assert run(*s5cmd, "cat", f"{root}/sync/small") == "small"
    run(*s5cmd, "cp", f"{root}/moved", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == (files / "big").read_bytes()
    place.did("get")
    run(*s5cmd, "rm", f"{root}/sync/*")
    assert "sync/" not in run(*s5cmd, "ls", f"{root}/*")
    place.did("delete")


def test_rclone(place: Place, files: Path):
    """Which compares lengths, checksums and content, and copies in parts."""
    compared(program("rclone", place), place, files, "Other")


@HTTPS
def test_rclone_https(place: Place, files: Path):
    """Over https, with checksums behind the bodies."""
    compared(program(["rclone", "--ca-cert", str(place.certificate)], place), place, files, "Other")


def compared(rclone: Callable[..., str], place: Place, files: Path, provider: str) -> None:
    """All of rclone's operations."""
    root = f":s3,provider={provider},env_auth=true,endpoint='{place.url}':{place.bucket}"
    parts = ("--s3-chunk-size", "5M", "--s3-upload-cutoff", "6M")
    rclone("copy", files, f"{root}/copy", *parts)
    place.did("put", "parts")
    assert "0 B / 0 B" in rclone("copy", files, f"{root}/copy", "-v", *parts)
    rclone("check", files, f"{root}/copy")
    place.did("sync")
    rclone("check", "--download", files, f"{root}/copy")
    place.did("get")
    rclone("rcat", f"{root}/streamed", *parts, stdin=bytes(BIG))
    place.did("stream")
    rclone("copyto", f"{root}/copy/big", f"{root}/copied", "--s3-copy-cutoff", "6M")
    place.did("copy in parts")
    rclone("copyto", f"{root}/copy/small", f"{root}/small")
    place.did("copy")
    rclone("moveto", f"{root}/copy/big", f"{root}/moved", "--s3-copy-cutoff", "6M")
    place.did("move")
    assert str(BIG) in rclone("lsl", f"{root}/moved")
    place.did("list")
    assert rclone("cat", f"{root}/copy/small", "--offset", "1", "--count", "2").startswith("ma")
    place.did("range")
    rclone("purge", f"{root}/copy")
    assert "copy/" not in rclone("lsf", root)
    place.did("delete")
