"""What can be read from a journal, while a run is under way or afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from s3ec.errors import MigrationError
from s3ec.migrate.journal.file import JournalFile
from s3ec.migrate.journal.schema import TASK_COLUMNS, UNDONE, task_of
from s3ec.migrate.model import Outcome, Task

__all__ = ["JournalViews"]


class JournalViews(JournalFile):
    """The reading half of `s3ec.migrate.Journal`; a damaged file is a `s3ec.errors.MigrationError`."""

    def counts(self) -> dict[str, int]:
        """Objects by how they stand: by result where they are done, else ``"open"`` or ``"leased"``."""
        return dict(
            self._rows("SELECT CASE state WHEN 'done' THEN result ELSE state END, count(*) FROM objects GROUP BY 1")
        )

    def totals(self) -> tuple[int, int]:
        """Objects known, and their stored bytes."""
        ((objects, size),) = self._rows("SELECT count(*), coalesce(sum(size), 0) FROM objects")
        return objects, size

    def account(self) -> tuple[int, dict[str, int], dict[str, int]]:
        """Done objects that are left undone; skipped ones by reason; notes by how many objects have them."""
        reasons = dict(
            self._rows("SELECT reason, count(*) FROM objects WHERE state = 'done' AND result = 'skipped' GROUP BY 1")
        )
        ((failed,),) = self._rows(
            "SELECT count(*) FROM objects WHERE state = 'done' AND result IN ('failed', 'changed', 'retry')"
        )
        notes = dict(
            self._rows(
                "SELECT note.value, count(DISTINCT object) FROM outcomes, json_each(outcome, '$.notes') AS note"
                " GROUP BY 1"
            )
        )
        return failed + sum(count for reason, count in reasons.items() if reason in UNDONE), reasons, notes

    def outcomes(self) -> Iterator[Outcome]:
        """The last outcome of every object that is done, in the order of the list."""
        last = 0
        while rows := self._rows(
            "SELECT id, (SELECT outcome FROM outcomes WHERE object = objects.id ORDER BY id DESC LIMIT 1)"
            " FROM objects WHERE id > ? AND state = 'done' ORDER BY id LIMIT 500",
            (last,),
        ):
            yield from (self._outcome(row[1]) for row in rows if row[1])
            last = rows[-1][0]

    def open_tasks(self) -> Iterator[Task]:
        """What is to be done and is not: after a whole run, what other writers kept changing."""
        last = 0
        while rows := self._rows(
            f"SELECT id, pinned, {TASK_COLUMNS} FROM objects"  # noqa: S608  # fixed names
            " WHERE id > ? AND state = 'open' ORDER BY id LIMIT 500",
            (last,),
        ):
            yield from (task_of(row[2:], pinned=row[1]) for row in rows)
            last = rows[-1][0]

    def ledger(self) -> Iterator[tuple[float, Outcome]]:
        """Every outcome ever written down, oldest first, with its time (seconds since 1970)."""
        last = 0
        while rows := self._rows("SELECT id, at, outcome FROM outcomes WHERE id > ? ORDER BY id LIMIT 500", (last,)):
            yield from ((row[1], self._outcome(row[2])) for row in rows)
            last = rows[-1][0]

    def _outcome(self, text: str) -> Outcome:
        try:
            return Outcome.from_json(text)
        except (ValueError, TypeError, KeyError) as error:
            raise MigrationError(f"cannot use {self.path} as a journal: an outcome in it is damaged") from error
