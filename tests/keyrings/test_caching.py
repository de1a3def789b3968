from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH, CommitmentPolicy, WrappingAlgorithm
from s3ec.errors import ConfigurationError, KeyringError, KeyUnwrapError
from s3ec.keyrings import AesKeyring, CachingMaterialsManager, DefaultMaterialsManager
from s3ec.materials import (
    EncryptedDataKey,
    MaterialsManager,
)

from support.keyrings import CBC, GCM, Clock, CountingKeyring, read_back, read_request, write_request


@pytest.fixture
def keyring() -> CountingKeyring:
    """The keyring whose calls count."""
    return CountingKeyring()


@pytest.fixture
def clock() -> Clock:
    """The manager's clock."""
    return Clock()


@pytest.fixture
def make(keyring: CountingKeyring, clock: Clock) -> Callable[..., CachingMaterialsManager]:
    """Makes a manager around the keyring."""
    return lambda **limits: CachingMaterialsManager(keyring, clock=clock, **limits)


Make = Callable[..., CachingMaterialsManager]


def test_the_default_manager_asks_each_time(keyring: CountingKeyring) -> None:
    """Without caching every object is one call, with the keyring's own answers and capabilities."""
    manager = DefaultMaterialsManager(keyring)
    first, second = (manager.get_encryption_materials(write_request()) for _ in range(2))
    assert first.plaintext_data_key != second.plaintext_data_key
    for _ in range(2):
        assert manager.decrypt_materials(read_back(first)).plaintext_data_key == first.plaintext_data_key
    assert (len(keyring.writes), len(keyring.reads)) == (2, 2)
    assert manager.capabilities is keyring.capabilities
    assert repr(DefaultMaterialsManager(AesKeyring(bytes(16)))) == (
        "DefaultMaterialsManager(AesKeyring(<128 bits>, material_description={}))"
    )
    assert isinstance(manager, MaterialsManager)


def test_one_call_serves_many_objects(make: Make, keyring: CountingKeyring) -> None:
    """Writes share a data key, and reads of what they wrote share one answer."""
    manager = make()
    written = [manager.get_encryption_materials(write_request()) for _ in range(20)]
    assert len({materials.plaintext_data_key for materials in written}) == 1
    for materials in written:
        opened = manager.decrypt_materials(read_back(materials))
        assert opened.plaintext_data_key == materials.plaintext_data_key
    assert (len(keyring.writes), len(keyring.reads)) == (1, 1)
    assert isinstance(manager, MaterialsManager)
    assert manager.capabilities is keyring.capabilities


def test_only_the_committing_suite_shares(make: Make, keyring: CountingKeyring) -> None:
    """A suite that encrypts with the data key itself gets a fresh one for each object."""
    manager = make()
    keys = {manager.get_encryption_materials(write_request(GCM)).plaintext_data_key for _ in range(5)}
    assert len(keys) == len(keyring.writes) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT},
        {"content_algorithm": "116"},
        {"encryption_context": {"a": "1"}},
        {"encryption_context": {"a": "1", "b": "2", "c": ""}},
        {"encryption_context": {"b": "2", "a": "1"}},
        {"encryption_context": {"a": "2", "b": "1"}},
        {"encryption_context": {}},
    ],
)
def test_writes_that_differ_share_nothing(make: Make, keyring: CountingKeyring, change: dict[str, Any]) -> None:
    """Policy, content algorithm and context, down to its order, are part of what is looked up."""
    manager, request = make(), write_request(encryption_context={"a": "1", "b": "2"})
    first = manager.get_encryption_materials(request)
    other = manager.get_encryption_materials(replace(request, **change))
    assert other.plaintext_data_key != first.plaintext_data_key
    assert list(other.description.items()) == list(replace(request, **change).encryption_context.items())
    again = manager.get_encryption_materials(replace(request, encryption_context={"a": "1", "b": "2"}))
    assert again.plaintext_data_key == first.plaintext_data_key
    assert len(keyring.writes) == 2


