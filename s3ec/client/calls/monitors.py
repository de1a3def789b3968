"""What flows on threads wait with, while another one changes the state that they need."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from s3ec import forks
from s3ec.s3.flow import Wait

__all__ = ["ThreadMonitor", "take_step"]


class ThreadMonitor:
    """Guards one state; see `s3ec.s3.flow.Step`."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._changed: threading.Condition
        forks.make_in_each_process(self, _changed=threading.Condition)

    def now(self) -> float:
        """Seconds on a clock that only goes on."""
        return time.monotonic()

    def take(self, function: Callable[[], object]) -> object:
        """Take a step as soon as it can be taken."""
        with self._changed:
            while isinstance(answer := function(), Wait):
                self._changed.wait(answer.seconds)
            self._changed.notify_all()
            return answer


def take_step(monitor: Any, function: Callable[[], object]) -> object:
    """Take a step of a state, which an asynchronous client of this process may guard for its tasks."""
    taken = monitor.take(function)
    if not inspect.iscoroutine(taken):
        return taken
    with ThreadPoolExecutor(1) as thread:  # this one may have a loop of its own, which is not to be entered
        return thread.submit(asyncio.run, taken).result()
