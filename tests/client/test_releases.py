"""Which plaintext is handed out, by itself: verified first in memory or on disk, delayed, and what CBC gives."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from s3ec.algorithms import AlgorithmSuite
from s3ec.client.bodies import releases
from s3ec.client.bodies.releases import Release, open_plaintext
from s3ec.crypto.content import ContentCipher
from s3ec.errors import AuthenticationError
from s3ec.s3 import receiving

CIPHER = ContentCipher(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF, bytes(range(32)), bytes(12))
CHUNK = 4096
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5]
WAYS: dict[str, dict[str, Any]] = {
    "memory": {"delayed": False, "buffer_size": 2**20},
    "disk": {"delayed": False, "buffer_size": 0},
    "delayed": {"delayed": True, "buffer_size": 0},
}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks of few bytes."""
    monkeypatch.setattr(receiving, "CHUNK_SIZE", CHUNK)


def opened(stored: bytes, way: str, *, length: int | None = None, directory: str | None = None) -> Release:
    """What hands out these stored bytes, which are said to have that length."""
    said = len(stored) if length is None else length
    return open_plaintext(io.BytesIO(stored), CIPHER, said, **WAYS[way], spool_directory=directory)


def read(release: Release, size: int = 1000) -> bytes:
    """Everything, some bytes at a time."""
    pieces = []
    while piece := bytes(release.take(size)):
        assert len(piece) <= size
        pieces.append(piece)
    assert bytes(release.take(size)) == b""
    release.close()
    return b"".join(pieces)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("length", SIZES)
def test_the_plaintext(way: str, length: int) -> None:
    """The same in every way, in pieces of any size."""
    plaintext = os.urandom(length)
    for size in (1 + length // 3, CHUNK, 10**6):
        assert read(opened(CIPHER.encrypt(plaintext), way), size) == plaintext


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("length", SIZES)
def test_every_fault_is_an_error_and_verified_ways_give_nothing(way: str, length: int) -> None:
    """A flipped bit, a cut, a surplus, a tag of another object: and no byte before it where that is promised."""
    stored = CIPHER.encrypt(os.urandom(length))
    flipped = [bytearray(stored) for _ in range(3)]
    for copy, place in zip(flipped, (0, len(stored) // 2, len(stored) - 1), strict=True):
        copy[place] ^= 1
    faulty = [*map(bytes, flipped), stored[:-1], stored[:8], b"", stored + b"x", stored[:-16] + bytes(16)]
    for wrong in faulty:
        released = bytearray()
        with pytest.raises(AuthenticationError):
            released += read_into(opened(wrong, way, length=len(stored)), released)
        if way != "delayed":
            assert released == b""
        assert len(released) <= max(0, length - (length % CHUNK or CHUNK))


def read_into(release: Release, target: bytearray) -> bytes:
    """Read to the end; what came out before an error stays in ``target``."""
    while piece := release.take(CHUNK):
        target += piece
    return b""


@pytest.mark.parametrize("way", WAYS)
def test_shorter_than_a_tag(way: str) -> None:
    """An object that could not hold its tag was cut off, whatever it claims."""
    with pytest.raises(AuthenticationError, match="cut off"):
        opened(b"x" * 15, way)


def test_the_spool_holds_ciphertext_and_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What comes back from the disk is what was verified; nothing of the plaintext was ever there."""
    made: list[Any] = []
    real = releases.tempfile.TemporaryFile
    monkeypatch.setattr(releases.tempfile, "TemporaryFile", lambda **options: made.append(real(**options)) or made[-1])
    plaintext = b"nobody else should see this " * 1000
    release = opened(CIPHER.encrypt(plaintext), "disk", directory=str(tmp_path))
    (spool,) = made
    spool.seek(0)
    kept = spool.read()
    assert kept == CIPHER.encrypt(plaintext)[:-16]
    assert b"nobody" not in kept
    spool.seek(2 * CHUNK)
    spool.write(b"\0" if kept[2 * CHUNK] else b"\1")
    spool.seek(0)
    target = bytearray()
    with pytest.raises(AuthenticationError, match="changed on disk"):
        read_into(release, target)
    assert target == plaintext[: 2 * CHUNK]
    release.close()
    assert spool.closed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", WAYS)
def test_a_closed_release_gives_nothing_more(way: str) -> None:
    """What was ready is forgotten."""
    release = opened(CIPHER.encrypt(b"p" * CHUNK), way)
    assert bytes(release.take(10)) == b"p" * 10
    release.close()
    assert release.__dict__["_ready"] == b""
