"""The upload that managed transfers run on: parts encrypted in order by one hand, sent by many."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from s3ec.client.bodies.claims import take_claims
from s3ec.client.multipart import sequential_upload
from s3ec.client.multipart.sequential_upload import PART_ROOM, EncryptedPart, SequentialUpload
from s3ec.errors import MultipartStateError, SourceChangedError

from support.lying_s3 import LyingS3
from support.one_shot import one_shot, sent_parts

MiB = 1024 * 1024
WRAPPING_KEY = bytes(range(32))
PLACE = {"Bucket": "b", "Key": "k"}


@pytest.fixture
def begin(http_liar: LyingS3, lied_to: Callable[..., Any]) -> Callable[..., SequentialUpload]:
    """Begins an upload."""
    return lambda **options: SequentialUpload(lied_to(http_liar)._s3ec_wire, PLACE, **options)


@pytest.mark.parametrize("sizes", [[0], [1], [5 * MiB + 1, 2 * MiB + 3], [16, 0, 17, 5]], ids=str)
def test_the_object(http_liar: LyingS3, begin: Callable[..., SequentialUpload], sizes: list[int]) -> None:
    """Encrypted in place in reused room, sent in any order: the object is what one call of AES-GCM gives."""
    upload, pieces = begin(), [os.urandom(size) for size in sizes]
    parts: list[EncryptedPart] = []
    for number, piece in enumerate(pieces, start=1):
        buffer = bytearray(piece) + bytes(PART_ROOM)
        parts.append(upload.encrypt_next(memoryview(buffer)[: len(piece)], buffer, last=number == len(pieces)))
    http_liar.lies.fail_after_body = 1  # botocore sends one of them again
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upload.send, reversed(parts)))
    upload.complete()
    stored = http_liar.state.objects["b/k"]
    assert stored.body == one_shot(stored.metadata, WRAPPING_KEY, b"".join(pieces))
    assert len(set(sent_parts(http_liar.state, "upload-1"))) == len(pieces)


def test_what_is_not_finished(http_liar: LyingS3, begin: Callable[..., SequentialUpload]) -> None:
    """Without its last part, or with a part that was not sent, an upload is not completed."""
    upload, room = begin(), bytearray(100)
    upload.send(upload.encrypt_next(b"first", room, last=False))
    with pytest.raises(MultipartStateError, match="not encrypted"):
        upload.complete()
    last = upload.encrypt_next(b"last", bytearray(100), last=True)
    with pytest.raises(MultipartStateError, match="1 of 2 parts are sent"):
        upload.complete()
    with pytest.raises(MultipartStateError, match="last part of this upload is encrypted already"):
        upload.encrypt_next(b"more", room, last=False)
    upload.send(last)
    upload.complete()
    assert "b/k" in http_liar.state.objects


def test_too_many_parts(begin: Callable[..., SequentialUpload], monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no part beyond S3's last number."""
    monkeypatch.setattr(sequential_upload, "LAST_PART_NUMBER", 2)
    upload, room = begin(), bytearray(100)
    for _ in range(2):
        upload.encrypt_next(b"part", room, last=False)
    with pytest.raises(MultipartStateError, match="at most 2 parts"):
        upload.encrypt_next(b"part", room, last=True)


def test_checksums_of_the_whole(http_liar: LyingS3, begin: Callable[..., SequentialUpload]) -> None:
    """What the caller says about the plaintext is checked against it before the tag is made."""
    claims = take_claims({"ChecksumCRC32": "AAAAAA=="})
    upload = begin(claims=claims)
    upload.encrypt_next(b"first", bytearray(100), last=False)
    with pytest.raises(SourceChangedError, match="ChecksumCRC32"):
        upload.encrypt_next(b"last", bytearray(100), last=True)
    upload.abort()
    assert http_liar.state.uploads == {}
