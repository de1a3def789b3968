"""What flows on event loops wait with, while another one changes the state that they need."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

from s3ec.s3.flow import Wait

__all__ = ["TaskMonitor"]


class TaskMonitor:
    """Guards the state of one upload, for tasks of any loop; see `s3ec.s3.flow.Step`.

    Its lock is held while a step is taken, which waits for nothing.
    """

    def __init__(self) -> None:
        """Nobody waits."""
        self._lock = threading.Lock()
        self._waiting: set[asyncio.Future[None]] = set()

    def now(self) -> float:
        """Seconds on a clock that only goes on."""
        return time.monotonic()

    async def take(self, function: Callable[[], object]) -> object:
        """Take a step as soon as it can be taken; at once, if that is now."""
        while True:
            with self._lock:
                answer = function()
                if not isinstance(answer, Wait):
                    self._wake_all()
                    return answer
                changed = asyncio.get_running_loop().create_future()
                self._waiting.add(changed)
            try:
                await asyncio.wait([changed], timeout=answer.seconds)
            finally:
                with self._lock:
                    self._waiting.discard(changed)

    def _wake_all(self) -> None:
        for changed in self._waiting:
            with contextlib.suppress(RuntimeError):  # its loop was closed meanwhile, and nobody waits there any more
                changed.get_loop().call_soon_threadsafe(_wake, changed)
        self._waiting.clear()


def _wake(changed: asyncio.Future[None]) -> None:
    if not changed.done():
        changed.set_result(None)
