"""What Dask and Ray have in common: tasks out, outcomes in, and a journal that knows what is under way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from s3ec.errors import MigrationError
from s3ec.migrate.jobs.workers import Callback, Event
from s3ec.migrate.journal.journal import Journal
from s3ec.migrate.model import Outcome, Result, Task
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.steps.step import job_text, next_task, run_json

__all__ = ["Driver", "WorkerPool", "run_task"]

_POLL_SECONDS = 0.5
_RETRY_SECONDS = 1.0
_JOB_ERROR = "s3ec-job-error"


def run_task(task: str, settings: str) -> str:
    """What runs on a worker: `run_json`, with an error that stops the whole job as text of its own.

    Clients and keyrings are built on the worker and kept there; nothing that holds a connection or a key is sent.
    """
    try:
        return run_json(task, settings)
    # The edge of a worker. Not every exception survives the way back in a pickle; text does. And whatever it is, an
    # engine that sees an exception writes the arguments into its log, among them the key of the journal.
    except Exception as error:
        return json.dumps({_JOB_ERROR: f"{type(error).__name__}: {error}"})


class WorkerPool(Protocol):
    """Workers somewhere; handles are theirs to choose, and hashable."""

    def submit(self, task: str, settings: str) -> Any:
        """Send `run_task` to some worker. Returns a handle.

        Args:
            task: the task as JSON.
            settings: the job as text: the settings, and the key under which the worker names what it reads. It is for
                `run_task` alone, and not for logs.
        """

    def finished(self, handles: Iterable[Any], timeout: float) -> list[tuple[Any, str | None]]:
        """Handles that are done, with what `run_task` returned, or None where every worker that tried it died.

        Waits up to ``timeout`` seconds for the first one.
        """

    def forget(self, handles: Iterable[Any]) -> None:
        """Whatever has not begun need not."""


@dataclass(frozen=True, slots=True)
class Driver:
    """Feeds a pool of workers from the journal; given to `s3ec.migrate.run` as ``engine``.

    Attributes:
        pool: the workers.
        window: tasks that are out at a time; a few for each worker's thread keep it busy.
    """

    pool: WorkerPool
    window: int = 256

    def __call__(
        self,
        settings: MigrationSettings,
        journal: Journal,
        on_outcome: Callable[[Outcome], None],
        emit: Callback,
        stop: threading.Event,
    ) -> None:
        """Do what is open in the journal until nothing is, or until told to stop; what is out then is waited for.

        Raises:
            MigrationError: a worker met what stops the whole job.
        """
        text = job_text(settings, journal.mac_key)
        out: dict[Any, tuple[int, Task]] = {}
        try:
            while True:
                if not stop.is_set():
                    self._send(journal, out, text, emit)
                if not out:
                    if stop.is_set() or journal.is_idle():
                        return
                    stop.wait(_POLL_SECONDS)
                for handle, answer in self.pool.finished(list(out), _POLL_SECONDS):
                    number, task = out[handle]
                    self._book(journal, number, _outcome(task, answer), settings, on_outcome, emit)
                    del out[handle]
        finally:
            self.pool.forget(out)
            journal.release(number for number, _ in out.values())

    def _send(self, journal: Journal, out: dict[Any, tuple[int, Task]], settings: str, emit: Callback) -> None:
        for number, task in journal.claim(self.window - len(out)):
            emit(Event(kind="started", task=task))
            out[self.pool.submit(task.to_json(), settings)] = (number, task)

    @staticmethod
    def _book(
        journal: Journal,
        number: int,
        outcome: Outcome,
        settings: MigrationSettings,
        on_outcome: Callable[[Outcome], None],
        emit: Callback,
    ) -> None:
        again = next_task(outcome, settings)
        delay = _RETRY_SECONDS * 2**outcome.task.attempt if outcome.result is Result.RETRY else 0.0
        journal.finish(number, outcome, again=again, delay=delay)
        on_outcome(outcome)
        emit(Event(kind="again" if again else "finished", outcome=outcome))


def _outcome(task: Task, answer: str | None) -> Outcome:
    if answer is None:
        return Outcome(task=task, result=Result.RETRY, error="WorkerLost", message="every worker that tried it died")
    values = json.loads(answer)
    if _JOB_ERROR in values:
        raise MigrationError(values[_JOB_ERROR])
    return Outcome.from_dict(values)