def test_reads_that_differ_share_nothing(make: Make, keyring: CountingKeyring) -> None:
    """Everything that a read says about itself is part of what is looked up, the commitment policy above all."""
    manager = make()
    written = manager.get_encryption_materials(write_request())
    request = read_back(written)
    changes: list[dict[str, Any]] = [
        {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT},
        {"description": {"a": "b"}},
        {"algorithm_suite": GCM},
    ]
    for count, changed in enumerate([request, *(replace(request, **change) for change in changes)], start=1):
        for _ in range(2):
            assert manager.decrypt_materials(changed).plaintext_data_key == written.plaintext_data_key
        assert len(keyring.reads) == count
    key = written.encrypted_data_key
    for change in (
        {"content_algorithm": "AES/GCM/NoPadding"},
        {"encrypted_data_key": replace(key, wrapping_algorithm=WrappingAlgorithm.AES_WRAP)},
        {"encrypted_data_key": replace(key, ciphertext=key.ciphertext[:-1] + bytes([key.ciphertext[-1] ^ 1]))},
    ):
        with pytest.raises(KeyUnwrapError):
            manager.decrypt_materials(replace(request, **change))


def test_a_failure_is_not_kept(make: Make, keyring: CountingKeyring) -> None:
    """What failed once is asked again: a denied key may be granted a second later."""
    manager = make()
    request = read_request(EncryptedDataKey(b"nonsense", WrappingAlgorithm.AES_ECB), CBC)
    for count in (1, 2):
        with pytest.raises(KeyUnwrapError):
            manager.decrypt_materials(request)
        assert len(keyring.reads) == count


def test_the_answer_is_the_callers_own(make: Make) -> None:
    """What a caller does to the description it gets does not reach the next one."""
    manager, request = make(), write_request(encryption_context={"a": "1"})
    manager.get_encryption_materials(request).description["a"] = "2"  # type: ignore[index]  # what a caller might do
    manager.get_encryption_materials(request).description["b"] = "3"  # type: ignore[index]  # as above
    assert manager.get_encryption_materials(request).description == {"a": "1"}


def keys_of(manager: CachingMaterialsManager, count: int, length: int | None = 0) -> list[bytes]:
    """The data keys of this many writes."""
    request = write_request(plaintext_length=length)
    return [manager.get_encryption_materials(request).plaintext_data_key for _ in range(count)]


def test_the_limit_of_messages(make: Make) -> None:
    """A data key encrypts as many objects as the limit says and not one more."""
    keys = keys_of(make(max_messages=3), 7)
    assert keys[0] == keys[2] != keys[3] == keys[5] != keys[6]
    assert len(set(keys_of(make(max_messages=1), 3))) == 3


def test_the_limit_of_bytes(make: Make, keyring: CountingKeyring) -> None:
    """A data key encrypts as many bytes as the limit says and not one more; what alone is above it has its own."""
    keys = keys_of(make(max_bytes=100), 5, length=50)
    assert keys[0] == keys[1] != keys[2] == keys[3] != keys[4]
    manager = make(max_bytes=100)
    (first,) = keys_of(manager, 1, length=40)
    assert len(set(keys_of(manager, 2, length=101)) | {first}) == 3
    assert keys_of(manager, 1, length=60) == [first]
    assert keys_of(manager, 1, length=1) != [first]
    assert keyring.writes[-1].plaintext_length is None


def test_an_object_as_long_as_the_limit_shares_its_key(make: Make) -> None:
    """With empty objects, which take nothing of it."""
    manager = make(max_bytes=100)
    assert keys_of(manager, 1, length=100) == keys_of(manager, 1, length=0)


def test_a_key_that_is_used_up_is_dropped(make: Make, keyring: CountingKeyring) -> None:
    """Also where the keyring gives no other in its place: it does not stay in memory for nothing."""
    manager = make(max_bytes=100)
    (first,) = keys_of(manager, 1, length=60)

    def fail() -> None:
        raise KeyringError("not now")

    keyring.before = fail
    with pytest.raises(KeyringError):
        keys_of(manager, 1, length=60)
    keyring.before = lambda: None
    assert keys_of(manager, 1, length=1) != [first]


