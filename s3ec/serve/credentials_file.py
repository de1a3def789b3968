"""The endpoint's own credentials in a file, in the form that every AWS SDK reads them."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

from s3ec.errors import ConfigurationError
from s3ec.serve.settings import LocalCredentials

__all__ = ["credentials_in"]


def credentials_in(path: Path) -> LocalCredentials:
    """Read the pair in a file, or make one and write it there, for its owner alone.

    The file is what ``AWS_SHARED_CREDENTIALS_FILE`` names: clients of the same user read it as it is.

    Raises:
        OSError: it cannot be read or written.
        ConfigurationError: others can read it, or it holds no such pair.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    made = LocalCredentials.generate()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"[default]\naws_access_key_id = {made.access_key}\naws_secret_access_key = {made.secret_key}\n")
    return made


def _read(path: Path) -> LocalCredentials:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{path} can be read by others than its owner: chmod 600 {path}")
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text("utf-8"))
        section = parser["default"]
        pair = section["aws_access_key_id"], section["aws_secret_access_key"]
    except (configparser.Error, KeyError, UnicodeDecodeError):
        # Without the parser's own words, which would show a line of the file.
        raise ConfigurationError(
            f"{path} has no [default] section with aws_access_key_id and aws_secret_access_key"
        ) from None
    return LocalCredentials(*pair)
