from __future__ import annotations

import copy
import hashlib
import hmac
import pickle

import pytest
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from s3ec.crypto import derivation
from s3ec.crypto.derivation import Derivation

# Of the Go client's key derivation tests: data key, message ID, content key, commitment.
KNOWN_ANSWERS = [
    (
        "80d90dc4cc7e77d8a6332efa44eba56230a7fe7b89af37d1e501ab2e07c0a163",
        "b8ea76bed24c7b85382a148cb9dcd1cfdfb765f55ded4dfa6e0c4c79",
        "6dd14f546cc006e639126e83f5d4d1b118576bb5df97f38c6fb3a1db87bbc338",
        "f89818bc0a346d3a3426b68e9509b6b2ae5fe1f904aa329fb73625db",
    ),
    (
        "501afb8227d22e75e68010414b8abdaf3064c081e8e922dafef4992036394d60",
        "61a00b4981a5aacfd136c55cb726e32d2a547dc7600a7d4675c69127",
        "e14786a714748d1d2c3a4a6816dec56ddf1881bbeabb4f39420ffb9f63700b2f",
        "5c1e73e47f6fe3a70d6d094283aceaa76d2975feb829212d88f0afc1",
    ),
]


@pytest.mark.parametrize(("data_key", "message_id", "content_key", "commitment"), KNOWN_ANSWERS)
def test_known_answers(data_key: str, message_id: str, content_key: str, commitment: str) -> None:
    """Content key and commitment are those that the Go client derives."""
    derived = Derivation(bytes.fromhex(data_key), bytes.fromhex(message_id))
    assert derived.content_key().reveal().hex() == content_key
    assert derived.commitment().hex() == commitment


@given(data_key=st.binary(min_size=32, max_size=32), message_id=st.binary(min_size=28, max_size=28))
def test_it_is_hkdf_as_the_rfc_writes_it(data_key: bytes, message_id: bytes) -> None:
    """Both outputs are the first block of RFC 5869's expansion, with the message ID as salt."""
    prk = hmac.digest(message_id, data_key, hashlib.sha512)
    derived = Derivation(data_key, message_id)
    for found, label, length in ((derived.commitment(), b"COMMITKEY", 28), (derived.content_key(), b"DERIVEKEY", 32)):
        assert found == hmac.digest(prk, b"\x00\x73" + label + b"\x01", hashlib.sha512)[:length]


@given(key=st.binary(min_size=1, max_size=100), salt=st.binary(max_size=200), label=st.binary(max_size=20))
def test_it_is_the_hkdf_of_the_library(key: bytes, salt: bytes, label: bytes) -> None:
    """Extracted and expanded apart, the result is what `cryptography` derives at once, for salts of any length."""
    expected = HKDF(algorithm=SHA512(), length=40, salt=salt, info=b"\x00\x73" + label).derive(key)
    assert derivation.expand(derivation.extract(key, salt), label, 40) == expected


def test_a_data_key_is_extracted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both values of an object, and the same value again, come from one extraction."""
    seen: list[bytes] = []
    extract = derivation.extract
    monkeypatch.setattr(derivation, "extract", lambda key, salt: seen.append(salt) or extract(key, salt))
    derived = Derivation(bytes(range(32)), b"m" * 28)
    assert derived.content_key() == derived.content_key()
    assert derived.commitment() == derived.commitment()
    assert seen == [b"m" * 28]


def test_what_was_extracted_stays() -> None:
    """It opens the object as the data key does: no repr, no pickle and no copy takes it along."""
    derived = Derivation(bytes(range(32)), b"m" * 28)
    assert derivation.extract(bytes(range(32)), b"m" * 28).reveal().hex() not in repr(vars_of(derived))
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            take(derived)


def vars_of(holder: object) -> list[object]:
    """All that an error reporter would show of an object with slots."""
    return [getattr(holder, name) for name in type(holder).__slots__]


def test_fixed_values() -> None:
    """The committing suite's IV and additional data are the specification's constants, and not zero."""
    assert bytes.fromhex("01" * 12) == derivation.COMMITTING_IV
    assert bytes.fromhex("0073") == derivation.COMMITTING_AAD


def test_equal() -> None:
    """Equality is equality, whatever the lengths."""
    assert derivation.equal(b"abc", b"abc")
    assert not derivation.equal(b"abc", b"abd")
    assert not derivation.equal(b"abc", b"abcd")
    assert not derivation.equal(b"", b"a")
