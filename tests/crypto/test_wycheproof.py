"""Project Wycheproof's vectors through our own ciphers: every vector, and a reason for each that cannot be played.

A vector either does what its file says, or our interface cannot express its parameters. Then it must be refused, by
what a storage that sends it would meet, and it is counted under its reason. The counts are written down, so that none
can be left out unnoticed.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from s3ec.algorithms import AlgorithmSuite, WrappingAlgorithm
from s3ec.crypto import derivation, wrapping
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.legacy.content import CbcCipher
from s3ec.crypto.own import sealing
from s3ec.crypto.own.ghash import GhashState, ResumableEncryptor, state_from_tag
from s3ec.crypto.own.mac import ChunkMac
from s3ec.crypto.rsa_keys import private_key
from s3ec.errors import AuthenticationError, KeyUnwrapError
from s3ec.migrate.work.context import MigrationContext

from support.wycheproof import Vector, files, total, vectors

GCM = AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
CBC = AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF
AS_SAID = "as the file says"
ANY_LENGTH = range(1, 2000)
NAME = "AES/GCM/NoPadding"

# The reasons.
OTHER_HASHES = "other hashes: no format names them"
SHORT = "a key of 8 bytes has its own way in RFC 5649, and no cipher here takes one"
IMPLICIT = "implicit rejection: noise, which opens no content"
IVS, NONCES = "IVs of 12 bytes only", "nonces of 12 bytes only"
EMPTY, LABELS = "an empty data key is not one", "no labels: the formats have none"
PAYLOAD = "not a payload of RSA-OAEP-SHA1: decrypts, and is refused"

Play = Callable[[Vector], str]


def attempt(call: Callable[[], bytes], *refusals: type[Exception]) -> bytes | None:
    """What a call gives, or None if it refuses."""
    try:
        return call()
    except refusals:
        return None


def gcm_cipher(vector: Vector) -> ContentCipher:
    """The cipher of content for a vector."""
    return ContentCipher(GCM, vector["key"], vector["iv"], vector["aad"])  # type: ignore[arg-type]


def streamed(cipher: ContentCipher, ciphertext: bytes, tag: bytes, step: int = 5) -> bytes:
    """Decrypt in pieces."""
    decryptor = cipher.decryptor()
    pieces = [decryptor.update(ciphertext[at : at + step]) for at in range(0, len(ciphertext), step)]
    decryptor.verify(tag)
    return b"".join(pieces)


def resumed(cipher: ContentCipher, plaintext: bytes, cut: int) -> tuple[bytes, bytes]:
    """Encrypt up to a cut, take the state out of the tag, and go on from it."""
    first = cipher.encryptor()
    head = first.update(plaintext[:cut])
    state: GhashState = state_from_tag(cipher, first.finalize(), cut, head[cut - cut % 16 :])
    second, buffer = ResumableEncryptor(cipher, state), bytearray(len(plaintext) + 32)
    written = second.update_into(plaintext[cut:], buffer)
    return head + bytes(buffer[:written]), second.finalize()


def aes_gcm(vector: Vector) -> str:
    """Content at once, in a stream, from an offset, interrupted and resumed; and as sealed data of our own."""
    if len(vector["iv"]) != GCM.iv_length:
        with pytest.raises(ValueError, match="takes no key"):
            gcm_cipher(vector)
        return IVS
    cipher, msg, ct, tag = gcm_cipher(vector), vector["msg"], vector["ct"], vector["tag"]
    sealed = vector["iv"] + ct + tag
    found = {
        attempt(lambda: cipher.decrypt(ct + tag), AuthenticationError),
        attempt(lambda: streamed(cipher, ct, tag), AuthenticationError),
        attempt(lambda: sealing.open_sealed(vector["key"], sealed, vector["aad"]), AuthenticationError),
    }
    assert found == {msg if vector.result == "valid" else None}
    stream = cipher.encryptor()
    assert stream.update(msg) == ct
    tags = {stream.finalize()}
    for offset in range(0, len(msg) + 1, 16):
        assert cipher.decryptor_at(offset).update(ct[offset:]) == msg[offset:]
    ciphertext, again = resumed(cipher, msg, vector.number % (len(msg) + 1))
    assert ciphertext == ct
    tags.add(again)
    assert len(tags) == 1
    assert (cipher.encrypt(msg) == ct + tag) is (tags == {tag}) is (vector.result == "valid")
    return AS_SAID


def aes_gcm_wrapping(vector: Vector) -> str:
    """The same, as an encrypted data key: the additional data is the name of the content's algorithm."""
    encrypted, aad = vector["iv"] + vector["ct"] + vector["tag"], vector["aad"].decode("latin-1")
    found = attempt(lambda: unwrap_aes(WrappingAlgorithm.AES_GCM, vector["key"], encrypted, aad), KeyUnwrapError)
    if len(vector["iv"]) != GCM.iv_length:
        assert found is None
        return NONCES
    if aad.encode() != vector["aad"]:
        assert found is None
        return "additional data is text in UTF-8"
    if not vector["msg"]:
        assert found is None
        return EMPTY
    assert found == (vector["msg"] if vector.result == "valid" else None)
    return AS_SAID


