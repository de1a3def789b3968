"""Threads of one process that take open objects from the journal and do them."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from s3ec.errors import MigrationError
from s3ec.migrate.journal.journal import Journal
from s3ec.migrate.jsonable import Jsonable
from s3ec.migrate.model import Outcome, Result, Task
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.steps.step import migrate_one, next_task
from s3ec.migrate.work.context import MigrationContext

__all__ = ["Callback", "Event", "work"]

_IDLE_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_CLAIM = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Jsonable):
    """Something that a progress display may show; the callback runs in a worker's thread and should be quick.

    Attributes:
        kind: ``"listed"``, ``"started"``, ``"finished"``, ``"again"``, ``"notice"``, ``"stopping"``, ``"summary"``.
        objects: objects known so far.
        bytes: their stored bytes.
        task: the task, for ``started``.
        outcome: the outcome, for ``finished`` and ``again``.
        message: the text, for ``notice``.
    """

    kind: str
    objects: int | None = None
    bytes: int | None = None
    task: Task | None = None
    outcome: Outcome | None = None
    message: str = ""


Callback = Callable[[Event], None]
"""Told what happens, from several threads at once."""


def work(
    settings: MigrationSettings,
    journal: Journal,
    context: MigrationContext,
    workers: int,
    on_outcome: Callable[[Outcome], None],
    emit: Callback,
    stop: threading.Event,
) -> None:
    """Do what is open in the journal until nothing is, or until told to stop.

    Raises:
        botocore.exceptions.ClientError: what stops the whole job; everything else is in the outcomes.
    """
    pool = _Pool(settings, journal, context, workers, on_outcome, emit, stop)
    try:
        pool.feed()
    except KeyboardInterrupt:
        stop.set()
    finally:
        pool.drain()


class _Pool:
    """Threads that take tasks from one short queue, so that no more than is being done is leased or in memory."""

    def __init__(
        self,
        settings: MigrationSettings,
        journal: Journal,
        context: MigrationContext,
        workers: int,
        on_outcome: Callable[[Outcome], None],
        emit: Callback,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._context = context
        self._on_outcome = on_outcome
        self._emit = emit
        self._stop = stop
        self._failed: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        # Room for the last word to every thread, though none of them may be left to take it.
        self._queue: queue.Queue[tuple[int, Task] | None] = queue.Queue(maxsize=max(_CLAIM, workers))
        self._threads = [threading.Thread(target=self._work, name=f"s3ec-{number}") for number in range(workers)]
        for thread in self._threads:
            thread.start()

    def feed(self) -> None:
        while not self._stop.is_set() and self._failed.empty():
            claimed = self._journal.claim(_CLAIM)
            for position, entry in enumerate(claimed):
                if not self._put(entry):
                    self._journal.release(number for number, _ in claimed[position:])
                    break
            if not claimed:
                if self._journal.is_idle():
                    return
                self._stop.wait(_IDLE_SECONDS)

    def _put(self, entry: tuple[int, Task]) -> bool:
        while not self._stop.is_set() and self._failed.empty():
            with contextlib.suppress(queue.Full):
                self._queue.put(entry, timeout=_IDLE_SECONDS)
                return True
        return False

    def drain(self) -> None:
        """Let every thread finish what it has begun; what it has not goes back."""
        try:
            if self._stop.is_set() or not self._failed.empty():
                self._emit(Event(kind="stopping"))
                self._give_back()
        finally:
            # Whatever happened above, no thread may be left waiting forever: the process could not end.
            for _ in self._threads:
                self._queue.put(None)
            for thread in self._threads:
                thread.join()
        if not self._failed.empty():
            raise self._failed.get()

    def _give_back(self) -> None:
        unbegun = []
        with contextlib.suppress(queue.Empty):
            while True:
                entry = self._queue.get_nowait()
                unbegun += [entry[0]] if entry else []
        self._release(unbegun)

    def _release(self, ids: list[int]) -> None:
        """Give leases back. Where the journal cannot even write that, they end with this process."""
        with contextlib.suppress(MigrationError):
            self._journal.release(ids)

    def _work(self) -> None:
        while True:
            entry = self._queue.get()
            if entry is None:
                return
            if self._stop.is_set():
                # The queue's feeder may be waiting for the journal and see the stop later than this thread.
                self._release([entry[0]])
                continue
            try:
                self._do(*entry)
            except BaseException as error:
                # Whatever it is, it ends the run and is raised again there: a thread that died without a word would
                # leave its task leased, and the run waiting for it.
                self._failed.put(error)
                self._release([entry[0]])
                return

    def _do(self, number: int, task: Task) -> None:
        self._emit(Event(kind="started", task=task))
        outcome = migrate_one(task, context=self._context)
        again = next_task(outcome, self._settings)
        delay = _RETRY_SECONDS * 2**task.attempt if outcome.result is Result.RETRY else 0.0
        self._journal.finish(number, outcome, again=again, delay=delay)
        self._on_outcome(outcome)
        self._emit(Event(kind="again" if again else "finished", outcome=outcome))
