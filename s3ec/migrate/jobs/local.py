"""The engine that comes built in: threads of one process, fed from the journal; more processes share the journal.

A pass lists, does what is open, and lists again: what was written meanwhile shows there. Passes are bounded, so that a
busy writer cannot keep a run going forever; what is left is listed, and the run counts as not finished.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from s3ec.errors import MigrationError
from s3ec.migrate.jobs.processes import work_in_processes
from s3ec.migrate.jobs.workers import Callback, Event, work
from s3ec.migrate.journal.journal import Journal
from s3ec.migrate.jsonable import Jsonable
from s3ec.migrate.model import Action, Outcome, Result, Task
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.steps.step import next_task
from s3ec.migrate.steps.verify import is_sampled
from s3ec.migrate.work.context import MigrationContext
from s3ec.migrate.work.ending import code_of
from s3ec.migrate.work.key_names import key_names, unresolved
from s3ec.migrate.work.object_lists import ListedObjects, ObjectList
from s3ec.migrate.work.pages import pages

__all__ = ["Engine", "Summary", "run"]

_CLOCK_SKEW = 60.0  # seconds between this machine's clock and S3's

Engine = Callable[[MigrationSettings, Journal, Callable[[Outcome], None], Callback, threading.Event], None]
"""Does what is open in the journal, tells each outcome and event, and ends early when it is told to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Jsonable):
    """How a run ended.

    Attributes:
        counts: objects in the journal by result, whichever run of this plan it was; ``"open"`` and ``"leased"`` are
            not done.
        this_run: what this run has done itself, by result.
        reasons: skipped objects of this journal by `SkipReason` value.
        undone: objects that were wanted and are not done.
        bytes: plaintext bytes written (or verified) by this run.
        requests: to S3, by operation, of this run.
        kms_calls: calls of KMS in this run.
        seconds: it took.
        interrupted: True if it was stopped before its end.
        notes: what an operator should know, and how many objects it is about.
    """

    counts: dict[str, int] = field(default_factory=dict)
    this_run: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    undone: int = 0
    bytes: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    kms_calls: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    notes: dict[str, int] = field(default_factory=dict)


