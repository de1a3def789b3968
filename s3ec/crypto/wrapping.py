"""Wrapping of data keys under raw AES and RSA keys. KMS wraps by itself.

Source: S3 Encryption Client specification, materials/s3-keyring.md, data-format/content-metadata.md; RFC 3394 (AES key
wrap), RFC 8017 (RSA). Only the two algorithms that bind the content algorithm can be written; the legacy ones are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.padding import PKCS7

from s3ec.algorithms import WrappingAlgorithm
from s3ec.crypto import derivation, random
from s3ec.crypto.content import content_failure
from s3ec.errors import KeyUnwrapError, S3ECError
from s3ec.secrets import Secret, revealed

__all__ = [
    "WITHOUT_INTEGRITY",
    "content_failure_for",
    "substitute_key",
    "unwrap_with_aes",
    "unwrap_with_rsa",
    "wrap_with_aes",
    "wrap_with_rsa",
]

_NONCE_LENGTH = 12
_GCM_CONTENT_ALGORITHM = "AES/GCM/NoPadding"

WITHOUT_INTEGRITY = frozenset({WrappingAlgorithm.AES_ECB, WrappingAlgorithm.RSA_PKCS1})
"""Wrappings with nothing but a padding: an altered data key may unwrap to something that looks like one."""

_SUBSTITUTES = Secret(random.data_key())


def _aes_failure() -> S3ECError:
    return KeyUnwrapError(
        "the object does not open with this AES key: it was written with another key, or its encrypted data key, its "
        "content algorithm or its content was altered"
    )


def _rsa_failure() -> S3ECError:
    return KeyUnwrapError(
        "the object does not open with this RSA key: it was written for another key, or its encrypted data key, its "
        "content algorithm or its content was altered, or its data key was encrypted by RSA without padding, which "
        "is not supported"
    )


def content_failure_for(algorithm: WrappingAlgorithm) -> Callable[[], S3ECError]:
    """Return what makes the error for content that does not decrypt, given how its data key was wrapped.

    AES-ECB and RSA PKCS#1 v1.5 cannot tell a wrong data key from a right one: an altered one may unwrap to something
    that only the content shows to be wrong. If that were another error than the unwrapping's, anyone who may replace
    objects could tell well-padded from badly padded (Bleichenbacher's attack on RSA), hence one error for both, and one
    place: see `substitute_key`.
    """
    return {WrappingAlgorithm.AES_ECB: _aes_failure, WrappingAlgorithm.RSA_PKCS1: _rsa_failure}.get(
        algorithm, content_failure
    )


def substitute_key(encrypted_data_key: bytes, length: int) -> Secret[bytes]:
    """Return a key that opens nothing, in place of one that did not unwrap (implicit rejection, as in TLS).

    So the error comes where a wrong data key's would, after as many requests. In one process an encrypted data key
    always has the same substitute, since a wrong data key is the same at every read, too.

    Args:
        encrypted_data_key: what did not unwrap.
        length: bytes of the key.
    """
    return derivation.expand(derivation.extract(_SUBSTITUTES, encrypted_data_key), b"SUBSTITUTE", length)


def wrap_with_aes(
    wrapping_key: bytes | Secret[bytes], plaintext_data_key: bytes | Secret[bytes], content_algorithm: str
) -> bytes:
    """Wrap by AES-GCM: a 12-byte nonce, the encrypted data key and a 16-byte tag.

    Args:
        wrapping_key: 16, 24 or 32 bytes.
        plaintext_data_key: the data key.
        content_algorithm: text that is bound as additional authenticated data.
    """
    nonce = random.iv()
    gcm = AESGCM(revealed(wrapping_key))
    return nonce + gcm.encrypt(nonce, revealed(plaintext_data_key), content_algorithm.encode())


def unwrap_with_aes(
    algorithm: WrappingAlgorithm,
    wrapping_key: bytes | Secret[bytes],
    ciphertext: bytes,
    content_algorithm: str,
    key_lengths: Iterable[int],
    *,
    cbc_may_be_bound_as_gcm: bool = False,
) -> bytes:
    """Unwrap a data key by AES/GCM, AESWrap or AES-ECB.

    Args:
        algorithm: how it was wrapped; one of the family ``"aes"``.
        wrapping_key: 16, 24 or 32 bytes.
        ciphertext: the encrypted data key.
        content_algorithm: the object's own text for its content algorithm.
        key_lengths: lengths of data key that the content's suite allows, in bytes.
        cbc_may_be_bound_as_gcm: see `_bound_texts`.

    Raises:
        KeyUnwrapError: it does not open; always the same text. No frame of the error holds a key.
    """
    unwrap = {
        WrappingAlgorithm.AES_GCM: _open_aes_gcm,
        WrappingAlgorithm.AES_WRAP: _open_aes_wrap,
        WrappingAlgorithm.AES_ECB: _open_aes_ecb,
    }[algorithm]
    texts = _bound_texts(content_algorithm, cbc_may_be_bound_as_gcm=cbc_may_be_bound_as_gcm)
    plaintext_data_key = _of_length(unwrap(Secret(revealed(wrapping_key)), ciphertext, texts), key_lengths)
    if plaintext_data_key is None:
        raise _aes_failure()
    return plaintext_data_key


def _of_length(plaintext_data_key: bytes | None, key_lengths: Iterable[int]) -> bytes | None:
    """Return a data key, or None: what has another length is not a data key of this content."""
    return plaintext_data_key if plaintext_data_key is not None and len(plaintext_data_key) in key_lengths else None


def _bound_texts(content_algorithm: str, *, cbc_may_be_bound_as_gcm: bool) -> list[bytes]:
    """Return the texts of which a wrapping must bind one.

    The Java client binds the name of GCM when it wraps the data key of CBC content again, which it writes into an
    instruction file. Accepting that everywhere would open GCM objects relabelled as CBC: anyone who may replace objects
    could then confirm guessed blocks by whether a read succeeds (CVE-2020-8912). So it is for the caller to allow.
    """
    texts = [content_algorithm]
    if cbc_may_be_bound_as_gcm and content_algorithm.startswith("AES/CBC/"):
        texts.append(_GCM_CONTENT_ALGORITHM)
    return [text.encode() for text in texts]


def _open_aes_gcm(wrapping_key: Secret[bytes], ciphertext: bytes, bound_texts: list[bytes]) -> bytes | None:
    gcm = AESGCM(wrapping_key.reveal())
    for text in bound_texts:
        try:
            return gcm.decrypt(ciphertext[:_NONCE_LENGTH], ciphertext[_NONCE_LENGTH:], text)
        except (InvalidTag, ValueError):
            continue
    return None


def _open_aes_wrap(wrapping_key: Secret[bytes], ciphertext: bytes, _bound_texts: list[bytes]) -> bytes | None:
    try:
        return aes_key_unwrap(wrapping_key.reveal(), ciphertext)
    except (InvalidUnwrap, ValueError):
        return None


def _open_aes_ecb(wrapping_key: Secret[bytes], ciphertext: bytes, _bound_texts: list[bytes]) -> bytes | None:
    decryptor = Cipher(AES(wrapping_key.reveal()), ECB()).decryptor()  # noqa: S305 - legacy objects are wrapped so
    unpadder = PKCS7(AES.block_size).unpadder()
    try:
        padded = decryptor.update(ciphertext) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        return None


def wrap_with_rsa(public_key: RSAPublicKey, plaintext_data_key: bytes | Secret[bytes], content_algorithm: str) -> bytes:
    """Wrap by RSA-OAEP (SHA-1): one byte for the key's length, the data key, the text of the content algorithm.

    The format prescribes SHA-1; OAEP does not rely on its collision resistance.

    Args:
        public_key: a key of at least 1024 bits.
        plaintext_data_key: the data key.
        content_algorithm: text that is bound by being part of the payload.
    """
    head, text = bytes([len(plaintext_data_key)]), content_algorithm.encode()
    return public_key.encrypt(head + revealed(plaintext_data_key) + text, _OAEP_SHA1)


def unwrap_with_rsa(
    algorithm: WrappingAlgorithm,
    private_key: RSAPrivateKey,
    ciphertext: bytes,
    content_algorithm: str,
    key_lengths: Iterable[int],
    *,
    cbc_may_be_bound_as_gcm: bool = False,
) -> bytes:
    """Unwrap a data key by RSA-OAEP-SHA1, RSA-OAEP-SHA256 or RSA PKCS#1 v1.5.

    Args:
        algorithm: how it was wrapped; one of the family ``"rsa"``.
        private_key: the key it was wrapped for.
        ciphertext: the encrypted data key.
        content_algorithm: the object's own text for its content algorithm.
        key_lengths: lengths of data key that the content's suite allows, in bytes.
        cbc_may_be_bound_as_gcm: see `_bound_texts`.

    Raises:
        KeyUnwrapError: it does not open; always the same text. No frame of the error holds a key.
    """
    paddings, binds = {
        WrappingAlgorithm.RSA_OAEP_SHA1: ((_OAEP_SHA1,), True),
        WrappingAlgorithm.RSA_OAEP_SHA256: (_OAEP_SHA256, False),
        WrappingAlgorithm.RSA_PKCS1: ((PKCS1v15(),), False),
    }[algorithm]
    texts = _bound_texts(content_algorithm, cbc_may_be_bound_as_gcm=cbc_may_be_bound_as_gcm) if binds else None
    plaintext_data_key = _of_length(_data_key(_decrypt_rsa(private_key, ciphertext, paddings), texts), key_lengths)
    if plaintext_data_key is None:
        raise _rsa_failure()
    return plaintext_data_key


def _decrypt_rsa(private_key: RSAPrivateKey, ciphertext: bytes, paddings: Iterable[AsymmetricPadding]) -> bytes:
    """Decrypt, or return empty bytes, which no caller takes for a key.

    OpenSSL 3.2 and later answers badly padded PKCS#1 v1.5 with bytes that look random, of a length that looks random
    (implicit rejection); older ones fail. Both end in the caller's one error.
    """
    for padding in paddings:
        try:
            return private_key.decrypt(ciphertext, padding)
        except ValueError:
            continue
    return b""


def _data_key(payload: bytes, bound_texts: list[bytes] | None) -> bytes:
    """Return the data key in a payload: all of it if nothing is bound, or no bytes if it is bound to other content."""
    if bound_texts is None:
        return payload
    length = payload[0] if payload else 0
    plaintext_data_key, text = payload[1 : 1 + length], payload[1 + length :]
    # The whole text and no branch between the comparisons: a prefix would let bytes be appended unnoticed.
    matches = [derivation.equal(text, expected) for expected in bound_texts]
    return plaintext_data_key if any(matches) else b""


_OAEP_SHA1 = OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None)  # noqa: S303 - what the format says
# Java's name of this algorithm leaves MGF1's hash to its provider: SHA-1 by default, SHA-256 with BouncyCastle.
_OAEP_SHA256 = (
    OAEP(mgf=MGF1(SHA1()), algorithm=SHA256(), label=None),  # noqa: S303 - what the format says
    OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None),
)
