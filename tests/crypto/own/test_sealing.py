from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3ec.crypto.own import sealing
from s3ec.crypto.own.sealing import OVERHEAD, Sealer
from s3ec.errors import AuthenticationError

KEY = bytes(range(32))


@given(index=st.integers(0, 2**64 - 1), data=st.binary(max_size=200))
def test_what_was_sealed_opens(index: int, data: bytes) -> None:
    """Opening is the inverse of sealing, at a fixed overhead, for every kind of buffer."""
    sealer = Sealer()
    sealed = sealer.seal(index, memoryview(data))
    assert len(sealed) == len(data) + OVERHEAD
    assert sealer.open(index, sealed) == data
    assert sealer.open(index, bytearray(sealed)) == data
    assert sealing.open_sealed(KEY, sealing.seal(KEY, data, b"aad"), b"aad") == data


@given(data=st.binary(max_size=50), position=st.integers(0, 8 * 78 - 1))
def test_a_flipped_bit_does_not_open(data: bytes, position: int) -> None:
    """No bit of nonce, ciphertext or tag can change unnoticed."""
    sealer = Sealer()
    sealed = bytearray(sealer.seal(0, data))
    sealed[position // 8 % len(sealed)] ^= 1 << position % 8
    with pytest.raises(AuthenticationError) as caught:
        sealer.open(0, sealed)
    assert caught.value.__suppress_context__


def test_place_key_and_additional_data_are_bound() -> None:
    """A sealed piece opens only in its place, under its key and with its additional data."""
    sealer = Sealer()
    sealed = sealer.seal(3, b"piece")
    with pytest.raises(AuthenticationError):
        sealer.open(4, sealed)
    with pytest.raises(AuthenticationError):
        Sealer().open(3, sealed)
    state = sealing.seal(KEY, b"state", b"upload 1")
    with pytest.raises(AuthenticationError):
        sealing.open_sealed(KEY, state, b"upload 2")
    with pytest.raises(AuthenticationError):
        sealing.open_sealed(KEY[::-1], state, b"upload 1")


@pytest.mark.parametrize("length", [0, 7, 8, 12, 27])
def test_too_little_does_not_open(length: int) -> None:
    """What is shorter than nonce and tag is refused like any other damage."""
    sealed = sealing.seal(KEY, b"")
    with pytest.raises(AuthenticationError):
        sealing.open_sealed(KEY, sealed[:length])


def test_sealing_again_gives_other_bytes() -> None:
    """A piece that is sealed twice under one index never meets the same nonce."""
    sealer = Sealer()
    first, second = sealer.seal(1, b"first try"), sealer.seal(1, b"other try")
    assert first[:12] != second[:12]


def test_the_key_stays() -> None:
    """Neither pickling nor copying takes the key along."""
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            take(Sealer())
