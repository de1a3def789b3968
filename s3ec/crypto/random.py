"""The only source of randomness: everything here comes from the operating system's generator."""

from __future__ import annotations

import os

from s3ec.algorithms import DATA_KEY_LENGTH, GCM_IV_LENGTH, MESSAGE_ID_LENGTH

__all__ = ["data_key", "iv", "message_id"]


def _nonzero(length: int) -> bytes:
    # Readers refuse an all-zero IV or message ID as "never initialised" (S3EC specification, encryption.md).
    value = bytes(length)
    while not any(value):
        value = os.urandom(length)
    return value


def data_key() -> bytes:
    """Return a fresh 256-bit data key (32 bytes)."""
    return _nonzero(DATA_KEY_LENGTH)


def iv() -> bytes:
    """Return a fresh 96-bit IV (12 bytes) for AES-GCM, never all zero."""
    return _nonzero(GCM_IV_LENGTH)


def message_id() -> bytes:
    """Return a fresh V3 message ID (28 bytes), never all zero."""
    return _nonzero(MESSAGE_ID_LENGTH)
