"""Key derivation and key commitment of the committing suite.

Source: S3 Encryption Client specification, key-derivation.md; RFC 5869 (HKDF) with SHA-512. The message ID is the salt,
the data key the input key material.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from s3ec.algorithms import COMMITMENT_LENGTH, DATA_KEY_LENGTH, GCM_IV_LENGTH, AlgorithmSuite
from s3ec.secrets import Secret, Unpicklable, revealed

__all__ = ["COMMITTING_AAD", "COMMITTING_IV", "Derivation", "equal", "expand", "extract"]

COMMITTING_IV = b"\x01" * GCM_IV_LENGTH
"""IV of every committing object: each has a content key of its own, so one IV serves all. Not zero on purpose."""

COMMITTING_AAD = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY.suite_id.to_bytes(2, "big")
"""Additional authenticated data of every committing object: the suite's identifier, ``00 73``."""


class Derivation(Unpicklable):
    """What one object derives from its data key: extracted once, expanded once for each use.

    Args:
        plaintext_data_key: 32 bytes.
        message_id: the object's 28 random bytes.
    """

    __slots__ = ("_extracted",)

    def __init__(self, plaintext_data_key: bytes | Secret[bytes], message_id: bytes) -> None:
        self._extracted = extract(plaintext_data_key, message_id)

    def commitment(self) -> bytes:
        """Return the 28 bytes by which an object commits to its data key."""
        return expand(self._extracted, b"COMMITKEY", COMMITMENT_LENGTH).reveal()

    def content_key(self) -> Secret[bytes]:
        """Return the 32-byte key that encrypts the content. On reads, compare the commitment first."""
        return expand(self._extracted, b"DERIVEKEY", DATA_KEY_LENGTH)


def extract(key: bytes | Secret[bytes], salt: bytes) -> Secret[bytes]:
    """HKDF-Extract: return the pseudorandom key of 64 bytes (RFC 5869, section 2.2)."""
    mac = HMAC(salt, SHA512())
    mac.update(revealed(key))
    return Secret(mac.finalize())


def expand(extracted: Secret[bytes], label: bytes, length: int) -> Secret[bytes]:
    """HKDF-Expand, with the label behind the suite's identifier, which keeps every use apart from the others."""
    return Secret(HKDFExpand(SHA512(), length, COMMITTING_AAD + label).derive(extracted.reveal()))


def equal(a: bytes, b: bytes) -> bool:
    """Compare two values in a time that does not depend on where they differ."""
    return hmac.compare_digest(a, b)
