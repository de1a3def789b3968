"""Runs real threads one at a time, in an order that is chosen, and explores every order within a bound.

While `controlled` holds, the locks and conditions that s3ec makes are those of this module: a thread that takes one,
waits for one, or speaks to the store hands over to the scheduler, which decides who goes on. So each run is one
interleaving, it can be repeated, and `explore` goes through all of those with at most so many preemptions: a thread
that could have gone on and did not. (What a thread does without such a point in between is one step.)
Source: M. Musuvathi and S. Qadeer, "Iterative context bounding for systematic testing of multithreaded programs", 2007.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

__all__ = ["Choice", "Scheduler", "Task", "controlled", "explore", "set_everywhere"]

_REAL_LOCK, _REAL_CONDITION, _REAL_MONOTONIC = threading.Lock, threading.Condition, time.monotonic
_HANGS = 120  # seconds of one step; only a fault of the scheduler's own takes so long


def _always() -> bool:
    return True


@dataclass(eq=False)
class Task:
    """One thread of the program that is explored.

    Attributes:
        number: in the order in which they were begun.
        ready: whether it could go on.
        yields: True if it lets others go first by itself, as one that waits with a limit does.
        position: where it stands in s3ec.
        failure: what ended it, or None.
    """

    number: int
    gate: Any = field(default_factory=_REAL_LOCK)
    ready: Callable[[], bool] = _always
    yields: bool = False
    done: bool = False
    position: tuple[object, ...] = ()
    failure: BaseException | None = None


@dataclass(frozen=True)
class Choice:
    """One decision of a run: which of how many, and what each would have cost in preemptions."""

    taken: int
    costs: tuple[int, ...]


class DeadlockError(AssertionError):
    """No thread can go on."""


class Scheduler:
    """One run of a few threads.

    Attributes:
        choices: every decision so far.
        at_point: called at every point at which another thread could go on, in the thread that stands there.
    """

    def __init__(self, taken: Iterable[int] = (), at_point: Callable[[], None] = lambda: None) -> None:
        """Take the decisions to repeat; after them the first of each is taken, which costs nothing."""
        self._planned = list(taken)
        self._tasks: list[Task] = []
        self._own = threading.local()
        self._ended = _REAL_LOCK()
        self._stuck = False
        self.choices: list[Choice] = []
        self.at_point = at_point

    @property
    def positions(self) -> tuple[object, ...]:
        """Where each thread stands."""
        return tuple(task.position for task in self._tasks)

    def run(self, works: Iterable[Callable[[], object]]) -> None:
        """Run the threads to their end.

        Raises:
            BaseException: what the first of them raised that failed; `DeadlockError` where none could go on.
        """
        self._ended.acquire()
        for work in works:
            self.begin(work)
        self._hand_over(None)
        if not self._ended.acquire(timeout=_HANGS):
            raise AssertionError("a thread waits for something that the scheduler does not know")
        for task in self._tasks:
            if task.failure is not None:
                raise task.failure

    def begin(self, work: Callable[[], object]) -> Task:
        """Let one more thread run when it is chosen."""
        task = Task(len(self._tasks))
        task.gate.acquire()
        self._tasks.append(task)
        threading.Thread(target=self._run, args=(task, work), daemon=True).start()
        return task

    def _run(self, task: Task, work: Callable[[], object]) -> None:
        task.gate.acquire()
        self._own.task = task
        try:
            self._check_stuck()
            work()
        except BaseException as error:  # given to whoever called `run`
            task.failure = error
        task.done, task.position = True, ("done",)
        self._hand_over(None)

    def point(self, ready: Callable[[], bool] = _always, *, yields: bool = False) -> None:
        """Let another thread go on here; return when this one may, and ``ready`` is true.

        Outside of the threads that are explored there is nobody else: what is not ready there never will be.
        """
        task: Task | None = getattr(self._own, "task", None)
        if task is None:
            if not ready():
                raise DeadlockError("a lock is held by nobody who could release it")
            return
        task.ready, task.yields, task.position = ready, yields, _position()
        self.at_point()
        self._hand_over(task)
        task.ready, task.yields = _always, False
        self._check_stuck()

    def _check_stuck(self) -> None:
        if self._stuck:
            raise DeadlockError("every thread waits for another")

    def _hand_over(self, current: Task | None) -> None:
        following = self._chosen(current)
        if following is None:
            self._ended.release()
        elif following is current:
            return
        else:
            following.gate.release()
        if current is not None:
            current.gate.acquire()

    def _chosen(self, current: Task | None) -> Task | None:
        alive = [task for task in self._tasks if not task.done]
        able = [task for task in alive if self._stuck or task.ready()]
        if not able:
            if not alive:
                return None
            self._stuck, able = True, alive  # each ends with an error, so that the run ends
        goes_on = current in able
        able.sort(key=lambda task: (task is not current, task.number))
        preempts = goes_on and current is not None and not current.yields
        costs = tuple(int(preempts and task is not current) for task in able)
        number = len(self.choices)
        taken = self._planned[number] if number < len(self._planned) else 0
        taken = min(taken, len(able) - 1)  # `explore` notices
        self.choices.append(Choice(taken, costs))
        return able[taken]


def explore(run: Callable[[tuple[int, ...]], list[Choice]], *, preemptions: int) -> Iterator[list[Choice]]:
    """Run every interleaving within a bound, depth first.

    Args:
        run: runs the program with these decisions first, and returns all that it made.
        preemptions: at most so many in one run.
    """
    planned: tuple[int, ...] | None = ()
    while planned is not None:
        choices = run(planned)
        assert tuple(choice.taken for choice in choices[: len(planned)]) == planned, "a run cannot be repeated"
        yield choices
        planned = _following(choices, preemptions)


def _following(choices: list[Choice], preemptions: int) -> tuple[int, ...] | None:
    spent = [0]
    for choice in choices:
        spent.append(spent[-1] + choice.costs[choice.taken])
    for number in range(len(choices) - 1, -1, -1):
        choice = choices[number]
        for other in range(choice.taken + 1, len(choice.costs)):
            if spent[number] + choice.costs[other] <= preemptions:
                return (*(before.taken for before in choices[:number]), other)
    return None


def _position() -> tuple[object, ...]:
    """The lines of s3ec at which the calling thread stands."""
    found = []
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("s3ec."):
            found.append((frame.f_code.co_name, frame.f_lineno))
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(found)


class _Lock:
    """What `threading.Lock` makes, for threads of a scheduler."""

    def __init__(self, world: _World, *, again: bool = False) -> None:
        self._world = world
        self._again = again
        self._owner: int | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = threading.get_ident()
        if self._owner == me and self._again:
            self._depth += 1
            return True
        waits = blocking and timeout < 0
        self._world.scheduler.point((lambda: self._owner is None) if waits else _always)
        if self._owner is not None:
            self._world.passed += max(timeout, 0)
            return False
        self._owner, self._depth = me, 1
        return True

    def release(self) -> None:
        assert self._depth > 0, "a lock is released that nobody holds"
        self._depth -= 1
        if not self._depth:
            self._owner = None

    def locked(self) -> bool:
        return self._owner is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class _Condition(_Lock):
    """What `threading.Condition` makes, with a lock of its own; a wait with a limit may end at any moment."""

    def __init__(self, world: _World) -> None:
        super().__init__(world, again=True)
        self._waiting: list[object] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert self._owner == threading.get_ident(), "only who holds a condition waits for it"
        me, depth, ticket = self._owner, self._depth, object()
        self._owner, self._depth = None, 0
        self._waiting.append(ticket)
        self._world.scheduler.point(
            lambda: self._owner is None and (timeout is not None or ticket not in self._waiting),
            yields=timeout is not None,
        )
        self._owner, self._depth = me, depth
        if ticket not in self._waiting:
            return True
        self._waiting.remove(ticket)
        self._world.passed += timeout or 0
        return False

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        while not (found := predicate()):
            if not self.wait(timeout) and timeout is not None:
                return predicate()
        return found

    def notify(self, n: int = 1) -> None:
        del self._waiting[:n]

    def notify_all(self) -> None:
        self._waiting.clear()


class _World:
    """The scheduler of the moment, and the time that passed in waits, which take none."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.passed = 0.0


