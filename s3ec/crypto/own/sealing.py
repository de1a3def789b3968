"""Short-lived encryption of s3ec's own data: plaintext that waits on disk, upload state that moves to another process.

Sealed bytes are a random 12-byte nonce, the ciphertext and the 16-byte tag (AES-256-GCM).
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from s3ec.algorithms import GCM_IV_LENGTH, GCM_TAG_LENGTH
from s3ec.crypto import random
from s3ec.crypto.buffers import Octets, octets
from s3ec.errors import AuthenticationError
from s3ec.secrets import Secret, Unpicklable, revealed

__all__ = ["OVERHEAD", "Sealer", "open_sealed", "seal"]

OVERHEAD = GCM_IV_LENGTH + GCM_TAG_LENGTH
"""How many bytes longer sealed data is than what was sealed."""


def _seal(gcm: AESGCM, plaintext: Octets, aad: bytes) -> bytes:
    # A random nonce, not the index: a part that is sent again may hold other bytes under the same index.
    nonce = random.iv()
    return nonce + gcm.encrypt(nonce, octets(plaintext), aad)


def _open(gcm: AESGCM, sealed: Octets, aad: bytes) -> bytes:
    view = octets(sealed)
    try:
        return gcm.decrypt(bytes(view[:GCM_IV_LENGTH]), view[GCM_IV_LENGTH:], aad)
    except (InvalidTag, ValueError):
        pass
    # Raised out here, so that it is not chained to theirs, whose frames hold unverified plaintext in old versions.
    raise AuthenticationError("sealed data does not open: it was altered, or sealed with another key") from None


class Sealer(Unpicklable):
    """Seals pieces under a random key that exists only in this object."""

    __slots__ = ("_gcm",)

    def __init__(self) -> None:
        self._gcm = AESGCM(random.data_key())

    def seal(self, index: int, data: Octets) -> bytes:
        """Seal one piece, at most 2^31 - 1 bytes; `OVERHEAD` bytes are added.

        Args:
            index: position of the piece, 0 or more; it opens only under the same index.
            data: the bytes to seal.
        """
        return _seal(self._gcm, data, index.to_bytes(8, "big"))

    def open(self, index: int, sealed: Octets) -> bytes:
        """Give back what was sealed under this index.

        Raises:
            AuthenticationError: the piece was altered, moved, or sealed by another object.
        """
        return _open(self._gcm, sealed, index.to_bytes(8, "big"))


def seal(key: bytes | Secret[bytes], plaintext: Octets, aad: bytes = b"") -> bytes:
    """Seal one value, at most 2^31 - 1 bytes, with a key that the caller gives.

    Args:
        key: 16, 24 or 32 bytes.
        plaintext: the bytes to seal.
        aad: bytes that are not stored, but must be given again to open.
    """
    return _seal(AESGCM(revealed(key)), plaintext, aad)


def open_sealed(key: bytes | Secret[bytes], sealed: Octets, aad: bytes = b"") -> bytes:
    """Give back what `seal` sealed with the same key and additional data.

    Raises:
        AuthenticationError: the value was altered, or another key or other additional data was given.
    """
    return _open(AESGCM(revealed(key)), sealed, aad)
