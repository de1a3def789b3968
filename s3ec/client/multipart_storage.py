"""What a part of an upload is kept in until S3 has it: memory, and beyond a limit an unlinked file.

The file never holds readable plaintext: what waits to be encrypted is sealed under a key of this process alone.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from s3ec.client.sources import CHUNK_SIZE, Source
from s3ec.crypto.sealing import OVERHEAD, Sealer
from s3ec.errors import MultipartStateError

__all__ = ["PartBody", "PartContent", "PartSpool"]

_ROOM = 15  # what update_into wants beyond its input


class _Cipher(Protocol):
    def update_into(self, data: bytes | bytearray | memoryview, buffer: bytearray | memoryview) -> int: ...


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place in the file that holds one sealed chunk of plaintext, and later its ciphertext, which is shorter."""

    offset: int
    size: int


class PartSpool:
    """One unlinked temporary file for all the parts of an upload; the room of parts that are sent is used again."""

    def __init__(self, directory: str | os.PathLike[str] | None) -> None:
        """Take the folder; the file is made when it is needed."""
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._end = 0
        self._free: dict[int, list[int]] = {}
        self._sealer = Sealer()
        self._lock = threading.Lock()
        self._closed = False

    def seal(self, plaintext: bytes | memoryview) -> _Slot:
        """Keep a chunk of plaintext."""
        size = len(plaintext) + OVERHEAD
        with self._lock:
            free = self._free.get(size)
            slot = _Slot(free.pop() if free else self._end, size)
            self._end = max(self._end, slot.offset + size)
            self._write(slot.offset, self._sealer.seal(slot.offset, plaintext))
        return slot

    def unseal(self, slot: _Slot) -> bytes:
        """Give back a chunk of plaintext."""
        return self._sealer.open(slot.offset, self.read(slot, 0, slot.size))

    def replace(self, slot: _Slot, ciphertext: memoryview) -> None:
        """Put the ciphertext of a chunk in its place."""
        with self._lock:
            self._write(slot.offset, ciphertext)

    def read(self, slot: _Slot, start: int, size: int) -> bytes:
        """Read from a slot as it is."""
        with self._lock:
            file = self._opened()
            file.seek(slot.offset + start)
            return file.read(size)

    def free(self, slots: Iterable[_Slot]) -> None:
        """Let the room be used again."""
        with self._lock:
            for slot in slots:
                self._free.setdefault(slot.size, []).append(slot.offset)

    def close(self) -> None:
        """Drop everything; a body that is still being sent from here fails."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()

    def _write(self, offset: int, data: bytes | memoryview) -> None:
        file = self._opened()
        file.seek(offset)
        file.write(data)

    def _opened(self) -> IO[bytes]:
        if self._closed:
            raise MultipartStateError("the upload was aborted or completed while this part was being sent")
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - closed with the upload
        return self._file


class PartContent:
    """The bytes of one part: plaintext, until `encrypt` makes them ciphertext in place.

    Attributes:
        length: bytes of plaintext.
    """

    def __init__(self, spool: PartSpool) -> None:
        """Start empty."""
        self.length = 0
        self._spool = spool
        self._memory: bytearray | None = bytearray()
        self._slots: list[_Slot] = []
        self._tag = b""

    @classmethod
    def read_from(
        cls, source: Source, spool: PartSpool, *, memory_limit: int, observe: Callable[[memoryview], None]
    ) -> PartContent:
        """Take a whole body.

        All of it is read before any of it is encrypted: a body that fails half-way has used no counter, and what is
        compared with an earlier attempt is what will be encrypted.

        Args:
            source: positioned at its start.
            spool: for what does not fit into memory.
            memory_limit: bytes; a longer part goes to the spool.
            observe: sees each chunk of `CHUNK_SIZE` bytes, the last one shorter.
        """
        content = cls(spool)
        try:
            if source.length is not None and source.length <= memory_limit:
                content._memory = bytearray(source.length + _ROOM)
            while chunk := source.read_chunk(CHUNK_SIZE):
                observe(chunk)
                content._append(chunk, memory_limit)
        except BaseException:
            content.close()
            raise
        if content._memory is not None:
            content._memory[content.length :] = bytes(_ROOM)
        return content

    def _append(self, chunk: memoryview, memory_limit: int) -> None:
        end = self.length + len(chunk)
        if end > memory_limit:
            self.move_to_spool()
        if self._memory is None:
            self._slots.append(self._spool.seal(chunk))
        else:
            self._memory[self.length : end] = chunk
        self.length = end

    @property
    def in_memory(self) -> bool:
        """True until it is moved to the spool."""
        return self._memory is not None

    @property
    def ciphertext_length(self) -> int:
        """Bytes to send."""
        return self.length + len(self._tag)

    def encrypt(self, cipher: _Cipher, observe: Callable[[memoryview], None] | None = None) -> None:
        """Turn the plaintext into ciphertext, in place.

        Args:
            cipher: positioned at the part's offset.
            observe: sees each chunk of plaintext on the way.
        """
        if self._memory is not None:
            self._encrypt_memory(memoryview(self._memory), cipher, observe)
            return
        buffer = bytearray(CHUNK_SIZE + _ROOM)
        for slot in self._slots:
            plaintext = memoryview(self._spool.unseal(slot))
            if observe is not None:
                observe(plaintext)
            count = cipher.update_into(plaintext, buffer)
            self._spool.replace(slot, memoryview(buffer)[:count])

    def _encrypt_memory(self, view: memoryview, cipher: _Cipher, observe: Callable[[memoryview], None] | None) -> None:
        for start in range(0, self.length, CHUNK_SIZE):
            chunk = view[start : min(start + CHUNK_SIZE, self.length)]
            if observe is not None:
                observe(chunk)
            cipher.update_into(chunk, view[start:])

    def append_tag(self, tag: bytes) -> None:
        """Let the object's tag follow the ciphertext."""
        self._tag = tag

    def move_to_spool(self, *, encrypted: bool = False) -> None:
        """Free the memory. Plaintext is sealed; ciphertext goes as it is."""
        if self._memory is None:
            return
        view = memoryview(self._memory)[: self.length]
        self._memory = None
        for start in range(0, self.length, CHUNK_SIZE):
            chunk = view[start : start + CHUNK_SIZE]
            slot = self._spool.seal(chunk)
            if encrypted:
                self._spool.replace(slot, chunk)
            self._slots.append(slot)

    def body(self, source: Source | None = None) -> PartBody:
        """The ciphertext, as botocore takes it; as many at once as one likes."""
        return PartBody(self._read_at, self.ciphertext_length, self.length, source)

    def _read_at(self, offset: int, size: int) -> bytes:
        if offset >= self.length:
            return self._tag[offset - self.length :][:size]
        size = min(size, self.length - offset)
        if self._memory is not None:
            return bytes(memoryview(self._memory)[offset : offset + size])
        index, start = divmod(offset, CHUNK_SIZE)
        return self._spool.read(self._slots[index], start, min(size, CHUNK_SIZE - start))

    def close(self) -> None:
        """Drop the bytes."""
        self._spool.free(self._slots)
        self._slots = []
        self._memory = None


class PartBody(io.RawIOBase):
    """Ciphertext of a part, the same however often it is read."""

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
        """See `io.RawIOBase.read`; filled, short only at the end."""
        wanted = self._length - self._position if size is None or size < 0 else size
        pieces = list(self._pieces(wanted))
        self._report()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _pieces(self, wanted: int) -> Iterator[bytes]:
        while wanted > 0 and (piece := self._read_at(self._position, wanted)):
            self._position += len(piece)
            wanted -= len(piece)
            yield piece

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
