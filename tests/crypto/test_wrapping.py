from __future__ import annotations

import base64
import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given
from hypothesis import strategies as st

from s3ec.algorithms import WrappingAlgorithm
from s3ec.crypto.failures import content_failure
from s3ec.crypto.legacy.wrapping import content_failure_for
from s3ec.crypto.wrapping import (
    unwrap,
    wrap_with_aes,
    wrap_with_rsa,
)
from s3ec.errors import KeyUnwrapError

from support.rsa import other_rsa_key, rsa_key
from support.walking import leaks

WRAPPING_KEY = bytes(range(32))
DATA_KEY = bytes(range(32, 64))
ANY = (16, 24, 32)
GCM_NAME = "AES/GCM/NoPadding"
CBC_NAME = "AES/CBC/PKCS5Padding"

OAEP_SHA1 = OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None)  # noqa: S303 - what the format says

KNOWN_ANSWERS = [
    (
        WrappingAlgorithm.AES_GCM,
        GCM_NAME,
        "QEFCQ0RFRkdISUpLwpiMAAIZoSTl7T0dt0k9dEn3YG+DADkUT3503qsu0+SmXpr0NcKQ5c+mzBdignGr",
    ),
    (
        WrappingAlgorithm.AES_GCM,
        "115",
        "QEFCQ0RFRkdISUpLwpiMAAIZoSTl7T0dt0k9dEn3YG+DADkUT3503qsu0+TZMg9DH0ym5XVFunxAipXr",
    ),
    (WrappingAlgorithm.AES_WRAP, GCM_NAME, "BPijw8MC07C36UsU3Pha0dppzXQFbteQfTy0n7J3maQQTbBY8pAa2w=="),
    (WrappingAlgorithm.AES_ECB, CBC_NAME, "YaaTbk6PEBwcwfmTtUKg1OJ0Dor61OTRXQ1mGzguyomfO3UEkm+L024xGOkDpM1K"),
]


def ecb(wrapping_key: bytes, padded: bytes) -> bytes:
    """AES-ECB as the first clients used it, the padding already there."""
    return Cipher(AES(wrapping_key), modes.ECB()).encryptor().update(padded)  # noqa: S305 - legacy


def pkcs7(data: bytes) -> bytes:
    """The data with its padding."""
    count = 16 - len(data) % 16
    return data + bytes([count]) * count


def wrap_gcm(wrapping_key: bytes, data_key: bytes, text: str) -> bytes:
    """AES/GCM as another client does it."""
    return bytes(12) + AESGCM(wrapping_key).encrypt(bytes(12), data_key, text.encode())


def unwrap_error(call: Callable[[], bytes]) -> tuple[type[BaseException], str]:
    """Class and text of the error, which must chain nothing."""
    with pytest.raises(KeyUnwrapError) as caught:
        call()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize(("algorithm", "content_algorithm", "encoded"), KNOWN_ANSWERS)
def test_known_answers(algorithm: WrappingAlgorithm, content_algorithm: str, encoded: str) -> None:
    """Each AES wrapping opens to the data key that went in."""
    ciphertext = base64.b64decode(encoded)
    assert unwrap(algorithm, WRAPPING_KEY, ciphertext, content_algorithm, ANY) == DATA_KEY


@given(
    wrapping_key=st.sampled_from([WRAPPING_KEY, WRAPPING_KEY[:24], WRAPPING_KEY[:16]]),
    data_key=st.sampled_from(ANY).flatmap(lambda length: st.binary(min_size=length, max_size=length)),
    content_algorithm=st.sampled_from([GCM_NAME, "115", CBC_NAME, "AES/CBC/NoPadding"]),
)
def test_aes_unwrap_is_the_inverse(wrapping_key: bytes, data_key: bytes, content_algorithm: str) -> None:
    """Every AES wrapping of every length of key opens, and what is written has the layout of the format."""
    written = wrap_with_aes(wrapping_key, data_key, content_algorithm)
    assert len(written) == len(data_key) + 28
    assert AESGCM(wrapping_key).decrypt(written[:12], written[12:], content_algorithm.encode()) == data_key
    for algorithm, ciphertext in (
        (WrappingAlgorithm.AES_GCM, written),
        (WrappingAlgorithm.AES_WRAP, aes_key_wrap(wrapping_key, data_key)),
        (WrappingAlgorithm.AES_ECB, ecb(wrapping_key, pkcs7(data_key))),
    ):
        assert unwrap(algorithm, wrapping_key, ciphertext, content_algorithm, ANY) == data_key


