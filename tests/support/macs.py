"""What the books of a migration say of a plaintext, computed by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib

MAC_KEY = bytes(range(32))


def mac_of(plaintext: bytes, key: bytes = MAC_KEY) -> str:
    """HMAC-SHA-256 of the plaintext's SHA-256, in hex."""
    return hmac.new(key, hashlib.sha256(plaintext).digest(), "sha256").hexdigest()


def digests_of(plaintext: bytes) -> list[str]:
    """What would tell a guess at the plaintext right: its digests, in hex and in base64, as S3 shows them."""
    found = [hashlib.new(name, plaintext).digest() for name in ("md5", "sha1", "sha256", "sha512")]
    # In base64 alone: eight hexadecimal digits are anywhere by chance.
    texts = [base64.b64encode(zlib.crc32(plaintext).to_bytes(4, "big")).decode()]
    return [*texts, *(digest.hex() for digest in found), *(base64.b64encode(digest).decode() for digest in found)]
