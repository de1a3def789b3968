"""Ciphertext that is kept: in memory while there is little of it, and in a file without a name above that.

It is written once, in order, and read as often as it is sent. It is safe for threads, since a thread may still be
reading for an attempt that was given up when the next one begins, or when all is closed.
"""

from __future__ import annotations

import tempfile
import threading
from typing import IO

from s3ec.client.bodies.sources import CHUNK_SIZE

__all__ = ["Spool"]


class Spool:
    """Pieces of `CHUNK_SIZE` bytes each, and a last one that may be shorter, or up to a tag longer."""

    def __init__(self, *, in_memory: int, directory: str | None) -> None:
        """Start empty.

        Args:
            in_memory: bytes to keep in memory at most.
            directory: where the others go, or None for the system's folder.
        """
        self._in_memory = in_memory
        self._directory = directory
        self._pieces: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False
        self.length = 0

    @property
    def on_disk(self) -> bool:
        """True if reading and closing it may take a while."""
        return self._file is not None

    def append(self, piece: bytes) -> None:
        """Keep more; may write to disk."""
        with self._lock:
            self._check_open()
            self.length += len(piece)
            if self._file is None and self.length <= self._in_memory:
                self._pieces.append(piece)
                return
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115 - closed by `close`
                for kept in self._pieces:
                    _write(self._file, kept)
                self._pieces.clear()
            _write(self._file, piece)

    def read_at(self, offset: int, size: int) -> bytes:
        """Some bytes from an offset on, ``size`` at most; none only at the end.

        Raises:
            ValueError: it was closed: nothing more of it is wanted.
        """
        with self._lock:
            self._check_open()
            if self._file is not None:
                self._file.seek(offset)
                return self._file.read(size)
            if offset >= self.length:
                return b""
            index = min(offset // CHUNK_SIZE, len(self._pieces) - 1)
            within = offset - index * CHUNK_SIZE
            piece = self._pieces[index]
            return piece if within == 0 and size >= len(piece) else piece[within : within + size]

    def whole(self) -> bytes:
        """All of it, which is in memory."""
        return b"".join(self._pieces)

    def close(self) -> None:
        """Forget it; on disk, that may take a while."""
        with self._lock:
            self._closed = True
            self._pieces.clear()
            if self._file is not None:
                self._file.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("this ciphertext was closed")

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()


def _write(file: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
