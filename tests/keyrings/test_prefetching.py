"""Keys that are asked for ahead: each for one object, of one process, never too old."""

from __future__ import annotations

import contextlib
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from s3ec.errors import ConfigurationError, KeyUnwrapError
from s3ec.keyrings import AesKeyring, PrefetchingMaterialsManager
from s3ec.materials import EncryptionMaterials, MaterialsManager

from support.forking import forks, in_child
from support.keyrings import GCM, Clock, CountingKeyring, read_back, write_request

Make = Callable[..., PrefetchingMaterialsManager]


@pytest.fixture
def keyring() -> CountingKeyring:
    """The keyring whose calls count."""
    return CountingKeyring()


@pytest.fixture
def clock() -> Clock:
    """The manager's clock."""
    return Clock()


@pytest.fixture
def make(keyring: CountingKeyring, clock: Clock) -> Iterator[Make]:
    """Makes a manager around the keyring, which is idle at the end."""
    with contextlib.ExitStack() as stack:

        def make(**limits: Any) -> PrefetchingMaterialsManager:
            manager = PrefetchingMaterialsManager(keyring, clock=clock, **limits)
            stack.callback(settle, manager)
            stack.callback(manager.close)
            return manager

        yield make


def settle(manager: PrefetchingMaterialsManager) -> None:
    """Wait until nothing is being asked for."""
    while manager._running:
        time.sleep(0.001)


def take(manager: PrefetchingMaterialsManager, count: int = 1, **changes: Any) -> list[EncryptionMaterials]:
    """Materials for objects one after the other, each when all is ready that was ordered for the one before."""
    taken = []
    for _ in range(count):
        taken.append(manager.get_encryption_materials(write_request(**changes)))
        settle(manager)
    return taken


def test_one_key_for_each_object(make: Make, keyring: CountingKeyring) -> None:
    """All are different, open what they wrapped, and few were asked for in vain."""
    manager = make(size=4)
    taken = take(manager, 50)
    assert len({materials.plaintext_data_key for materials in taken}) == 50
    for materials in taken:
        assert manager.decrypt_materials(read_back(materials)).plaintext_data_key == materials.plaintext_data_key
    assert len(keyring.writes) == 54
    assert len(keyring.reads) == 50
    assert manager.capabilities is keyring.capabilities
    assert isinstance(manager, MaterialsManager)


def test_the_caller_does_not_wait(make: Make, keyring: CountingKeyring) -> None:
    """From the third object of a kind on, no caller's thread asks the keyring."""
    manager, callers = make(size=4), []
    keyring.before = lambda: callers.append(threading.current_thread() is threading.main_thread())
    take(manager, 10)
    assert callers.count(True) == 2
    assert callers[0]


def test_many_threads_take_different_keys(make: Make) -> None:
    """However they meet, each object has a key of its own."""
    manager = make(size=5, threads=3)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: manager.get_encryption_materials(write_request()), range(400)))
    assert len({materials.plaintext_data_key for materials in taken}) == 400


def test_what_is_written_once_costs_one_call(make: Make, keyring: CountingKeyring) -> None:
    """Contexts that name the object are never the same, so nothing is asked for in advance."""
    manager = make()
    for number in range(20):
        take(manager, encryption_context={"object": str(number)})
    assert len(keyring.writes) == 20


@pytest.mark.parametrize(
    "change",
    [
        {"encryption_context": {"a": "1"}},
        {"encryption_context": {"b": "2", "a": "1"}},
        {"encryption_context": {}},
        {"algorithm_suite": GCM, "content_algorithm": "AES/GCM/NoPadding"},
    ],
    ids=str,
)
def test_requests_that_differ_share_nothing(make: Make, keyring: CountingKeyring, change: dict[str, Any]) -> None:
    """Not the suite, and not the order of the context, which ends up in the object."""
    manager, request = make(), write_request(encryption_context={"a": "1", "b": "2"})
    for _ in range(5):
        manager.get_encryption_materials(request)
        settle(manager)
    other = replace(request, **change)
    answer = manager.get_encryption_materials(other)
    assert list(answer.description.items()) == list(other.encryption_context.items())
    assert keyring.writes[-1] == other


