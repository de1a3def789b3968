"""A keyed MAC per chunk: it remembers what was authenticated, without keeping the bytes."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from s3ec.algorithms import GCM_IV_LENGTH
from s3ec.crypto import derivation, random
from s3ec.crypto.buffers import Octets, octets
from s3ec.secrets import Secret, Unpicklable, revealed

__all__ = ["ChunkMac"]


class ChunkMac(Unpicklable):
    """GMAC (NIST SP 800-38D) under a key of this object alone, unless one is given.

    The nonce is the chunk's index, so two different chunks may get the same nonce. That would give an outsider the
    hash key if tags were shown; hence a tag must never leave the process, nor be stored unless sealed. Use one object
    per stored version of an object.
    """

    __slots__ = ("_gcm",)

    def __init__(self, key: bytes | Secret[bytes] | None = None) -> None:
        """Make a key, or take the 32 bytes of an earlier one to compare with its tags."""
        self._gcm = AESGCM(random.data_key() if key is None else revealed(key))

    def of(self, index: int, data: Octets) -> bytes:
        """Return the 16-byte tag of a chunk.

        Args:
            index: position of the chunk, 0 or more; a chunk moved elsewhere has another tag.
            data: the chunk, at most 2^31 - 1 bytes.
        """
        return self._gcm.encrypt(index.to_bytes(GCM_IV_LENGTH, "big"), b"", octets(data))

    @staticmethod
    def equal(a: bytes, b: bytes) -> bool:
        """Compare two tags in constant time."""
        return derivation.equal(a, b)
