"""s3transfer's ``TransferManager`` used directly, as download tools and data frames do."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from s3transfer.manager import TransferConfig, TransferManager

from s3ec import EncryptionClient

pytestmark = pytest.mark.library

MIB = 1024 * 1024
LARGE = random.Random(2).randbytes(10 * MIB + 3)
SMALL = b"too short for parts"


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["single", "multipart"])
def test_files(
    client: EncryptionClient,
    bucket: str,
    tmp_path: Path,
    content: bytes,
    assert_ciphertext: Callable[[str, bytes], None],
) -> None:
    """The manager uploads and downloads files, in parts and in parallel above its threshold."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    with TransferManager(client, TransferConfig(max_request_concurrency=4)) as manager:
        manager.upload(str(source), bucket, "file").result()
        assert_ciphertext("file", content)
        manager.download(bucket, "file", str(target)).result()
    assert target.read_bytes() == content


def test_unseekable_file_objects(
    client: EncryptionClient, bucket: str, assert_ciphertext: Callable[[str, bytes], None]
) -> None:
    """A source that can only be read forward is uploaded in parts, and a target that can only be written is filled."""

    class Pipe(io.RawIOBase):
        def __init__(self, content: bytes = b"") -> None:
            self._source = io.BytesIO(content)
            self.written = bytearray()

        def readable(self) -> bool:
            return True

        def writable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return self._source.readinto(buffer)

        def write(self, data: Any) -> int:
            self.written += data
            return len(data)

    target = Pipe()
    with TransferManager(client) as manager:
        manager.upload(Pipe(LARGE), bucket, "file").result()
        assert_ciphertext("file", LARGE)
        manager.download(bucket, "file", target).result()
    assert target.written == LARGE


def test_copy_and_delete(
    client: EncryptionClient, bucket: str, assert_ciphertext: Callable[[str, bytes], None]
) -> None:
    """The manager's copies open under their new key, and its deletes delete."""
    client.put_object(Bucket=bucket, Key="first", Body=SMALL)
    with TransferManager(client) as manager:
        manager.copy({"Bucket": bucket, "Key": "first"}, bucket, "second").result()
        manager.delete(bucket, "first").result()
    assert_ciphertext("second", SMALL)
    assert client.get_object(Bucket=bucket, Key="second")["Body"].read() == SMALL
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["second"]