def test_wrapping_again_gives_other_bytes() -> None:
    """Two wrappings of one data key never share a nonce."""
    first, second = (wrap_with_aes(WRAPPING_KEY, DATA_KEY, "115") for _ in range(2))
    assert first[:12] != second[:12]


@given(position=st.integers(0, 8 * 60 - 1))
def test_a_flipped_bit_does_not_unwrap(position: int) -> None:
    """The two wrappings with integrity notice any change."""
    for algorithm, ciphertext in (
        (WrappingAlgorithm.AES_GCM, wrap_gcm(WRAPPING_KEY, DATA_KEY, "115")),
        (WrappingAlgorithm.AES_WRAP, aes_key_wrap(WRAPPING_KEY, DATA_KEY)),
    ):
        changed = bytearray(ciphertext)
        changed[position // 8 % len(changed)] ^= 1 << position % 8
        with pytest.raises(KeyUnwrapError):
            unwrap(algorithm, WRAPPING_KEY, bytes(changed), "115", ANY)


def test_every_fault_of_aes_is_one_error() -> None:
    """Wrong key, wrong length, wrong padding, wrong content algorithm: one class, one text, nothing chained."""
    other_key = WRAPPING_KEY[::-1]
    cases = [
        *(
            (algorithm, WRAPPING_KEY, base64.b64decode(encoded)[:length], text)
            for algorithm, text, encoded in KNOWN_ANSWERS
            for length in (0, 1, 7, 8, 12, 16, 20, 24, 27, 28, 32, 39)
        ),
        *((algorithm, other_key, base64.b64decode(encoded), text) for algorithm, text, encoded in KNOWN_ANSWERS),
        (WrappingAlgorithm.AES_GCM, WRAPPING_KEY, wrap_gcm(WRAPPING_KEY, DATA_KEY, GCM_NAME), "115"),
        (WrappingAlgorithm.AES_GCM, WRAPPING_KEY, wrap_gcm(WRAPPING_KEY, DATA_KEY, CBC_NAME), GCM_NAME),
        (WrappingAlgorithm.AES_GCM, WRAPPING_KEY, wrap_gcm(WRAPPING_KEY, DATA_KEY, "115"), CBC_NAME),
        (WrappingAlgorithm.AES_GCM, WRAPPING_KEY, wrap_gcm(WRAPPING_KEY, b"", "115"), "115"),
        (WrappingAlgorithm.AES_GCM, WRAPPING_KEY, wrap_gcm(WRAPPING_KEY, DATA_KEY + b"x", "115"), "115"),
        (WrappingAlgorithm.AES_WRAP, WRAPPING_KEY, aes_key_wrap(WRAPPING_KEY, bytes(40)), GCM_NAME),
        (WrappingAlgorithm.AES_ECB, WRAPPING_KEY, ecb(WRAPPING_KEY, pkcs7(DATA_KEY + b"x")), CBC_NAME),
        (WrappingAlgorithm.AES_ECB, WRAPPING_KEY, ecb(WRAPPING_KEY, DATA_KEY + b"\x11" * 16), CBC_NAME),
        (WrappingAlgorithm.AES_ECB, WRAPPING_KEY, ecb(WRAPPING_KEY, DATA_KEY + b"\x00" * 16), CBC_NAME),
    ]
    errors = {
        unwrap_error(lambda a=algorithm, k=key, c=ciphertext, t=text: unwrap(a, k, c, t, ANY))
        for algorithm, key, ciphertext, text in cases
    }
    assert len(errors) == 1


@pytest.mark.parametrize(
    "algorithm", [WrappingAlgorithm.AES_GCM, WrappingAlgorithm.AES_WRAP, WrappingAlgorithm.AES_ECB]
)
def test_no_frame_of_an_error_holds_the_wrapping_key(algorithm: WrappingAlgorithm) -> None:
    """Even where it is given in clear."""
    key = os.urandom(32)
    with pytest.raises(KeyUnwrapError) as refused:
        unwrap(algorithm, key, bytes(48), GCM_NAME, ANY)
    assert leaks(refused.value, [key]) == []


@pytest.mark.parametrize("content_algorithm", [CBC_NAME, "AES/CBC/PKCS7Padding", "AES/CBC/NoPadding"])
def test_cbc_content_may_be_bound_as_gcm(content_algorithm: str) -> None:
    """CBC content rewrapped by the Java client binds the name of GCM: it opens only where the caller allows that."""
    private_key = rsa_key()
    payload = b"\x20" + DATA_KEY + GCM_NAME.encode()
    for algorithm, key, ciphertext in (
        (
            WrappingAlgorithm.AES_GCM,
            WRAPPING_KEY,
            wrap_gcm(WRAPPING_KEY, DATA_KEY, GCM_NAME),
        ),
        (
            WrappingAlgorithm.RSA_OAEP_SHA1,
            private_key,
            private_key.public_key().encrypt(payload, OAEP_SHA1),
        ),
    ):
        opened = unwrap(algorithm, key, ciphertext, content_algorithm, ANY, cbc_may_be_bound_as_gcm=True)
        assert opened == DATA_KEY
        with pytest.raises(KeyUnwrapError):
            unwrap(algorithm, key, ciphertext, content_algorithm, ANY)
        with pytest.raises(KeyUnwrapError):
            unwrap(algorithm, key, ciphertext, "115", ANY, cbc_may_be_bound_as_gcm=True)


def test_the_suite_decides_on_the_length() -> None:
    """A data key of a length that the content cannot use does not open, whichever wrapping holds it."""
    short, private_key = DATA_KEY[:16], rsa_key()
    for algorithm, ciphertext in (
        (WrappingAlgorithm.AES_GCM, wrap_gcm(WRAPPING_KEY, short, "115")),
        (WrappingAlgorithm.AES_WRAP, aes_key_wrap(WRAPPING_KEY, short)),
        (WrappingAlgorithm.AES_ECB, ecb(WRAPPING_KEY, pkcs7(short))),
    ):
        assert unwrap(algorithm, WRAPPING_KEY, ciphertext, "115", ANY) == short
        with pytest.raises(KeyUnwrapError):
            unwrap(algorithm, WRAPPING_KEY, ciphertext, "115", (32,))
    ciphertext = wrap_with_rsa(private_key.public_key(), short, "115")
    assert unwrap(WrappingAlgorithm.RSA_OAEP_SHA1, private_key, ciphertext, "115", ANY) == short
    with pytest.raises(KeyUnwrapError):
        unwrap(WrappingAlgorithm.RSA_OAEP_SHA1, private_key, ciphertext, "115", (32,))


@pytest.mark.parametrize(
    ("content_algorithm", "suffix"), [(GCM_NAME, "4145532f47434d2f4e6f50616464696e67"), ("115", "313135")]
)
def test_the_payload_of_oaep_sha1(content_algorithm: str, suffix: str) -> None:
    """What is written holds the key's length, the key and the content algorithm, and opens."""
    private_key = rsa_key()
    ciphertext = wrap_with_rsa(private_key.public_key(), DATA_KEY, content_algorithm)
    assert private_key.decrypt(ciphertext, OAEP_SHA1).hex() == "20" + DATA_KEY.hex() + suffix
    algorithm = WrappingAlgorithm.RSA_OAEP_SHA1
    assert unwrap(algorithm, private_key, ciphertext, content_algorithm, ANY) == DATA_KEY


@pytest.mark.parametrize("bits", [1024, 2048])
@pytest.mark.parametrize("length", ANY)
def test_legacy_rsa_opens(bits: int, length: int) -> None:
    """Both readings of OAEP-SHA256, and PKCS#1 v1.5, open for every length of data key."""
    private_key, data_key = other_rsa_key(bits), DATA_KEY[:length]
    for algorithm, padding in (
        (WrappingAlgorithm.RSA_OAEP_SHA256, OAEP(mgf=MGF1(SHA1()), algorithm=SHA256(), label=None)),  # noqa: S303
        (WrappingAlgorithm.RSA_OAEP_SHA256, OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None)),
        (WrappingAlgorithm.RSA_PKCS1, PKCS1v15()),
    ):
        ciphertext = private_key.public_key().encrypt(data_key, padding)
        assert unwrap(algorithm, private_key, ciphertext, CBC_NAME, ANY) == data_key


