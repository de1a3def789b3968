"""Progress: a rich display on a terminal, plain lines elsewhere, JSON lines for machines."""

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

__all__ = ["Progress"]

_LINE_SECONDS = 5.0


class Progress:
    """What a person sees while a job runs. Threads may call it, one at a time by whoever owns it."""

    def __init__(self, verb: str) -> None:
        """Take the past participle of what is done: ``"migrated"``."""
        self._verb = verb
        self._began = time.monotonic()
        self.objects = 0
        self.bytes = 0
        self.failures = 0

    @staticmethod
    @contextlib.contextmanager
    def of(output: Output, options: Options, verb: str) -> Iterator[Progress]:
        """The progress for these streams and options; it ends with the block."""
        with contextlib.ExitStack() as stack:
            if options.events is not None:
                yield _Events(verb, stack.enter_context(options.events.open("w", encoding="utf-8")))
            elif output.stderr.isatty() and not output.as_json:
                display = stack.enter_context(_display(output.stderr))
                yield _Rich(verb, display)
            else:
                yield _Lines(verb, output)

    def total(self, objects: int) -> None:
        """Say how much there is."""

    def advance(self, size: int, *, failed: bool = False) -> None:
        """One object is dealt with."""
        self.objects += 1
        self.bytes += size
        self.failures += failed
        self._show()

    def event(self, event: Mapping[str, Any], line: str = "") -> None:
        """Something worth a line; an empty line is for machines alone."""

    def _show(self) -> None:
        """Bring the display up to date."""

    @property
    def rate(self) -> float:
        """Bytes per second since the beginning."""
        return self.bytes / max(time.monotonic() - self._began, 1e-9)

    @property
    def status(self) -> str:
        """The numbers in words."""
        failures = f", {self.failures} failed" if self.failures else ""
        return f"{human_bytes(self.bytes)}, {human_bytes(self.rate)}/s{failures}"


class _Lines(Progress):
    """A line every few seconds on standard error."""

    def __init__(self, verb: str, output: Output) -> None:
        super().__init__(verb)
        self._output = output
        self._next = time.monotonic() + _LINE_SECONDS
        self._of = ""

    def total(self, objects: int) -> None:
        self._of = f" of {objects}"

    def event(self, event: Mapping[str, Any], line: str = "") -> None:
        if line:
            self._output.note(line)

    def _show(self) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_SECONDS
            self._output.note(f"{self.objects}{self._of} objects {self._verb}, {self.status}")


class _Events(Progress):
    """One JSON document a line, into a file."""

    def __init__(self, verb: str, stream: TextIO) -> None:
        super().__init__(verb)
        self._stream = stream

    def event(self, event: Mapping[str, Any], line: str = "") -> None:
        self._stream.write(json.dumps({"time": round(time.time(), 3), **event}) + "\n")
        self._stream.flush()


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

    def total(self, objects: int) -> None:
        self._display.update(self._bar, total=objects)

    def event(self, event: Mapping[str, Any], line: str = "") -> None:
        if line:
            self._display.console.print(line, markup=False, highlight=False)

    def _show(self) -> None:
        self._display.update(self._bar, completed=self.objects, status=self.status)