def aes_gmac(vector: Vector) -> str:
    """The MAC of a chunk; its nonce is the chunk's number."""
    mac = ChunkMac(vector["key"])
    index = int.from_bytes(vector["iv"], "big")
    if len(vector["iv"]) != GCM.iv_length:
        if index.bit_length() > 96:
            with pytest.raises(OverflowError):
                mac.of(index, vector["msg"])
        return NONCES
    assert ChunkMac.equal(mac.of(index, vector["msg"]), vector["tag"]) is (vector.result == "valid")
    return AS_SAID


def unwrap_aes(algorithm: WrappingAlgorithm, key: bytes, encrypted: bytes, text: str = "") -> bytes:
    """Unwrap a data key of any length but none."""
    return wrapping.unwrap(algorithm, key, encrypted, text, ANY_LENGTH)


def aes_wrap(vector: Vector) -> str:
    """The wrapping of AES key wrap, which is only read."""
    found = attempt(lambda: unwrap_aes(WrappingAlgorithm.AES_WRAP, vector["key"], vector["ct"]), KeyUnwrapError)
    if vector.result == "acceptable":
        assert found is None
        return SHORT
    assert found == (vector["msg"] if vector.result == "valid" else None)
    return AS_SAID


def aes_cbc_pkcs5(vector: Vector) -> str:
    """Content of the first clients, in pieces and in one."""
    cipher = CbcCipher(CBC, vector["key"], vector["iv"])  # type: ignore[arg-type]
    found = set()
    for step in (1, 7, 16, 4096):

        def decrypt(step: int = step) -> bytes:
            decryptor = cipher.decryptor()
            pieces = [decryptor.update(vector["ct"][at : at + step]) for at in range(0, len(vector["ct"]), step)]
            return b"".join(pieces) + decryptor.finish()

        found.add(attempt(decrypt, AuthenticationError))
    assert found == {vector["msg"] if vector.result == "valid" else None}
    return AS_SAID


def hkdf_sha512(vector: Vector) -> str:
    """Derivation, without the suite's identifier that we put before every label."""
    found = attempt(
        lambda: derivation.expand(
            derivation.extract(vector["ikm"], vector["salt"]), vector["info"], vector.fields["size"]
        ).reveal(),
        ValueError,
    )
    assert found == (vector["okm"] if vector.result == "valid" else None)
    return AS_SAID


def hmac_sha256(vector: Vector) -> str:
    """The MAC in the books of a migration, which is of a SHA-256, that is of any bytes."""
    books: Any = SimpleNamespace(mac_key=vector["key"])
    made = bytes.fromhex(MigrationContext.mac(books, vector["msg"].hex()) or "")
    length = vector.group["tagSize"] // 8
    assert derivation.equal(made[:length], vector["tag"]) is (vector.result == "valid")
    return AS_SAID if length == len(made) else "MACs are whole: compared in the length of the file"


@functools.cache
def loaded(pem: str) -> RSAPrivateKey:
    """A private key. Whether its numbers are right is not looked at: that takes longer than all else here."""
    return private_key(load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True))


def unwrap_rsa(
    algorithm: WrappingAlgorithm, vector: Vector, text: str = NAME, lengths: Iterable[int] = ANY_LENGTH
) -> Any:
    """Unwrap a data key, or give None."""
    key = loaded(vector.group["privateKeyPem"])
    return attempt(
        lambda: wrapping.unwrap(algorithm, key, vector["ct"], text, lengths),
        KeyUnwrapError,
    )


def bound(payload: bytes) -> tuple[bytes, str] | None:
    """Data key and text in a payload of RSA-OAEP-SHA1, if it is one."""
    length = payload[0] if payload else 0
    plaintext_data_key, text = payload[1 : 1 + length], payload[1 + length :].decode("latin-1")
    if not length or len(plaintext_data_key) < length or text.encode() != payload[1 + length :]:
        return None
    return plaintext_data_key, text


def rsa_oaep(vector: Vector) -> str:
    """Both wrappings by OAEP; every combination of hashes that is none of theirs, and every label, is refused."""
    hashes, msg = (vector.group["sha"], vector.group["mgfSha"]), vector["msg"]
    expressible = vector.result == "valid" and not vector["label"]
    sha256 = unwrap_rsa(WrappingAlgorithm.RSA_OAEP_SHA256, vector)
    opens = expressible and hashes in (("SHA-256", "SHA-1"), ("SHA-256", "SHA-256")) and msg != b""
    assert sha256 == (msg if opens else None)
    payload = bound(msg)
    sha1 = unwrap_rsa(WrappingAlgorithm.RSA_OAEP_SHA1, vector, payload[1] if payload else NAME)
    assert sha1 == (payload[0] if payload and expressible and hashes == ("SHA-1", "SHA-1") else None)
    if vector["label"]:
        return LABELS
    if hashes not in (("SHA-1", "SHA-1"), ("SHA-256", "SHA-1"), ("SHA-256", "SHA-256")):
        return OTHER_HASHES
    if vector.result == "invalid":
        return AS_SAID
    if not msg:
        return EMPTY
    return AS_SAID if hashes[0] == "SHA-256" or payload else PAYLOAD


