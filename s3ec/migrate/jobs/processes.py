"""Several processes on one journal: Python's threads share one core, and small objects cost more Python than network.

The processes share nothing but the journal's file. Each is to it what another run would be: it leases what it does, and
whatever it leaves when it is killed is taken up by the others. Each tells its parent through a pipe of its own, so that
one that is killed in the middle of a word blocks no other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from s3ec.errors import MigrationError
from s3ec.migrate.jobs.workers import Callback, Event, work
from s3ec.migrate.journal.journal import Journal
from s3ec.migrate.model import Outcome
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.work.context import MigrationContext

__all__ = ["work_in_processes"]

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 60.0
"""For what is in flight when a child is left alone."""


def work_in_processes(
    settings: MigrationSettings,
    journal: Journal,
    workers: int,
    processes: int,
    on_outcome: Callable[[Outcome], None],
    emit: Callback,
    stop: threading.Event,
) -> None:
    """Do what is open in the journal, as `s3ec.migrate.jobs.workers.work` does, with this many processes.

    Raises:
        s3ec.errors.MigrationError: all processes were killed.
        Exception: what a process met that stops the whole job, as `s3ec.migrate.jobs.workers.work` raises it.
    """
    if journal.path == ":memory:":
        raise MigrationError("several processes need a journal in a file")
    rate = settings.kms_requests_per_second
    each = replace(settings, kms_requests_per_second=rate / processes if rate else None)
    # Forking would copy locks and connections of other threads in whatever state they are.
    spawn = multiprocessing.get_context("spawn")
    children: dict[Any, Any] = {}
    leashes: list[Any] = []
    try:
        for number in range(processes):
            ear, mouth = spawn.Pipe(duplex=False)
            end, leash = spawn.Pipe(duplex=False)
            child = spawn.Process(target=_work, args=(each.to_json(), journal.path, workers, mouth, end, os.getpid()))
            child.name = f"s3ec-{number}"
            child.start()
            mouth.close()
            end.close()
            children[ear] = child
            leashes.append(leash)
        errors = _listen(set(children), leashes, on_outcome, emit, stop)
    finally:
        # Whatever ended the listening: children without a listener stop.
        _let_go(leashes)
        for ear, child in children.items():
            ear.close()
            child.join()
    if errors:
        raise errors[0]
    if not stop.is_set() and not journal.is_idle():
        raise MigrationError("all worker processes ended before the work was done; run it again to go on")


def _let_go(leashes: list[Any]) -> None:
    """Tell the children to stop. The end of the pipe is the word: a parent that is killed says it, too."""
    while leashes:
        leashes.pop().close()


def _listen(
    ears: set[Any], leashes: list[Any], on_outcome: Callable[[Outcome], None], emit: Callback, stop: threading.Event
) -> list[Exception]:
    """Pass on what the processes say until all of them are silent for good."""
    errors: list[Exception] = []
    while ears:
        if stop.is_set():
            _let_go(leashes)
        try:
            ready: list[Any] = multiprocessing.connection.wait(list(ears), _POLL_SECONDS)
            for ear in ready:
                try:
                    kind, said = ear.recv()
                except (EOFError, OSError):
                    ears.discard(ear)
                    continue
                if kind == "error":
                    errors.append(said)
                    _let_go(leashes)
                    continue
                event: Event = said
                if event.outcome is not None:
                    on_outcome(event.outcome)
                emit(event)
        except KeyboardInterrupt:
            stop.set()
    return errors


def _work(settings_json: str, path: str, workers: int, mouth: Any, leash: Any, parent: int) -> None:
    """Do the work of one process."""
    settings = MigrationSettings.from_json(settings_json)
    stop, ended, speaking = threading.Event(), threading.Event(), threading.Lock()

    def watch() -> None:
        # Nothing is ever sent: the leash ends when the parent lets go of it, or dies. A child must not go on unseen.
        with contextlib.suppress(OSError):
            while not ended.is_set() and not leash.poll(_POLL_SECONDS):
                pass
        stop.set()
        if os.getppid() != parent and not ended.wait(_GRACE_SECONDS):
            # Nothing will ever look here again. To S3 and the journal it is a kill, which they survive.
            os._exit(1)

    def say(kind: str, said: Any) -> None:
        # There may be no listener left; then there is no one to work for either.
        try:
            with speaking:
                mouth.send((kind, said))
        except OSError:
            stop.set()

    def tell(event: Event) -> None:
        # What is begun would be half of all messages, and no display shows it.
        if event.kind != "started":
            say(event.kind, event)

    threading.Thread(target=watch, name="s3ec-watch", daemon=True).start()
    try:
        with (
            Journal.open(path, settings) as journal,
            contextlib.closing(MigrationContext.open(settings, uploads=journal)) as context,
        ):
            context.mac_key = journal.mac_key
            work(settings, journal, context, workers, lambda outcome: None, tell, stop)
    except KeyboardInterrupt:
        stop.set()
    # The edge of a process: whatever it is, the parent raises it.
    except Exception as error:
        say("error", _portable(error))
    finally:
        ended.set()
        mouth.close()


def _portable(error: Exception) -> Exception:
    """The error where the parent can have it, who chooses the exit code by its class; else its text."""
    try:
        copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, to see whether the parent could
    # Classes of others may fail in any way, and what happened must be heard all the same.
    except Exception:
        copied = None
    is_same = type(copied) is type(error) and str(copied) == str(error)
    return error if is_same else MigrationError(f"{type(error).__name__}: {error}")
