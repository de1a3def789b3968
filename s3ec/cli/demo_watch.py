"""What a person sees while the demo is at work, and how Ctrl-C ends it at once."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from rich.console import Console
from rich.text import Text

from s3ec.cli.failures import ExitCode, Failure
from s3ec.cli.output import Output, human_bytes
from s3ec.errors import escaped

__all__ = ["Tell", "WatchedFile", "in_background", "silent", "watch"]

T = TypeVar("T")

Tell = Callable[[str, int, int], None]
"""Called with what is being done, how many bytes are done, and of how many."""


def silent(what: str, done: int, size: int) -> None:
    """Say nothing."""


class WatchedFile(io.FileIO):
    """A file that says how far it has been read; each pass over it begins at 0 again."""

    def __init__(self, path: Path, tell: Callable[[int], None]) -> None:
        """Open the file for reading."""
        super().__init__(path, "r")
        self._tell = tell

    def readinto(self, buffer: Any) -> int:
        """Read, and report it."""
        count = super().readinto(buffer)
        self._tell(self.tell())
        return count

    def readall(self) -> bytes:
        """Read the rest, and report it."""
        content = super().readall()
        self._tell(self.tell())
        return content


@contextlib.contextmanager
def watch(output: Output) -> Iterator[Tell]:
    """Show one moving line on a terminal; elsewhere nothing, since that output is read afterwards."""
    if output.as_json or not output.stderr.isatty():
        yield silent
        return
    with Console(file=output.stderr).status("starting an S3 and a KMS on this machine") as status:

        def tell(what: str, done: int, size: int) -> None:
            status.update(Text(escaped(f"{what}: {human_bytes(done)} of {human_bytes(size)}")))

        yield tell


def in_background(work: Callable[[], T], output: Output) -> T:
    """Do it in a thread, so that Ctrl-C meets a thread that only waits.

    A thread in the middle of two gigabytes sees no signal: Python hands it to the main thread, and drops it where that
    is inside a finaliser. An orderly end would wait for the server and for whatever it still receives; nothing of
    either outlives the process, so the process ends.

    Raises:
        Exception: whatever the work raises.
    """
    ended: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def body() -> None:
        try:
            ended.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
            ended.put((None, error))

    threading.Thread(target=body, name="s3ec-demo", daemon=True).start()
    try:
        value, error = ended.get()
    except KeyboardInterrupt:
        _abandon(output)
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # it is there where no error is


def _abandon(output: Output) -> NoReturn:
    if output.stderr.isatty():
        output.stderr.write("\x1b[?25h\r\x1b[K")
    output.note("s3ec: interrupted")
    if output.as_json and not output.documents:
        failure = Failure(code=ExitCode.INTERRUPTED, error="Interrupted", message="interrupted")
        output.document({"error": failure.document()})
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(ExitCode.INTERRUPTED)
