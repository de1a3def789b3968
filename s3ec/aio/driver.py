"""Drives flows on an event loop: carries out one effect after the other, and decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from s3ec.s3.flow import Effect, FailedCallError, Flow, RefusedError, UnreachableError

__all__ = ["run", "to_the_end"]

T = TypeVar("T")


async def run(flow: Flow[T], perform: Callable[[Effect], Awaitable[object]]) -> T:
    """Run a flow to its end, and return its result.

    A task that is cancelled throws that into the flow, which closes what it has opened; the effects of doing so are
    carried out whatever else the task is told, and only then does the cancellation go on.

    Args:
        flow: one that was not started.
        perform: carries out an effect, and returns the answer. A library's own error for a connection that was cut is
            to be an `UnreachableError`, unless it is botocore's.

    Raises:
        whatever leaves the flow; of a call that failed the error itself.
    """
    failed: Exception
    try:
        return await _run(flow, perform)
    except FailedCallError as failure:
        failed = failure.error
    try:
        raise failed
    finally:
        del failed


async def _run(flow: Flow[T], perform: Callable[[Effect], Awaitable[object]]) -> T:
    answer: object = None
    error: BaseException | None = None
    cancelled = False
    try:
        while True:
            asked = flow.send(answer) if error is None else flow.throw(error)
            answer = error = None
            # The error is thrown in outside of its handler: what the flow raises afterwards is no consequence of it.
            try:
                answer = await (to_the_end(perform(asked)) if cancelled else perform(asked))
            except ClientError as refused:
                error = RefusedError(refused, refused.response)
            except BotoCoreError as unreachable:
                error = UnreachableError(unreachable)
            except BaseException as other:  # all others too are for the flow to see, which closes what it has opened
                error = other
                cancelled = cancelled or isinstance(other, asyncio.CancelledError)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        # An error's frames hold this one: no cycle is to keep its body and its connection.
        del answer, error


async def to_the_end(answer: Awaitable[object]) -> object:
    """Wait for an answer, however often the task that waits is cancelled meanwhile."""
    performing = asyncio.ensure_future(answer)
    while not performing.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([performing])
    return performing.result()
