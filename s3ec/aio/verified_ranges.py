"""The table of verified objects, for tasks: ten parallel ranges of an object wait for one pass over it."""

from __future__ import annotations

import asyncio

from s3ec.client.calls.verified_ranges import VerifiedTable
from s3ec.s3.verified import Place

__all__ = ["AsyncVerifiedTable"]


class AsyncVerifiedTable(VerifiedTable):
    """The verified objects of one client, whose tasks run on one loop."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self._waited_for: dict[Place, asyncio.Lock] = {}

    def gate(self, place: Place) -> _AsyncGate:  # type: ignore[override]  # what it is, only those know who drive flows
        """What one task at a time is in that reads the object in that place."""
        return _AsyncGate(self._waited_for, place)


class _AsyncGate:
    def __init__(self, waited_for: dict[Place, asyncio.Lock], place: Place) -> None:
        self._all = waited_for
        self._place = place
        self._lock = asyncio.Lock()

    async def acquire(self) -> None:
        """Wait until no other task is in it."""
        self._lock = self._all.setdefault(self._place, self._lock)
        await self._lock.acquire()

    def release(self) -> None:
        """Let the next one in; who comes later finds what was read in the table."""
        self._all.pop(self._place, None)
        self._lock.release()
