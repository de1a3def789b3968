"""RSA keys for tests."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import load_pem_private_key

__all__ = ["other_rsa_key", "rsa_key"]

_KEYS = Path(__file__).resolve().parents[1] / "vectors" / "ruby3" / "keys.json"


@functools.cache
def rsa_key() -> RSAPrivateKey:
    """A key of 2048 bits, always the same: what OpenSSL makes of bad padding depends on the key."""
    pem = json.loads(_KEYS.read_text("utf-8"))["rsa2048"]["private_pem"]
    return cast(RSAPrivateKey, load_pem_private_key(pem.encode(), password=None))


@functools.cache
def other_rsa_key(bits: int = 2048) -> RSAPrivateKey:
    """Another key, new in each process."""
    return generate_private_key(public_exponent=65537, key_size=bits)
