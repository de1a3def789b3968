from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3ec.crypto.own.mac import ChunkMac


@given(index=st.integers(0, 2**64), data=st.binary(max_size=100), position=st.integers(0, 799))
def test_a_tag_speaks_for_one_chunk_in_one_place(index: int, data: bytes, position: int) -> None:
    """The same chunk has the same tag; a flipped bit, another length or another place has another."""
    mac = ChunkMac()
    tag = mac.of(index, data)
    assert len(tag) == 16
    assert ChunkMac.equal(mac.of(index, bytearray(data)), tag)
    assert ChunkMac.equal(mac.of(index, memoryview(data)), tag)
    assert not ChunkMac.equal(mac.of(index + 1, data), tag)
    assert not ChunkMac.equal(mac.of(index, data + b"\x00"), tag)
    if data:
        changed = bytearray(data)
        changed[position // 8 % len(data)] ^= 1 << position % 8
        assert not ChunkMac.equal(mac.of(index, changed), tag)


def test_every_object_has_its_own_key() -> None:
    """Tags of one object mean nothing to another."""
    assert ChunkMac().of(0, b"same") != ChunkMac().of(0, b"same")


def test_the_key_stays() -> None:
    """The key is not in the repr, and neither pickling nor copying takes it along."""
    mac = ChunkMac()
    assert repr(mac).startswith("<s3ec.crypto.own.mac.ChunkMac object at")
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            take(mac)
