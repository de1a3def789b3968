"""Runs in a journal: how one begins and ends, what it takes over from those before it, and what a kill has left."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import socket
import sqlite3
import time
import uuid
from pathlib import Path

from s3ec.errors import MigrationError
from s3ec.migrate.journal.file import make_private
from s3ec.migrate.journal.schema import LOOKED_AT_AGAIN, is_alive
from s3ec.migrate.journal.views import JournalViews
from s3ec.migrate.model import Action
from s3ec.migrate.settings import MigrationSettings

__all__ = ["LEASE_SECONDS", "JournalRuns"]

LEASE_SECONDS = 30.0
"""Age of a heartbeat after which another host's run counts as gone."""


class JournalRuns(JournalViews):
    """The part of `s3ec.migrate.Journal` that deals with runs and with the uploads that they begin."""

    run_id: str
    mac_key: bytes
    _settings: MigrationSettings

    def begin(self, keys: str = "", *, is_live: bool = True) -> str:
        """Start a run: decide what of the books still counts. Returns the file that old books went to, or ``""``.

        Books that are finished say nothing of today: they are put aside, and the run begins with empty ones. The same
        goes for books of the same plan under other keys. Unfinished ones are gone on with, but for what no listing can
        show to stand as it was left, which is looked at again.

        Args:
            keys: names the keys of this run for good, aliases resolved.
            is_live: the run's list shows what stands in the bucket today.

        Raises:
            s3ec.errors.MigrationError: another run is at work on these books with other keys.
        """
        while True:
            archive, finished = "", self._finished(keys)
            if finished:
                archive = self._archive(finished)
            with self._change() as database:
                self._release_dead(database, time.time())
                others = database.execute("SELECT count(*) FROM runs WHERE working AND id != ?", (self.run_id,))
                (working,) = others.fetchone()
                if self._finished(keys) != finished:
                    continue  # another run was quicker; what it left is looked at from the start
                if finished and working:
                    raise MigrationError(f"another run is at work on {self.path}, for another key that has this name")
                if finished:
                    for table in ("objects", "outcomes"):
                        database.execute(f"DELETE FROM {table}")  # noqa: S608  # fixed names
                self._reopen(database, everything=self._settings.action is Action.REWRAP or not is_live)
                database.execute("DELETE FROM about WHERE name = 'finished'")
                database.execute("INSERT OR REPLACE INTO about VALUES ('keys', ?)", (keys,))
                database.execute("UPDATE runs SET working = 1 WHERE id = ?", (self.run_id,))
                return archive

    def reopen_undone(self) -> int:
        """Open again what an earlier run failed at or could not carry over. Returns how many objects that are."""
        with self._change() as database:
            return self._reopen(database, everything=False)

    def end(self, *, finished: bool) -> None:
        """End a run. With ``finished`` the books are closed: nothing that was wanted is open."""
        with self._change() as database:
            database.execute("UPDATE runs SET working = 0 WHERE id = ?", (self.run_id,))
            others = database.execute("SELECT 1 FROM runs WHERE working LIMIT 1").fetchone()
            if finished and others is None:
                now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
                database.execute("INSERT OR REPLACE INTO about VALUES ('finished', ?)", (now,))

    def _finished(self, keys: str) -> str:
        """When these books were closed, or since when they are another key's; ``""`` where they are gone on with."""
        about = dict(self._rows("SELECT name, value FROM about"))
        if "finished" in about:
            return str(about["finished"])
        others = str(about.get("keys", keys))
        return "" if others == keys else f"other-key-{hashlib.sha256(others.encode()).hexdigest()[:12]}"

    def _archive(self, stamp: str) -> str:
        """Copy the books to a file beside them. Returns its path."""
        if self.path == ":memory:":
            return ""
        path = Path(self.path)
        copy = path.with_name(f"{path.stem}.{stamp}{path.suffix}")
        for suffix in ("", ".key"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
            make_private(Path(f"{copy}{suffix}"))
        Path(f"{copy}.key").write_bytes(self.mac_key)
        with self._lock, self._faults():
            self._database.execute("VACUUM INTO ?", (str(copy),))
            # Nobody is at work on the copy, however long this run lasts.
            with contextlib.closing(sqlite3.connect(copy)) as archive, archive:
                archive.execute("DELETE FROM runs")
        return str(copy)

    def _reopen(self, database: sqlite3.Connection, *, everything: bool) -> int:
        """Open again what an earlier run has dealt with and this one has to look at."""
        which = "1" if everything else LOOKED_AT_AGAIN
        return database.execute(
            f"UPDATE objects SET state = 'open', attempt = 0, not_before = 0 WHERE state = 'done' AND {which}"  # noqa: S608  # fixed names
            " AND id NOT IN (SELECT object FROM outcomes WHERE run IN (SELECT id FROM runs) AND run != ?)",
            (self.run_id,),
        ).rowcount

    def _release_dead(self, database: sqlite3.Connection, now: float) -> None:
        host = socket.gethostname()
        for run, its_host, pid, heartbeat in database.execute("SELECT id, host, pid, heartbeat FROM runs").fetchall():
            if now - heartbeat > LEASE_SECONDS or (its_host == host and not is_alive(pid)):
                database.execute("DELETE FROM runs WHERE id = ?", (run,))
        database.execute(
            "UPDATE objects SET state = 'open', run = NULL, interrupted = 1"
            " WHERE state = 'leased' AND run NOT IN (SELECT id FROM runs)"
        )

    def upload_opening(self, bucket: str, key: str) -> str:
        """Note that a multipart upload is about to begin; gives the name by which `upload_opened` knows it."""
        name = f"opening {uuid.uuid4().hex}"
        with self._change() as database:
            database.execute(
                "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)", (name, bucket, key, self.run_id, time.time())
            )
        return name

    def upload_opened(self, name: str, upload_id: str, *, is_only_one: bool = True) -> None:
        """Remember the id of a multipart upload that has begun; unless it is the only one, the name stays as well."""
        with self._change() as database:
            if is_only_one:
                database.execute("UPDATE uploads SET id = ?, opening = NULL WHERE id = ?", (upload_id, name))
            else:
                database.execute(
                    "INSERT INTO uploads SELECT ?, bucket, key, run, NULL FROM uploads WHERE id = ?", (upload_id, name)
                )

    def upload_closed(self, upload_id: str) -> None:
        """Forget an upload that was completed or aborted, or by its name one that never began."""
        with self._change() as database:
            database.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))

    def leftover_uploads(self, *, own: bool = False) -> list[tuple[str, str, str, float | None]]:
        """Bucket, key and id of uploads whose run is gone, and, with ``own``, of those of this run that ended badly.

        The last value is None; or the run was killed while the upload began, the id is but a name, and the value says
        when that was, in seconds since the epoch.
        """
        with self._change() as database:
            self._release_dead(database, time.time())
            return database.execute(
                "SELECT bucket, key, id, opening FROM uploads WHERE run NOT IN (SELECT id FROM runs) OR ? AND run = ?",
                (own, self.run_id),
            ).fetchall()
