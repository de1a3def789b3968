"""The books of one migration: SQLite, one row for every object, one line for every outcome, leases for the workers.

What `kill -9` leaves behind is a row that says "leased" by a run that is gone. Its lease ends as soon as the run's
process is seen to be dead, or its heartbeat is old; the object is then tried again, and the conditional requests of
the step find out what had been committed. The books never decide whether an object is encrypted: the object does.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from s3ec.errors import MigrationError
from s3ec.formats import INSTRUCTION_FILE_SUFFIX, LEGACY_DOTNET_SUFFIX
from s3ec.migrate.journal.file import DATABASE_ERRORS, make_private, private_folder
from s3ec.migrate.journal.runs import JournalRuns
from s3ec.migrate.journal.schema import (
    RESULT_COLUMNS,
    SCHEMA,
    SCHEMA_VERSION,
    TASK_COLUMNS,
    is_moved,
    stands,
    task_of,
    values_of,
)
from s3ec.migrate.model import Action, Outcome, Result, Task
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.work.macs import etag_mac, hide_digests

__all__ = ["Journal", "default_path"]

HEARTBEAT_SECONDS = 2.0
"""How often a run says that it lives."""
_KEY_LENGTH = 32
_AT_A_TIME = 64
"""Outcomes that are written in one transaction: each transaction costs as much as dozens of rows."""


def default_path(settings: MigrationSettings) -> Path:
    """Where the journal of these settings lies unless another place is named: the user's state folder."""
    return private_folder() / f"{settings.action.value}-{settings.source.bucket}-{settings.identity[:12]}.journal"


