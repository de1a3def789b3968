"""Work that takes its time, done in a thread: the event loop goes on meanwhile.

A thread cannot be stopped. Whoever is cancelled while one works waits for it and is cancelled then, so that nothing of
ours is ever used by a thread that nobody waits for any more: a cipher, say, or a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar, cast

__all__ = ["LARGE", "off_loop", "several", "work_on"]

T = TypeVar("T")

LARGE = 256 * 1024
"""Bytes from which on a thread is worth its while: encrypting them takes longer than handing them over."""


async def off_loop(function: Callable[[], T], executor: Executor | None = None) -> T:
    """Call a function in a thread, and return what it returns.

    Args:
        function: it must not depend on which thread calls it.
        executor: whose threads; None for the loop's own.

    Raises:
        asyncio.CancelledError: the caller was cancelled; the function has ended all the same.
        whatever the function raises.
    """
    loop = asyncio.get_running_loop()
    working = loop.run_in_executor(executor, partial(contextvars.copy_context().run, function))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([working])
        if not working.cancelled():
            working.exception()  # seen: what became of it is nobody's business any more
        raise


async def work_on(size: int, function: Callable[[], T]) -> T:
    """Call a function: in a thread, if it has so many bytes to work on that the loop would be held."""
    return await off_loop(function) if size >= LARGE else function()


async def several(begin: Iterable[Callable[[], Awaitable[T]]], at_once: int) -> list[T]:
    """Do several things, some at a time; after one that failed no other is begun, and those that run are waited for.

    Args:
        begin: what begins each.
        at_once: so many at a time.

    Returns:
        What became of each, in their order.

    Raises:
        whatever the first of them raises, in their order.
    """
    turns = asyncio.Semaphore(max(at_once, 1))
    is_over = False

    async def one(each: Callable[[], Awaitable[T]]) -> T | None:
        nonlocal is_over
        async with turns:
            if is_over:
                return None
            try:
                return await each()
            except BaseException:  # seen by nobody here: it goes on its way
                is_over = True
                raise

    outcomes = await asyncio.gather(*map(one, begin), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return cast("list[T]", outcomes)
