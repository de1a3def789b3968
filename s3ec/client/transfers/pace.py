"""How many requests of a transfer are on their way at once, by how far the server is and how fast it sends."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pace"]

_MIB = 1024 * 1024
_NEAR = 0.005
_SLOW = 200 * _MIB
_ENOUGH_TO_TELL = 32 * _MIB


class Pace:
    """How many requests are worth having in flight.

    Many of them hide a distant server's latency, and add up where each connection is slow. With a server that is close
    and fast their threads are in each other's way: a few are faster, in a fraction of the memory.

    Attributes:
        workers: requests in flight.
        is_near: True as long as the server answers quickly, and sends quickly.
    """

    def __init__(
        self, most: int, answered_in: float, clock: Callable[[], float] = time.monotonic, *, near: int = 3
    ) -> None:
        """Begin.

        Args:
            most: requests in flight at most.
            answered_in: seconds that the server took for an answer without a body.
            clock: seconds of a clock that never goes back.
            near: requests in flight with a server that is close.
        """
        self.is_near = answered_in < _NEAR
        self.workers = min(most, near) if self.is_near else most
        self._most = most
        self._clock = clock
        self._since = clock()
        self._bytes = 0

    def took(self, count: int) -> None:
        """Notice that this many bytes have arrived; if they are slow to come, all requests are let loose."""
        if not self.is_near or self._bytes >= _ENOUGH_TO_TELL:
            return
        self._bytes += count
        if self._bytes >= _ENOUGH_TO_TELL and self._bytes < _SLOW * (self._clock() - self._since):
            self.is_near, self.workers = False, self._most
