"""What the books of a migration say of a plaintext, computed by hand."""

from __future__ import annotations

import hashlib
import hmac

MAC_KEY = bytes(range(32))


def mac_of(plaintext: bytes, key: bytes = MAC_KEY) -> str:
    """HMAC-SHA-256 of the plaintext's SHA-256, in hex."""
    return hmac.new(key, hashlib.sha256(plaintext).digest(), "sha256").hexdigest()
