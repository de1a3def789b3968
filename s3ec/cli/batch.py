"""Many copies and deletions: several at a time. A failure stops no other, unless it is one that all would meet.

A transfer that is interrupted leaves nothing half-written: a download gets its name when it is verified, and the parts
of an upload are taken back. What moves is told to the progress, and that is where a transfer learns that it has to end.
"""

from __future__ import annotations

import collections
import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from s3ec.cli.failures import ERRORS, ExitCode, Failure, FailureError, combined, describe
from s3ec.cli.interruption import leave
from s3ec.cli.open_uploads import OpenUploads
from s3ec.cli.output import Output, human_bytes
from s3ec.cli.repeats import NAMED, Repeats
from s3ec.cli.stopping import ALIKE, meets_all
from s3ec.cli.transfer_progress import TransferProgress
from s3ec.cli.transfers import STANDARD_STREAM, Copy, Report
from s3ec.migrate.audit.survey import bounded_map

__all__ = ["Batch", "Deletion", "Done", "TerminatedError"]


class TerminatedError(KeyboardInterrupt):
    """SIGTERM, treated like Ctrl-C."""


class _StoppedError(Exception):
    """Ends a transfer from within: the run is over. Never leaves this module."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Something to delete at the target.

    Attributes:
        target: the object or the file.
    """

    target: Any

    @property
    def location(self) -> str:
        """What an error is about."""
        return str(self.target)


Step = Copy | Deletion | Failure
"""What a plan consists of; a failure is one that was found while planning."""


@dataclass(frozen=True, slots=True)
class Done:
    """How one step ended.

    Attributes:
        step: what was to be done; None for a failure of the plan.
        failure: why it was not done, or None.
        dropped: True if it was interrupted.
        untried: True if it was not begun, since it could not succeed.
        meets_all: True if the failure is one that every other step would meet.
    """

    step: Copy | Deletion | None
    failure: Failure | None = None
    dropped: bool = False
    untried: bool = False
    meets_all: bool = False