def rsa_pkcs1(vector: Vector) -> str:
    """Bad padding gives an error, or (OpenSSL 3.2 and later) noise that is the same each time: never the message."""
    algorithm = WrappingAlgorithm.RSA_PKCS1
    found = unwrap_rsa(algorithm, vector)
    if vector.result == "valid":
        if not vector["msg"]:
            assert found is None
            return EMPTY
        assert found == vector["msg"]
        assert unwrap_rsa(algorithm, vector, lengths=[len(found) + 1]) is None
        return AS_SAID
    assert found != vector["msg"]
    assert unwrap_rsa(algorithm, vector) == found
    assert unwrap_rsa(algorithm, vector, lengths=[len(vector["msg"])]) in (None, found)
    return AS_SAID if found is None else IMPLICIT


EXPECTED: dict[tuple[str, Play], dict[str, int]] = {
    ("aes_cbc_pkcs5", aes_cbc_pkcs5): {AS_SAID: 216},
    ("aes_gcm", aes_gcm): {AS_SAID: 197, IVS: 119},
    ("aes_gcm", aes_gcm_wrapping): {AS_SAID: 142, NONCES: 119, EMPTY: 3, "additional data is text in UTF-8": 52},
    ("aes_gmac", aes_gmac): {AS_SAID: 207, NONCES: 207},
    ("aes_wrap", aes_wrap): {AS_SAID: 162, SHORT: 3},
    ("hkdf_sha512", hkdf_sha512): {AS_SAID: 83},
    ("hmac_sha256", hmac_sha256): {AS_SAID: 87, "MACs are whole: compared in the length of the file": 87},
    ("rsa_oaep_2048_sha1_mgf1sha1", rsa_oaep): {AS_SAID: 20, PAYLOAD: 8, LABELS: 7, EMPTY: 1},
    ("rsa_oaep_2048_sha256_mgf1sha1", rsa_oaep): {AS_SAID: 27, LABELS: 3, EMPTY: 1},
    ("rsa_oaep_2048_sha256_mgf1sha256", rsa_oaep): {AS_SAID: 28, LABELS: 8, EMPTY: 1},
    ("rsa_oaep_3072_sha256_mgf1sha1", rsa_oaep): {AS_SAID: 28, LABELS: 3, EMPTY: 1},
    ("rsa_oaep_3072_sha256_mgf1sha256", rsa_oaep): {AS_SAID: 28, LABELS: 8, EMPTY: 1},
    ("rsa_oaep_4096_sha256_mgf1sha1", rsa_oaep): {AS_SAID: 28, LABELS: 3, EMPTY: 1},
    ("rsa_oaep_4096_sha256_mgf1sha256", rsa_oaep): {AS_SAID: 28, LABELS: 8, EMPTY: 1},
    ("rsa_oaep_misc", rsa_oaep): {AS_SAID: 27, PAYLOAD: 5, LABELS: 20, EMPTY: 16, OTHER_HASHES: 327},
    ("rsa_pkcs1_2048", rsa_pkcs1): {AS_SAID: 66, EMPTY: 1},
    ("rsa_pkcs1_3072", rsa_pkcs1): {AS_SAID: 66, EMPTY: 1},
    ("rsa_pkcs1_4096", rsa_pkcs1): {AS_SAID: 66, EMPTY: 1},
}

# Resuming in the middle of a stream multiplies in Python, and keys of 8192 bits are slow.
SLOW = (aes_gcm, rsa_oaep)


def case(name: str, play: Play) -> Any:
    """One file through one of our functions."""
    slow = [pytest.mark.slow] if play in SLOW and name in ("aes_gcm", "rsa_oaep_misc") else []
    return pytest.param(name, play, id=f"{name}-{play.__name__}", marks=slow)


@pytest.mark.parametrize(("name", "play"), [case(*which) for which in EXPECTED])
def test_vectors(name: str, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every vector of a file does what the file says, or is one of those that are explained."""
    monkeypatch.setattr(derivation, "COMMITTING_AAD", b"")
    counts = Counter(play(vector) for vector in vectors(name))
    assert counts.total() == total(name)
    expected = EXPECTED[name, play]
    # What OpenSSL makes of bad padding is its version's own: an error or noise.
    assert counts[AS_SAID] + counts.pop(IMPLICIT, 0) == expected[AS_SAID]
    assert counts | {AS_SAID: expected[AS_SAID]} == expected


def test_every_file_is_played() -> None:
    """No file lies in the folder unused."""
    assert {name for name, _ in EXPECTED} == set(files())
