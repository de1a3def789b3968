"""What a person sees while content moves: bytes, rate and objects on a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import TextColumn

from s3ec.cli.output import Output, human_bytes
from s3ec.errors import escaped

__all__ = ["TransferProgress"]

_INTERVAL = 0.1


class TransferProgress:
    """Counts what moves; threads may call it.

    Attributes:
        objects: how many are known.
        size: their bytes, as far as they are known.
        done: objects that are dealt with.
        moved: bytes that went over the wire, or were about to.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.objects = self.size = self.done = self.moved = 0
        self.complete = False
        self._began = time.monotonic()
        self._lock = threading.Lock()

    @staticmethod
    @contextlib.contextmanager
    def of(output: Output, *, wanted: bool) -> Iterator[TransferProgress]:
        """A display on standard error where that is a terminal and one is wanted; else one that counts in silence."""
        if not wanted or output.as_json or not output.stderr.isatty():
            yield TransferProgress()
            return
        # One line that is made to fit: columns of rich's own would be cut at narrow terminals.
        console = Console(file=output.stderr)
        display = RichProgress(
            TextColumn("{task.description}", markup=False), console=console, transient=True, auto_refresh=True
        )
        with display:
            yield _Shown(display, output)

    def expect(self, size: int | None) -> None:
        """Expect one more object to move."""
        with self._lock:
            self.objects += 1
            self.size += size or 0
        self._show()

    def all_known(self) -> None:
        """Note that nothing comes after what is expected by now."""
        self.complete = True

    def moving(self, count: int) -> None:
        """Count this many more bytes."""
        with self._lock:
            self.moved += count
        self._show()

    def finished(self) -> None:
        """Count one object that is dealt with."""
        with self._lock:
            self.done += 1
        self._show()

    def line(self, text: str, output: Output) -> None:
        """Write a line of results."""
        output.line(text)

    def note(self, text: str, output: Output) -> None:
        """Write a line on standard error."""
        output.note(text)

    @property
    def status(self) -> str:
        """The numbers in words, for about 75 columns: bytes, rate, objects, time left."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = self.moved / seconds
        about = "" if self.complete else "~"
        size = max(self.size, self.moved)
        parts = [f"{human_bytes(self.moved)} of {about}{human_bytes(size)}", f"{human_bytes(rate)}/s"]
        if self.objects > 1:
            parts.append(f"{self.done} of {about}{self.objects} objects")
        if self.complete and rate and seconds > 1:
            left = round((size - self.moved) / rate)
            parts.append(f"{left // 60}:{left % 60:02} left")
        return ", ".join(parts)

    def _show(self) -> None:
        """Bring the display up to date."""


class _Shown(TransferProgress):
    """One line at the bottom of the terminal."""

    def __init__(self, display: RichProgress, output: Output) -> None:
        super().__init__()
        self._display = display
        self._task = display.add_task("", total=None)
        self._next = 0.0
        self._shares_screen = output.stdout.isatty()

    def line(self, text: str, output: Output) -> None:
        if self._shares_screen:
            # Above the display, which would be torn apart by a line written past it.
            self._print(text)
        else:
            output.line(text)

    def note(self, text: str, output: Output) -> None:
        self._print(text)

    def _print(self, text: str) -> None:
        self._display.console.print(escaped(text), markup=False, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _INTERVAL
            width = self._display.console.width
            parts = self.status.split(", ")
            while len(parts) > 1 and len(", ".join(parts)) > width - 1:
                parts.pop()
            self._display.update(self._task, description=", ".join(parts))
