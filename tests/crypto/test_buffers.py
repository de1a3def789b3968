from __future__ import annotations

import array
import ctypes
import mmap
import sys
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from s3ec.algorithms import AlgorithmSuite
from s3ec.crypto.buffers import UPDATE_ROOM, Rooms, octets, room_for
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.own import sealing
from s3ec.crypto.own.mac import ChunkMac


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"abc", b"abc"),
        (b"", b""),
        (bytearray(b"abc"), b"abc"),
        (memoryview(b"abcd")[1:3], b"bc"),
        (memoryview(b"abcd").cast("B", (2, 2)), b"abcd"),
        (memoryview(array.array("I", [1, 2])), array.array("I", [1, 2]).tobytes()),
        (memoryview(array.array("I")), b""),
        (memoryview((ctypes.c_ubyte * 0 * 2)()), b""),
        (memoryview(array.array("b", [1, -1])), b"\x01\xff"),
    ],
)
def test_the_length_of_a_view_is_its_number_of_bytes(data: memoryview, expected: bytes) -> None:
    """Whatever the items of a buffer are, what counts is bytes."""
    view = octets(data)
    assert len(view) == len(expected)
    assert bytes(view) == expected


@pytest.mark.parametrize("data", [memoryview(b"abcdef")[::2], memoryview(b"abcdef")[::-1], "text", None, 3])
def test_what_is_not_contiguous_bytes_is_refused(data: object) -> None:
    """A view with gaps, text or a number is a mistake of the caller's."""
    with pytest.raises(TypeError):
        octets(data)  # type: ignore[arg-type]  # the mistake under test


def test_room_beyond_what_a_cipher_writes() -> None:
    """As `update_into` of cryptography says; some of its versions look for it with every mode."""
    assert AES.block_size // 8 - 1 == UPDATE_ROOM


class Pages(mmap.mmap):
    """Memory that notes what was advised about it."""

    advised: list[int]

    def madvise(self, option: int, *place: int) -> None:
        """Note it, and take it."""
        self.advised = [*getattr(self, "advised", []), option]
        super().madvise(option, *place)


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="the system has no large pages")
def test_room_is_made_of_large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of zero bytes of this process alone, which may be written."""
    monkeypatch.setattr(mmap, "mmap", Pages)
    room = room_for(3 * 2**20)
    assert isinstance(room.obj, Pages)
    assert room.obj.advised == [mmap.MADV_HUGEPAGE]
    assert bytes(room) == bytes(3 * 2**20)
    room[-3:] = b"end"
    assert bytes(room[-4:]) == b"\0end"


@pytest.mark.parametrize("without", ["large pages", "room"])
def test_room_where_there_are_none(monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    """The allocator makes it: on a system without large pages, or where none can be mapped."""

    def refuse(*_: object, **__: object) -> object:
        raise OSError

    if without == "room":
        monkeypatch.setattr(mmap, "mmap", refuse)
    else:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    room = room_for(100)
    assert isinstance(room.obj, bytearray)
    assert bytes(room) == bytes(100)


CIPHER = ContentCipher(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF, bytes(32), bytes(12))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        CIPHER.encrypt,
        CIPHER.decrypt,
        CIPHER.encryptor().update,
        CIPHER.decryptor().update,
        CIPHER.encryptor_at(16).update,
        lambda gaps: CIPHER.encryptor().update_into(gaps, bytearray(100)),
        lambda gaps: ChunkMac(bytes(32)).of(0, gaps),
        lambda gaps: sealing.seal(bytes(32), gaps),
        lambda gaps: sealing.open_sealed(bytes(32), gaps),
        lambda gaps: sealing.Sealer().seal(0, gaps),
        lambda gaps: sealing.Sealer().open(0, gaps),
    ],
)
def test_no_cipher_is_given_a_view_with_gaps(call: Callable[[Any], object]) -> None:
    """Versions of the cryptography package before 46.0.7 may read past the end of one (CVE-2026-39892)."""
    with pytest.raises(TypeError):
        call(memoryview(bytes(128))[::2])


def test_rooms_go_round() -> None:
    """The one that was taken first comes again when nobody has a view of it, as long as it was, and not before."""
    rooms = Rooms(100, 2)
    first, second = rooms.take(), rooms.take()
    assert first.obj is not second.obj
    kept = first[10:20]
    first.release()
    third = rooms.take()
    assert third.obj is not kept.obj
    assert third.obj is not second.obj
    kept.release()
    second_room = second.obj
    second.release()
    held = sys.getsizeof(second_room)
    again = rooms.take()
    assert again.obj is second_room
    assert [len(again), len(third), len(again.obj)] == [100] * 3
    assert sys.getsizeof(second_room) == held


def test_only_so_many_rooms_are_remembered() -> None:
    """Those that are in use when others are asked for are theirs who use them, and do not come again."""
    rooms = Rooms(10, 2)
    views = [rooms.take() for _ in range(4)]
    identities = {id(view.obj): view.obj for view in views}
    assert len(identities) == 4
    last = [id(view.obj) for view in views[2:]]
    for view in views:
        view.release()
    again = [rooms.take() for _ in range(3)]
    assert [id(view.obj) for view in again[:2]] == last
    assert id(again[2].obj) not in identities