def raw_rsa(payload: bytes) -> bytes:
    """RSA without padding: what a bad padding is made of."""
    numbers = rsa_key().public_key().public_numbers()
    return pow(int.from_bytes(payload, "big"), numbers.e, numbers.n).to_bytes(256, "big")


def rsa_faults() -> list[tuple[WrappingAlgorithm, bytes, str]]:
    """Encrypted data keys that must not open, of each RSA wrapping."""
    public_key = rsa_key().public_key()

    def oaep_sha1(payload: bytes) -> bytes:
        return public_key.encrypt(payload, OAEP_SHA1)

    whole = b"\x20" + DATA_KEY + b"115"
    filler = b"\xaa" * (253 - 32)
    return [
        *((WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(whole + junk), "115") for junk in (b"\x00", b"x")),
        (WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(whole[:-1]), "115"),
        (WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(b"\x1f" + whole[1:]), "115"),
        (WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(b"\x21" + whole[1:]), "115"),
        (WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(b"\xff" + whole[1:]), "115"),
        (WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(b"\x00115"), "115"),
        (WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(b"\x20" + DATA_KEY), "115"),
        (WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(DATA_KEY), "115"),
        (WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(b""), "115"),
        (WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(whole), GCM_NAME),
        (WrappingAlgorithm.RSA_OAEP_SHA1, oaep_sha1(whole), CBC_NAME),
        (WrappingAlgorithm.RSA_OAEP_SHA1, other_rsa_key().public_key().encrypt(whole, OAEP_SHA1), "115"),
        (WrappingAlgorithm.RSA_OAEP_SHA256, oaep_sha1(DATA_KEY), CBC_NAME),
        *((WrappingAlgorithm.RSA_PKCS1, public_key.encrypt(DATA_KEY[:n], PKCS1v15()), CBC_NAME) for n in (0, 15, 31)),
        # A data key that RSA encrypted without padding, and paddings with one fault each.
        (WrappingAlgorithm.RSA_PKCS1, raw_rsa(DATA_KEY), CBC_NAME),
        (WrappingAlgorithm.RSA_PKCS1, raw_rsa(b"\x00\x01" + filler + b"\x00" + DATA_KEY), CBC_NAME),
        (WrappingAlgorithm.RSA_PKCS1, raw_rsa(b"\x00\x02" + b"\xaa" * 254), CBC_NAME),
        (WrappingAlgorithm.RSA_PKCS1, raw_rsa(b"\x00\x02\xaa\xaa\x00" + b"\xaa" * 251), CBC_NAME),
        *(
            (algorithm, bytes(length), CBC_NAME)
            for algorithm in WrappingAlgorithm
            if algorithm.family == "rsa"
            for length in (0, 1, 255, 256, 257)
        ),
        *((algorithm, b"\xff" * 256, CBC_NAME) for algorithm in WrappingAlgorithm if algorithm.family == "rsa"),
    ]


