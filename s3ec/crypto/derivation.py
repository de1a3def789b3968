"""Key derivation and key commitment of the committing suite.

Source: S3 Encryption Client specification, key-derivation.md; RFC 5869 (HKDF) with SHA-512. The message ID is the salt,
the data key the input key material.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from s3ec.algorithms import AlgorithmSuite
from s3ec.crypto.secrets import Secret, revealed

__all__ = ["COMMITTING_AAD", "COMMITTING_IV", "commitment", "content_key", "derive", "equal"]

COMMITTING_IV = b"\x01" * 12
"""IV of every committing object: each has a content key of its own, so one IV serves all. Not zero on purpose."""

COMMITTING_AAD = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY.suite_id.to_bytes(2, "big")
"""Additional authenticated data of every committing object: the suite's identifier, ``00 73``."""

COMMITMENT_LENGTH = 28
CONTENT_KEY_LENGTH = 32


def derive(key: bytes | Secret[bytes], salt: bytes, label: bytes, length: int) -> Secret[bytes]:
    """Derive by HKDF, with the label behind the suite's identifier, which keeps every use apart from the others."""
    hkdf = HKDF(algorithm=SHA512(), length=length, salt=salt, info=COMMITTING_AAD + label)
    return Secret(hkdf.derive(revealed(key)))


def commitment(plaintext_data_key: bytes | Secret[bytes], message_id: bytes) -> bytes:
    """Return the 28 bytes by which an object commits to its data key.

    Args:
        plaintext_data_key: 32 bytes.
        message_id: the object's 28 random bytes.
    """
    return derive(plaintext_data_key, message_id, b"COMMITKEY", COMMITMENT_LENGTH).reveal()


def content_key(plaintext_data_key: bytes | Secret[bytes], message_id: bytes) -> Secret[bytes]:
    """Return the 32-byte key that encrypts the content. On reads, compare the commitment first.

    Args:
        plaintext_data_key: 32 bytes.
        message_id: the object's 28 random bytes.
    """
    return derive(plaintext_data_key, message_id, b"DERIVEKEY", CONTENT_KEY_LENGTH)


def equal(a: bytes, b: bytes) -> bool:
    """Compare two values in a time that does not depend on where they differ."""
    return hmac.compare_digest(a, b)