def test_an_unknown_length_counts_as_the_greatest(make: Make) -> None:
    """An object whose length is not known could be as large as objects get."""
    keys = keys_of(make(max_bytes=2 * GCM_MAX_PLAINTEXT_LENGTH), 3, length=None)
    assert keys[0] == keys[1] != keys[2]
    assert len(set(keys_of(make(max_bytes=GCM_MAX_PLAINTEXT_LENGTH - 1), 3, length=None))) == 3
    assert len(set(keys_of(make(), 10_000, length=None))) == 1


def test_the_limits_by_default(make: Make) -> None:
    """Those that the class states: objects and bytes for one data key, and data keys at a time."""
    keys = keys_of(make(), 10_001)
    assert keys[0] == keys[9_999] != keys[10_000]
    keys = keys_of(make(max_messages=20_000), 16_385, length=GCM_MAX_PLAINTEXT_LENGTH)
    assert keys[0] == keys[16_383] != keys[16_384]
    manager = make()
    for number in range(1_001):
        manager.get_encryption_materials(write_request(encryption_context={"n": str(number)}))
    assert secrets(manager) == 1_000


def test_an_age_below_a_second(make: Make, clock: Clock) -> None:
    """Is an age."""
    manager = make(max_age=0.5)
    keys = keys_of(manager, 2)
    clock.now += 0.5
    assert keys[0] == keys[1] != keys_of(manager, 1)[0]


def test_the_limit_of_age(make: Make, clock: Clock, keyring: CountingKeyring) -> None:
    """A data key and an answer are kept that many seconds; their age counts from before the keyring was asked."""
    manager = make(max_age=10)
    written = manager.get_encryption_materials(write_request())
    manager.decrypt_materials(read_back(written))
    clock.now += 9.9
    assert keys_of(manager, 1) == [written.plaintext_data_key]
    manager.decrypt_materials(read_back(written))
    assert (len(keyring.writes), len(keyring.reads)) == (1, 1)
    clock.now += 0.1
    assert keys_of(manager, 1) != [written.plaintext_data_key]
    manager.decrypt_materials(read_back(written))
    assert (len(keyring.writes), len(keyring.reads)) == (2, 2)

    def slowly() -> None:
        clock.now += 10

    keyring.before = slowly
    assert len(set(keys_of(make(max_age=10), 2))) == 2


def secrets(manager: CachingMaterialsManager) -> int:
    """How many data keys a manager holds."""
    return len(manager._encryption._entries) + len(manager._decryption._entries)


def test_old_secrets_are_dropped_whatever_is_asked_next(make: Make, clock: Clock) -> None:
    """Data keys that nobody asks for again do not stay."""
    manager = make(max_age=10)
    for number in range(5):
        manager.get_encryption_materials(write_request(encryption_context={"n": str(number)}))
    assert secrets(manager) == 5
    clock.now += 10
    manager.get_encryption_materials(write_request())
    assert secrets(manager) == 1


def test_each_secret_has_its_own_age(make: Make, clock: Clock) -> None:
    """Data keys made one after the other go one after the other."""
    manager = make(max_age=10)

    def write(name: str) -> bytes:
        return manager.get_encryption_materials(write_request(encryption_context={"n": name})).plaintext_data_key

    write("a")
    clock.now += 5
    second = write("b")
    clock.now += 5
    write("c")
    assert secrets(manager) == 2
    clock.now += 4.9
    assert write("b") == second
    clock.now += 0.1
    assert write("b") != second


def test_used_up_secrets_are_dropped(make: Make) -> None:
    """A data key that may not be used any more is gone when the next one takes its place."""
    manager = make(max_messages=1)
    keys_of(manager, 3)
    assert secrets(manager) == 1


