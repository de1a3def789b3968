"""Ciphertext in, plaintext out: machines that are fed, and hand out what may be handed out.

Whoever has the connection reads `Receiver.wanted` bytes and feeds them; fewer mean that there are no more. What was cut
off, what does not end with a tag, and what ends before its range is found here, whoever reads.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from s3ec.algorithms import BLOCK_LENGTH, GCM_TAG_LENGTH
from s3ec.crypto.buffers import UPDATE_ROOM, room_for
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.legacy.content import CbcCipher
from s3ec.crypto.own.mac import ChunkMac
from s3ec.errors import AuthenticationError
from s3ec.s3.contents import CbcSpan, Span, UnverifiedSpan, VerifiedSpan
from s3ec.s3.verified import RANGE_CHUNK_SIZE, exactly_a_tag

__all__ = [
    "CHUNK_SIZE",
    "FromSpool",
    "InMemory",
    "Receiver",
    "ThroughSpool",
    "receive_span",
    "receive_whole",
]

CHUNK_SIZE = 1024 * 1024
"""Bytes that are decrypted at a time."""

_ROOM_SIZE = 16 * CHUNK_SIZE  # what is held of an object goes back to the system in such pieces
_WIDENED = 2 * BLOCK_LENGTH  # up to the block's end, and by the tag


class Receiver(Protocol):
    """Takes ciphertext, in order."""

    @property
    def wanted(self) -> int:
        """Bytes to be fed next, or what there is up to the end; 0 once nothing more is."""
        ...

    def feed(self, data: bytes) -> bytes | memoryview:
        """Take the next bytes.

        Returns:
            Plaintext that may be handed out; there may be none of it yet.

        Raises:
            AuthenticationError: they are too few, or not what was written.
        """
        ...


def _cut_off() -> AuthenticationError:
    return AuthenticationError("the stored object is shorter than its content metadata allows: it was cut off")


class _Tagged:
    """Receives the shape of an object of AES-GCM: chunks, and 16 bytes at the end."""

    def __init__(self, length: int) -> None:
        self.left = length
        self._ended = False

    @property
    def wanted(self) -> int:
        """See `Receiver`. Of the tag it is one byte more, so that the end is read."""
        return 0 if self._ended else min(CHUNK_SIZE, self.left) or GCM_TAG_LENGTH + 1

    def feed(self, data: bytes) -> bytes:
        """See `Receiver`."""
        if self.left:
            if len(data) < self.wanted:
                raise _cut_off()
            self.left -= len(data)
            return self._take(data)
        tag = exactly_a_tag(data)
        self._ended = True
        return self._verify(tag)

    def _take(self, chunk: bytes) -> bytes:
        raise NotImplementedError("each kind has its own")  # pragma: no cover - abstract

    def _verify(self, tag: bytes) -> bytes:
        raise NotImplementedError("each kind has its own")  # pragma: no cover - abstract


class InMemory:
    """Verified before any of it is handed out; the plaintext waits in memory.

    What is read at once, with its tag, needs one pass over it; this is that, and `_InChunks` is for all that is larger.
    """

    def __init__(self, cipher: ContentCipher, length: int) -> None:
        """Take what opens the content, and its bytes of plaintext."""
        self._cipher = cipher
        self._length = length + GCM_TAG_LENGTH
        self._chunks: deque[bytes | memoryview] = deque()

    @property
    def wanted(self) -> int:
        """See `Receiver`: one byte more than there should be, so that the end is read."""
        return 0 if self._chunks else self._length + 1

    def feed(self, data: bytes) -> bytes:
        """See `Receiver`."""
        if len(data) < self._length:
            raise _cut_off()
        exactly_a_tag(data[self._length - GCM_TAG_LENGTH :])
        self._chunks.append(self._cipher.decrypt(data))
        return b""

    def finish(self) -> deque[bytes | memoryview]:
        """Return the verified plaintext, in chunks; once `wanted` is 0."""
        return self._chunks


class _InChunks(_Tagged, InMemory):
    """The plaintext lies side by side in rooms of a few megabytes each, that go as they are read."""

    def __init__(self, cipher: ContentCipher, length: int) -> None:
        _Tagged.__init__(self, length)
        self._decryptor = cipher.decryptor()
        self._chunks = deque()
        self._room = memoryview(b"")

    def _take(self, chunk: bytes) -> bytes:
        size = len(chunk)
        if len(self._room) < size + UPDATE_ROOM:
            self._room = room_for(min(_ROOM_SIZE, size + self.left) + UPDATE_ROOM)
        self._decryptor.update_into(chunk, self._room)
        self._chunks.append(self._room[:size].toreadonly())
        self._room = self._room[size:]
        return b""

    def _verify(self, tag: bytes) -> bytes:
        self._decryptor.verify(tag)
        self._room = memoryview(b"")
        return b""


class ThroughSpool(_Tagged):
    """Verified before any of it is handed out; whoever feeds it keeps the chunks, outside of memory.

    Attributes:
        left: bytes of chunks that are still to come.
    """

    def __init__(self, cipher: ContentCipher, length: int) -> None:
        """Take what opens the content, and its bytes of plaintext."""
        super().__init__(length)
        self._cipher = cipher
        self._decryptor = cipher.decryptor()
        self._mac = ChunkMac()
        self._macs: list[bytes] = []
        self._discarded = bytearray(CHUNK_SIZE + UPDATE_ROOM)

    def _take(self, chunk: bytes) -> bytes:
        self._decryptor.update_into(chunk, self._discarded)
        self._macs.append(self._mac.of(len(self._macs), chunk))
        return b""

    def _verify(self, tag: bytes) -> bytes:
        self._decryptor.verify(tag)
        return b""

    def finish(self) -> FromSpool:
        """Return what takes the kept chunks; once `wanted` is 0."""
        return FromSpool(self._cipher, self._mac, self._macs)


class FromSpool:
    """Verified ciphertext that was kept elsewhere: each chunk is what was verified, or nothing of it is handed out."""

    def __init__(self, cipher: ContentCipher, mac: ChunkMac, macs: list[bytes]) -> None:
        """Take the keyed MAC of each chunk, from the verifying pass."""
        self._decryptor = cipher.decryptor()
        self._mac = mac
        self._macs = macs
        self._index = 0

    @property
    def wanted(self) -> int:
        """See `Receiver`."""
        return CHUNK_SIZE if self._index < len(self._macs) else 0

    def feed(self, data: bytes) -> bytes:
        """See `Receiver`."""
        if not self._mac.equal(self._mac.of(self._index, data), self._macs[self._index]):
            raise AuthenticationError("the spooled ciphertext changed on disk after it was verified")
        self._index += 1
        return self._decryptor.update(data)


class _Delayed(_Tagged):
    """GCM plaintext released before its tag is verified; the last chunk still waits for it."""

    def __init__(self, cipher: ContentCipher, length: int) -> None:
        super().__init__(length)
        self._decryptor = cipher.decryptor()
        self._held = b""

    def _take(self, chunk: bytes) -> bytes:
        plaintext = self._decryptor.update(chunk)
        if self.left:
            return plaintext
        self._held = plaintext
        return b""

    def _verify(self, tag: bytes) -> bytes:
        self._decryptor.verify(tag)
        return self._held


class _Cbc:
    """CBC plaintext, which nothing authenticates: the caller has opted in by name."""

    def __init__(self, cipher: CbcCipher, length: int) -> None:
        self._decryptor = cipher.decryptor()
        self._left = length

    @property
    def wanted(self) -> int:
        """See `Receiver`: with the last of it one byte more, so that the end is read."""
        return min(CHUNK_SIZE, self._left) + (0 < self._left <= CHUNK_SIZE)

    def feed(self, data: bytes) -> bytes:
        """See `Receiver`."""
        size = min(CHUNK_SIZE, self._left)
        if len(data) < size:
            raise _cut_off()
        self._left -= size
        plaintext = self._decryptor.update(data if len(data) == size else data[:size])
        return plaintext if self._left else plaintext + self._decryptor.finish()


def receive_whole(
    cipher: ContentCipher, ciphertext_length: int, *, delayed: bool, in_memory: int
) -> Receiver | InMemory | ThroughSpool:
    """Return what receives the whole of an object.

    Args:
        cipher: what opens it.
        ciphertext_length: bytes of it, tag or padding included.
        delayed: hand out before verifying.
        in_memory: bytes to hold in memory at most.

    Raises:
        AuthenticationError: that length is shorter than a tag.
        S3ECError: the one error of CBC content that does not decrypt, for what has no padding.
    """
    if isinstance(cipher, CbcCipher):
        if ciphertext_length == 0 and cipher.padded:
            # Padding fills at least one block: an object without any was cut off, and is not the empty one.
            raise cipher.failure()
        return _Cbc(cipher, ciphertext_length)
    length = ciphertext_length - GCM_TAG_LENGTH
    if length < 0:
        raise _cut_off()
    if delayed:
        return _Delayed(cipher, length)
    if length > in_memory:
        return ThroughSpool(cipher, length)
    return _InChunks(cipher, length) if length > CHUNK_SIZE else InMemory(cipher, length)


class _Part:
    """Receives a part of an object, skips what was read around it, and hands out the bytes of a span."""

    def __init__(self, span: Span, *, skip: int, offset: int, lead: int = 0) -> None:
        """Begin.

        Args:
            span: first and last offset of what is handed out.
            skip: bytes that come before anything of use.
            offset: of the first byte that is decrypted.
            lead: bytes between the two.
        """
        self._next, self._last = span
        self._skip = skip
        self._lead = lead
        self._offset = offset

    @property
    def wanted(self) -> int:
        """See `Receiver`; with the last of it comes what the range was widened by, in one read."""
        if needed := self._lead_in():
            return needed
        if self._next > self._last:
            return 0
        size = self._size()
        return size + _WIDENED * (self._offset + size > self._last)

    def _lead_in(self) -> int:
        return min(self._skip, RANGE_CHUNK_SIZE) if self._skip > 0 else self._lead

    def feed(self, data: bytes) -> bytes | memoryview:
        """See `Receiver`."""
        needed = self._lead_in()
        size = needed or self._size()
        if len(data) < size:
            raise AuthenticationError("the answer ended before the range that it announced")
        if self._skip > 0:
            self._skip -= needed
            return b""
        if needed:
            self._lead = 0
            self._begin(data)
            return b""
        return self._within(self._decrypt(memoryview(data)[:size]))

    def _within(self, plaintext: bytes) -> bytes | memoryview:
        offset = self._offset
        self._offset += len(plaintext)
        start, end = max(self._next - offset, 0), self._last + 1 - offset
        whole = start == 0 and end >= len(plaintext)
        piece = plaintext if whole else memoryview(plaintext)[start:end]
        self._next += len(piece)
        return piece

    def _size(self) -> int:
        """Bytes of the next chunk, which stands at ``_offset``."""
        raise NotImplementedError("each kind of range has its own")  # pragma: no cover - abstract

    def _begin(self, lead: bytes) -> None:
        """Take what stands before the first chunk."""

    def _decrypt(self, chunk: memoryview) -> bytes:
        raise NotImplementedError("each kind of range has its own")  # pragma: no cover - abstract


class _VerifiedPart(_Part):
    """Each chunk is checked against its MAC before any of its plaintext leaves."""

    def __init__(self, content: VerifiedSpan) -> None:
        first = content.span[0] // RANGE_CHUNK_SIZE * RANGE_CHUNK_SIZE
        super().__init__(content.span, skip=first - content.start, offset=first)
        self._verified = content.verified
        self._decryptor = content.verified.decryptor_at(first)

    def _size(self) -> int:
        return min(RANGE_CHUNK_SIZE, self._verified.length - self._offset)

    def _decrypt(self, chunk: memoryview) -> bytes:
        self._verified.check(self._offset // RANGE_CHUNK_SIZE, chunk)
        return self._decryptor.update(chunk)


class _UnverifiedPart(_Part):
    """GCM content without its tag: the caller has accepted unverified bytes by name."""

    def __init__(self, content: UnverifiedSpan) -> None:
        first = content.span[0] // BLOCK_LENGTH * BLOCK_LENGTH
        super().__init__(content.span, skip=first - content.start, offset=first)
        self._decryptor = content.cipher.decryptor_at(first)

    def _size(self) -> int:
        return min(CHUNK_SIZE, self._last + 1 - self._offset)

    def _decrypt(self, chunk: memoryview) -> bytes:
        return self._decryptor.update(chunk)


class _CbcPart(_Part):
    """CBC content from the middle: the block before gives the IV."""

    def __init__(self, content: CbcSpan) -> None:
        first = content.span[0] // BLOCK_LENGTH * BLOCK_LENGTH
        before = min(first, BLOCK_LENGTH)
        super().__init__(content.span, skip=first - before - content.start, offset=first, lead=before)
        self._cipher: CbcCipher = content.cipher
        self._end = (content.span[1] // BLOCK_LENGTH + 1) * BLOCK_LENGTH
        if not before:
            self._begin(content.cipher.iv)

    def _begin(self, lead: bytes) -> None:
        # The padding was looked at before, and the span ends before it.
        self._decryptor = self._cipher.decryptor_from(lead, reaches_end=False)

    def _size(self) -> int:
        return min(CHUNK_SIZE, self._end - self._offset)

    def _decrypt(self, chunk: memoryview) -> bytes:
        return self._decryptor.update(chunk)


def receive_span(content: VerifiedSpan | UnverifiedSpan | CbcSpan) -> Receiver:
    """Return what receives a part of an object; what follows its last bytes is not looked at."""
    if isinstance(content, VerifiedSpan):
        return _VerifiedPart(content)
    return _UnverifiedPart(content) if isinstance(content, UnverifiedSpan) else _CbcPart(content)
