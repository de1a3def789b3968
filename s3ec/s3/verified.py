"""What makes a partial range trustworthy: one authenticating pass, of which a keyed MAC per chunk is kept.

A GCM tag covers an object as a whole. Reading it once and remembering 16 bytes for each 64 KiB, under a key that never
leaves the process, lets every later range be checked against what the tag covered, without keeping the content.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Protocol

from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.crypto.buffers import UPDATE_ROOM
from s3ec.crypto.content import ContentCipher, CtrDecryptor
from s3ec.crypto.own.mac import ChunkMac
from s3ec.errors import AuthenticationError
from s3ec.formats import ContentMetadata

__all__ = ["RANGE_CHUNK_SIZE", "Authentication", "OpenedKey", "Place", "Table", "VerifiedObject"]

RANGE_CHUNK_SIZE = 64 * 1024
"""Bytes that share one MAC: what a partial range is widened to."""

Place = tuple[str, ...]
"""Bucket, key and version of an object, as they were asked for."""

_BLOCK = 16 * RANGE_CHUNK_SIZE


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
        return self.total - GCM_TAG_LENGTH

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


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """The opened key of an object that ranges were read of.

    It is that of exactly this metadata: an object that says anything else of itself is opened by the keyring.

    Attributes:
        content_metadata: what the object said about itself.
        cipher: decrypts it.
        expires: when it has to be forgotten.
    """

    content_metadata: ContentMetadata
    cipher: ContentCipher = field(repr=False)
    expires: float


class Authentication:
    """The authenticating pass over a whole object, which is fed. Constant memory; releases nothing."""

    def __init__(self, etag: str, total: int, content_metadata: ContentMetadata, cipher: ContentCipher) -> None:
        """Begin.

        Args:
            etag: of the answer whose body will be fed.
            total: bytes of it.
            content_metadata: what the object says about itself.
            cipher: opens it.
        """
        self._etag = etag
        self._total = total
        self._content_metadata = content_metadata
        self._cipher = cipher
        self._left = total - GCM_TAG_LENGTH
        self._decryptor = cipher.decryptor()
        self._mac = ChunkMac()
        self._macs: list[bytes] = []
        self._discarded = bytearray(_BLOCK + UPDATE_ROOM)

    @property
    def wanted(self) -> int:
        """Bytes to be fed next; 0 once only the tag is left."""
        return min(_BLOCK, self._left)

    def feed(self, block: bytes) -> None:
        """Take the next `wanted` bytes.

        Raises:
            AuthenticationError: there are fewer.
        """
        if len(block) < self.wanted:
            raise AuthenticationError("the stored object ended early: it was cut off")
        self._left -= len(block)
        self._decryptor.update_into(block, self._discarded)
        view = memoryview(block)
        for offset in range(0, len(block), RANGE_CHUNK_SIZE):
            self._macs.append(self._mac.of(len(self._macs), view[offset : offset + RANGE_CHUNK_SIZE]))

    def finish(self, tag: bytes) -> VerifiedObject:
        """Take the 16 bytes that an object ends with, and anything that follows them.

        Raises:
            AuthenticationError: the object does not verify.
        """
        self._decryptor.verify(exactly_a_tag(tag))
        macs = tuple(self._macs)
        return VerifiedObject(self._etag, self._total, self._content_metadata, self._cipher, self._mac, macs)


def exactly_a_tag(end: bytes) -> bytes:
    """Return the end of an object of AES-GCM, where that is 16 bytes.

    Raises:
        AuthenticationError: there are fewer, or more follow.
    """
    if len(end) != GCM_TAG_LENGTH:
        raise AuthenticationError("the stored object does not end with its authentication tag")
    return end


class Table(Protocol):
    """The verified objects of one client."""

    def expiry(self) -> float:
        """When a key has to be forgotten that is opened from now on."""
        ...

    def get(self, place: Place) -> VerifiedObject | None:
        """What is known of the object in that place."""
        ...

    def put(self, place: Place, verified: VerifiedObject, expires: float) -> None:
        """Remember an object, its key until it expires."""
        ...

    def opened(self, place: Place, content_metadata: ContentMetadata) -> OpenedKey | None:
        """The kept key of an object that says this about itself."""
        ...

    def keep(self, place: Place, key: OpenedKey) -> None:
        """Keep an opened key until it expires, of an object whose content nobody has verified."""
        ...

    def gate(self, place: Place) -> object:
        """What one flow at a time is in that reads the object in that place: ten ranges at once need one pass."""
        ...
