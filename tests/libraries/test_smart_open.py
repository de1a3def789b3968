"""smart_open, given the client as ``transport_params={"client": ...}``."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import Any

import pytest
import smart_open

from s3ec import EncryptionClient

pytestmark = [
    pytest.mark.library,
    # smart_open 7.0 drops a response half read when it seeks, with a plain client as well.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

MIB = 1024 * 1024
LARGE = random.Random(3).randbytes(12 * MIB + 5)
TEXT = "Zwölf Boxkämpfer\njagen Viktor\n" * 3

AssertCiphertext = Callable[[str, bytes], None]


@pytest.fixture
def parameters(client: EncryptionClient) -> dict[str, Any]:
    """smart_open's transport parameters."""
    return {"client": client}


def test_multipart_write(bucket: str, parameters: dict[str, Any], assert_ciphertext: AssertCiphertext) -> None:
    """A long write becomes a multipart upload of ciphertext, and reads back."""
    url = f"s3://{bucket}/large"
    with smart_open.open(url, "wb", transport_params={**parameters, "min_part_size": 5 * MIB}) as file:
        for start in range(0, len(LARGE), MIB):
            file.write(LARGE[start : start + MIB])
    assert_ciphertext("large", LARGE)
    with smart_open.open(url, "rb", transport_params=parameters) as file:
        assert file.read() == LARGE


def test_short_text(bucket: str, parameters: dict[str, Any], assert_ciphertext: AssertCiphertext) -> None:
    """A short text is a multipart upload with one short part; it reads back line by line."""
    url = f"s3://{bucket}/text"
    with smart_open.open(url, "w", encoding="utf-8", transport_params=parameters) as file:
        file.write(TEXT)
    assert_ciphertext("text", TEXT.encode())
    with smart_open.open(url, "r", encoding="utf-8", transport_params=parameters) as file:
        assert list(file) == TEXT.splitlines(keepends=True)


def test_single_put(bucket: str, parameters: dict[str, Any], assert_ciphertext: AssertCiphertext) -> None:
    """``multipart_upload=False`` writes with one put_object."""
    url = f"s3://{bucket}/single"
    with smart_open.open(url, "wb", transport_params={**parameters, "multipart_upload": False}) as file:
        file.write(TEXT.encode())
    assert_ciphertext("single", TEXT.encode())
    with smart_open.open(url, "rb", transport_params=parameters) as file:
        assert file.read() == TEXT.encode()


def test_empty(bucket: str, parameters: dict[str, Any], assert_ciphertext: AssertCiphertext) -> None:
    """A file that is closed unwritten is an empty object, encrypted as any other."""
    url = f"s3://{bucket}/empty"
    with smart_open.open(url, "wb", transport_params=parameters):
        pass
    assert_ciphertext("empty", b"")
    with smart_open.open(url, "rb", transport_params=parameters) as file:
        assert file.read() == b""


def test_seek(
    client: EncryptionClient, bucket: str, parameters: dict[str, Any], assert_ciphertext: AssertCiphertext
) -> None:
    """Reads after ``seek`` return the plaintext at that offset, from the start, the position and the end."""
    client.put_object(Bucket=bucket, Key="large", Body=LARGE)
    assert_ciphertext("large", LARGE)
    with smart_open.open(f"s3://{bucket}/large", "rb", transport_params=parameters) as file:
        file.seek(6 * MIB + 1)
        assert file.read(1000) == LARGE[6 * MIB + 1 :][:1000]
        file.seek(-100, io.SEEK_END)
        assert file.read() == LARGE[-100:]
        file.seek(3)
        assert file.read(10) == LARGE[3:13]


def test_seek_past_the_end(client: EncryptionClient, bucket: str, parameters: dict[str, Any]) -> None:
    """A reader that begins behind the end learns the length from S3's refusal, and can go back."""
    client.put_object(Bucket=bucket, Key="small", Body=b"content")
    deferred = {**parameters, "defer_seek": True}
    with smart_open.open(f"s3://{bucket}/small", "rb", transport_params=deferred) as file:
        file.seek(100)
        assert file.read() == b""
        file.seek(0)
        assert file.read() == b"content"


def test_compression(bucket: str, parameters: dict[str, Any], stored: Callable[[str], bytes]) -> None:
    """Compression happens before encryption: S3 does not see the gzip header."""
    url = f"s3://{bucket}/text.gz"
    with smart_open.open(url, "w", encoding="utf-8", transport_params=parameters) as file:
        file.write(TEXT)
    assert stored("text.gz")[:2] != b"\x1f\x8b"
    with smart_open.open(url, "r", encoding="utf-8", transport_params=parameters) as file:
        assert file.read() == TEXT


def test_abandoned_write(client: EncryptionClient, bucket: str, parameters: dict[str, Any], plain_s3: Any) -> None:
    """An exception inside the ``with`` leaves neither an object nor an unfinished upload."""

    def write() -> None:
        with smart_open.open(f"s3://{bucket}/partial", "wb", transport_params=parameters) as file:
            file.write(LARGE[:100])
            raise RuntimeError("the writer gave up")

    with pytest.raises(RuntimeError, match="the writer gave up"):
        write()
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)
