"""What flows on threads wait with, while another one changes the state that they need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from s3ec import forks
from s3ec.s3.flow import Wait

__all__ = ["ThreadMonitor"]


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
