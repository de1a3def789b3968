"""Plaintext of a part of an object: each is a `s3ec.client.releases.Release` over the connection of one answer."""

from __future__ import annotations

from s3ec.client.releases import CiphertextReader, Ready
from s3ec.client.sources import CHUNK_SIZE
from s3ec.client.verified_ranges import RANGE_CHUNK_SIZE, VerifiedObject
from s3ec.crypto.content import ContentCipher
from s3ec.errors import AuthenticationError

__all__ = ["CbcRange", "UnverifiedRange", "VerifiedRange"]

_BLOCK_LENGTH = 16
_ROOM = 15


class _Range(Ready):
    """Hands out the bytes of a span, chunk by chunk, and skips what was read around it."""

    def __init__(self, reader: CiphertextReader, start: int, span: tuple[int, int]) -> None:
        self._reader = reader
        self._offset = start
        self._next, self._last = span

    def _more(self) -> bool:
        if self._next > self._last:
            return False
        self._ready = self._wanted(self._decrypt_more())
        if self._next > self._last:
            self._reader.drain()
        return True

    def _decrypt_more(self) -> tuple[int, memoryview]:
        """The next chunk: its offset in the plaintext and its bytes."""
        raise NotImplementedError("each kind of range has its own")  # pragma: no cover - abstract

    def _wanted(self, found: tuple[int, memoryview]) -> memoryview:
        offset, chunk = found
        piece = chunk[max(self._next - offset, 0) : self._last + 1 - offset]
        self._next += len(piece)
        return piece

    def _fill(self, view: memoryview) -> memoryview:
        if self._reader.fill(view) < len(view):
            raise AuthenticationError("the answer ended before the range that it announced")
        return view


class VerifiedRange(_Range):
    """Each chunk is held against its MAC before any of its plaintext leaves."""

    def __init__(self, verified: VerifiedObject, start: int, span: tuple[int, int], reader: CiphertextReader) -> None:
        """Take an answer that starts at ``start`` of the ciphertext and reaches at least the span's end."""
        super().__init__(reader, start, span)
        self._verified = verified
        self._buffer = memoryview(bytearray(RANGE_CHUNK_SIZE + _ROOM))
        first = span[0] // RANGE_CHUNK_SIZE * RANGE_CHUNK_SIZE
        _skip(reader, first - start)
        self._offset = first
        self._decryptor = verified.cipher.decryptor_at(first)

    def _decrypt_more(self) -> tuple[int, memoryview]:
        offset = self._offset
        chunk = self._fill(self._buffer[: min(RANGE_CHUNK_SIZE, self._verified.length - offset)])
        self._verified.check(offset // RANGE_CHUNK_SIZE, chunk)
        self._offset += self._decryptor.update_into(chunk, self._buffer)
        return offset, chunk


class UnverifiedRange(_Range):
    """GCM content without its tag: the caller has accepted unverified bytes by name."""

    def __init__(self, cipher: ContentCipher, start: int, span: tuple[int, int], reader: CiphertextReader) -> None:
        """Take an answer that starts at ``start`` of the ciphertext and reaches at least the span's end."""
        super().__init__(reader, start, span)
        first = span[0] // _BLOCK_LENGTH * _BLOCK_LENGTH
        _skip(reader, first - start)
        self._offset = first
        self._decryptor = cipher.decryptor_at(first)
        size = min(CHUNK_SIZE, span[1] + 1 - first)
        self._size = size
        self._buffer = memoryview(bytearray(size + _ROOM))

    def _decrypt_more(self) -> tuple[int, memoryview]:
        offset = self._offset
        chunk = self._fill(self._buffer[: min(self._size, self._last + 1 - offset)])
        self._offset += self._decryptor.update_into(chunk, self._buffer)
        return offset, chunk


class CbcRange(_Range):
    """CBC content from the middle: the block before gives the IV."""

    def __init__(self, cipher: ContentCipher, start: int, span: tuple[int, int], reader: CiphertextReader) -> None:
        """Take an answer that starts one block before the span, or at 0, and ends with the span's last block."""
        super().__init__(reader, start, span)
        first = span[0] // _BLOCK_LENGTH * _BLOCK_LENGTH
        previous = cipher.iv if first == 0 else bytes(self._fill(memoryview(bytearray(_BLOCK_LENGTH))))
        self._offset = first
        self._end = (span[1] // _BLOCK_LENGTH + 1) * _BLOCK_LENGTH
        # The padding was looked at before (plaintext_length), and the span ends before it.
        self._decryptor = cipher.cbc_decryptor_from(previous, reaches_end=False)
        self._ciphertext = memoryview(bytearray(min(CHUNK_SIZE, self._end - first)))

    def _decrypt_more(self) -> tuple[int, memoryview]:
        offset = self._offset
        chunk = self._fill(self._ciphertext[: self._end - offset])
        plaintext = self._decryptor.update(chunk)
        self._offset += len(plaintext)
        return offset, memoryview(plaintext)

    @staticmethod
    def plaintext_length(cipher: ContentCipher, tail: bytes, total: int) -> int:
        """Bytes of plaintext of a padded object, by its last two blocks (or the only one).

        Raises:
            S3ECError: the one error for content that does not decrypt.
        """
        previous = tail[-32:-16] if total > _BLOCK_LENGTH else cipher.iv
        if len(tail) != min(total, 32):
            raise cipher.failure()
        decryptor = cipher.cbc_decryptor_from(previous, reaches_end=True)
        last = decryptor.update(tail[-16:]) + decryptor.finish()
        return total - _BLOCK_LENGTH + len(last)


def _skip(reader: CiphertextReader, count: int) -> None:
    """Read past what comes before the first whole chunk."""
    scratch = memoryview(bytearray(min(count, RANGE_CHUNK_SIZE)))
    while count > 0:
        got = reader.fill(scratch[: min(count, len(scratch))])
        if got == 0:
            raise AuthenticationError("the answer ended before the range that it announced")
        count -= got
