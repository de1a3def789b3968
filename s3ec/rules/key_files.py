"""Files that hold keys: read here, for whatever is configured by names of files instead of keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from s3ec.errors import ConfigurationError
from s3ec.key_files import read_file, read_passphrase
from s3ec.keyrings import AesKeyring, KmsKeyring, RsaKeyring
from s3ec.materials import Keyring
from s3ec.rules.configuration import PASSPHRASE_VARIABLE, Configuration

__all__ = [
    "check_aes_key_file",
    "configured_keyring",
]

_TEXT_KEY = frozenset(b"0123456789abcdefABCDEFghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ+/=-_\r\n")


def check_aes_key_file(path: Path) -> None:
    """Refuse a file that is not an AES wrapping key.

    Text is refused rather than guessed at: the 32 letters of a 128-bit key in hexadecimal would pass as a 256-bit key.

    Raises:
        OSError: the file cannot be read.
        ConfigurationError: it does not hold 16, 24 or 32 raw bytes.
    """
    key = path.read_bytes()
    if len(key) >= 16 and _TEXT_KEY.issuperset(key):
        raise ConfigurationError(
            f"{path} holds text, not a raw key: decode it first (base64 -d, xxd -r -p) to a file of 16, 24 or 32 bytes"
        )
    if len(key) not in {16, 24, 32}:
        raise ConfigurationError(f"{path} holds {len(key)} bytes; an AES wrapping key has 16, 24 or 32")


def configured_keyring(settings: Configuration) -> Keyring:
    """Make the keyring that settings name; a KMS keyring reaches KMS as the client that uses it reaches S3.

    Raises:
        ConfigurationError: no key is named, or a file holds no such key. The text names the file, never its content.
    """
    legacy = settings.allow_legacy
    if settings.kms_key is not None:
        return KmsKeyring(settings.kms_key, enable_legacy_wrapping_algorithms=legacy)
    if settings.aes_key_file is not None:
        read_file(settings.aes_key_file)  # for the error of a file that cannot be read
        check_aes_key_file(Path(settings.aes_key_file))
        # Never in a variable, which error reporters would send.
        return AesKeyring(read_file(settings.aes_key_file), enable_legacy_wrapping_algorithms=legacy)
    if settings.kind is None:
        raise ConfigurationError("no key is named")
    public = settings.rsa_public_key_file
    try:
        return RsaKeyring(
            private_key=_private_key(settings) if settings.rsa_private_key_file is not None else None,
            public_key=read_file(public) if public is not None else None,
            enable_legacy_wrapping_algorithms=legacy,
        )
    except ConfigurationError as error:
        files = " and ".join(filter(None, (settings.rsa_private_key_file, public)))
        raise ConfigurationError(f"{files}: {error}") from error


def _private_key(settings: Configuration) -> Any:
    """The private key: its PEM, or the key object where a passphrase opens it."""
    from s3ec.crypto.rsa_keys import private_key

    file = settings.rsa_passphrase_file
    if file is None and not os.environ.get(PASSPHRASE_VARIABLE):
        return read_file(settings.rsa_private_key_file)
    passphrase = read_passphrase(f"env:{PASSPHRASE_VARIABLE}" if file is None else f"file:{file}")
    return private_key(read_file(settings.rsa_private_key_file), passphrase)
