"""django-storages' ``S3Storage``, whose ``_create_session`` returns our session."""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Callable
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.files.base import ContentFile

from s3ec import Session

settings.configure(USE_TZ=True, STORAGES={"default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}})
django.setup()

from storages.backends.s3 import S3Storage  # noqa: E402 - Django must be configured first

pytestmark = pytest.mark.library

MIB = 1024 * 1024
LARGE = random.Random(5).randbytes(11 * MIB + 9)
TEXT = b"an invoice that only accounting should read"

AssertCiphertext = Callable[[str, bytes], None]


@pytest.fixture
def storage(session: Session, aws: dict[str, Any], bucket: str) -> Any:
    """A storage as an application would write it."""

    class EncryptedStorage(S3Storage):
        def _create_session(self) -> Session:
            return session

    return EncryptedStorage(bucket_name=bucket, endpoint_url=aws["endpoint_url"], region_name=aws["region_name"])


@pytest.mark.parametrize("content", [TEXT, LARGE], ids=["small", "large"])
def test_save_and_open(storage: Any, content: bytes, assert_ciphertext: AssertCiphertext) -> None:
    """A saved file is encrypted and opens again, with the plaintext's size."""
    name = storage.save("files/content.bin", ContentFile(content))
    assert_ciphertext(name, content)
    with storage.open(name) as file:
        assert file.read() == content
    assert storage.size(name) == len(content)
    with storage.open(name) as file:
        assert file.size == len(content)


def test_write_through_open(storage: Any, assert_ciphertext: AssertCiphertext) -> None:
    """A file opened for writing becomes a multipart upload of parts as they come."""
    with storage.open("written.bin", "wb") as file:
        for start in range(0, len(LARGE), MIB):
            file.write(LARGE[start : start + MIB])
    assert_ciphertext("written.bin", LARGE)
    with storage.open("written.bin") as file:
        assert file.read() == LARGE


def test_short_write_through_open(storage: Any, assert_ciphertext: AssertCiphertext) -> None:
    """So does a short one, in a single part."""
    with storage.open("short.bin", "wb") as file:
        file.write(TEXT)
    assert_ciphertext("short.bin", TEXT)
    with storage.open("short.bin") as file:
        assert file.read() == TEXT


def test_names(storage: Any, assert_ciphertext: AssertCiphertext) -> None:
    """``exists``, ``listdir`` and ``delete`` work on names, and an absent file is Django's own error."""
    storage.save("files/a.txt", ContentFile(TEXT))
    storage.save("files/b.txt", ContentFile(TEXT))
    assert_ciphertext("files/b.txt", TEXT)
    assert storage.exists("files/a.txt")
    assert sorted(storage.listdir("files")[1]) == ["a.txt", "b.txt"]
    storage.delete("files/a.txt")
    assert not storage.exists("files/a.txt")
    with pytest.raises(FileNotFoundError):
        storage.open("files/a.txt").read()


def test_url(storage: Any, stored: Callable[[str], bytes]) -> None:
    """``storage.url()`` is a presigned download: whoever follows it without the keyring gets ciphertext."""
    name = storage.save("invoice.txt", ContentFile(TEXT))
    url = storage.url(name)
    assert url.startswith("http://127.0.0.1")
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - moto's URL, as asserted
        assert answer.read() == stored(name)
