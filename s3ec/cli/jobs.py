"""What migrate, rewrap and verify share: the journal, Ctrl-C, progress, and the end of a run in words and a code."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from s3ec.cli.environment import Environment
from s3ec.cli.failures import ERRORS, ExitCode, FailureError, combined
from s3ec.cli.interruption import interruptible
from s3ec.cli.listing import nothing_there
from s3ec.cli.outcomes import document_of, outcome_code, said_of
from s3ec.cli.output import Output, Table, human_bytes
from s3ec.cli.progress import Progress
from s3ec.cli.repeats import Repeats
from s3ec.cli.urls import S3Url
from s3ec.migrate import Event, Journal, Outcome, Result, SkipReason, Summary, default_path, run
from s3ec.migrate.jobs.local import Engine
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.work.key_check import check_keys
from s3ec.migrate.work.object_lists import ObjectList

__all__ = ["Job"]

_NEVER_AT_REST = "it was written again after every pass; run the same command once more when its writer rests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of one plan.

    Attributes:
        environment: clients, options and streams.
        settings: the plan.
        url: the source, for messages.
        verb: past participle for the progress: ``"migrated"``.
        objects: what to do; None lists the source.
        engine: does the work elsewhere; None does it here.
        processes: processes here.
        keep_journal: False for jobs that must look at everything each time, unless a journal is named.
        refuse_unencrypted: count objects that are not encrypted as left undone.
    """

    environment: Environment
    settings: MigrationSettings
    url: S3Url
    verb: str
    objects: ObjectList | None = None
    engine: Engine | None = None
    processes: int = 1
    keep_journal: bool = True
    refuse_unencrypted: bool = False

    def run(self) -> ExitCode:
        """Do it, and say how it ended.

        Raises:
            s3ec.errors.MigrationError: the journal belongs to another plan.
            botocore.exceptions.ClientError: what stops the whole job.
        """
        options, output = self.environment.options, self.environment.output
        path = self._journal_path()
        output.note(f"s3ec: the journal is {path}" if path != ":memory:" else "s3ec: no journal is kept")
        stop = threading.Event()
        check_keys(self.settings, session=self.environment.session)
        with (
            _tidied(path, named=options.journal is not None) as tidy,
            Journal.open(path, self.settings) as journal,
            tidy(journal),
            Progress.of(output, options, self.verb) as progress,
            interruptible(stop, resumable=path != ":memory:") as signals,
        ):
            listener = _Listener(self, journal, progress)
            summary = run(
                self.settings,
                journal,
                objects=self.objects,
                workers=options.workers,
                processes=self.processes,
                engine=self.engine,
                on_event=listener,
                stop=stop,
            )
            undone = [outcome for outcome in journal.outcomes() if self.is_undone(outcome)]
            if not summary.interrupted:
                undone += self._never_at_rest(journal, listener.repeats)
            listener.repeats.close()
            if not sum(summary.counts.values()) and self.url.key and not signals:
                raise nothing_there(self.url)
        code = self._code(summary, undone, signals)
        self._say(output, summary, undone, path, code)
        return code

    @staticmethod
    def _never_at_rest(journal: Journal, repeats: Repeats) -> list[Outcome]:
        """Return objects that were written again after every pass; no event has named them as undone."""
        found = [Outcome(task=task, result=Result.CHANGED, message=_NEVER_AT_REST) for task in journal.open_tasks()]
        for outcome in found:
            repeats.add(*said_of(outcome))
        return found

    def is_undone(self, outcome: Outcome) -> bool:
        """True if something that was asked for has not been done."""
        return outcome.leaves_undone or (self.refuse_unencrypted and outcome.reason is SkipReason.NOT_ENCRYPTED)

    def _journal_path(self) -> str:
        named: Path | None = self.environment.options.journal
        if named is None and not self.keep_journal and self.processes == 1:
            return ":memory:"
        return str(named or default_path(self.settings))

    @staticmethod
    def _code(summary: Summary, undone: list[Outcome], signals: list[int]) -> ExitCode:
        if signals or summary.interrupted:
            return ExitCode.TERMINATED if signal.SIGTERM in signals else ExitCode.INTERRUPTED
        codes = [outcome_code(outcome) for outcome in undone]
        if summary.undone and not undone:
            codes.append(ExitCode.LEFT_UNDONE)
        return combined(codes)

    def _say(self, output: Output, summary: Summary, undone: list[Outcome], path: str, code: ExitCode) -> None:
        if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
            how = "run the same command again" if path != ":memory:" else "start again"
            output.note(f"s3ec: interrupted; what was in flight is finished. To go on, {how}.")
        if output.as_json:
            listed = [{**document_of(outcome), "code": int(outcome_code(outcome))} for outcome in undone]
            document = {**summary.to_dict(), "undone": max(summary.undone, len(undone)), "undone_objects": listed}
            output.document({**document, "journal": None if path == ":memory:" else path, "exit_code": int(code)})
            return
        table = Table(("Result", ">This run", ">In all"))
        # What an earlier run of the same plan has done stands in the books as well; this one did not look at it.
        for name in dict.fromkeys((*summary.counts, *summary.this_run)):
            table.add(name, summary.this_run.get(name, 0), summary.counts.get(name, 0))
        for name, count in summary.reasons.items():
            table.add(f"  {name}", "", count)
        output.table(table)
        rate = human_bytes(summary.bytes / max(summary.seconds, 1e-9))
        output.line(
            f"{human_bytes(summary.bytes)} in {summary.seconds:.1f} s ({rate}/s), "
            f"{sum(summary.requests.values())} requests to S3, {summary.kms_calls} to KMS"
        )
        for note, count in summary.notes.items():
            output.line(f"note on {count:,} object{'s' if count != 1 else ''}: {note}")


