"""A GCM stream that is put down and taken up again gives the ciphertext and the tag of one that never stopped."""

from __future__ import annotations

import os
import pickle

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH, AlgorithmSuite
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.own.ghash import GhashState, ResumableEncryptor, multiply, state_from_tag
from s3ec.errors import ObjectTooLargeError

COMMITTING = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
PLAIN = AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
ONE = 1 << 127

elements = st.integers(min_value=0, max_value=2**128 - 1)
ciphers = st.sampled_from(
    [
        ContentCipher(COMMITTING, bytes(range(32)), b"\1" * 12, b"\0\x73"),
        ContentCipher(PLAIN, bytes(range(16)), bytes(range(12))),
        ContentCipher(PLAIN, bytes(range(32)), b"\xff" * 12, os.urandom(50)),
    ]
)


def encrypt(encryptor: ResumableEncryptor, plaintext: bytes) -> bytes:
    """Encrypt one piece as the client does: into a buffer with room."""
    buffer = bytearray(len(plaintext) + 15)
    return bytes(buffer[: encryptor.update_into(plaintext, buffer)])


def start(cipher: ContentCipher) -> GhashState:
    """The state of a stream that has not begun."""
    return state_from_tag(cipher, cipher.encryptor().finalize(), 0, b"")


def test_the_product_of_the_specification() -> None:
    """GCM's test case 2 (McGrew and Viega, appendix B): one block of ciphertext, hashed with H."""
    h = 0x66E94BD4EF8A2C3B884CFA59CA342B2E
    ciphertext = 0x0388DACE60B6A392F328C2B971B2FE78
    assert multiply(ciphertext, h) == 0x5E2EC746917062882C85B0685353DEB7
    assert multiply(multiply(ciphertext, h) ^ 0x80, h) == 0xF38CBB1AD69223DCC3457AE5B6B0F885


@given(elements, elements, elements)
def test_it_is_a_field(x: int, y: int, z: int) -> None:
    """Products commute, distribute over sums and have a neutral element."""
    assert multiply(x, y) == multiply(y, x)
    assert multiply(x, y ^ z) == multiply(x, y) ^ multiply(x, z)
    assert multiply(x, ONE) == x


@pytest.mark.slow
@given(ciphers, st.lists(st.binary(max_size=70), max_size=6))
def test_any_split_is_gcm_at_once(cipher: ContentCipher, pieces: list[bytes]) -> None:
    """The stream is put down after every piece, whatever its length, and taken up by another encryptor."""
    plaintext = b"".join(pieces)
    state = start(cipher)
    ciphertext = b""
    for piece in pieces:
        encryptor = ResumableEncryptor(cipher, state)
        ciphertext += encrypt(encryptor, piece)
        state = encryptor.state()
        assert state.position == len(ciphertext)
    tag = ResumableEncryptor(cipher, state).finalize()
    assert ciphertext + tag == AESGCM(cipher.key.reveal()).encrypt(cipher.iv, plaintext, cipher.aad)


@pytest.mark.slow
@given(ciphers, st.binary(max_size=100), st.lists(st.binary(max_size=40), max_size=4))
def test_an_ordinary_stream_can_be_taken_up(cipher: ContentCipher, begun: bytes, rest: list[bytes]) -> None:
    """The state of an ordinary encryptor comes out of its tag; asking for a state changes nothing."""
    ordinary = cipher.encryptor()
    ciphertext = ordinary.update(begun)
    tail = ciphertext[len(ciphertext) - len(ciphertext) % 16 :]
    encryptor = ResumableEncryptor(cipher, state_from_tag(cipher, ordinary.finalize(), len(begun), tail))
    for piece in rest:
        ciphertext += encrypt(encryptor, piece)
        assert encryptor.state() == encryptor.state()
    assert ciphertext + encryptor.finalize() == AESGCM(cipher.key.reveal()).encrypt(
        cipher.iv, begun + b"".join(rest), cipher.aad
    )


def test_large_pieces() -> None:
    """Pieces of megabytes, at odd lengths, in place in one buffer."""
    cipher = ContentCipher(COMMITTING, os.urandom(32), b"\1" * 12, b"\0\x73")
    plaintext = os.urandom(3 * 2**20 + 5)
    expected = AESGCM(cipher.key.reveal()).encrypt(cipher.iv, plaintext, cipher.aad)
    state, ciphertext = start(cipher), b""
    for begin, end in ((0, 2**20 + 1), (2**20 + 1, 2**21), (2**21, len(plaintext))):
        buffer = bytearray(plaintext[begin:end]) + bytes(15)
        encryptor = ResumableEncryptor(cipher, state)
        count = encryptor.update_into(memoryview(buffer)[: end - begin], buffer)
        ciphertext += buffer[:count]
        state = encryptor.state()
    assert ciphertext + ResumableEncryptor(cipher, state).finalize() == expected


def test_nothing_is_processed_past_the_greatest_length() -> None:
    """A stream taken up near its end refuses the byte that would bring the counter round."""
    cipher = ContentCipher(PLAIN, bytes(32), b"\1" * 12)
    encryptor = ResumableEncryptor(cipher, GhashState(GCM_MAX_PLAINTEXT_LENGTH - 1, bytes(16), bytes(15)))
    assert len(encrypt(encryptor, b"1")) == 1
    with pytest.raises(ObjectTooLargeError):
        encrypt(encryptor, b"2")


def test_a_state_that_cannot_be() -> None:
    """The tail is what follows the last whole block, and nothing else."""
    with pytest.raises(ValueError, match="tail"):
        ResumableEncryptor(ContentCipher(PLAIN, bytes(32), bytes(12)), GhashState(17, bytes(16), b""))


def test_secrets_stay() -> None:
    """Neither repr nor pickle gives the hash key's neighbourhood away."""
    cipher = ContentCipher(PLAIN, bytes(32), b"\1" * 12)
    state = GhashState(1, b"accumulator-here", b"t")
    assert "accumulator" not in repr(state)
    with pytest.raises(TypeError):
        pickle.dumps(ResumableEncryptor(cipher, state))
    with pytest.raises(TypeError):
        pickle.dumps(state)
