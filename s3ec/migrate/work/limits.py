"""What a run shares with others and must not use up: KMS's request quota, and memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    Keyring,
    KeyringCapabilities,
)

__all__ = ["KmsMeter", "MemoryBudget", "MeteredKeyring", "TokenBucket"]


class TokenBucket:
    """Lets this many calls a second through, with a burst of one second's worth; the rest waits its turn."""

    def __init__(self, rate: float) -> None:
        """Take the rate in calls per second."""
        self._rate = rate
        self._room = max(1.0, rate)
        self._tokens = self._room
        self._filled = time.monotonic()
        self._lock = threading.Lock()

    def acquire(self) -> None:
        """Wait until one more call is due."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._room, self._tokens + (now - self._filled) * self._rate)
            self._filled = now
            # A debt of tokens is the queue: each caller sleeps until its own token will be there.
            self._tokens -= 1
            wait = -self._tokens / self._rate if self._tokens < 0 else 0.0
        if wait:
            time.sleep(wait)


class KmsMeter:
    """Counts and paces the KMS requests of one process.

    Attributes:
        total: requests so far, all threads.
    """

    def __init__(self, requests_per_second: float | None = None) -> None:
        """Take the limit, or None for none."""
        self.total = 0
        self._bucket = TokenBucket(requests_per_second) if requests_per_second else None
        self._lock = threading.Lock()
        self._thread = threading.local()

    def before_call(self) -> None:
        """Count one request, and wait for its turn."""
        with self._lock:
            self.total += 1
        self._thread.calls = self.of_this_thread + 1
        if self._bucket is not None:
            self._bucket.acquire()

    @property
    def of_this_thread(self) -> int:
        """Requests that the calling thread has made so far."""
        return int(getattr(self._thread, "calls", 0))


class MeteredKeyring:
    """A KMS keyring whose every request is counted and paced."""

    __slots__ = ("_keyring", "_meter")

    def __init__(self, keyring: Keyring, meter: KmsMeter) -> None:
        """Take the keyring and the meter."""
        self._keyring = keyring
        self._meter = meter

    def __repr__(self) -> str:
        return f"MeteredKeyring({self._keyring!r})"

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Return the capabilities of the keyring."""
        return self._keyring.capabilities

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Count, wait, ask."""
        self._meter.before_call()
        return self._keyring.on_encrypt(request)

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Count, wait, ask."""
        self._meter.before_call()
        return self._keyring.on_decrypt(request)


class MemoryBudget:
    """Limits the bytes of object content held at a time; a caller who needs more than are free waits."""

    def __init__(self, limit: int) -> None:
        """Take the limit in bytes."""
        self._limit = limit
        self._free = limit
        self._condition = threading.Condition()

    @contextlib.contextmanager
    def reserve(self, count: int) -> Iterator[None]:
        """Hold ``count`` bytes for a while; more than the limit counts as the limit, so that nothing waits forever."""
        count = min(count, self._limit)
        with self._condition:
            self._condition.wait_for(lambda: self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            with self._condition:
                self._free += count
                self._condition.notify_all()
