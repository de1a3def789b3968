"""CBC objects as the oldest clients wrote them, of any size, made by hand: no client of today writes them."""

from __future__ import annotations

import base64
import os

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from s3ec import AesKeyring, CommitmentPolicy

from support.lying_s3 import Stored

WRAPPING_KEY = bytes(range(32))


def cbc_object(plaintext: bytes) -> Stored:
    """A V1 object: CBC content, its data key wrapped with AES-ECB under `WRAPPING_KEY`."""
    data_key, iv = os.urandom(32), os.urandom(16)
    wrapped = _encrypt(modes.ECB(), WRAPPING_KEY, data_key)  # noqa: S305 - what those clients wrote
    metadata = {"key": wrapped, "iv": iv, "matdesc": None}
    return Stored(
        _encrypt(modes.CBC(iv), data_key, plaintext),
        {
            f"x-amz-meta-x-amz-{name}": "{}" if value is None else base64.b64encode(value).decode()
            for name, value in metadata.items()
        },
    )


def cbc_options(**more: object) -> dict[str, object]:
    """The fewest options of a client that reads such objects."""
    return {
        "keyring": AesKeyring(WRAPPING_KEY, enable_legacy_wrapping_algorithms=True),
        "commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
        "enable_legacy_unauthenticated_modes": True,
        **more,
    }


def _encrypt(mode: modes.Mode, key: bytes, plaintext: bytes) -> bytes:
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), mode).encryptor()
    return encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()
