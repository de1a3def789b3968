"""The ciphertext of a part on its way: kept, and the same however often botocore reads it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.client.bodies.sources import Source
from s3ec.errors import S3ECError

__all__ = ["PartBody", "pieces"]

# For each of ten parts in flight, whatever botocore likes to read at a time; the tag goes with what is before it.
_MOST_AT_ONCE = 512 * 1024 + GCM_TAG_LENGTH


def pieces(read_at: Callable[[int, int], bytes], offset: int, wanted: int) -> Iterator[bytes]:
    """Read on until there are as many bytes as wanted, or no more."""
    while wanted > 0 and (piece := read_at(offset, wanted)):
        offset += len(piece)
        wanted -= len(piece)
        yield piece


class PartBody(io.RawIOBase):
    """Ciphertext of a part, the same however often it is read.

    Attributes:
        failure: why it gives nothing more, or None. botocore's signers lose the error itself.
    """

    def __init__(
        self, read_at: Callable[[int, int], bytes], length: int, plaintext_length: int, source: Source | None
    ) -> None:
        """Take a function of offset and size; it may give fewer bytes, but none only at the end."""
        super().__init__()
        self._read_at = read_at
        self._length = length
        self._plaintext_length = plaintext_length
        self._source = source
        self._position = 0
        self.failure: S3ECError | None = None
        if source is not None and source.rewindable:
            source.rewind()

    @classmethod
    def of_view(cls, ciphertext: memoryview, plaintext_length: int, source: Source | None) -> PartBody:
        """A body over bytes that stay where they are until the part is sent."""
        return cls(
            lambda offset, size: bytes(ciphertext[offset : offset + size]), len(ciphertext), plaintext_length, source
        )

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        return True

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always, to be rewound and measured."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """See `io.RawIOBase.read`; short at the end, and where more is asked for than should be in memory twice."""
        wanted = self._length - self._position if size is None or size < 0 else min(size, _MOST_AT_ONCE)
        try:
            found = list(pieces(self._read_at, self._position, wanted))
        except S3ECError as error:
            self.failure = error
            raise
        self._position += sum(map(len, found))
        self._report()
        return found[0] if len(found) == 1 else b"".join(found)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # any writable buffer
        """See `io.RawIOBase.readinto`."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """See `io.RawIOBase.seek`."""
        self._position = max(offset + (0, self._position, self._length)[whence], 0)
        if whence == 0:
            # At once, not with the next read: s3transfer switches its counting on and off in between.
            self._report()
        return self._position

    def tell(self) -> int:
        """Position in the ciphertext."""
        return self._position

    def _report(self) -> None:
        if self._source is not None:
            self._source.report_position(min(self._position, self._plaintext_length))

    def signal_transferring(self) -> None:
        """Count progress from here on (s3transfer)."""
        if self._source is not None:
            self._source.signal("signal_transferring")

    def signal_not_transferring(self) -> None:
        """Do not count progress, the body is only measured (s3transfer)."""
        if self._source is not None:
            self._source.signal("signal_not_transferring")