def test_clear_drops_all(make: Make, keyring: CountingKeyring) -> None:
    """After `clear` nothing is kept and everything is asked again."""
    manager = make()
    written = manager.get_encryption_materials(write_request())
    manager.decrypt_materials(read_back(written))
    manager.clear()
    assert secrets(manager) == 0
    assert keys_of(manager, 1) != [written.plaintext_data_key]
    manager.decrypt_materials(read_back(written))
    assert (len(keyring.writes), len(keyring.reads)) == (2, 2)


def test_the_least_recently_used_one_leaves(make: Make, keyring: CountingKeyring) -> None:
    """No more than the capacity is kept, and what was used last stays."""
    manager = make(capacity=2)

    def write(name: str) -> bytes:
        return manager.get_encryption_materials(write_request(encryption_context={"n": name})).plaintext_data_key

    first, _ = write("a"), write("b")
    assert write("a") == first
    write("c")
    assert secrets(manager) == 2
    assert write("a") == first
    assert len(keyring.writes) == 3
    write("b")
    assert len(keyring.writes) == 4


def test_many_threads_ask_once(make: Make, keyring: CountingKeyring) -> None:
    """However many threads ask first, one asks the keyring and the others take its answer."""
    manager, threads = make(), 8
    entered, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert go_on.wait(10)

    keyring.before = hold
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(keys_of, manager, 1) for _ in range(threads)]
        assert entered.wait(10)
        # Another key is not held up by the one that is being made.
        keyring.before = lambda: None
        manager.get_encryption_materials(write_request(encryption_context={"another": "key"}))
        go_on.set()
        assert len({future.result()[0] for future in futures}) == 1
    assert len(keyring.writes) == 2


def test_who_waited_in_vain_asks_alone(make: Make, keyring: CountingKeyring) -> None:
    """Where the thread that asks fails, its error is its own: those who waited ask for themselves."""
    manager, threads = make(), 4
    entered, go_on, failed = threading.Event(), threading.Event(), threading.Event()

    def fail_first() -> None:
        if not failed.is_set():
            failed.set()
            entered.set()
            assert go_on.wait(10)
            raise KeyringError("down")

    keyring.before = fail_first
    with ThreadPoolExecutor(threads) as pool:
        first = pool.submit(keys_of, manager, 1)
        assert entered.wait(10)
        others = [pool.submit(keys_of, manager, 1) for _ in range(threads - 1)]
        go_on.set()
        with pytest.raises(KeyringError, match="down"):
            first.result()
        assert all(future.result() for future in others)


def test_threads_never_exceed_the_limits(make: Make, keyring: CountingKeyring) -> None:
    """Under any interleaving a data key encrypts at most that many objects and bytes."""
    manager = make(max_messages=5, max_bytes=40)
    with ThreadPoolExecutor(8) as pool:
        keys = [key for keys in pool.map(lambda _: keys_of(manager, 50, length=10), range(8)) for key in keys]
    counts = {key: keys.count(key) for key in keys}
    assert len(keys) == 400
    assert max(counts.values()) <= 4


@pytest.mark.parametrize(
    "limits",
    [
        {"max_age": 0},
        {"max_age": -1},
        {"max_age": float("inf")},
        {"max_age": float("nan")},
        *({name: value} for name in ("max_messages", "max_bytes", "capacity") for value in (0, -1, 1.5, True, None)),
    ],
)
def test_limits_are_positive(make: Make, limits: dict[str, Any]) -> None:
    """No cache is unlimited, and limits without a meaning are refused."""
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        make(**limits)


def test_the_keys_stay() -> None:
    """What is kept is in no repr, and the manager can be neither pickled nor copied."""
    manager = CachingMaterialsManager(AesKeyring(bytes(16)))
    written = manager.get_encryption_materials(write_request())
    assert repr(manager) == "CachingMaterialsManager(AesKeyring(<128 bits>, material_description={}))"
    entries = [*manager._encryption._entries.values()]
    assert repr(written.plaintext_data_key)[2:-1] not in repr(entries)
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            take(manager)
