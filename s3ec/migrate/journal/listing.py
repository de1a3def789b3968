"""The journals of a folder, looked at without taking part: nothing is written, and no run is announced."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3ec.errors import MigrationError
from s3ec.migrate.journal.file import private_folder
from s3ec.migrate.journal.runs import LEASE_SECONDS
from s3ec.migrate.journal.schema import UNDONE, is_alive
from s3ec.migrate.jsonable import Jsonable

__all__ = ["JournalSummary", "journals", "look_at_journal", "remove_journal"]

ENDING = ".journal"
_FAILED = ("failed", "changed", "retry")
_BESIDE = ("", "-wal", "-shm", ".key")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSummary(Jsonable):
    """One journal.

    Attributes:
        path: of its file.
        state: ``"finished"``, ``"unfinished"``, ``"running"``, or ``"unreadable"``.
        problem: why it cannot be read, or ``""``.
        action: ``"migrate"``, ``"rewrap"``, …
        source: URL of what the plan works on.
        destination: URL of where it goes, or ``""`` for in place.
        key: what wraps what is written.
        counts: objects by how they stand: by result, or ``"open"`` and ``"leased"``.
        done: objects that are as wanted, or were left alone on purpose.
        failed: objects that were looked at and left undone.
        open: objects that are still to be looked at.
        uploads: multipart uploads that the next run has to clear away.
    """

    path: str
    state: str
    problem: str = ""
    action: str = ""
    source: str = ""
    destination: str = ""
    key: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    done: int = 0
    failed: int = 0
    open: int = 0
    uploads: int = 0


def journals(folder: Path | None = None) -> list[JournalSummary]:
    """Look at every journal of a folder; one that cannot be read says so.

    Args:
        folder: where they lie; None means where they lie by default.
    """
    found = []
    for path in sorted((folder or private_folder()).glob(f"*{ENDING}")):
        try:
            found.append(look_at_journal(path))
        except MigrationError as error:
            found.append(JournalSummary(path=str(path), state="unreadable", problem=str(error)))
    return found


def look_at_journal(path: Path) -> JournalSummary:
    """Say what one journal holds.

    Raises:
        s3ec.errors.MigrationError: it is not there, or is not a journal of this version.
    """
    try:
        with contextlib.closing(_open(path)) as database:
            return _summary(path, database)
    except (sqlite3.Error, KeyError, ValueError) as error:
        raise MigrationError(f"{path} is not a journal that this version of s3ec can read: {error}") from error


def remove_journal(path: Path, *, force: bool = False) -> JournalSummary:
    """Remove a journal with all that lies beside it. Files that are not journals stay.

    Args:
        path: its file.
        force: also remove one whose plan is not finished: what it knows of the objects is lost, and the next run of
            that plan looks at each of them.

    Raises:
        s3ec.errors.MigrationError: it is not a journal, a run is at work on it, or its plan is not finished.
        OSError: it cannot be removed.
    """
    found = look_at_journal(path)
    if found.state == "running":
        raise MigrationError(f"a run is at work on {path}")
    if found.state != "finished" and not force:
        raise MigrationError(
            f"the plan of {path} is not finished: {found.open} open, {found.failed} failed, {found.uploads} uploads to "
            f"clear away; run it again"
        )
    for ending in _BESIDE:
        Path(f"{path}{ending}").unlink(missing_ok=True)
    return found


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise MigrationError(f"there is no journal {path}")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)


def _summary(path: Path, database: sqlite3.Connection) -> JournalSummary:
    about = dict(database.execute("SELECT name, value FROM about"))
    settings = json.loads(about["settings"])
    counts: dict[str, int] = dict(
        database.execute("SELECT CASE state WHEN 'done' THEN result ELSE state END, count(*) FROM objects GROUP BY 1")
    )
    (undone,) = database.execute(
        f"SELECT count(*) FROM objects WHERE result = 'skipped' AND reason IN ({', '.join('?' * len(UNDONE))})",  # noqa: S608  # marks for values
        UNDONE,
    ).fetchone()
    (uploads,) = database.execute("SELECT count(*) FROM uploads").fetchone()
    to_do = counts.get("open", 0) + counts.get("leased", 0)
    failed = sum(counts.get(name, 0) for name in _FAILED) + undone
    is_finished = "finished" in about and not to_do and not uploads
    return JournalSummary(
        path=str(path),
        state="running" if any(_living(database)) else "finished" if is_finished else "unfinished",
        action=settings["action"],
        source=_url(settings["source"]),
        destination=_url(settings.get("destination")),
        key=_label(settings["keyring"]),
        counts=counts,
        done=sum(counts.values()) - to_do - failed,
        failed=failed,
        open=to_do,
        uploads=uploads,
    )


def _living(database: sqlite3.Connection) -> Iterator[str]:
    """Runs that have the journal open, by the rule of the runs themselves."""
    host, now = socket.gethostname(), time.time()
    for run, its_host, pid, heartbeat in database.execute("SELECT id, host, pid, heartbeat FROM runs"):
        if now - heartbeat <= LEASE_SECONDS and (its_host != host or is_alive(pid)):
            yield run


def _url(place: dict[str, Any] | None) -> str:
    return f"s3://{place['bucket']}/{place.get('prefix') or ''}" if place else ""


def _label(keyring: dict[str, Any]) -> str:
    names = ("key_id", "path", "public_key_path", "private_key_path")
    return next((str(keyring[name]) for name in names if keyring.get(name)), str(keyring.get("kind", "")))
