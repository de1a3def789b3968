"""What makes a partial range trustworthy: one authenticating pass, of which a keyed MAC per chunk is kept.

A GCM tag covers an object as a whole. Reading it once and remembering 16 bytes for each 64 KiB, under a key that never
leaves the process, lets every later range be checked against what the tag covered, without keeping the content.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from s3ec.client.ciphertext_reader import CiphertextReader
from s3ec.client.releases import read_tag
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.mac import ChunkMac
from s3ec.errors import AuthenticationError
from s3ec.formats import ContentMetadata

__all__ = ["RANGE_CHUNK_SIZE", "VerifiedObject", "VerifiedTable", "authenticate"]

RANGE_CHUNK_SIZE = 64 * 1024
"""Bytes that share one MAC: what a partial range is widened to."""

_BLOCK = 16 * RANGE_CHUNK_SIZE
_TABLE_SIZE = 16 * 1024 * 1024
_TAG_LENGTH = 16


@dataclass(frozen=True, slots=True)
class VerifiedObject:
    """One version of an object whose tag was verified by this client.

    Attributes:
        etag: as S3 gave it.
        version_id: the version, where the bucket has versions.
        total: bytes of ciphertext, tag included.
        content_metadata: what its headers said.
        cipher: decrypts it.
        mac: keyed MAC of this object alone.
        macs: one for each chunk of ciphertext.
    """

    etag: str
    version_id: str | None
    total: int
    content_metadata: ContentMetadata
    cipher: ContentCipher = field(repr=False)
    mac: ChunkMac = field(repr=False)
    macs: tuple[bytes, ...] = field(repr=False)

    @property
    def length(self) -> int:
        """Bytes of plaintext."""
        return self.total - _TAG_LENGTH

    def check(self, index: int, chunk: bytes | memoryview) -> None:
        """Hold one chunk against what was authenticated.

        Raises:
            AuthenticationError: it is not what the tag covered.
        """
        if not self.mac.equal(self.mac.of(index, chunk), self.macs[index]):
            raise AuthenticationError(
                "a range of the object is not what its authentication tag covered: it was altered"
            )

    def matches(self, response: dict[str, Any], total: int, content_metadata: ContentMetadata) -> bool:
        """True where an answer is about this very object, as far as headers can say; the MACs say the rest."""
        return (response["ETag"], total, content_metadata) == (self.etag, self.total, self.content_metadata)


def authenticate(response: dict[str, Any], cipher: ContentCipher, content_metadata: ContentMetadata) -> VerifiedObject:
    """Read a whole object, verify its tag and remember its chunks. Constant memory; releases nothing.

    Raises:
        AuthenticationError: the object does not verify.
    """
    reader = CiphertextReader(response["Body"])
    total = response["ContentLength"]
    left = total - _TAG_LENGTH
    if left < 0:
        raise AuthenticationError("the stored object is shorter than its authentication tag: it was cut off")
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
    return VerifiedObject(
        response["ETag"], response.get("VersionId"), total, content_metadata, cipher, mac, tuple(macs)
    )


class VerifiedTable:
    """The verified objects of one client, the least recently used dropped first; safe for threads."""

    def __init__(self, size: int = _TABLE_SIZE) -> None:
        """Keep so many bytes of MACs at most."""
        self._size = size
        self._used = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, ...], VerifiedObject] = OrderedDict()
        self._building: dict[tuple[str, ...], threading.Lock] = {}

    def get(self, place: tuple[str, ...]) -> VerifiedObject | None:
        """What is known of the object in that place."""
        with self._lock:
            entry = self._entries.get(place)
            if entry is not None:
                self._entries.move_to_end(place)
            return entry

    def put(self, place: tuple[str, ...], entry: VerifiedObject) -> None:
        """Remember an object; others make room for it."""
        with self._lock:
            former = self._entries.pop(place, None)
            self._used += _weight(entry) - (_weight(former) if former else 0)
            self._entries[place] = entry
            while self._used > self._size and len(self._entries) > 1:
                _, dropped = self._entries.popitem(last=False)
                self._used -= _weight(dropped)

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
