"""cloudpathlib, given an ``s3ec.Session`` as ``boto3_session``."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cloudpathlib import S3Client, S3Path

from s3ec import Session

pytestmark = pytest.mark.library

MIB = 1024 * 1024
LARGE = random.Random(4).randbytes(9 * MIB + 1)
TEXT = "what the path shows is plaintext, what lies beneath is not"

AssertCiphertext = Callable[[str, bytes], None]


@pytest.fixture
def folder(session: Session, endpoint: str, bucket: str, tmp_path: Path) -> Any:
    """A path of the bucket, with a cache of its own."""
    client = S3Client(boto3_session=session, endpoint_url=endpoint, local_cache_dir=tmp_path / "cache")
    return S3Path(f"s3://{bucket}/folder/", client=client)


def test_text(folder: Any, assert_ciphertext: AssertCiphertext) -> None:
    """``write_text`` encrypts; ``read_text`` reads it back from S3, and ``stat`` gives the plaintext's size."""
    path = folder / "note.txt"
    path.write_text(TEXT)
    assert_ciphertext("folder/note.txt", TEXT.encode())
    path.clear_cache()
    assert path.read_text() == TEXT
    assert path.stat().st_size == len(TEXT)


def test_files(folder: Any, tmp_path: Path, assert_ciphertext: AssertCiphertext) -> None:
    """``upload_from`` and ``download_to`` carry files above the multipart threshold."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(LARGE)
    path = folder / "large"
    path.upload_from(source)
    assert_ciphertext("folder/large", LARGE)
    path.download_to(target)
    assert target.read_bytes() == LARGE


def test_copy_and_rename(folder: Any, assert_ciphertext: AssertCiphertext) -> None:
    """Copies and renames inside S3 leave objects that open."""
    first = folder / "first.txt"
    first.write_text(TEXT)
    first.copy(folder / "second.txt")
    (folder / "second.txt").rename(folder / "third.txt")
    assert_ciphertext("folder/third.txt", TEXT.encode())
    assert (folder / "third.txt").read_text() == TEXT


def test_listing_and_removal(folder: Any, assert_ciphertext: AssertCiphertext) -> None:
    """``iterdir``, ``exists``, ``is_file``, ``glob`` and ``unlink`` work on names alone."""
    for name in ("a.txt", "b.txt", "c.csv"):
        (folder / name).write_text(TEXT)
        assert_ciphertext(f"folder/{name}", TEXT.encode())
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "b.txt", "c.csv"]
    assert sorted(path.name for path in folder.glob("*.txt")) == ["a.txt", "b.txt"]
    (folder / "a.txt").unlink()
    assert not (folder / "a.txt").exists()
    assert (folder / "b.txt").is_file()
