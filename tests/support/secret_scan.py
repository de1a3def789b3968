"""Looks for keys in whatever a test leaves behind: log lines, errors with their frames, printed text and files.

Switched on for a whole run by ``--scan-secrets``. What s3ec draws at random (data keys, keys of MACs and seals) is
noted while a test runs, by standing in front of the system's generator; so is nothing of what a test gives in itself,
since a test may write down its own keys. After the test every form of every such key is looked for.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from support.walking import forms

__all__ = ["KEY_LENGTH", "Drawn", "Lines", "in_files", "in_text", "pattern"]

KEY_LENGTH = 32
_LARGEST_FILE = 16 * 1024 * 1024
_KEPT = 4096


class Drawn:
    """Stands for the module `os` in `s3ec.crypto.random`; the generator stays the system's."""

    def __init__(self) -> None:
        """Nothing is drawn yet."""
        self.keys: list[bytes] = []

    def urandom(self, length: int) -> bytes:
        """Random bytes; those that are as long as a key are noted."""
        value = os.urandom(length)
        if length == KEY_LENGTH and len(self.keys) < _KEPT:
            self.keys.append(value)
        return value


class Lines(logging.Handler):
    """Every line of the package's log, at DEBUG, as it would be written."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(self.format(record))


def pattern(keys: Iterable[bytes]) -> re.Pattern[bytes] | None:
    """What finds one of the keys in any form; None if there are none."""
    alternatives = {re.escape(form) for key in keys for form in forms(key)}
    return re.compile(b"|".join(sorted(alternatives))) if alternatives else None


def in_text(needles: re.Pattern[bytes], text: str) -> bool:
    """True if a key stands in a text."""
    return needles.search(text.encode("utf-8", "surrogatepass").replace(b"\\\\", b"\\")) is not None


def in_files(needles: re.Pattern[bytes], folder: Path) -> Iterator[str]:
    """Files below a folder that hold a key: journals, events, spools, states of uploads, temporary files."""
    for path in sorted(folder.rglob("*")):
        small = path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST_FILE
        if small and needles.search(path.read_bytes()):
            yield str(path.relative_to(folder))
