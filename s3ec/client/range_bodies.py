"""Plaintext of a part of an object: each is a `s3ec.client.releases.Release` over the connection of one answer."""

from __future__ import annotations

from collections.abc import Callable

from s3ec.client.ciphertext_reader import CiphertextReader
from s3ec.client.releases import Ready, Release
from s3ec.client.sources import CHUNK_SIZE
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.legacy.content import CbcCipher
from s3ec.errors import AuthenticationError
from s3ec.s3.verified import RANGE_CHUNK_SIZE, VerifiedObject

__all__ = ["CbcRange", "Slice", "UnverifiedRange", "VerifiedRange", "skip"]

_BLOCK_LENGTH = 16
_WIDENED = 2 * _BLOCK_LENGTH  # up to the block's end, and by the tag


class _Range(Ready):
    """Hands out the bytes of a span, chunk by chunk, and skips what was read around it."""

    def __init__(self, reader: CiphertextReader, span: tuple[int, int], offset: int) -> None:
        self._reader = reader
        self._next, self._last = span
        self._offset = offset

    def _more(self) -> bool:
        if self._next > self._last:
            return False
        offset = self._offset
        plaintext = self._decrypt_more()
        self._offset += len(plaintext)
        start, end = max(self._next - offset, 0), self._last + 1 - offset
        whole = start == 0 and end >= len(plaintext)
        self._ready = plaintext if whole else memoryview(plaintext)[start:end]
        self._next += len(self._ready)
        if self._next > self._last:
            self._reader.drain()
        return True

    def _decrypt_more(self) -> bytes:
        """The plaintext of the next chunk, which stands at ``_offset``."""
        raise NotImplementedError("each kind of range has its own")  # pragma: no cover - abstract

    def _read(self, size: int) -> memoryview:
        """Ciphertext from ``_offset`` on; with the last of it comes what the range was widened by, in one read."""
        is_last = self._offset + size > self._last
        return memoryview(_read_exactly(self._reader, size, at_most=size + _WIDENED * is_last))[:size]


class VerifiedRange(_Range):
    """Each chunk is checked against its MAC before any of its plaintext leaves."""

    def __init__(self, verified: VerifiedObject, start: int, span: tuple[int, int], reader: CiphertextReader) -> None:
        """Take an answer that starts at ``start`` of the ciphertext and reaches at least the span's end."""
        first = span[0] // RANGE_CHUNK_SIZE * RANGE_CHUNK_SIZE
        super().__init__(reader, span, first)
        skip(reader, first - start)
        self._verified = verified
        self._decryptor = verified.decryptor_at(first)

    def _decrypt_more(self) -> bytes:
        size = min(RANGE_CHUNK_SIZE, self._verified.length - self._offset)
        chunk = self._read(size)
        self._verified.check(self._offset // RANGE_CHUNK_SIZE, chunk)
        return self._decryptor.update(chunk)


class UnverifiedRange(_Range):
    """GCM content without its tag: the caller has accepted unverified bytes by name."""

    def __init__(self, cipher: ContentCipher, start: int, span: tuple[int, int], reader: CiphertextReader) -> None:
        """Take an answer that starts at ``start`` of the ciphertext and reaches at least the span's end."""
        first = span[0] // _BLOCK_LENGTH * _BLOCK_LENGTH
        super().__init__(reader, span, first)
        skip(reader, first - start)
        self._decryptor = cipher.decryptor_at(first)

    def _decrypt_more(self) -> bytes:
        return self._decryptor.update(self._read(min(CHUNK_SIZE, self._last + 1 - self._offset)))


class CbcRange(_Range):
    """CBC content from the middle: the block before gives the IV."""

    def __init__(self, cipher: CbcCipher, start: int, span: tuple[int, int], reader: CiphertextReader) -> None:
        """Take an answer that starts one block before the span's or earlier, and reaches at least its last block."""
        first = span[0] // _BLOCK_LENGTH * _BLOCK_LENGTH
        super().__init__(reader, span, first)
        skip(reader, max(first - _BLOCK_LENGTH, 0) - start)
        previous = cipher.iv if first == 0 else _read_exactly(reader, _BLOCK_LENGTH)
        self._end = (span[1] // _BLOCK_LENGTH + 1) * _BLOCK_LENGTH
        # The padding was looked at before (plaintext_length), and the span ends before it.
        self._decryptor = cipher.decryptor_from(previous, reaches_end=False)

    def _decrypt_more(self) -> bytes:
        return self._decryptor.update(self._read(min(CHUNK_SIZE, self._end - self._offset)))


class Slice:
    """A span of a whole object's plaintext, where the server gave all of it; each byte leaves as the whole's would."""

    def __init__(self, opener: Callable[[], Release], span: tuple[int, int]) -> None:
        """Take what opens the whole plaintext (verified first, unless the caller chose otherwise), and the span."""
        self._release = opener()
        self._left = span[1] - span[0] + 1
        before = span[0]
        while before and (piece := self._release.take(before)):
            before -= len(piece)

    def take(self, size: int) -> bytes | memoryview:
        """See `s3ec.client.releases.Release`."""
        piece = self._release.take(min(size, self._left)) if self._left else b""
        self._left -= len(piece)
        if not self._left:
            self._release.close()
        return piece

    def close(self) -> None:
        """Forget the plaintext."""
        self._release.close()


def _read_exactly(reader: CiphertextReader, size: int, *, at_most: int | None = None) -> bytes:
    data = reader.read(at_most or size)
    if len(data) < size:
        raise AuthenticationError("the answer ended before the range that it announced")
    return data


def skip(reader: CiphertextReader, count: int) -> None:
    """Read past what comes before the first whole chunk."""
    while count > 0:
        count -= len(_read_exactly(reader, min(count, RANGE_CHUNK_SIZE)))