def run(
    settings: MigrationSettings,
    journal: Journal,
    *,
    objects: ObjectList | None = None,
    context: MigrationContext | None = None,
    workers: int = 16,
    processes: int = 1,
    engine: Engine | None = None,
    max_passes: int = 3,
    on_event: Callback | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """Do a whole job; call it again with the same journal to go on after whatever ended it.

    Args:
        settings: the job.
        journal: its books.
        objects: what to do; None lists the source.
        context: for one process; None builds one.
        workers: threads per process.
        processes: processes; small objects gain by more than one, as Python's threads share one core.
        engine: does the work elsewhere, instead of threads and processes here; see `s3ec.migrate.engines`.
        max_passes: times that a live list is gone through.
        on_event: called from several threads.
        stop: when set, what is in flight is finished and nothing new begun.

    Raises:
        botocore.exceptions.ClientError: what stops the whole job, such as a missing bucket.
        s3ec.errors.S3ECError: the settings cannot work.
    """
    stop = stop or threading.Event()
    emit = on_event or _ignore
    tally = _Tally(settings)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        if context is None:
            context = stack.enter_context(contextlib.closing(MigrationContext.open(settings, uploads=journal)))
        context.mac_key = journal.mac_key
        tally.begin(context)
        context.facts(settings.source.bucket)
        context.facts(settings.target("")[0])
        clear_leftovers(journal, context)
        source = settings.source
        listing = ListedObjects(context.s3, source.bucket, source.prefix) if objects is None else objects
        if engine is None:
            engine = _engine(context, workers, processes)
        keys = key_names(context)
        _begin(journal, keys, listing, emit)
        try:
            _go(settings, journal, listing, engine, max_passes, tally, emit, stop)
        except KeyboardInterrupt:
            stop.set()
        clear_leftovers(journal, context, own=True)
        keys_now = key_names(context)
        summary = tally.summary(journal, context, time.monotonic() - began, interrupted=stop.is_set())
        is_over = not stop.is_set() and (not summary.undone or settings.action is Action.VERIFY)
        _end(journal, keys, keys_now, finished=is_over)
    emit(Event(kind="summary", objects=sum(summary.counts.values()), bytes=summary.bytes))
    return summary


def _begin(journal: Journal, keys: str, listing: ObjectList, emit: Callback) -> None:
    said = [
        f"KMS does not tell which key {alias} is: once it is moved, name another journal" for alias in unresolved(keys)
    ]
    archive = journal.begin(keys, is_live=listing.is_live)
    if archive:
        said.append(f"an earlier run closed its books, which are at {archive} now; everything is looked at again")
    for message in said:
        emit(Event(kind="notice", message=f"s3ec: {message}"))


def _end(journal: Journal, before: str, after: str, *, finished: bool) -> None:
    """Close the books of a run.

    Raises:
        s3ec.errors.MigrationError: an alias was moved to another key meanwhile: it is not known which object has which.
    """
    journal.end(finished=finished and before == after)
    if before != after:
        raise MigrationError(f"an alias was moved during the run: run it again (from {before} to {after})")


def _engine(context: MigrationContext, workers: int, processes: int) -> Engine:
    """Return the built-in engine."""

    def here(
        settings: MigrationSettings,
        journal: Journal,
        on_outcome: Callable[[Outcome], None],
        emit: Callback,
        stop: threading.Event,
    ) -> None:
        if processes > 1:
            work_in_processes(settings, journal, workers, processes, on_outcome, emit, stop)
        else:
            work(settings, journal, context, workers, on_outcome, emit, stop)

    return here


def _go(
    settings: MigrationSettings,
    journal: Journal,
    listing: ObjectList,
    engine: Engine,
    max_passes: int,
    tally: _Tally,
    emit: Callback,
    stop: threading.Event,
) -> None:
    """Pass after pass, until the list shows nothing new."""
    changes = listing.is_live and settings.action is not Action.VERIFY
    for number in range(max_passes + 1 if changes else 1):
        if stop.is_set():
            return
        opened = _list(listing, settings, journal, emit, stop)
        # After the last pass the list is only looked at: what was written meanwhile stands there as open.
        if number and (not opened or number == max_passes):
            return
        engine(settings, journal, tally.add, emit, stop)


def _ignore(event: Event) -> None:
    """Do nothing: there is no listener."""


def clear_leftovers(journal: Journal, context: MigrationContext, *, own: bool = False) -> None:
    """Abort the multipart uploads of runs that were killed, so that nothing but the objects stands in the bucket.

    Args:
        journal: where they are noted.
        context: context of the job.
        own: at the end of a run: also those of its own that could not be aborted, or that S3 began without saying so.
    """
    for bucket, key, name, opening in journal.leftover_uploads(own=own):
        ids = [name] if opening is None else _unnoted_uploads(context.s3, bucket, key, opening)
        for upload_id in ids:
            try:
                context.s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":
                    raise
        journal.upload_closed(name)


def _unnoted_uploads(s3: Any, bucket: str, key: str, since: float) -> list[str]:
    """Uploads of a key that were begun when a run was killed before it knew the id.

    Another writer's upload is left alone: it was begun before, or has parts, which ours without an id cannot have.
    """
    found = []
    for page in pages(s3, "list_multipart_uploads", Bucket=bucket, Prefix=key):
        for upload in page.get("Uploads", []):
            named = {"Bucket": bucket, "Key": key, "UploadId": upload["UploadId"]}
            if upload["Key"] != key or upload["Initiated"].timestamp() < since - _CLOCK_SKEW:
                continue
            if not s3.list_parts(**named, MaxParts=1).get("Parts"):
                found.append(upload["UploadId"])
    return found


def _list(
    listing: ObjectList, settings: MigrationSettings, journal: Journal, emit: Callback, stop: threading.Event
) -> int:
    opened = journal.record_listing(wanted(listing, settings, stop))
    if listing.is_complete and not stop.is_set():
        journal.mark_instruction_files()
    objects, size = journal.totals()
    emit(Event(kind="listed", objects=objects, bytes=size))
    return opened


def wanted(listing: ObjectList, settings: MigrationSettings, stop: threading.Event | None = None) -> Iterator[Task]:
    """The tasks that the job is about: the sample, and not its own work at a destination inside the source."""
    share = settings.sample if settings.action is Action.VERIFY else 1.0
    for task in listing:
        if stop is not None and stop.is_set():
            return
        if settings.is_source(task.key) and is_sampled(task, share):
            yield task


class _Tally:
    """What this run has done, from all its workers."""

    def __init__(self, settings: MigrationSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._results: Counter[str] = Counter()
        self._bytes = 0
        self._kms_calls = 0
        self._requests: Counter[str] = Counter()
        self._beside: Counter[str] = Counter()
        self._kms_beside = 0

    def add(self, outcome: Outcome) -> None:
        with self._lock:
            self._requests.update(outcome.requests)
            self._kms_calls += outcome.kms_calls
            if next_task(outcome, self._settings) is None:
                self._results[outcome.result.value] += 1
            if outcome.result is Result.DONE:
                self._bytes += outcome.plaintext_length or 0

    def begin(self, context: MigrationContext) -> None:
        """From here on what this thread sends beside the tasks counts as well."""
        self._beside = Counter(context.overhead)
        self._kms_beside = context.meter.of_this_thread

    def summary(self, journal: Journal, context: MigrationContext, seconds: float, *, interrupted: bool) -> Summary:
        requests = self._requests + (context.overhead - self._beside)
        kms_calls = self._kms_calls + context.meter.of_this_thread - self._kms_beside
        counts = journal.counts()
        undone, reasons, notes = journal.account()
        return Summary(
            counts=counts,
            this_run=dict(self._results),
            reasons=reasons,
            notes=notes,
            undone=undone + counts.get("open", 0) + counts.get("leased", 0),
            bytes=self._bytes,
            requests=dict(requests),
            kms_calls=kms_calls,
            seconds=seconds,
            interrupted=interrupted,
        )