@dataclass(slots=True, kw_only=True)
class Batch:
    """One run over a plan.

    Attributes:
        output: where to write.
        perform: does one step, and reports bytes as they move.
        verbs: for a copy: what was done, what a dry run says: ``("copied", "would copy")``.
        workers: steps at a time.
        dry_run: only say what would be done.
        quiet: write no line for what is done.
        show_progress: on a terminal.
        again: what the same command does when it is given again; shown after an interruption.
        uploads: those under way, which an interruption takes back.
        check: called before the first copy of several; what it raises ends the run.
    """

    output: Output
    perform: Callable[[Copy | Deletion, Report], None]
    verbs: tuple[str, str] = ("copied", "would copy")
    workers: int = 1
    dry_run: bool = False
    quiet: bool = False
    show_progress: bool = True
    again: str = ""
    uploads: OpenUploads | None = None
    check: Callable[[], object] = lambda: None
    _stop: threading.Event = field(default_factory=threading.Event)
    _hopeless: threading.Event = field(default_factory=threading.Event)
    _signals: list[int] = field(default_factory=list)
    _copied: list[dict[str, str]] = field(default_factory=list)
    _deleted: list[str] = field(default_factory=list)
    _failures: list[Failure] = field(default_factory=list)
    _repeats: Repeats = field(init=False)
    _counts: collections.Counter[str] = field(default_factory=collections.Counter)

    def __post_init__(self) -> None:
        """Prepare to say each reason a few times only."""
        self._repeats = Repeats(self.output.note)

    def run(self, steps: Iterable[Step], *, more: Callable[[], dict[str, Any]] = dict) -> ExitCode:
        """Do it, and say how it ended.

        Args:
            steps: the plan, which may be made while it is carried out.
            more: further members of the JSON document, asked for at the end.

        Raises:
            FailureError, botocore.exceptions.ClientError: the plan cannot be made.
            s3ec.errors.KeyringError: the key that all need is not there or is switched off.
        """
        with self._progress() as progress, self._interruptible():
            feed = self._feed(steps, progress)
            for done in bounded_map(lambda step: self._step(step, progress), feed, workers=self.workers):
                self._report(done, progress)
        return self._end(progress, more)

    def run_one(self, step: Copy) -> ExitCode:
        """Do one copy in this thread, where Ctrl-C also ends the wait for standard input.

        Raises:
            FailureError: it failed.
        """
        with self._progress() as progress:
            progress.expect(step.size)
            progress.all_known()
            try:
                with self._raised_signals():
                    done = self._step(step, progress)
                    self._report(done, progress)
            except KeyboardInterrupt as error:
                self._signals.append(signal.SIGTERM if isinstance(error, TerminatedError) else signal.SIGINT)
                self._counts["dropped"] += 1
        return self._end(progress, dict)

    def _progress(self) -> contextlib.AbstractContextManager[TransferProgress]:
        return TransferProgress.of(self.output, wanted=self.show_progress and not self.dry_run)

    def _feed(self, steps: Iterable[Step], progress: TransferProgress) -> Iterator[Step]:
        is_checked = False
        for step in steps:
            if self._stop.is_set() or self._hopeless.is_set():
                return
            if isinstance(step, Copy):
                if not is_checked:
                    self.check()
                    is_checked = True
                progress.expect(step.size)
            yield step
        progress.all_known()

    def _step(self, step: Step, progress: TransferProgress) -> Done:
        if isinstance(step, Failure):
            return Done(None, step)
        if self._stop.is_set():
            return Done(step, dropped=True)
        if self._hopeless.is_set():
            return Done(step, untried=True)
        return Done(step) if self.dry_run else self._do(step, progress)

    def _do(self, step: Copy | Deletion, progress: TransferProgress) -> Done:
        moved, lock = 0, threading.Lock()

        def report(count: int) -> None:
            nonlocal moved
            with lock:
                moved += count
            progress.moving(count)
            # What has moved completely is done, or as good as done: only its last step is still to come.
            if self._stop.is_set() and not (isinstance(step, Copy) and step.size is not None and moved >= step.size):
                raise _StoppedError

        try:
            self.perform(step, report)
        except BrokenPipeError:
            raise
        except _StoppedError:
            return Done(step, dropped=True)
        except FailureError as error:
            return Done(step, error.failure)
        except ERRORS as error:
            if self._stop.is_set():
                return Done(step, dropped=True)  # its upload may have been taken back
            if ends_all := meets_all(error):
                self._hopeless.set()
            return Done(step, describe(error, step.location), meets_all=ends_all)
        return Done(step)

    def _report(self, done: Done, progress: TransferProgress) -> None:
        if done.dropped or done.untried:
            self._counts["dropped" if done.dropped else "untried"] += 1
            return
        if isinstance(done.step, Copy):
            progress.finished()
        if done.failure is not None:
            self._failed(done.failure, done, progress)
            return
        if isinstance(done.step, Copy):
            self._counts["copied"] += 1
            text = f"{self.verbs[self.dry_run]} {done.step}"
            # Kept for the document alone: a bucket may have more objects than memory has room for.
            if self.output.as_json:
                self._copied.append({"source": str(done.step.source), "target": str(done.step.target)})
        elif done.step is not None:
            self._counts["deleted"] += 1
            text = f"{'would delete' if self.dry_run else 'deleted'} {done.step.target}"
            if self.output.as_json:
                self._deleted.append(str(done.step.target))
        else:
            return
        is_content = isinstance(done.step, Copy) and done.step.target == STANDARD_STREAM
        if not (self.output.as_json or self.quiet or is_content):
            progress.line(text, self.output)

    def _failed(self, failure: Failure, done: Done, progress: TransferProgress) -> None:
        self._failures.append(failure)
        place = done.step.location if done.step is not None else ""
        for line in self._repeats.lines(place, f"s3ec: {failure.message}", most=1 if done.meets_all else NAMED):
            progress.note(line, self.output)
        is_refused = failure.code in (ExitCode.SERVICE, ExitCode.KEYRING)
        if is_refused and self._repeats.alike >= ALIKE and not (self._counts["copied"] or self._counts["deleted"]):
            self._hopeless.set()

    def _end(self, progress: TransferProgress, more: Callable[[], dict[str, Any]]) -> ExitCode:
        self._repeats.close()
        interrupted = bool(self._signals)
        if interrupted:
            self._say_how_far(progress)
        elif self._hopeless.is_set():
            self._say_what_is_left(progress)
        if self.output.as_json:
            document: dict[str, Any] = {"dry_run": self.dry_run, self.verbs[0]: self._copied}
            document |= {"failed": [failure.document() for failure in self._failures], "interrupted": interrupted}
            document |= {"stopped_early": self._hopeless.is_set()}
            self.output.document({**document, **more(), **({"deleted": self._deleted} if self._deleted else {})})
        if interrupted:
            return ExitCode.TERMINATED if signal.SIGTERM in self._signals else ExitCode.INTERRUPTED
        return combined(failure.code for failure in self._failures)

    def _say_what_is_left(self, progress: TransferProgress) -> None:
        untried = self._counts["untried"]
        if progress.complete and not untried:
            return
        number = f"{'' if progress.complete else 'at least '}{max(untried, 1):,} more"
        self.output.note(f"s3ec: stopped: the rest would fail for the same reason; {number} not tried. {self.again}")

    def _say_how_far(self, progress: TransferProgress) -> None:
        if progress.objects == 1:
            of = f" of {human_bytes(progress.size)}" if progress.size else ""
            self.output.note(f"s3ec: interrupted after {human_bytes(progress.moved)}{of}; nothing is half-written")
            return
        known = f"{'' if progress.complete else 'at least '}{progress.objects}"
        text = f"interrupted: {self.verbs[0]} {self._counts['copied']} of {known} objects"
        if dropped := self._counts["dropped"]:
            text += f", dropped {dropped} that {'was' if dropped == 1 else 'were'} under way"
        self.output.note(f"s3ec: {text}; nothing is half-written. {self.again}".rstrip())

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first Ctrl-C ends what is in flight at its next bytes; the second one the process, there and then.

        Python's own end would wait for threads, which may wait for a network that is gone. A download has no final name
        yet, an object appears in S3 whole or not at all, and the first Ctrl-C has taken back what could be.
        """

        def handler(number: int, frame: FrameType | None) -> None:
            if self._signals:
                leave(number, self.again)
            self._signals.append(number)
            self._stop.set()
            self._take_back()

        with _handled(handler):
            yield

    @contextlib.contextmanager
    def _raised_signals(self) -> Iterator[None]:
        """Both signals end what runs in this thread, wherever it waits; a second one ends the process."""
        caught: list[int] = []

        def handler(number: int, frame: FrameType | None) -> None:
            if caught:
                leave(number, self.again)
            caught.append(number)
            self._take_back()
            raise TerminatedError if number == signal.SIGTERM else KeyboardInterrupt

        with _handled(handler):
            yield

    def _take_back(self) -> None:
        if self.uploads is not None:
            self.uploads.take_back_soon()


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