def test_the_length_does_not_matter(make: Make, keyring: CountingKeyring) -> None:
    """Keys that are ready serve objects of any length."""
    manager = make(size=2)
    for length in (1, 2, 3, None, 2**30):
        take(manager, plaintext_length=length)
    assert len(keyring.writes) == 7
    assert all(request.plaintext_length is None for request in keyring.writes)


@pytest.mark.parametrize("other", ["write", "read"])
def test_old_keys_are_dropped(make: Make, keyring: CountingKeyring, clock: Clock, other: str) -> None:
    """At the next call of any kind, used or not."""
    manager = make(size=4, max_age=10)
    taken = take(manager, 5)
    (pool,) = manager._pools.values()
    assert len(pool.ready) == 4
    clock.now += 10
    if other == "write":
        manager.get_encryption_materials(write_request(encryption_context={"another": "kind"}))
    else:
        manager.decrypt_materials(read_back(taken[0]))
    assert not pool.ready
    before = len(keyring.writes)
    take(manager)
    assert len(keyring.writes) == before + 5


def test_kinds_are_bounded(make: Make, keyring: CountingKeyring) -> None:
    """The kind that was asked for least recently goes, with its keys."""
    manager = make(size=2, capacity=2)
    for context in ("a", "b", "a", "c"):
        take(manager, 3, encryption_context={"kind": context})
    assert len(manager._pools) == 2
    before = len(keyring.writes)
    take(manager, encryption_context={"kind": "b"})
    assert len(keyring.writes) == before + 1
    take(manager, encryption_context={"kind": "c"})
    assert keyring.writes[-1].encryption_context == {"kind": "c"}
    assert len(keyring.writes) == before + 2


def test_a_failure_is_the_next_callers_own(make: Make, keyring: CountingKeyring) -> None:
    """Calls made ahead fail silently and stop; an object that finds nothing ready gets the keyring's error."""
    manager = make(size=8, threads=1)
    take(manager, 2)  # two are ready
    keyring.before = fail
    before = len(keyring.writes)
    take(manager, 2)
    assert len(keyring.writes) == before + 1
    before = len(keyring.writes)
    for _ in range(3):
        with pytest.raises(KeyUnwrapError):
            manager.get_encryption_materials(write_request())
        settle(manager)
    assert len(keyring.writes) == before + 3
    callers: list[bool] = []
    keyring.before = lambda: callers.append(threading.current_thread() is threading.main_thread())
    take(manager, 5)
    assert callers.count(True) == 1


def fail() -> None:
    """KMS says no."""
    raise KeyUnwrapError("denied")


