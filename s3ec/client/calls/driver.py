"""Drives flows on boto3: carries out one effect after the other, and decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from s3ec.s3.flow import Effect, FailedCallError, Flow, RefusedError, UnreachableError

__all__ = ["run"]

T = TypeVar("T")


def run(flow: Flow[T], perform: Callable[[Effect], object]) -> T:
    """Run a flow to its end, and return its result.

    Args:
        flow: one that was not started.
        perform: carries out an effect, and returns the answer.

    Raises:
        whatever leaves the flow; of a call that failed the error itself.
    """
    failed: Exception
    try:
        return _run(flow, perform)
    except FailedCallError as failure:
        failed = failure.error
    try:
        raise failed
    finally:
        del failed


def _run(flow: Flow[T], perform: Callable[[Effect], object]) -> T:
    answer: object = None
    error: BaseException | None = None
    try:
        while True:
            asked = flow.send(answer) if error is None else flow.throw(error)
            answer = error = None
            # The error is thrown in outside of its handler: what the flow raises afterwards is no consequence of it.
            try:
                answer = perform(asked)
            except ClientError as refused:
                error = RefusedError(refused, refused.response)
            except BotoCoreError as unreachable:
                error = UnreachableError(unreachable)
            except BaseException as other:  # all others too are for the flow to see, which closes what it has opened
                error = other
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        # An error's frames hold this one: no cycle is to keep its body and its connection.
        del answer, error
