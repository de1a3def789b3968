"""What migrate, rewrap and verify share: the journal, Ctrl-C, progress, and the end of a run in words and a code."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, combined, family_of
from s3ec.cli.listing import nothing_there
from s3ec.cli.output import Output, Table, human_bytes
from s3ec.cli.progress import Progress
from s3ec.cli.urls import S3Url
from s3ec.migrate import Event, Journal, Outcome, Plan, Result, SkipReason, Summary, default_path, run
from s3ec.migrate.local import Engine
from s3ec.migrate.object_lists import ObjectList
from s3ec.migrate.settings import MigrationSettings

__all__ = ["Job", "outcome_code", "show_plan"]

_REASON_CODES = {
    SkipReason.LEGACY: ExitCode.POLICY,
    SkipReason.NOT_ENCRYPTED: ExitCode.METADATA,
    SkipReason.MALFORMED: ExitCode.METADATA,
    SkipReason.TOO_LARGE: ExitCode.CONTENT,
}

_NEVER_AT_REST = "it was written again after every pass; run the same command once more when its writer rests"


def outcome_code(outcome: Outcome) -> ExitCode:
    """The exit code of one object that was left undone: by its error, else by the reason."""
    if outcome.error:
        return family_of(outcome.error)
    if outcome.reason is not None:
        return _REASON_CODES.get(outcome.reason, ExitCode.LEFT_UNDONE)
    return ExitCode.MIGRATION if outcome.result is Result.CHANGED else ExitCode.LEFT_UNDONE


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
        with (
            Journal.open(path, self.settings) as journal,
            Progress.of(output, options, self.verb) as progress,
            _interruptible(stop, output) as signals,
        ):
            summary = run(
                self.settings,
                journal,
                objects=self.objects,
                workers=options.workers,
                processes=self.processes,
                engine=self.engine,
                on_event=_Listener(self, journal, progress),
                stop=stop,
            )
            undone = [outcome for outcome in journal.outcomes() if self.is_undone(outcome)]
            if not summary.interrupted:
                undone += self._never_at_rest(journal, output)
        if not sum(summary.counts.values()) and self.url.key and not signals:
            raise nothing_there(self.url)
        code = self._code(summary, undone, signals)
        self._say(output, summary, undone, path, code)
        return code

    @staticmethod
    def _never_at_rest(journal: Journal, output: Output) -> list[Outcome]:
        """Objects that were written again after every pass; no event has named them as undone."""
        found = [Outcome(task=task, result=Result.CHANGED, message=_NEVER_AT_REST) for task in journal.open_tasks()]
        for outcome in found:
            output.note(f"s3ec: {S3Url(outcome.task.bucket, outcome.task.key)}: {outcome.message}")
        return found

    def is_undone(self, outcome: Outcome) -> bool:
        """True where something that was asked for has not been done."""
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
            listed = [{**_document(outcome), "code": int(outcome_code(outcome))} for outcome in undone]
            document = {**summary.to_dict(), "undone": max(summary.undone, len(undone)), "undone_objects": listed}
            output.document({**document, "journal": None if path == ":memory:" else path, "exit_code": int(code)})
            return
        table = Table(("Result", ">Objects"))
        for name, count in {**summary.counts, **{f"  {k}": v for k, v in summary.reasons.items()}}.items():
            table.add(name, count)
        output.table(table)
        rate = human_bytes(summary.bytes / max(summary.seconds, 1e-9))
        output.line(
            f"{human_bytes(summary.bytes)} in {summary.seconds:.1f} s ({rate}/s), "
            f"{sum(summary.requests.values())} requests to S3, {summary.kms_calls} to KMS"
        )
        for note, count in summary.notes.items():
            output.line(f"note on {count} objects: {note}")


def _document(outcome: Outcome) -> dict[str, Any]:
    """An undone object in JSON, flat."""
    reason = outcome.reason.value if outcome.reason else None
    return {
        "bucket": outcome.task.bucket,
        "key": outcome.task.key,
        "version_id": outcome.task.version_id,
        "result": outcome.result.value,
        "reason": reason,
        "error": outcome.error,
        "message": _message(outcome),
    }


def _message(outcome: Outcome) -> str:
    advice = outcome.reason.advice if outcome.reason else ""
    option = " (--allow-legacy)" if outcome.reason is SkipReason.LEGACY else ""
    return (outcome.message or advice or outcome.result.value) + option


class _Listener:
    """Brings the run's events to the progress; workers call it from several threads."""

    def __init__(self, job: Job, journal: Journal, progress: Progress) -> None:
        self._job = job
        self._journal = journal
        self._progress = progress
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            line = event.message
            if event.kind == "listed":
                counts = self._journal.counts()
                self._progress.total(self._progress.objects + counts.get("open", 0) + counts.get("leased", 0))
            elif event.kind == "stopping":
                line = "s3ec: finishing what is in flight"
            elif event.kind == "finished" and event.outcome is not None:
                line = self._finished(event.outcome)
            self._progress.event(event.to_dict(), line)

    def _finished(self, outcome: Outcome) -> str:
        undone = self._job.is_undone(outcome)
        self._progress.advance(outcome.plaintext_length or outcome.task.size or 0, failed=undone)
        url = S3Url(outcome.task.bucket, outcome.task.key)
        return f"s3ec: {url}: {_message(outcome)}" if undone else ""


@contextlib.contextmanager
def _interruptible(stop: threading.Event, output: Output) -> Iterator[list[int]]:
    """The first Ctrl-C lets what is in flight finish; the second one ends the process as Python does."""
    caught: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        stop.set()

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def show_plan(output: Output, plan: Plan, url: S3Url) -> None:
    """A dry run's answer.

    Raises:
        FailureError: nothing lies under the source.
    """
    if not plan.objects and url.key:
        raise nothing_there(url)
    if output.as_json:
        output.document({"dry_run": True, **plan.to_dict()})
        return
    table = Table(("Plan", ">Objects", ">Bytes"))
    table.add("listed", plan.objects, human_bytes(plan.bytes))
    table.add("to do", plan.to_do, human_bytes(plan.to_do_bytes))
    table.add("as wanted already", plan.already, "")
    for reason, count in plan.skipped.items():
        table.add(f"left alone: {reason}", count, "")
    output.table(table)
    requests = Table(("Requests", ">Number"))
    for name, count in plan.requests.items():
        requests.add(name, count)
    requests.add("KMS", plan.kms_calls)
    output.table(requests)
    cost = {name: value for name, value in plan.cost.to_dict().items() if value}
    output.line("cost, estimated: " + (", ".join(f"{k.replace('_', ' ')} ${v:,.2f}" for k, v in cost.items()) or "$0"))
    for warning in plan.warnings:
        output.line(f"warning: {warning}")
