"""Receivers, fed by hand: what they hold back, what they want next, and the words for what is not right."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from s3ec.algorithms import AlgorithmSuite
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.own.mac import ChunkMac
from s3ec.errors import AuthenticationError
from s3ec.formats import ContentMetadata
from s3ec.s3.contents import Span, UnverifiedSpan, VerifiedSpan
from s3ec.s3.receiving import CHUNK_SIZE, InMemory, Receiver, ThroughSpool, receive_span, receive_whole
from s3ec.s3.verified import RANGE_CHUNK_SIZE, Authentication, VerifiedObject

CIPHER = ContentCipher(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF, bytes(range(32)), bytes(range(12)))
SIZES = [0, 1, 5_000, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE]


def fed(receiver: Receiver, body: bytes) -> list[bytes]:
    """What comes out at each feeding."""
    pieces, position = [], 0
    while wanted := receiver.wanted:
        data = body[position : position + wanted]
        position += len(data)
        pieces.append(bytes(receiver.feed(data)))
    return pieces


def whole(length: int, kind: str) -> Any:
    """What receives an object of this many bytes."""
    in_memory = {"memory": length, "spool": -1, "delayed": 0}[kind]
    return receive_whole(CIPHER, length + 16, delayed=kind == "delayed", in_memory=in_memory)


def received(receiver: Any, body: bytes) -> bytes:
    """All that comes out of an object; what is kept in a spool comes back as it was."""
    if isinstance(receiver, ThroughSpool):
        assert not any(fed(receiver, body))
        return b"".join(fed(receiver.finish(), body[:-16]))
    pieces = fed(receiver, body)
    if isinstance(receiver, InMemory):
        assert not any(pieces)
        pieces = list(receiver.finish())
    return b"".join(pieces)


@pytest.mark.parametrize("kind", ["memory", "spool", "delayed"])
@pytest.mark.parametrize("size", SIZES)
def test_a_whole_object(size: int, kind: str) -> None:
    """Of every size, and of what is verified first nothing comes out before its end."""
    plaintext = os.urandom(size)
    assert received(whole(size, kind), CIPHER.encrypt(plaintext)) == plaintext


CHANGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda body: body[: len(body) // 2], "cut off|does not end with its authentication tag"),
    "without its tag": (lambda body: body[:-16], "cut off|does not end with its authentication tag"),
    "surplus": (lambda body: body + b"!", "does not end with its authentication tag"),
    "altered": (lambda body: bytes([body[0] ^ 1]) + body[1:], "."),
}


@pytest.mark.parametrize("kind", ["memory", "spool", "delayed"])
@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_right(size: int, kind: str, change: str) -> None:
    """The same words for the same fault, whichever way an object takes."""
    altered, words = CHANGES[change]
    body = altered(CIPHER.encrypt(os.urandom(size)))
    with pytest.raises(AuthenticationError, match=words):
        received(whole(size, kind), body)


def test_a_spool_that_changed() -> None:
    """What comes back is what was verified, or nothing of it is handed out."""
    body = CIPHER.encrypt(os.urandom(2 * CHUNK_SIZE))
    receiver = whole(2 * CHUNK_SIZE, "spool")
    fed(receiver, body)
    kept = receiver.finish()
    assert kept.feed(body[:CHUNK_SIZE])
    with pytest.raises(AuthenticationError, match="changed on disk"):
        kept.feed(bytes(CHUNK_SIZE))


def test_delayed_holds_the_last_chunk() -> None:
    """Until the tag is verified."""
    body = CIPHER.encrypt(os.urandom(2 * CHUNK_SIZE))
    receiver = whole(2 * CHUNK_SIZE, "delayed")
    assert [len(piece) for piece in fed(receiver, body)] == [CHUNK_SIZE, 0, CHUNK_SIZE]


PLAINTEXT = os.urandom(5 * RANGE_CHUNK_SIZE + 77)
BODY = CIPHER.encrypt(PLAINTEXT)


@pytest.fixture(scope="module")
def verified() -> VerifiedObject:
    """An object that was authenticated."""
    metadata: Any = object.__new__(ContentMetadata)
    reading = Authentication('"e"', len(BODY), metadata, CIPHER)
    position = 0
    while wanted := reading.wanted:
        reading.feed(BODY[position : position + wanted])
        position += wanted
    return reading.finish(BODY[position:])


@pytest.mark.parametrize("kind", ["verified", "unverified"])
@pytest.mark.parametrize("start", [0, RANGE_CHUNK_SIZE])
@pytest.mark.parametrize(
    "span",
    [
        (RANGE_CHUNK_SIZE, RANGE_CHUNK_SIZE),
        (RANGE_CHUNK_SIZE + 5, 3 * RANGE_CHUNK_SIZE + 9),
        (2 * RANGE_CHUNK_SIZE - 1, len(PLAINTEXT) - 1),
        (len(PLAINTEXT) - 1, len(PLAINTEXT) - 1),
    ],
)
def test_a_span(verified: VerifiedObject, span: Span, start: int, kind: str) -> None:
    """Of an answer that begins where it was asked to, or earlier."""
    content = VerifiedSpan(verified, start, span) if kind == "verified" else UnverifiedSpan(CIPHER, start, span)
    assert b"".join(fed(receive_span(content), BODY[start:])) == PLAINTEXT[span[0] : span[1] + 1]


def test_a_span_that_is_not_what_was_verified(verified: VerifiedObject) -> None:
    """Nothing of the chunk leaves; and what ends early is said to."""
    content = VerifiedSpan(verified, 0, (RANGE_CHUNK_SIZE, 2 * RANGE_CHUNK_SIZE))
    altered = BODY[:RANGE_CHUNK_SIZE] + bytes(RANGE_CHUNK_SIZE) + BODY[2 * RANGE_CHUNK_SIZE :]
    with pytest.raises(AuthenticationError, match="altered"):
        fed(receive_span(content), altered)
    with pytest.raises(AuthenticationError, match="ended before the range"):
        fed(receive_span(content), BODY[: RANGE_CHUNK_SIZE + 9])


def test_macs_are_of_one_object() -> None:
    """Two authenticating passes share nothing."""
    assert ChunkMac().of(0, b"chunk") != ChunkMac().of(0, b"chunk")


@pytest.mark.parametrize("missing", ["advice", "mapping", "nothing"])
def test_rooms_of_either_kind(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held in memory is the same where the system has no large pages, or no room for a mapping."""
    if missing == "advice":
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    elif missing == "mapping":

        def refuse(*_: Any, **__: Any) -> None:
            raise OSError("cannot allocate memory")

        monkeypatch.setattr(mmap, "mmap", refuse)
    plaintext = os.urandom(17 * CHUNK_SIZE + 5)
    receiver = whole(len(plaintext), "memory")
    assert received(receiver, CIPHER.encrypt(plaintext)) == plaintext


def test_rooms_go_as_they_are_read() -> None:
    """Each goes back to the system with the last of its chunks, and no chunk can be written into."""
    plaintext = os.urandom(33 * CHUNK_SIZE)
    receiver = whole(len(plaintext), "memory")
    assert not any(fed(receiver, CIPHER.encrypt(plaintext)))
    chunks = receiver.finish()
    assert all(chunk.readonly for chunk in chunks)
    rooms = [weakref.ref(chunk.obj) for chunk in chunks]
    assert len({id(room()) for room in rooms}) == 3
    for _ in range(16):
        chunks.popleft()
    assert [room() is None for room in rooms] == [True] * 16 + [False] * 17