def test_a_keyring_that_breaks(make: Make, keyring: CountingKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that keyrings do not have ends a thread and is seen there; objects go on to ask for themselves."""
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: seen.append(arguments.exc_type))
    manager = make(size=2)
    take(manager, 1)

    def broken() -> None:
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError

    keyring.before = broken
    assert len({materials.plaintext_data_key for materials in take(manager, 6)}) == 6
    assert set(seen) == {ZeroDivisionError}
    assert manager._running == 0
    (pool,) = manager._pools.values()
    assert pool.ordered == 0
    keyring.before = lambda: None
    take(manager, 3)
    assert len(pool.ready) == 2


def test_no_more_threads(make: Make, keyring: CountingKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the interpreter, or at a limit of the system, it is as if nothing were asked for ahead."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    manager = make()
    take(manager, 5)
    assert len(keyring.writes) == 5


@pytest.mark.parametrize("end", [PrefetchingMaterialsManager.clear, PrefetchingMaterialsManager.close])
def test_clear_and_close(make: Make, keyring: CountingKeyring, end: Callable[[Any], None]) -> None:
    """Both forget; a closed one still serves objects, one call each."""
    manager = make(size=4)
    take(manager, 5)
    end(manager)
    assert not manager._pools
    before = len(keyring.writes)
    take(manager, 5)
    assert len(keyring.writes) == before + (5 if end is PrefetchingMaterialsManager.close else 9)


def test_what_is_ordered_is_not_ordered_again(make: Make, keyring: CountingKeyring) -> None:
    """While many objects go by and no key has arrived, no more are ordered than are to be kept, nor by more threads."""
    manager, go_on = make(size=4, threads=2), threading.Event()
    take(manager)
    threads: set[threading.Thread] = set()

    def held() -> None:
        if threading.current_thread() is not threading.main_thread():
            threads.add(threading.current_thread())
            assert go_on.wait(60)

    keyring.before = held
    for _ in range(3):
        manager.get_encryption_materials(write_request())
    assert manager._running == 2
    go_on.set()
    settle(manager)
    (pool,) = manager._pools.values()
    assert len(pool.ready) == 4
    assert len(threads) <= 2
    assert all(thread.daemon for thread in threads)


def test_the_limits_by_default(make: Make, keyring: CountingKeyring) -> None:
    """Those of the signature: keys of a kind, calls at the same time, and kinds."""
    manager, go_on = make(), threading.Event()
    take(manager)

    def held() -> None:
        if threading.current_thread() is not threading.main_thread():
            assert go_on.wait(60)

    keyring.before = held
    for _ in range(20):
        manager.get_encryption_materials(write_request())
    assert manager._running == 8
    go_on.set()
    settle(manager)
    (pool,) = manager._pools.values()
    assert len(pool.ready) == 32
    for number in range(20):
        take(manager, encryption_context={"n": str(number)})
    assert len(manager._pools) == 16


def test_the_kind_that_is_used_stays(make: Make) -> None:
    """The one that was asked for least recently is dropped, not the oldest."""
    manager = make(size=4, capacity=2)
    for kind in ("a", "b", "a", "c"):
        take(manager, encryption_context={"kind": kind})
    kinds = [pool.request.encryption_context["kind"] for pool in manager._pools.values()]
    assert kinds == ["a", "c"]


def test_what_is_ordered_is_forgotten(make: Make, keyring: CountingKeyring) -> None:
    """The call that is being made is the last."""
    manager, asked, go_on = make(size=4, threads=1), threading.Event(), threading.Event()
    take(manager)

    def held() -> None:
        if threading.current_thread() is not threading.main_thread():
            asked.set()
            assert go_on.wait(60)

    keyring.before = held
    manager.get_encryption_materials(write_request())
    assert asked.wait(60)
    manager.clear()
    go_on.set()
    settle(manager)
    assert len(keyring.writes) == 3


def test_a_key_that_arrives_after_close(make: Make, keyring: CountingKeyring) -> None:
    """Is forgotten too."""
    manager, asked, go_on = make(size=1), threading.Event(), threading.Event()
    take(manager)

    def held() -> None:
        if threading.current_thread() is not threading.main_thread():
            asked.set()
            assert go_on.wait(60)

    keyring.before = held
    manager.get_encryption_materials(write_request())
    assert asked.wait(60)
    (pool,) = manager._pools.values()
    manager.close()
    go_on.set()
    settle(manager)
    assert not pool.ready


@forks
def test_a_forked_child_begins_with_none(make: Make) -> None:
    """The parent's keys are the parent's: no data key is used by both."""
    manager = make(size=4)
    take(manager, 5)
    (pool,) = manager._pools.values()
    ready = {made.reveal().plaintext_data_key for _, made in pool.ready}
    assert len(ready) == 4

    def take_others() -> None:
        assert not ready & {manager.get_encryption_materials(write_request()).plaintext_data_key for _ in range(3)}

    assert in_child(take_others) == 0
    assert {materials.plaintext_data_key for materials in take(manager, 4)} == ready


@pytest.mark.parametrize(
    "limits",
    [{"size": 0}, {"size": True}, {"size": 1.5}, {"threads": 0}, {"capacity": -1}, {"max_age": 0}, {"max_age": 1e999}],
    ids=str,
)
def test_limits_that_are_none(keyring: CountingKeyring, limits: dict[str, Any]) -> None:
    """Named in the error."""
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        PrefetchingMaterialsManager(keyring, **limits)


def test_its_secrets_stay(make: Make) -> None:
    """Nothing shows a key."""
    manager = make()
    take(manager, 4)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(manager)
    assert repr(PrefetchingMaterialsManager(AesKeyring(bytes(16)))) == (
        "PrefetchingMaterialsManager(AesKeyring(<128 bits>, material_description={}))"
    )
