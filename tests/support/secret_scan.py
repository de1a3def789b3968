"""Looks for keys in whatever a test leaves behind: log lines, errors with their frames, printed text and files.

Switched on for a whole run by ``--scan-secrets``. What s3ec draws at random (data keys, keys of MACs and seals) is
noted while a test runs, by standing in front of the system's generator, also in processes that the test forks or
starts; so is nothing of what a test gives in itself, since a test may write down its own keys. So are the first bytes
of all content that is encrypted. After the test every form of these is looked for: of keys everywhere, of content where
a test does not put it itself. What is gone by then, temporary files and what the test has read of what was printed, is
kept until then.
"""

from __future__ import annotations

import logging
import os
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from support.walking import Needles, is_in

__all__ = ["KEY_LENGTH", "Drawn", "Gone", "Lines", "Printed", "in_files", "in_text", "pattern"]

KEY_LENGTH = 32
_LARGEST_FILE = 16 * 1024 * 1024
_LARGEST_GONE = 1024 * 1024
"""Bytes that are kept of each file that goes before the end: tests that measure memory are scanned as well."""
_KEPT = 4096
_CONTENT_LENGTH = 32
"""Bytes of a piece of content that are looked for; of a shorter one, or one of few values, nothing would be found but
chance."""
_FEWEST_VALUES = 5


class Drawn:
    """Stands for the module `os` in `s3ec.crypto.random`; the generator stays the system's.

    Attributes:
        keys: drawn in this process, and by `gather` in its children.
        contents: the first bytes of what was encrypted.
    """

    def __init__(self, children: Path | None = None) -> None:
        """Nothing is drawn yet.

        Args:
            children: a folder in which processes that were forked, or started with `secret_children`, tell their keys.
        """
        self.keys: list[bytes] = []
        self.contents: set[bytes] = set()
        self._children, self._process = children, os.getpid()

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
            if self._children is not None and os.getpid() != self._process:
                with (self._children / str(os.getpid())).open("ab") as file:
                    file.write(value)
        return value

    def gather(self) -> None:
        """Take the keys of the children that are told by now."""
        for file in self._children.iterdir() if self._children is not None else ():
            told = file.read_bytes()
            self.keys += [told[start : start + KEY_LENGTH] for start in range(0, len(told), KEY_LENGTH)][:_KEPT]


class Gone:
    """What was in the temporary files of s3ec that have no name, and in its temporary folders, when they went.

    Attributes:
        files: what files held when they were closed, where s3ec lets only ciphertext wait.
        folders: what the files of folders held when the folders were taken away.
    """

    def __init__(self) -> None:
        """Nothing is gone yet."""
        self.files: list[bytes] = []
        self.folders: list[bytes] = []

    def watching_files(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """Stand before `tempfile.TemporaryFile`."""

        def made(*given: Any, **options: Any) -> Any:
            file = make(*given, **options)
            if not _is_asked_by_s3ec():
                return file
            close = file.close

            def closing() -> None:
                if not file.closed:
                    file.flush()
                    self._keep(self.files, os.pread(file.fileno(), _LARGEST_GONE, 0))
                close()

            file.close = closing
            return file

        return made

    def watching_folders(self, clean: Callable[[Any], None]) -> Callable[[Any], None]:
        """Stand before `tempfile.TemporaryDirectory.cleanup`."""

        def cleaning(folder: Any) -> None:
            if _is_asked_by_s3ec():
                for path in Path(folder.name).rglob("*"):
                    if path.is_file() and not path.is_symlink():
                        with path.open("rb") as file:
                            self._keep(self.folders, file.read(_LARGEST_GONE))
            clean(folder)

        return cleaning

    def _keep(self, kept: list[bytes], data: bytes) -> None:
        if sum(map(len, kept)) + len(data) <= _LARGEST_FILE:
            kept.append(data)


def _is_asked_by_s3ec() -> bool:
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith("s3ec."):
        frame = frame.f_back
    return frame is not None


class Printed:
    """What was printed and then read by the test, or came from a process that it started.

    Attributes:
        texts: each piece.
    """

    def __init__(self) -> None:
        """Nothing is printed yet."""
        self.texts: list[bytes] = []

    def watching(self, read: Callable[..., Any]) -> Callable[..., Any]:
        """Stand before what gives a pair of texts: standard output and errors."""

        def reading(*given: Any, **options: Any) -> Any:
            pair = read(*given, **options)
            for text in pair:
                if text:
                    self.texts.append(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
            return pair

        return reading


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


def pattern(keys: Iterable[bytes]) -> Needles | None:
    """What finds one of the keys in any form; None if there are none."""
    secrets = set(keys)
    return Needles(secrets) if secrets else None


def in_text(needles: Needles, text: str) -> bool:
    """True if a key stands in a text."""
    return is_in(needles, text.encode("utf-8", "surrogatepass"))


def in_files(needles: Needles, folder: Path) -> Iterator[str]:
    """Files below a folder that hold a key: journals, events, spools, states of uploads, temporary files."""
    for path in sorted(folder.rglob("*")):
        small = path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST_FILE
        if small and is_in(needles, path.read_bytes()):
            yield str(path.relative_to(folder))
