"""What managed transfers have in common: how a configuration is read, and how bytes that arrive in pieces are told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

__all__ = ["Config", "Pieces", "Progress", "at_once", "joined", "needs_parts"]


class Config(Protocol):
    """What is asked of a ``boto3.s3.transfer.TransferConfig``."""

    multipart_threshold: int
    multipart_chunksize: int
    max_request_concurrency: int
    use_threads: bool


def at_once(config: Config) -> int:
    """How many requests of one transfer may be on their way at once."""
    return config.max_request_concurrency if config.use_threads else 1


def needs_parts(config: Config, length: int) -> bool:
    """True for what goes in parts, by its number of bytes."""
    return length >= config.multipart_threshold


class Progress:
    """Reports plaintext bytes to the caller's callback; their sum is exact."""

    def __init__(self, callback: Callable[[int], object] | None, length: int) -> None:
        """Take the caller's callback or None, and the bytes of plaintext."""
        self._callback = callback
        self._left = length
        self._told = 0

    def __call__(self, count: int) -> None:
        """Count this many more bytes, of plaintext or of what follows it."""
        count = min(count, self._left)
        self._left -= count
        self._told += count
        if self._callback is not None and count:
            self._callback(count)

    def take_back(self) -> None:
        """Begin again at zero: what was told has to be fetched again, as s3transfer tells it."""
        told, self._told = self._told, 0
        self._left += told
        if self._callback is not None and told:
            self._callback(-told)


class Pieces:
    """Bytes that have arrived in order, and were not read yet."""

    def __init__(self) -> None:
        """Begin with none."""
        self._pieces: deque[bytes] = deque()

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, pieces: Iterable[bytes]) -> int:
        """Take what has arrived, and return how many bytes that is; no piece is empty."""
        before = len(self._pieces)
        self._pieces.extend(pieces)
        return sum(len(self._pieces[index]) for index in range(before, len(self._pieces)))

    def take(self, size: int) -> bytes:
        """Return the first piece, or ``size`` bytes of it if it has more."""
        piece = self._pieces.popleft()
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
            piece = piece[:size]
        return piece

    def clear(self) -> None:
        """Forget all."""
        self._pieces.clear()


def joined(pieces: list[bytes]) -> bytes:
    """All pieces as one; a single one is not copied."""
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
