"""What makes a partial range trustworthy: one authenticating pass, of which a keyed MAC per chunk is kept.

A GCM tag covers an object as a whole. Reading it once and remembering 16 bytes for each 64 KiB, under a key that never
leaves the process, lets every later range be checked against what the tag covered, without keeping the content.

The opened key is kept beside the MACs for as long as a cache of data keys would keep it: ranges cost no call of the
keyring meanwhile, and access that was taken away ends then. The MACs open nothing, and stay.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from s3ec import forks
from s3ec.client.answers import etag_of, is_partial, length_of
from s3ec.client.ciphertext_reader import CiphertextReader
from s3ec.client.objects import check_stored_length
from s3ec.client.releases import read_tag
from s3ec.crypto.content import ContentCipher, CtrDecryptor
from s3ec.crypto.own.mac import ChunkMac
from s3ec.errors import AuthenticationError
from s3ec.formats import ContentMetadata

__all__ = ["MAX_KEY_AGE", "RANGE_CHUNK_SIZE", "VerifiedObject", "VerifiedTable", "authenticate"]

RANGE_CHUNK_SIZE = 64 * 1024
"""Bytes that share one MAC: what a partial range is widened to."""

MAX_KEY_AGE = 300.0
"""Seconds for which an opened key is kept, as `s3ec.CachingMaterialsManager` keeps one unless told otherwise."""

_BLOCK = 16 * RANGE_CHUNK_SIZE
_TABLE_SIZE = 16 * 1024 * 1024
_TAG_LENGTH = 16


@dataclass(frozen=True, slots=True)
class VerifiedObject:
    """One version of an object whose tag was verified by this client.

    Attributes:
        etag: as S3 gave it.
        total: bytes of ciphertext, tag included.
        content_metadata: what its headers said.
        cipher: decrypts it; None once it was forgotten.
        mac: keyed MAC of this object alone.
        macs: one for each chunk of ciphertext.
    """

    etag: str
    total: int
    content_metadata: ContentMetadata
    cipher: ContentCipher | None = field(repr=False)
    mac: ChunkMac = field(repr=False)
    macs: tuple[bytes, ...] = field(repr=False)

    @property
    def length(self) -> int:
        """Bytes of plaintext."""
        return self.total - _TAG_LENGTH

    def with_cipher(self, cipher: ContentCipher | None) -> VerifiedObject:
        """Return the same object, with its key opened once more, or forgotten."""
        return dataclasses.replace(self, cipher=cipher)

    def decryptor_at(self, offset: int) -> CtrDecryptor:
        """Decrypts from an offset on, a multiple of 16; `check` is what makes it trustworthy."""
        if self.cipher is None:
            raise ValueError("the key of this object was forgotten; open it again first")
        return self.cipher.decryptor_at(offset)

    def check(self, index: int, chunk: bytes | memoryview) -> None:
        """Check one chunk against what was authenticated.

        Raises:
            AuthenticationError: it is not what the tag covered.
        """
        if not self.mac.equal(self.mac.of(index, chunk), self.macs[index]):
            raise AuthenticationError(
                "a range of the object is not what its authentication tag covered: it was altered"
            )

    def matches(self, etag: str, total: int, content_metadata: ContentMetadata) -> bool:
        """True if an answer is about this very object, as far as headers can say; the MACs say the rest."""
        return (etag, total, content_metadata) == (self.etag, self.total, self.content_metadata)


def authenticate(response: dict[str, Any], cipher: ContentCipher, content_metadata: ContentMetadata) -> VerifiedObject:
    """Read a whole object, verify its tag and remember its chunks. Constant memory; releases nothing.

    Raises:
        AuthenticationError: the object does not verify.
    """
    if is_partial(response):
        raise AuthenticationError("S3 was asked for the whole object, and answered with a part of it")
    reader = CiphertextReader(response["Body"])
    total = length_of(response)
    check_stored_length(content_metadata, total)
    left = total - _TAG_LENGTH
    decryptor, mac, macs = cipher.decryptor(), ChunkMac(), list[bytes]()
    discarded = bytearray(_BLOCK + 15)
    while left:
        block = reader.read(min(_BLOCK, left))
        if len(block) < min(_BLOCK, left):
            raise AuthenticationError("the stored object ended early: it was cut off")
        left -= len(block)
        decryptor.update_into(block, discarded)
        view = memoryview(block)
        for offset in range(0, len(block), RANGE_CHUNK_SIZE):
            macs.append(mac.of(len(macs), view[offset : offset + RANGE_CHUNK_SIZE]))
    decryptor.verify(read_tag(reader))
    return VerifiedObject(etag_of(response), total, content_metadata, cipher, mac, tuple(macs))


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
        self._entries: OrderedDict[tuple[str, ...], _Entry] = OrderedDict()
        self._next_expiry = math.inf
        self._building: dict[tuple[str, ...], threading.Lock]
        # Which object another thread was just reading is nothing to wait for in a forked child.
        forks.make_in_each_process(self, _lock=threading.Lock, _building=dict)

    def expiry(self) -> float:
        """When a key has to be forgotten that is opened from now on."""
        return self._clock() + self._max_age

    def get(self, place: tuple[str, ...]) -> VerifiedObject | None:
        """What is known of the object in that place."""
        with self._lock:
            self._forget_old_keys()
            entry = self._entries.get(place)
            if entry is None:
                return None
            self._entries.move_to_end(place)
            return entry.verified

    def put(self, place: tuple[str, ...], verified: VerifiedObject, expires: float = math.inf) -> None:
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

    def _forget_old_keys(self) -> None:
        now = self._clock()
        if now < self._next_expiry:
            return
        for entry in self._entries.values():
            if entry.expires <= now:
                entry.verified, entry.expires = entry.verified.with_cipher(None), math.inf
        self._next_expiry = min((entry.expires for entry in self._entries.values()), default=math.inf)

    @contextmanager
    def building(self, place: tuple[str, ...]) -> Iterator[None]:
        """Let one thread read an object for all who wait for it: ten parallel ranges need one pass, not ten."""
        with self._lock:
            lock = self._building.setdefault(place, threading.Lock())
        with lock:
            try:
                yield
            finally:
                with self._lock:
                    self._building.pop(place, None)


def _weight(entry: VerifiedObject) -> int:
    return _TAG_LENGTH * len(entry.macs) + 1024
