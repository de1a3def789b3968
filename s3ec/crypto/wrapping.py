"""Wrapping of data keys under raw AES and RSA keys, bound to the content algorithm. KMS wraps by itself.

The wrappings that bind nothing stand in `s3ec.crypto.legacy`; they are only read.
Source: S3 Encryption Client specification, materials/s3-keyring.md, data-format/content-metadata.md; RFC 8017 (RSA).
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1

from s3ec.algorithms import GCM_IV_LENGTH, WrappingAlgorithm
from s3ec.crypto import derivation, random
from s3ec.crypto.failures import aes_failure, rsa_failure
from s3ec.crypto.legacy import wrapping as legacy
from s3ec.secrets import Secret, revealed

__all__ = ["unwrap", "wrap_with_aes", "wrap_with_rsa"]

_OAEP_SHA1 = OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None)  # noqa: S303 - what the format says


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


def unwrap(
    algorithm: WrappingAlgorithm,
    key: bytes | RSAPrivateKey | Secret[bytes],
    ciphertext: bytes,
    content_algorithm: str,
    key_lengths: Iterable[int],
    *,
    cbc_may_be_bound_as_gcm: bool = False,
) -> bytes:
    """Unwrap a data key.

    Args:
        algorithm: how it was wrapped.
        key: the wrapping key (16, 24 or 32 bytes) for the family ``"aes"``, the private key for ``"rsa"``.
        ciphertext: the encrypted data key.
        content_algorithm: the object's own text for its content algorithm.
        key_lengths: lengths of data key that the content's suite allows, in bytes.
        cbc_may_be_bound_as_gcm: see `s3ec.crypto.legacy.wrapping.bound_texts`.

    Raises:
        KeyUnwrapError: it does not open; always the same text. No frame of the error holds a key.
    """
    texts = legacy.bound_texts(content_algorithm, cbc_may_be_bound_as_gcm=cbc_may_be_bound_as_gcm)
    hidden = Secret(revealed(key))
    del key
    plaintext_data_key = _of_length(_OPENERS[algorithm](hidden, ciphertext, texts), key_lengths)
    if plaintext_data_key is None:
        raise rsa_failure() if algorithm.family == "rsa" else aes_failure()
    return plaintext_data_key


def _of_length(plaintext_data_key: bytes | None, key_lengths: Iterable[int]) -> bytes | None:
    """Return a data key, or None: what has another length is not a data key of this content."""
    return plaintext_data_key if plaintext_data_key is not None and len(plaintext_data_key) in key_lengths else None


def _open_aes_gcm(wrapping_key: Secret[bytes], ciphertext: bytes, bound_texts: list[bytes]) -> bytes | None:
    gcm = AESGCM(wrapping_key.reveal())
    for text in bound_texts:
        try:
            return gcm.decrypt(ciphertext[:GCM_IV_LENGTH], ciphertext[GCM_IV_LENGTH:], text)
        except (InvalidTag, ValueError):
            continue
    return None


def _open_rsa_oaep(private_key: Secret[RSAPrivateKey], ciphertext: bytes, bound_texts: list[bytes]) -> bytes | None:
    try:
        payload = private_key.reveal().decrypt(ciphertext, _OAEP_SHA1)
    except ValueError:
        return None
    length = payload[0] if payload else 0
    plaintext_data_key, text = payload[1 : 1 + length], payload[1 + length :]
    # The whole text and no branch between the comparisons: a prefix would let bytes be appended unnoticed.
    matches = [derivation.equal(text, expected) for expected in bound_texts]
    return plaintext_data_key if any(matches) else None


_OPENERS: dict[WrappingAlgorithm, legacy.Opener] = {
    **legacy.OPENERS,
    WrappingAlgorithm.AES_GCM: _open_aes_gcm,
    WrappingAlgorithm.RSA_OAEP_SHA1: _open_rsa_oaep,
}
