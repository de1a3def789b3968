"""Tests that are coroutines, and what they measure of their loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

__all__ = ["on_loop", "stalls"]


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine function on an event loop of its own, for pytest."""

    @functools.wraps(test)
    def run(*args: Any, **keywords: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **keywords), 120))

    return run


@contextlib.asynccontextmanager
async def stalls() -> AsyncIterator[list[float]]:
    """How long the loop was held each time, in seconds; the longest is what matters."""
    held: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            held.append(time.perf_counter() - before)

    watching = asyncio.ensure_future(watch())
    try:
        yield held
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