@contextlib.contextmanager
def _tidied(path: str, *, named: bool) -> Iterator[Callable[[Journal], contextlib.AbstractContextManager[None]]]:
    """Remove the journal of a run that failed before its first object: there is nothing to go on with.

    Args:
        path: where it is made.
        named: True if the caller named it; then it is the caller's file and stays.
    """
    is_new = path != ":memory:" and not named and not Path(path).exists()
    empty: list[bool] = []

    @contextlib.contextmanager
    def watched(journal: Journal) -> Iterator[None]:
        try:
            yield
        finally:
            empty.append(not any(journal.counts().values()))

    try:
        yield watched
    except (*ERRORS, FailureError):
        if is_new and empty == [True]:
            for ending in ("", "-wal", "-shm", ".key"):
                Path(path + ending).unlink(missing_ok=True)
        raise


class _Listener:
    """Passes the run's events to the progress; workers call it from several threads."""

    def __init__(self, job: Job, journal: Journal, progress: Progress) -> None:
        self._job = job
        self._journal = journal
        self._progress = progress
        self._lock = threading.Lock()
        self._before: int | None = None
        self._in_flight: dict[tuple[str, str], int] = {}
        self.repeats = Repeats(progress.say)

    def __call__(self, event: Event) -> None:
        with self._lock:
            line = event.message
            if event.kind == "listed":
                self._listed()
            elif event.kind == "started" and event.task is not None:
                self._in_flight[event.task.bucket, event.task.key] = event.task.size or 0
            elif event.kind == "stopping":
                line = f"s3ec: {self._waiting()}"
            elif event.kind in ("finished", "again") and event.outcome is not None:
                task = event.outcome.task
                self._in_flight.pop((task.bucket, task.key), None)
                line = self._finished(event.outcome) if event.kind == "finished" else line
            self._progress.event(event.to_dict(), line)

    def _listed(self) -> None:
        counts = self._journal.counts()
        waiting = counts.get("open", 0) + counts.get("leased", 0)
        if self._before is None:
            self._before = sum(counts.values()) - waiting
        self._progress.total(self._before + self._progress.objects + waiting, self._before)

    def _waiting(self) -> str:
        """Say what an interrupted run waits for; a second Ctrl-C leaves it, which is safe."""
        sizes = self._in_flight.values()
        if not sizes:
            return "finishing what is in flight"
        what = f"{len(sizes)} object{'s' if len(sizes) > 1 else ''} in flight"
        return (
            f"finishing {what}, the largest {human_bytes(max(sizes))}; Ctrl-C again leaves them, nothing half-written"
        )

    def _finished(self, outcome: Outcome) -> str:
        undone = self._job.is_undone(outcome)
        skipped = outcome.result in (Result.SKIPPED, Result.GONE)
        carried = 0 if skipped or undone else outcome.plaintext_length or outcome.task.size or 0
        self._progress.advance(carried, failed=undone and not skipped, skipped=skipped)
        return "\n".join(self.repeats.lines(*said_of(outcome))) if undone else ""