class Journal(JournalRuns):
    """One plan's books. Safe for threads of one process, and for several processes and runs on one file.

    Use it as a context manager: a heartbeat runs while it is open.

    Attributes:
        path: path of the file, or ``":memory:"``.
        run_id: what names this opening of it in the books.
        mac_key: 32 bytes of its own, kept beside it in ``PATH.key``; under it the MACs of plaintexts are made.
    """

    def __init__(self, path: str | Path, settings: MigrationSettings) -> None:
        """See `open`."""
        self.path = str(path)
        self.run_id = uuid.uuid4().hex
        self._settings = settings
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._closed = False
        self._waiting: list[tuple[int, Outcome, Task | None, float, float]] = []
        with contextlib.ExitStack() as on_failure:
            try:
                self._connect()
                on_failure.callback(self._database.close)
                self._prepare(settings)
            except (OSError, *DATABASE_ERRORS) as error:
                raise MigrationError(f"cannot use {self.path} as a journal: {error}") from error
            on_failure.pop_all()
        self._beat = threading.Thread(target=self._heartbeat, name="s3ec-journal", daemon=True)
        self._beat.start()

    @classmethod
    def open(cls, path: str | Path, settings: MigrationSettings) -> Journal:
        """Open or make the journal of this plan; ``":memory:"`` for one that is not kept.

        Raises:
            s3ec.errors.MigrationError: the file belongs to another plan, is not a journal, or cannot be written.
        """
        return cls(path, settings)

    def __enter__(self) -> Journal:
        """The journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Give back what this run has leased, and close the file."""
        if self._closed:
            return
        self._closed = True
        self._stop.set()
        self._beat.join()
        # Where not even this can be written, the error that matters has been raised, and leases end with the process.
        with contextlib.closing(self._database), contextlib.suppress(MigrationError), self._change() as database:
            database.execute("UPDATE objects SET state = 'open', run = NULL WHERE run = ?", (self.run_id,))
            database.execute("DELETE FROM runs WHERE id = ?", (self.run_id,))

    def _prepare(self, settings: MigrationSettings) -> None:
        self._write_ahead()
        # A power cut may lose the last commits, never the file; what is lost is found again as already done.
        self._database.execute("PRAGMA synchronous = NORMAL")
        # In one transaction from its start on: one that becomes a writer midway does not wait for others.
        self._database.executescript(f"BEGIN IMMEDIATE;{SCHEMA};COMMIT;")
        with self._change() as database:
            about = {"schema": SCHEMA_VERSION, "identity": settings.identity, "settings": settings.to_json()}
            for name, value in about.items():
                database.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", (name, value))
            found: dict[str, str] = dict(database.execute("SELECT name, value FROM about"))
            if found["schema"] != SCHEMA_VERSION:
                raise MigrationError(
                    f"{self.path} was written by another version of s3ec (schema {found['schema']}): remove it, or "
                    "name another file; the next run looks at each object"
                )
            if found["identity"] != settings.identity:
                raise MigrationError(
                    f"{self.path} is the journal of another plan ({found['settings']}); name another file for this one"
                )
            # Within the transaction, so that of two runs that make the file one makes the key.
            self.mac_key = self._key()
            self._announce(database)
        self._close_to_others()

    def _key(self) -> bytes:
        if self.path == ":memory:":
            return secrets.token_bytes(_KEY_LENGTH)
        path = Path(f"{self.path}.key")
        make_private(path)
        key = path.read_bytes()
        if len(key) != _KEY_LENGTH:
            key = secrets.token_bytes(_KEY_LENGTH)
            path.write_bytes(key)
        return key

    def _heartbeat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            # A beat that finds the file busy for a minute, or the disk full, is made up for by the next one.
            with contextlib.suppress(MigrationError), self._change() as database:
                self._announce(database)

    def _announce(self, database: sqlite3.Connection) -> None:
        now = time.time()
        database.execute(
            "INSERT INTO runs (id, host, pid, started, heartbeat) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET heartbeat = excluded.heartbeat",
            (self.run_id, socket.gethostname(), os.getpid(), now, now),
        )

    def record_listing(self, tasks: Iterable[Task]) -> int:
        """Take a listing in. Returns how many objects in it are to be done.

        An object that was dealt with stays so while S3 still shows what was read or what was written; where it shows
        something else, another writer has written since, and the object is open again.
        """
        batch: list[Task] = []
        opened = 0
        for task in tasks:
            batch.append(task)
            if len(batch) == 1000:
                opened += self._record(batch)
                batch = []
        return opened + self._record(batch)

    def _record(self, batch: list[Task]) -> int:
        listed = ("etag", "size", "last_modified", "storage_class", "has_instruction_file", "attempt")
        update = ", ".join(f"{name} = excluded.{name}" for name in listed)
        # What a listing shows is not gone, whatever S3 has answered in between.
        gone = "objects.result = 'gone'"
        # A verification writes nothing: any other time than that of the listing is another writer's.
        moved = "excluded.last_modified IS NOT objects.last_modified" if self._verifies else "0"
        with self._change() as database:
            before = database.total_changes
            database.executemany(
                f"INSERT INTO objects ({TASK_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608  # fixed names
                f" ON CONFLICT (bucket, key, version_id) DO UPDATE SET {update}, state = 'open', not_before = 0,"
                " pinned = 1, replaces = CASE WHEN objects.moved THEN objects.etag_out ELSE objects.replaces END"
                " WHERE excluded.etag IS NOT NULL"
                f" AND (objects.state = 'done' AND (excluded.etag IS NOT objects.stands OR {gone} OR {moved})"
                "  OR objects.state = 'open' AND excluded.etag IS NOT objects.etag)",
                [values_of(self._hidden(task)) for task in batch],
            )
            return database.total_changes - before

    def _hidden(self, task: Task) -> Task:
        """The task as it is written down: of its ETag the MAC."""
        return replace(task, etag=etag_mac(self.mac_key, task, task.etag))

    def mark_instruction_files(self) -> None:
        """After a listing that holds every object: say of each open one whether an instruction file was listed too."""
        with self._change() as database:
            database.execute(
                "UPDATE objects SET has_instruction_file = EXISTS (SELECT 1 FROM objects AS file"
                " WHERE file.bucket = objects.bucket AND file.key IN (objects.key || ?, objects.key || ?))"
                " WHERE state = 'open' AND attempt = 0",
                (INSTRUCTION_FILE_SUFFIX, LEGACY_DOTNET_SUFFIX),
            )

    def add(self, task: Task) -> None:
        """Take one task in."""
        self._record([task])

    def claim(self, count: int) -> list[tuple[int, Task]]:
        """Lease up to ``count`` open objects to this run; each comes with the id that `finish` takes."""
        now = time.time()
        with self._change() as database:
            self._announce(database)
            self._release_dead(database, now)
            rows = database.execute(
                f"SELECT id, pinned, {TASK_COLUMNS} FROM objects"  # noqa: S608  # fixed names
                " WHERE state = 'open' AND not_before <= ? ORDER BY id LIMIT ?",
                (now, count),
            ).fetchall()
            database.executemany(
                "UPDATE objects SET state = 'leased', run = ? WHERE id = ?", [(self.run_id, row[0]) for row in rows]
            )
        return [(row[0], task_of(row[2:], pinned=row[1])) for row in rows]

    def release(self, ids: Iterable[int]) -> None:
        """Give leased objects back untouched."""
        with self._change() as database:
            database.executemany(
                "UPDATE objects SET state = 'open', run = NULL WHERE id = ? AND run = ?",
                [(object_id, self.run_id) for object_id in ids],
            )

    @property
    def _verifies(self) -> bool:
        return self._settings.action is Action.VERIFY

    def finish(self, object_id: int, outcome: Outcome, *, again: Task | None = None, delay: float = 0.0) -> None:
        """Write an outcome down; with ``again`` the object is open again as that task, ``delay`` seconds from now.

        It reaches the file with the next transaction: after a few dozen outcomes, a new lease, a look at the journal or
        a heartbeat. What a kill loses of it costs one more look at each object.
        """
        with self._lock:
            self._waiting.append((object_id, outcome, again, time.time(), delay))
            if len(self._waiting) >= _AT_A_TIME:
                with self._change():
                    pass

    def _write_waiting(self, database: sqlite3.Connection) -> None:
        for object_id, told, again, at, delay in self._waiting:
            # An engine's outcome need not come from `migrate_one`.
            outcome = hide_digests(told, self.mac_key)
            values = outcome.to_dict()
            database.execute(
                "INSERT INTO outcomes (object, run, at, outcome) VALUES (?, ?, ?, ?)",
                (object_id, self.run_id, at, json.dumps(values, separators=(",", ":"))),
            )
            if again is not None:
                self._open_again(database, object_id, self._hidden(again), at + delay)
            else:
                self._close(database, object_id, told, values)

    @staticmethod
    def _open_again(database: sqlite3.Connection, object_id: int, again: Task, not_before: float) -> None:
        is_pinned = again.version_id is not None
        database.execute(
            "UPDATE objects SET state = 'open', run = NULL, etag = ?, attempt = ?, not_before = ?,"
            " has_instruction_file = ?, pinned = ? WHERE id = ?",
            (again.etag, again.attempt, not_before, again.has_instruction_file, is_pinned, object_id),
        )

    def _close(self, database: sqlite3.Connection, object_id: int, outcome: Outcome, values: Mapping[str, Any]) -> None:
        names = ", ".join(f"{name} = ?" for name in RESULT_COLUMNS)
        # What this run found done already keeps the evidence of the run that did it, while it is the same object.
        is_second_look = outcome.result is Result.ALREADY
        guard = " AND NOT (coalesce(result, '') = 'done' AND etag_out IS ?)" if is_second_look else ""
        database.execute(
            "UPDATE objects SET state = 'done', run = NULL, interrupted = 0, stands = coalesce(?, etag), moved = ?"
            " WHERE id = ?",
            (etag_mac(self.mac_key, outcome.task, stands(outcome)), is_moved(outcome), object_id),
        )
        database.execute(
            f"UPDATE objects SET result = ?, reason = ?, message = ?, {names} WHERE id = ?{guard}",  # noqa: S608  # fixed names
            (
                outcome.result.value,
                outcome.reason.value if outcome.reason else None,
                outcome.message,
                *(values.get(name) for name in RESULT_COLUMNS),
                object_id,
                *((outcome.etag_in,) if is_second_look else ()),
            ),
        )

    def is_idle(self) -> bool:
        """True if nothing is open, nor leased by a living worker."""
        with self._change() as database:
            self._release_dead(database, time.time())
            return database.execute("SELECT 1 FROM objects WHERE state != 'done' LIMIT 1").fetchone() is None