def _of_s3ec() -> bool:
    name: str = sys._getframe(2).f_globals.get("__name__", "")
    return name.startswith("s3ec.")


@contextlib.contextmanager
def controlled() -> Iterator[_World]:
    """Let s3ec make locks of this module; those that it made before stay what they are."""
    world = _World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "Lock", lambda: _Lock(world) if _of_s3ec() else _REAL_LOCK())
        patch.setattr(
            threading,
            "Condition",
            lambda *lock: _Condition(world) if _of_s3ec() and not lock else _REAL_CONDITION(*lock),
        )
        # No time passes but that of waits, so that a slow machine takes the same way as a quick one.
        patch.setattr(time, "monotonic", lambda: world.passed if _of_s3ec() else _REAL_MONOTONIC())
        for owner in _with_locks():
            patch.setattr(owner, "__init__", _with_lock_of(world, owner))
        yield world


def _with_locks() -> list[type]:
    """Dataclasses of s3ec with a field that a lock is made for: they took the real class when they were made."""
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("s3ec."):
            for value in vars(module).values():
                if isinstance(value, type) and dataclasses.is_dataclass(value) and _locks(value):
                    found[value] = None
    return list(found)


def _locks(owner: Any) -> list[str]:
    return [each.name for each in dataclasses.fields(owner) if each.default_factory is _REAL_LOCK]


def _with_lock_of(world: _World, owner: Any) -> Callable[..., None]:
    make, names = owner.__init__, _locks(owner)

    def initialize(self: Any, *values: Any, **named: Any) -> None:
        make(self, *values, **named)
        for name in names:
            setattr(self, name, _Lock(world))

    return initialize


def set_everywhere(patch: pytest.MonkeyPatch, name: str, value: object) -> None:
    """Set a name in every module of s3ec that has it, so that it does not matter where it lives.

    Raises:
        AssertionError: none has it.
    """
    modules = [
        module for known, module in list(sys.modules.items()) if known.startswith("s3ec.") and name in vars(module)
    ]
    assert modules, f"no module of s3ec has a {name}"
    for module in modules:
        patch.setattr(module, name, value)
