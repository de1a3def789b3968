"""Looks for keys in whatever a test leaves behind: log lines, errors with their frames, printed text and files.

Switched on for a whole run by ``--scan-secrets``. What s3ec draws at random (data keys, keys of MACs and seals) is
noted while a test runs, by standing in front of the system's generator; so is nothing of what a test gives in itself,
since a test may write down its own keys. So are the first bytes of all content that is encrypted. After the test every
form of these is looked for: of keys everywhere, of content where a test does not put it itself.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from support.walking import forms, is_in

__all__ = ["KEY_LENGTH", "Drawn", "Lines", "in_files", "in_text", "pattern"]

KEY_LENGTH = 32
_LARGEST_FILE = 16 * 1024 * 1024
_KEPT = 4096
_CONTENT_LENGTH = 32
"""Bytes of a piece of content that are looked for; of a shorter one, or one of few values, nothing would be found but
chance."""
_FEWEST_VALUES = 5


class Drawn:
    """Stands for the module `os` in `s3ec.crypto.random`; the generator stays the system's."""

    def __init__(self) -> None:
        """Nothing is drawn yet."""
        self.keys: list[bytes] = []
        self.contents: set[bytes] = set()

    def note_content(self, data: bytes | bytearray | memoryview) -> None:
        """Note what is encrypted."""
        start = bytes(memoryview(data)[:_CONTENT_LENGTH])
        if len(start) == _CONTENT_LENGTH and len(set(start)) >= _FEWEST_VALUES and len(self.contents) < _KEPT:
            self.contents.add(start)

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
    return is_in(needles, text.encode("utf-8", "surrogatepass"))


def in_files(needles: re.Pattern[bytes], folder: Path) -> Iterator[str]:
    """Files below a folder that hold a key: journals, events, spools, states of uploads, temporary files."""
    for path in sorted(folder.rglob("*")):
        small = path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST_FILE
        if small and is_in(needles, path.read_bytes()):
            yield str(path.relative_to(folder))
