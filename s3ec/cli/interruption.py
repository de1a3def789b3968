"""Ctrl-C during a bucket job: the first lets what is in flight finish, the second leaves it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["interruptible", "leave"]

_SHOW_CURSOR = "\x1b[?25h"


@contextlib.contextmanager
def interruptible(stop: threading.Event, *, resumable: bool) -> Iterator[list[int]]:
    """Turn SIGINT and SIGTERM into a stop while the block runs; yields the signals that came.

    The second one may come at any moment: an object appears in S3 whole or not at all, the
    journal is a database that survives a kill, and the next run clears away multipart uploads that were left open. So
    the process ends there and then, without waiting for threads that may be in the middle of a large object.

    Args:
        stop: set by the first signal.
        resumable: a journal in a file knows what is done.
    """
    caught: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        if caught:
            leave(number, f"To go on, {'run the same command again' if resumable else 'start again'}.")
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


def leave(number: int, advice: str) -> None:
    """End the process at once; its streams may be in the middle of a line, so only the descriptor is written to.

    Args:
        number: the signal that asked for it.
        advice: how to go on.
    """
    cursor = _SHOW_CURSOR if os.isatty(2) else ""
    text = f"{cursor}\ns3ec: left what was in flight; nothing is half-written. {advice}".rstrip() + "\n"
    with contextlib.suppress(OSError):
        os.write(2, text.encode())
    os._exit(128 + number)
