"""Files that hold keys and passphrases."""

from __future__ import annotations

import os
from pathlib import Path

from s3ec.errors import ConfigurationError

__all__ = ["read_file", "read_passphrase"]


def read_file(path: str | None) -> bytes:
    """The content of a key file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return Path(str(path)).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the key file {path}: {error.strerror}") from error


def read_passphrase(where: str) -> bytes:
    """The passphrase at ``env:NAME``, or at ``file:PATH``: its first line, as openssl has it.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    kind, _, place = where.partition(":")
    if kind == "env":
        return os.environ.get(place, "").encode()
    return read_file(place).partition(b"\n")[0].rstrip(b"\r")
