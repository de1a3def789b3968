"""Wrappings that bind no content algorithm: AESWrap, AES-ECB, RSA-OAEP with SHA-256 and RSA PKCS#1 v1.5. Read only.

Source: S3 Encryption Client specification, materials/s3-keyring.md; RFC 3394 (AES key wrap), RFC 8017 (RSA).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.padding import PKCS7

from s3ec.algorithms import AlgorithmSuite, WrappingAlgorithm
from s3ec.crypto import derivation, random
from s3ec.crypto.failures import aes_failure, content_failure, rsa_failure
from s3ec.errors import S3ECError
from s3ec.secrets import Secret

__all__ = [
    "OPENERS",
    "WITHOUT_INTEGRITY",
    "Opener",
    "bound_texts",
    "content_failure_for",
    "substitute_key",
]

WITHOUT_INTEGRITY = frozenset({WrappingAlgorithm.AES_ECB, WrappingAlgorithm.RSA_PKCS1})
"""Wrappings with nothing but a padding: an altered data key may unwrap to something that looks like one."""

_SUBSTITUTES = Secret(random.data_key())


def content_failure_for(algorithm: WrappingAlgorithm) -> Callable[[], S3ECError]:
    """Return what makes the error for content that does not decrypt, given how its data key was wrapped.

    AES-ECB and RSA PKCS#1 v1.5 cannot tell a wrong data key from a right one: an altered one may unwrap to something
    that only the content shows to be wrong. If that were another error than the unwrapping's, anyone who may replace
    objects could tell well-padded from badly padded (Bleichenbacher's attack on RSA), hence one error for both, and one
    place: see `substitute_key`.
    """
    return {WrappingAlgorithm.AES_ECB: aes_failure, WrappingAlgorithm.RSA_PKCS1: rsa_failure}.get(
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


def bound_texts(content_algorithm: str, *, cbc_may_be_bound_as_gcm: bool) -> list[bytes]:
    """Return the texts of which a wrapping must bind one.

    The Java client binds the name of GCM when it wraps the data key of CBC content again, which it writes into an
    instruction file. Accepting that everywhere would open GCM objects relabelled as CBC: anyone who may replace objects
    could then confirm guessed blocks by whether a read succeeds (CVE-2020-8912). So it is for the caller to allow.
    """
    texts = [content_algorithm]
    if cbc_may_be_bound_as_gcm and content_algorithm.startswith("AES/CBC/"):
        texts.append(_PLAIN_GCM.content_algorithm)
    return [text.encode() for text in texts]


def _open_aes_wrap(wrapping_key: Secret[bytes], ciphertext: bytes, _texts: list[bytes]) -> bytes | None:
    try:
        return aes_key_unwrap(wrapping_key.reveal(), ciphertext)
    except (InvalidUnwrap, ValueError):
        return None


def _open_aes_ecb(wrapping_key: Secret[bytes], ciphertext: bytes, _texts: list[bytes]) -> bytes | None:
    decryptor = Cipher(AES(wrapping_key.reveal()), ECB()).decryptor()  # noqa: S305 - legacy objects are wrapped so
    unpadder = PKCS7(AES.block_size).unpadder()
    try:
        padded = decryptor.update(ciphertext) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        return None


def _open_rsa_oaep_sha256(private_key: Secret[RSAPrivateKey], ciphertext: bytes, _texts: list[bytes]) -> bytes | None:
    for padding in _OAEP_SHA256:
        try:
            return private_key.reveal().decrypt(ciphertext, padding)
        except ValueError:
            continue
    return None


def _open_rsa_pkcs1(private_key: Secret[RSAPrivateKey], ciphertext: bytes, _texts: list[bytes]) -> bytes | None:
    """Return what it opens to, or None.

    OpenSSL 3.2 and later answers bad padding with bytes that look random, of a length that looks random (implicit
    rejection); older ones fail. Both end in the caller's one error.
    """
    try:
        return private_key.reveal().decrypt(ciphertext, PKCS1v15())
    except ValueError:
        return None


# Java's name of this algorithm leaves MGF1's hash to its provider: SHA-1 by default, SHA-256 with BouncyCastle.
_OAEP_SHA256 = (
    OAEP(mgf=MGF1(SHA1()), algorithm=SHA256(), label=None),  # noqa: S303 - what the format says
    OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None),
)
_PLAIN_GCM = AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF

Opener = Callable[[Any, bytes, list[bytes]], "bytes | None"]
"""Opens an encrypted data key with a secret key, or gives None; the texts are those of `bound_texts`."""

OPENERS: dict[WrappingAlgorithm, Opener] = {
    WrappingAlgorithm.AES_WRAP: _open_aes_wrap,
    WrappingAlgorithm.AES_ECB: _open_aes_ecb,
    WrappingAlgorithm.RSA_OAEP_SHA256: _open_rsa_oaep_sha256,
    WrappingAlgorithm.RSA_PKCS1: _open_rsa_pkcs1,
}
