"""Tables of the journal, and how a task becomes a row and a row a task."""

from __future__ import annotations

import os
from dataclasses import replace

from s3ec.migrate.model import Outcome, SkipReason, Task

SCHEMA_VERSION = "3"
SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started REAL NOT NULL, heartbeat REAL NOT NULL,
    working INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS objects (
    id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, version_id TEXT NOT NULL DEFAULT '',
    etag TEXT, size INTEGER, last_modified TEXT, storage_class TEXT, has_instruction_file INTEGER,
    replaces TEXT, attempt INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0,
    pinned INTEGER NOT NULL DEFAULT 1, interrupted INTEGER NOT NULL DEFAULT 0, moved INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'open', run TEXT, stands TEXT,
    result TEXT, reason TEXT, message TEXT, etag_in TEXT, version_in TEXT, etag_out TEXT, version_out TEXT,
    plaintext_length INTEGER, plaintext_mac TEXT, format_before TEXT, format_after TEXT,
    wrapping_algorithm TEXT, wrapping_key TEXT,
    UNIQUE (bucket, key, version_id)
);
CREATE INDEX IF NOT EXISTS objects_by_state ON objects (state, id);
CREATE TABLE IF NOT EXISTS outcomes (
    id INTEGER PRIMARY KEY, object INTEGER NOT NULL, run TEXT NOT NULL, at REAL NOT NULL, outcome TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, run TEXT NOT NULL, opening REAL
);
CREATE INDEX IF NOT EXISTS outcomes_by_object ON outcomes (object, id);
"""
TASK_COLUMNS = (
    "bucket, key, version_id, etag, size, last_modified, storage_class, has_instruction_file, replaces, attempt,"
    " interrupted"
)
RESULT_COLUMNS = (
    "etag_in", "version_in", "etag_out", "version_out", "plaintext_length", "plaintext_mac",
    "format_before", "format_after", "wrapping_algorithm", "wrapping_key",
)  # fmt: skip
UNDONE = tuple(reason.value for reason in SkipReason if reason.leaves_undone)
"""Reasons that leave something undone."""
_AGAIN = ", ".join(f"'{reason}'" for reason in (*UNDONE, SkipReason.YOUNG.value))
LOOKED_AT_AGAIN = (
    # What failed or could not be carried over; what may be there again; what may be old enough by now; and what was
    # never pinned by an ETag, so that no listing can say that it still stands.
    "(result IN ('failed', 'changed', 'retry', 'gone') OR etag IS NULL"
    f" OR result = 'skipped' AND (reason IS NULL OR reason IN ({_AGAIN})))"
)
"""Of the objects that an earlier run has dealt with: those that the next run looks at whatever a listing shows."""


def is_moved(outcome: Outcome) -> bool:
    """True if the object was written under another name than it was listed."""
    where = (outcome.destination_bucket, outcome.destination_key)
    return where not in ((None, None), (outcome.task.bucket, outcome.task.key))


def stands(outcome: Outcome) -> str | None:
    """The ETag, or its MAC, that S3 shows for the listed object as long as it is not written after this outcome."""
    written = None if is_moved(outcome) else outcome.etag_out
    return written or outcome.etag_in or outcome.task.etag


def values_of(task: Task) -> tuple[object, ...]:
    """The row of `TASK_COLUMNS`."""
    return (
        task.bucket, task.key, task.version_id or "", task.etag, task.size, task.last_modified, task.storage_class,
        task.has_instruction_file, task.replaces, task.attempt, task.interrupted,
    )  # fmt: skip


def task_of(row: tuple[object, ...], *, pinned: bool = True) -> Task:
    """The task of a row of `TASK_COLUMNS`; unpinned where the version listed counts no longer."""
    names = [name.strip() for name in TASK_COLUMNS.split(",")]
    values = dict(zip(names, row, strict=True))
    values["version_id"] = (values["version_id"] or None) if pinned else None
    values["interrupted"] = bool(values["interrupted"])
    flag = values["has_instruction_file"]
    values["has_instruction_file"] = None if flag is None else bool(flag)
    return replace(Task(bucket="", key=""), **values)  # type: ignore[arg-type]  # the columns are typed by the schema


def is_alive(pid: int) -> bool:
    """True if a process of this machine lives, or if that cannot be known."""
    if os.name != "posix":
        return True  # signal 0 is a question on POSIX only; elsewhere the heartbeat decides
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
