"""The file beneath a journal: private, changed in transactions, and each of its faults an error of the job's own."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from s3ec.errors import MigrationError

__all__ = ["DATABASE_ERRORS", "JournalFile", "make_private", "open_private", "private_folder"]

_PATIENCE = 60.0
"""Seconds to wait for other runs."""
_BETWEEN_TRIES = 0.02
DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What a damaged file gives: sqlite3 cannot even make an error of a message that quotes names which are not UTF-8."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_folder() -> Path:
    """The user's own folder for journals; made private as soon as something is put there."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "s3ec"


def make_private(path: Path) -> None:
    """Make the file readable and writable by its owner alone, creating it where it is not there, and its folder, too.

    Folders that are made here get the mode 0700, and so does `private_folder`; any other one that is there may be meant
    for others as well.

    Raises:
        OSError: it is another user's, or cannot be made.
    """
    _make_folder(path.parent)
    # Made with the mode that it is to have: a mode that is set later leaves a moment in which others may open it.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if os.name == "posix" and os.fstat(descriptor).st_mode & _OTHERS:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def open_private(path: Path) -> TextIO:
    """Open a file for writing text that is its owner's alone, emptied where it is there.

    Raises:
        OSError: it is another user's, or cannot be made.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o600)
    mode = os.fstat(descriptor).st_mode
    if os.name == "posix" and stat.S_ISREG(mode) and mode & _OTHERS:
        os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _make_folder(folder: Path) -> None:
    if os.name == "posix" and folder == private_folder() and folder.is_dir() and folder.stat().st_mode & _OTHERS:
        folder.chmod(0o700)
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


class JournalFile:
    """One SQLite database. Safe for threads of one process, and for several processes on one file."""

    path: str
    _lock: threading.RLock
    _database: sqlite3.Connection
    _waiting: list[Any]

    def _connect(self) -> None:
        if self.path != ":memory:":
            path = Path(self.path)
            if not path.exists():
                make_private(path)
        self._database = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)

    def _close_to_others(self) -> None:
        """Take a file that is there away from others, now that it is known to be a journal."""
        if self.path == ":memory:":
            return
        for suffix in ("", "-wal", "-shm"):
            if Path(self.path + suffix).exists():
                make_private(Path(self.path + suffix))

    def _write_ahead(self) -> None:
        """Switch the file's mode. SQLite itself does not wait where several runs make the file at the same moment."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_BETWEEN_TRIES)
            else:
                return

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing.

        Raises:
            s3ec.errors.MigrationError: the disk is full, the file damaged, or busy for too long.
        """
        with self._lock, self._faults():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                # What waits goes first, so that reads in this transaction see it as well.
                self._write_waiting(self._database)
                yield self._database
                # A full disk often shows here for the first time.
                self._database.execute("COMMIT")
                self._waiting.clear()
            except BaseException:
                # SQLite may have rolled back by itself; a second error must not hide the first.
                if self._database.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._database.execute("ROLLBACK")
                raise

    def _write_waiting(self, database: sqlite3.Connection) -> None:
        """Write what was put off until the next transaction."""

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query.

        Raises:
            s3ec.errors.MigrationError: the file cannot be read.
        """
        with self._lock, self._faults():
            if self._waiting and not self._database.in_transaction:
                with self._change():
                    pass
            return self._database.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except DATABASE_ERRORS as error:
            raise MigrationError(f"cannot use {self.path} as a journal: {error}") from error
