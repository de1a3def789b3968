"""Data keys that are asked for before they are needed: still one for each object, but off the caller's path."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from functools import partial

from s3ec import forks
from s3ec.errors import KeyringError
from s3ec.keyrings.kms import KmsKeyring
from s3ec.keyrings.managing import of_any_length, require_age, require_positive
from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    Keyring,
    KeyringCapabilities,
)
from s3ec.secrets import Secret, Unpicklable

__all__ = ["PrefetchingMaterialsManager"]


@dataclasses.dataclass(slots=True, eq=False)
class _Pool:
    """The keys of one kind of request.

    Attributes:
        request: what the keyring is asked.
        ready: materials that nobody has had yet, the oldest first, each with the time when it is too old.
        ordered: keys that are being asked for.
        taken: objects that were served since the keyring last failed.
    """

    request: EncryptionMaterialsRequest
    ready: deque[tuple[float, Secret[EncryptionMaterials]]] = dataclasses.field(default_factory=deque)
    ordered: int = 0
    taken: int = 0


class PrefetchingMaterialsManager(Unpicklable):
    """Asks its keyring for the data keys of the next objects while the current one is on its way.

    Every data key still encrypts one object only, and none is used by two processes: this changes when the keyring is
    asked, not how often. Once a second object of the same kind (algorithm suite, policy and encryption context) is
    written, up to `size` keys of this kind are kept ready; before that, and where none is ready, the keyring is asked
    as it would be without. Keys that are not used in time are thrown away, so that a few calls to KMS are made for
    nothing. Reads are passed on.

    What is ready stays in memory in clear: access taken away at KMS takes effect on writes after `max_age` at the
    latest. What is too old is dropped at the next call of any kind, or by `clear` or `close`. A forked child begins
    with nothing ready. A failure of a call made ahead is not reported: the next object asks for itself, and gets its
    own error.

    Args:
        keyring: the keyring to ask.
        size: data keys kept ready for one kind of request.
        max_age: seconds that a data key is kept ready.
        threads: calls of the keyring at the same time, at most. They run in daemon threads, which end when all is
            ready. A `KmsKeyring` whose client is an ordinary one has all of them made by one thread: the requests are
            sent one after the other, then the answers are read, which takes less processor time.
        capacity: kinds of requests at a time; the one that was asked for least recently is dropped.
        clock: seconds of a clock that never goes back.

    Raises:
        ConfigurationError: a limit is not a positive number.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        size: int = 32,
        max_age: float = 60.0,
        threads: int = 8,
        capacity: int = 16,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        require_positive(size=size, threads=threads, capacity=capacity)
        require_age(max_age)
        self._keyring = keyring
        self._size = size
        self._threads = threads
        self._capacity = capacity
        self._max_age = max_age
        self._clock = clock
        # Not a keyring that is derived from it, or stands before it: that may do more for each data key.
        self._kms = keyring if type(keyring) is KmsKeyring else None
        # Calls that one thread has under way.
        self._at_once = threads if self._kms else 1
        self._closed = False
        self._lock: threading.Lock
        self._pools: OrderedDict[Hashable, _Pool]
        self._orders: deque[_Pool]
        self._running: int
        # The parent's keys are not the child's too: each encrypts one object.
        forks.make_in_each_process(self, _lock=threading.Lock, _pools=OrderedDict, _orders=deque, _running=int)

    def __repr__(self) -> str:
        return f"PrefetchingMaterialsManager({self._keyring!r})"

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Return the capabilities of the keyring."""
        return self._keyring.capabilities

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Return materials for one object to be written, which no other object gets.

        Raises:
            KeyringError: none were ready, and the keyring failed.
        """
        key, neutral = of_any_length(request)
        with self._lock:
            pool = self._pool_of(key, neutral)
            ready = pool.ready.popleft()[1] if pool.ready else None
        materials = Secret(self._keyring.on_encrypt(neutral)) if ready is None else ready
        with self._lock:
            pool.taken += 1
            self._order(pool)
        return materials.reveal()

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Ask the keyring."""
        with self._lock:
            self._drop_stale()
        return self._keyring.on_decrypt(request)

    def clear(self) -> None:
        """Drop all data keys that are ready."""
        with self._lock:
            self._pools.clear()
            self._orders.clear()

    def close(self) -> None:
        """Drop all data keys, and ask for no more in advance. The manager goes on without."""
        self._closed = True
        self.clear()

    def _pool_of(self, key: Hashable, request: EncryptionMaterialsRequest) -> _Pool:
        self._drop_stale()
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(request)
            while len(self._pools) > self._capacity:
                self._cancel(self._pools.popitem(last=False)[1])
        self._pools.move_to_end(key)
        return pool

    def _drop_stale(self) -> None:
        now = self._clock()
        for pool in self._pools.values():
            while pool.ready and pool.ready[0][0] <= now:
                pool.ready.popleft()

    def _order(self, pool: _Pool) -> None:
        """Order what is missing: nothing after one object, which may be the only one, then soon as many as are kept."""
        missing = min(self._size, 2 * (pool.taken - 1)) - len(pool.ready) - pool.ordered
        # What is asked for at once costs a fraction of what it costs one by one, so a few more are awaited.
        few = min(self._at_once, self._size // 4)
        awaits_more = missing < few <= len(pool.ready) + pool.ordered
        if self._closed or missing <= 0 or awaits_more:
            return
        pool.ordered += missing
        self._orders.extend([pool] * missing)
        while self._running < min(self._threads // self._at_once, len(self._orders)):
            try:
                threading.Thread(target=self._work, name="s3ec-prefetch", daemon=True).start()
            except RuntimeError:  # no more threads, or the interpreter ends: objects ask for themselves
                return
            self._running += 1

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._orders or self._running > self._threads // self._at_once:
                    self._running -= 1
                    return
                pools = deque(self._orders.popleft() for _ in range(min(self._at_once, len(self._orders))))
            try:
                self._fill(pools)
            except BaseException:  # of a keyring of somebody's own; the thread ends with it
                with self._lock:
                    self._running -= 1
                raise

    def _fill(self, pools: deque[_Pool]) -> None:
        # Age counts from before the call, so that it never falls short of the truth.
        expires = self._clock() + self._max_age
        try:
            for make in self._begin(pools):
                made = Secret(make())
                with self._lock:
                    pool = pools.popleft()
                    pool.ordered -= 1
                    if not self._closed:
                        pool.ready.append((expires, made))
        except BaseException as error:
            # All that was asked at once was asked of one KMS, for one key of it.
            for pool in pools:
                self._give_up(pool)
            if not isinstance(error, KeyringError):
                raise

    def _begin(self, pools: Iterable[_Pool]) -> list[Callable[[], EncryptionMaterials]]:
        requests = [pool.request for pool in pools]
        begun = None if self._kms is None else self._kms.begin_encrypting(requests)
        self._at_once = 1 if begun is None else self._threads
        return [partial(self._keyring.on_encrypt, request) for request in requests] if begun is None else begun

    def _give_up(self, pool: _Pool) -> None:
        """Order nothing more until an object has got a key again: KMS may throttle, or deny."""
        with self._lock:
            pool.ordered -= 1
            pool.taken = 0
            self._cancel(pool)

    def _cancel(self, pool: _Pool) -> None:
        for _ in range(self._orders.count(pool)):
            self._orders.remove(pool)
            pool.ordered -= 1
