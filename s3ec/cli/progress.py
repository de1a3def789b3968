"""Progress: a rich display on a terminal, plain lines elsewhere, and JSON lines in a file for machines."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from s3ec.cli.options import Options
from s3ec.cli.output import Output, human_bytes
from s3ec.errors import escaped
from s3ec.migrate.journal.file import open_private

__all__ = ["Progress"]

_LINE_SECONDS = 5.0


class Progress:
    """What a person sees while a job runs. Threads may call it; its owner lets them in one at a time."""

    def __init__(self, verb: str) -> None:
        """Take the past participle of what is done: ``"migrated"``."""
        self._verb = verb
        self._began = time.monotonic()
        self._before = 0
        self._of = ""
        self.stream: TextIO | None = None
        self.objects = 0
        self.bytes = 0
        self.failures = 0
        self.skipped = 0

    @staticmethod
    @contextlib.contextmanager
    def of(output: Output, options: Options, verb: str) -> Iterator[Progress]:
        """The progress for these streams and options; it ends with the block."""
        with contextlib.ExitStack() as stack:
            events = None
            if options.events is not None:
                events = stack.enter_context(open_private(options.events))
            progress: Progress
            if output.stderr.isatty() and not output.as_json:
                progress = _Rich(verb, stack.enter_context(_display(output.stderr)))
            else:
                progress = _Lines(verb, output)
            progress.stream = events
            yield progress

    def total(self, objects: int, before: int = 0) -> None:
        """Say how many there are in all, and how many of them were dealt with before this run began."""
        self._before = before
        self._of = f" of {objects:,}"

    def advance(self, size: int, *, failed: bool = False, skipped: bool = False) -> None:
        """Count one object that is dealt with.

        Args:
            size: bytes that were carried for it.
            failed: it is not done although it was wanted.
            skipped: it is left alone, for a reason that is not a failure.
        """
        self.objects += 1
        self.failures += failed
        self.skipped += skipped
        self.bytes += size
        self._show()

    def event(self, event: Mapping[str, Any], line: str = "") -> None:
        """Write to the file of events, and a line for people if the event is worth one."""
        if self.stream is not None:
            self.stream.write(json.dumps({"time": round(time.time(), 3), **event}) + "\n")
            self.stream.flush()
        if line:
            self.say(line)

    def say(self, line: str) -> None:
        """Write a line for people."""

    def _show(self) -> None:
        """Bring the display up to date."""

    @property
    def rate(self) -> float:
        """Bytes per second since the start."""
        return self.bytes / max(time.monotonic() - self._began, 1e-9)

    @property
    def done(self) -> int:
        """Objects that are as they should be, those of earlier runs included."""
        return self._before + self.objects - self.failures - self.skipped

    @property
    def status(self) -> str:
        """The numbers in words."""
        counts = {"skipped": self.skipped, "failed": self.failures}
        said = [f"{count:,} {name}" for name, count in counts.items() if count]
        if self._before:
            said.append(f"{self._before:,} before this run")
        return ", ".join([human_bytes(self.bytes), f"{human_bytes(self.rate)}/s", *said])


class _Lines(Progress):
    """A line every few seconds on standard error."""

    def __init__(self, verb: str, output: Output) -> None:
        super().__init__(verb)
        self._output = output
        self._next = time.monotonic() + _LINE_SECONDS

    def say(self, line: str) -> None:
        self._output.note(line)

    def _show(self) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_SECONDS
            self._output.note(f"{self.done:,}{self._of} objects {self._verb}, {self.status}")


def _display(stream: TextIO) -> RichProgress:
    return RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream),
        transient=True,
    )


class _Rich(Progress):
    """A bar with objects, bytes, rate, time left and failures so far."""

    def __init__(self, verb: str, display: RichProgress) -> None:
        super().__init__(verb)
        self._display = display
        self._bar = display.add_task(verb, total=None, status="")

    def total(self, objects: int, before: int = 0) -> None:
        if before and not self._before:
            # What was there before took this run no time: the time left must not be reckoned from it.
            self._display.reset(self._bar, completed=before)
        super().total(objects, before)
        self._display.update(self._bar, total=objects, completed=before + self.objects)

    def say(self, line: str) -> None:
        self._display.console.print(escaped(line), markup=False, highlight=False)

    def _show(self) -> None:
        self._display.update(self._bar, completed=self._before + self.objects, status=self.status)
