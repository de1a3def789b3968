"""Data-key caching: one call of the keyring for many objects."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from s3ec import forks
from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.keyrings.managing import in_order, of_any_length, require_age, require_positive
from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    Keyring,
    KeyringCapabilities,
)
from s3ec.secrets import Secret, Unpicklable

__all__ = ["CachingMaterialsManager"]

M = TypeVar("M")


@dataclasses.dataclass(slots=True)
class _Entry(Generic[M]):
    materials: Secret[M]
    expires: float
    messages_left: float
    bytes_left: float


class _Cache(Generic[M]):
    """Materials by key: bounded, least recently used out first, and made once when many ask at the same time."""

    def __init__(
        self, *, max_age: float, max_messages: float, max_bytes: float, capacity: int, clock: Callable[[], float]
    ) -> None:
        self._limits = (max_age, max_messages, max_bytes)
        self._capacity = capacity
        self._clock = clock
        self._next_expiry = math.inf
        self._lock: threading.Lock
        self._entries: OrderedDict[Hashable, _Entry[M]]
        self._making: dict[Hashable, threading.Event]
        # A forked child begins empty: what is kept is limited in use, and parent and children each would use it up.
        forks.make_in_each_process(self, _lock=threading.Lock, _entries=OrderedDict, _making=dict)

    def get(self, key: Hashable, length: int, make: Callable[[], M]) -> M:
        """Return materials for one more object of this many bytes: kept ones within their limits, or new ones."""
        with self._lock:
            materials = self._use(key, length)
            if materials is not None:
                return materials
            made = self._making.get(key)
            if made is None:
                self._making[key] = threading.Event()
        if made is None:
            return self._make(key, length, make)
        made.wait()
        with self._lock:
            materials = self._use(key, length)
        # Where the maker failed, or its materials are used up already, each of those who waited makes its own at once:
        # waiting again could take as many timeouts as there are threads.
        return make() if materials is None else materials

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def _make(self, key: Hashable, length: int, make: Callable[[], M]) -> M:
        max_age, max_messages, max_bytes = self._limits
        try:
            # Age counts from before the call, so that it never falls short of the truth.
            expires = self._clock() + max_age
            materials = make()
            with self._lock:
                self._entries[key] = _Entry(Secret(materials), expires, max_messages - 1, max_bytes - length)
                self._next_expiry = min(self._next_expiry, expires)
                while len(self._entries) > self._capacity:
                    self._entries.popitem(last=False)
            return materials
        finally:
            with self._lock:
                self._making.pop(key).set()

    def _drop_stale(self, now: float) -> None:
        """Drop all that is too old, not only what is asked for: no secret stays because it is never asked for again."""
        if now < self._next_expiry:
            return
        for stale in [key for key, entry in self._entries.items() if entry.expires <= now]:
            del self._entries[stale]
        self._next_expiry = min((entry.expires for entry in self._entries.values()), default=math.inf)

    def _use(self, key: Hashable, length: int) -> M | None:
        self._drop_stale(self._clock())
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.messages_left < 1 or entry.bytes_left < length:
            del self._entries[key]
            return None
        entry.messages_left -= 1
        entry.bytes_left -= length
        self._entries.move_to_end(key)
        return entry.materials.reveal()


class CachingMaterialsManager(Unpicklable):
    """Asks its keyring once for many objects.

    Writes: only the committing suite reuses a data key, because it derives a content key of its own for each object
    from the data key and a random message ID. Objects of other suites get a fresh data key each. Reads: what the
    keyring answered is kept for the same encrypted data key, with everything that was said about it.

    What is kept stays in memory in clear and works without the keyring: access taken away at KMS takes effect after
    `max_age` at the latest. What is too old is dropped at the next call of any kind, or by `clear`.

    Args:
        keyring: the keyring to ask for what is not kept.
        max_age: seconds that a data key is kept.
        max_messages: objects that one data key encrypts.
        max_bytes: bytes of plaintext that one data key encrypts. An object of unknown length counts as the largest
            possible (2^36 - 32 bytes); the default has room for 16 384 of these.
        capacity: data keys kept at a time, counted for writes and for reads separately.
        clock: seconds of a clock that never goes back.

    Raises:
        ConfigurationError: a limit is not a positive number.
    """

    __slots__ = ("_decryption", "_encryption", "_keyring", "_max_bytes")

    def __init__(
        self,
        keyring: Keyring,
        *,
        max_age: float = 300.0,
        max_messages: int = 10_000,
        max_bytes: int = 2**50,
        capacity: int = 1_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        require_positive(max_messages=max_messages, max_bytes=max_bytes, capacity=capacity)
        require_age(max_age)
        self._keyring = keyring
        self._max_bytes = max_bytes
        self._encryption: _Cache[EncryptionMaterials] = _Cache(
            max_age=max_age, max_messages=max_messages, max_bytes=max_bytes, capacity=capacity, clock=clock
        )
        self._decryption: _Cache[DecryptionMaterials] = _Cache(
            max_age=max_age, max_messages=math.inf, max_bytes=math.inf, capacity=capacity, clock=clock
        )

    def __repr__(self) -> str:
        return f"CachingMaterialsManager({self._keyring!r})"

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Return the capabilities of the keyring."""
        return self._keyring.capabilities

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Return materials for one object to be written; see the class for which are reused."""
        length = GCM_MAX_PLAINTEXT_LENGTH if request.plaintext_length is None else request.plaintext_length
        if not request.algorithm_suite.commits or length > self._max_bytes:
            return self._keyring.on_encrypt(request)
        key, neutral = of_any_length(request)
        materials = self._encryption.get(key, length, lambda: self._keyring.on_encrypt(neutral))
        return dataclasses.replace(materials, description=dict(materials.description))

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Return materials for one object to be read.

        The key holds all that the request says. With the policy missing, an answer given to a client that allows old
        objects would open them to one that does not (the fault of CVE-2026-6550). Legacy wrappings need no entry of
        their own: the gates refuse them by this manager's capabilities, which never change, before they ask it.
        """
        key = (
            request.encrypted_data_key,
            request.algorithm_suite,
            request.commitment_policy,
            request.content_algorithm,
            request.from_instruction_file,
            in_order(request.description),
        )
        return self._decryption.get(key, 0, lambda: self._keyring.on_decrypt(request))

    def clear(self) -> None:
        """Drop all data keys that are kept."""
        self._encryption.clear()
        self._decryption.clear()