def test_every_fault_of_rsa_is_one_error() -> None:
    """Padding, length and binding faults of all three wrappings have one class and one text and chain nothing.

    Whoever could tell them apart could have the private key's work done for them (Bleichenbacher, Manger).
    """
    errors = {
        unwrap_error(lambda a=algorithm, c=ciphertext, t=text: unwrap(a, rsa_key(), c, t, ANY))
        for algorithm, ciphertext, text in rsa_faults()
    }
    ((_, text),) = errors
    assert "RSA without padding" in text


def test_content_answers_as_its_wrapping_does() -> None:
    """Where a wrong data key can come out of a wrapping, the content's error is the wrapping's; else it is its own."""
    for algorithm in WrappingAlgorithm:
        failure = content_failure_for(algorithm)()
        if algorithm is WrappingAlgorithm.RSA_PKCS1:
            expected = unwrap_error(lambda: unwrap(WrappingAlgorithm.RSA_PKCS1, rsa_key(), b"", "", ANY))
        elif algorithm is WrappingAlgorithm.AES_ECB:
            expected = unwrap_error(lambda: unwrap(WrappingAlgorithm.AES_ECB, WRAPPING_KEY, b"", "", ANY))
        else:
            expected = type(content_failure()), str(content_failure())
        assert (type(failure), str(failure)) == expected
