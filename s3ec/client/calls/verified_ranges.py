"""The objects whose tag a client has verified; see `s3ec.s3.verified`.

The opened key is kept beside the MACs for as long as a cache of data keys would keep it: ranges cost no call of the
keyring meanwhile, and access that was taken away ends then. The MACs open nothing, and stay. Keys of objects that are
read without a pass over all of them are kept by the same rule.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from s3ec import forks
from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.formats import ContentMetadata
from s3ec.s3.verified import OpenedKey, Place, VerifiedObject

__all__ = ["MAX_KEY_AGE", "VerifiedObject", "VerifiedTable"]

MAX_KEY_AGE = 300.0
"""Seconds for which an opened key is kept, as `s3ec.CachingMaterialsManager` keeps one unless told otherwise."""

_TABLE_SIZE = 16 * 1024 * 1024
_MOST_KEYS = 1000


@dataclass(slots=True)
class _Entry:
    verified: VerifiedObject
    expires: float


class VerifiedTable:
    """The verified objects of one client, the least recently used dropped first; safe for threads.

    Opened keys are forgotten at their age, also those that are not asked for again: at the next call of any kind.
    """

    def __init__(
        self, size: int = _TABLE_SIZE, *, max_age: float = MAX_KEY_AGE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep at most this many bytes of MACs, and opened keys for this many seconds."""
        self._size = size
        self._max_age = max_age
        self._clock = clock
        self._used = 0
        self._lock: threading.Lock
        self._entries: OrderedDict[Place, _Entry] = OrderedDict()
        self._opened: OrderedDict[Place, OpenedKey] = OrderedDict()
        self._next_expiry = math.inf
        self._building: dict[Place, threading.Lock]
        # Which object another thread was just reading is nothing to wait for in a forked child.
        forks.make_in_each_process(self, _lock=threading.Lock, _building=dict)

    def expiry(self) -> float:
        """When a key has to be forgotten that is opened from now on."""
        return self._clock() + self._max_age

    def get(self, place: Place) -> VerifiedObject | None:
        """What is known of the object in that place."""
        with self._lock:
            self._forget_old_keys()
            entry = self._entries.get(place)
            if entry is None:
                return None
            self._entries.move_to_end(place)
            return entry.verified

    def put(self, place: Place, verified: VerifiedObject, expires: float = math.inf) -> None:
        """Remember an object; others make room for it.

        Args:
            place: where it lies.
            verified: the object.
            expires: `expiry`, as it was before the key was asked for.
        """
        with self._lock:
            self._forget_old_keys()
            former = self._entries.pop(place, None)
            self._used += _weight(verified) - (_weight(former.verified) if former else 0)
            self._entries[place] = _Entry(verified, expires)
            self._next_expiry = min(self._next_expiry, expires)
            while self._used > self._size and len(self._entries) > 1:
                _, dropped = self._entries.popitem(last=False)
                self._used -= _weight(dropped.verified)

    def opened(self, place: Place, content_metadata: ContentMetadata) -> OpenedKey | None:
        """The kept key of an object that says this about itself."""
        with self._lock:
            self._forget_old_keys()
            entry = self._entries.get(place)
            if entry is not None and entry.verified.cipher is not None:
                key = OpenedKey(entry.verified.content_metadata, entry.verified.cipher, entry.expires)
                if key.content_metadata == content_metadata:
                    return key
            kept = self._opened.get(place)
            if kept is None or kept.content_metadata != content_metadata:
                return None
            self._opened.move_to_end(place)
            return kept

    def keep(self, place: Place, key: OpenedKey) -> None:
        """Keep an opened key until it expires, of an object whose content nobody has verified."""
        with self._lock:
            self._forget_old_keys()
            self._opened[place] = key
            self._opened.move_to_end(place)
            self._next_expiry = min(self._next_expiry, key.expires)
            while len(self._opened) > _MOST_KEYS:
                self._opened.popitem(last=False)

    def _forget_old_keys(self) -> None:
        now = self._clock()
        if now < self._next_expiry:
            return
        for place in [place for place, key in self._opened.items() if key.expires <= now]:
            del self._opened[place]
        for entry in self._entries.values():
            if entry.expires <= now:
                entry.verified, entry.expires = entry.verified.with_cipher(None), math.inf
        kept: list[_Entry | OpenedKey] = [*self._entries.values(), *self._opened.values()]
        self._next_expiry = min((key.expires for key in kept), default=math.inf)

    def gate(self, place: Place) -> _Gate:
        """What one thread at a time is in that reads the object in that place, for all who wait for it."""
        return _Gate(self, place)


class _Gate:
    """Ten parallel ranges need one pass over an object, not ten."""

    def __init__(self, table: VerifiedTable, place: Place) -> None:
        self._table = table
        self._place = place
        self._waited_for = threading.Lock()

    def acquire(self) -> None:
        """Wait until no other thread is in it."""
        with self._table._lock:
            self._waited_for = self._table._building.setdefault(self._place, self._waited_for)
        self._waited_for.acquire()

    def release(self) -> None:
        """Let the next one in; who comes later finds what was read in the table."""
        with self._table._lock:
            self._table._building.pop(self._place, None)
        self._waited_for.release()


def _weight(entry: VerifiedObject) -> int:
    return GCM_TAG_LENGTH * len(entry.macs) + 1024
