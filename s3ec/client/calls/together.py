"""Several calls at once, where threads can be had."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["for_each"]

T = TypeVar("T")


def for_each(work: Callable[[T], object], items: Sequence[T], threads: int) -> None:
    """Call a function for each item, several at a time; one after another once the interpreter is going down.

    After one that failed no other is begun, and those that run are waited for.

    Python starts no thread after the main one has ended, and plain boto3 needs none for these calls, so programs make
    them in ``atexit`` handlers.

    Args:
        work: the function.
        items: what it is called with.
        threads: at most this many calls at a time.

    Raises:
        whatever ``work`` raises, for the first item that it raises for.
    """
    if len(items) <= 1:
        for item in items:
            work(item)
        return
    is_over = threading.Event()

    def one(item: T) -> None:
        if not is_over.is_set():
            try:
                work(item)
            except BaseException:  # kept in its future
                is_over.set()
                raise

    left = list(items)
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        pending = []
        try:
            while left:
                pending.append(pool.submit(one, left[0]))
                del left[0]
        except RuntimeError:  # of the pool alone: what ``work`` raises is kept in its future
            pass
        for item in left:
            one(item)
        for future in pending:
            future.result()
