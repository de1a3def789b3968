"""What can be read from a journal, while a run is under way or afterwards."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator

from s3ec.migrate.journal_schema import TASK_COLUMNS, UNDONE, task_of
from s3ec.migrate.model import Outcome, Task

__all__ = ["JournalViews"]


class JournalViews:
    """The reading half of `s3ec.migrate.Journal`."""

    _lock: threading.RLock
    _database: sqlite3.Connection

    def counts(self) -> dict[str, int]:
        """Objects by how they stand: by result where they are done, else ``"open"`` or ``"leased"``."""
        with self._lock:
            return dict(
                self._database.execute(
                    "SELECT CASE state WHEN 'done' THEN result ELSE state END, count(*) FROM objects GROUP BY 1"
                )
            )

    def totals(self) -> tuple[int, int]:
        """Objects known, and their stored bytes."""
        with self._lock:
            objects, size = self._database.execute("SELECT count(*), coalesce(sum(size), 0) FROM objects").fetchone()
        return objects, size

    def account(self) -> tuple[int, dict[str, int], dict[str, int]]:
        """Done objects that are left undone; skipped ones by reason; notes by how many objects have them."""
        with self._lock:
            reasons = dict(
                self._database.execute(
                    "SELECT reason, count(*) FROM objects WHERE state = 'done' AND result = 'skipped' GROUP BY 1"
                )
            )
            (failed,) = self._database.execute(
                "SELECT count(*) FROM objects WHERE state = 'done' AND result IN ('failed', 'changed', 'retry')"
            ).fetchone()
            notes = dict(
                self._database.execute(
                    "SELECT note.value, count(DISTINCT object) FROM outcomes, json_each(outcome, '$.notes') AS note"
                    " GROUP BY 1"
                )
            )
        return failed + sum(count for reason, count in reasons.items() if reason in UNDONE), reasons, notes

    def outcomes(self) -> Iterator[Outcome]:
        """The last outcome of every object that is done, in the order of the list."""
        last = 0
        while True:
            with self._lock:
                rows = self._database.execute(
                    "SELECT id, (SELECT outcome FROM outcomes WHERE object = objects.id ORDER BY id DESC LIMIT 1)"
                    " FROM objects WHERE id > ? AND state = 'done' ORDER BY id LIMIT 500",
                    (last,),
                ).fetchall()
            if not rows:
                return
            yield from (Outcome.from_json(row[1]) for row in rows if row[1])
            last = rows[-1][0]

    def open_tasks(self) -> Iterator[Task]:
        """What is to be done and is not: after a whole run, what other writers kept changing."""
        last = 0
        while True:
            with self._lock:
                rows = self._database.execute(
                    f"SELECT id, pinned, {TASK_COLUMNS} FROM objects"  # noqa: S608  # fixed names
                    " WHERE id > ? AND state = 'open' ORDER BY id LIMIT 500",
                    (last,),
                ).fetchall()
            if not rows:
                return
            yield from (task_of(row[2:], pinned=row[1]) for row in rows)
            last = rows[-1][0]

    def ledger(self) -> Iterator[tuple[float, Outcome]]:
        """Every outcome ever written down, oldest first, with its time (seconds since 1970)."""
        last = 0
        while True:
            with self._lock:
                rows = self._database.execute(
                    "SELECT id, at, outcome FROM outcomes WHERE id > ? ORDER BY id LIMIT 500", (last,)
                ).fetchall()
            if not rows:
                return
            yield from ((row[1], Outcome.from_json(row[2])) for row in rows)
            last = rows[-1][0]
