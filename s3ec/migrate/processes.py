"""Several processes on one journal: Python's threads share one core, and small objects cost more Python than network.

The processes share nothing but the journal's file. Each is to it what another run would be: it leases what it does, and
whatever it leaves when it is killed is taken up by the others.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec.errors import MigrationError, S3ECError
from s3ec.migrate.context import MigrationContext
from s3ec.migrate.journal import Journal
from s3ec.migrate.model import Outcome
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.workers import Callback, Event, work

__all__ = ["work_in_processes"]

_POLL_SECONDS = 0.2


def work_in_processes(
    settings: MigrationSettings,
    journal: Journal,
    workers: int,
    processes: int,
    on_outcome: Callable[[Outcome], None],
    emit: Callback,
    stop: threading.Event,
) -> None:
    """Do what is open in the journal, as `s3ec.migrate.workers.work` does, with so many processes.

    Raises:
        s3ec.errors.MigrationError: a process ended by an error that stops the whole job.
    """
    if journal.path == ":memory:":
        raise MigrationError("several processes need a journal in a file")
    # Forking would copy locks and connections of other threads in whatever state they are.
    spawn = multiprocessing.get_context("spawn")
    said: Any = spawn.Queue()
    stopping = spawn.Event()
    children = [
        spawn.Process(
            target=_work,
            args=(settings.to_json(), journal.path, workers, said, stopping, os.getpid()),
            name=f"s3ec-{number}",
        )
        for number in range(processes)
    ]
    for child in children:
        child.start()
    errors = _listen(children, said, stopping, on_outcome, emit, stop)
    for child in children:
        child.join()
    if errors:
        raise MigrationError(errors[0])


def _listen(
    children: list[Any],
    said: Any,
    stopping: Any,
    on_outcome: Callable[[Outcome], None],
    emit: Callback,
    stop: threading.Event,
) -> list[str]:
    errors: list[str] = []
    while True:
        if stop.is_set():
            stopping.set()
        # Asked before the queue is emptied, so that what a process said last is never missed.
        alive = any(child.is_alive() for child in children)
        try:
            with contextlib.suppress(queue.Empty):
                while True:
                    kind, text = said.get(timeout=_POLL_SECONDS)
                    if kind == "error":
                        errors.append(text)
                        stopping.set()
                        continue
                    event = Event.from_json(text)
                    if event.outcome is not None:
                        on_outcome(event.outcome)
                    emit(event)
        except KeyboardInterrupt:
            stop.set()
        if not alive:
            return errors


def _work(settings_json: str, path: str, workers: int, said: Any, stopping: Any, parent: int) -> None:
    """What each process runs."""
    settings = MigrationSettings.from_json(settings_json)
    stop = threading.Event()
    ended = threading.Event()

    def watch() -> None:
        # A parent that was killed cannot tell; its children must not go on unseen.
        while not ended.wait(_POLL_SECONDS):
            if stopping.is_set() or os.getppid() != parent:
                stop.set()
                return

    def tell(event: Event) -> None:
        # What is begun would be half of all messages, and no display shows it.
        if event.kind != "started":
            said.put((event.kind, event.to_json()))

    threading.Thread(target=watch, name="s3ec-watch", daemon=True).start()
    try:
        with (
            Journal.open(path, settings) as journal,
            contextlib.closing(MigrationContext.open(settings, uploads=journal)) as context,
        ):
            work(
                settings,
                journal,
                context,
                workers,
                lambda outcome: None,
                tell,
                stop,
            )
    except KeyboardInterrupt:
        stop.set()
    except (ClientError, BotoCoreError, S3ECError, OSError) as error:
        said.put(("error", f"{type(error).__name__}: {error}"))
    finally:
        ended.set()
