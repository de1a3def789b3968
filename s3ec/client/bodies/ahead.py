"""Work that a thread does while its owner does something else, such as sending what came before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

__all__ = ["Ahead"]

T = TypeVar("T")


class Ahead(Generic[T]):
    """Pieces of work that are done in their order, ahead of the moment at which their results are taken.

    Its owner calls this from one thread at a time. Where there is no thread to be had, as at the end of the
    interpreter, work is done when its result is taken.
    """

    def __init__(self, name: str) -> None:
        """Begin without a thread; it is there from the first work on.

        Args:
            name: of the thread, for those who look at a process.
        """
        self._name = name
        self._executor: ThreadPoolExecutor | None = None
        self._begun: deque[Future[T] | Callable[[], T]] = deque()

    def __len__(self) -> int:
        """Results to be taken."""
        return len(self._begun)

    def begin(self, work: Callable[[], T], *, threaded: bool = True) -> None:
        """Have something done, after what was begun before.

        Args:
            work: what to do.
            threaded: False has it done when its result is taken.
        """
        begun: Future[T] | Callable[[], T] = work
        if threaded and (not self._begun or isinstance(self._begun[-1], Future)):
            try:
                if self._executor is None:
                    self._executor = ThreadPoolExecutor(1, self._name)
                begun = self._executor.submit(work)
            except RuntimeError:  # no thread can be started
                begun = work
        self._begun.append(begun)

    def take(self) -> T:
        """Return the next result, when it is there.

        Raises:
            whatever the work raises.
        """
        begun = self._begun.popleft()
        return begun.result() if isinstance(begun, Future) else begun()

    def drop(self) -> None:
        """Forget all that was begun, and wait for what cannot be stopped any more."""
        while self._begun:
            begun = self._begun.pop()
            if isinstance(begun, Future) and not begun.cancel():
                begun.exception()

    def close(self) -> None:
        """End the thread."""
        self.drop()
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()
