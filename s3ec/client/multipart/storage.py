"""What a part of an upload is kept in until S3 has it: memory, and beyond a limit an unlinked file.

The file never holds readable plaintext: what waits to be encrypted is sealed under a key of this process alone.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Protocol

from s3ec import forks
from s3ec.client.bodies.sources import CHUNK_SIZE, Source
from s3ec.client.calls.monitors import ThreadMonitor
from s3ec.client.multipart.body import PartBody, pieces
from s3ec.client.options import Options
from s3ec.crypto.buffers import UPDATE_ROOM
from s3ec.crypto.own.sealing import OVERHEAD, Sealer
from s3ec.errors import MultipartStateError, SourceChangedError
from s3ec.s3.flow import Monitor

__all__ = ["PartContent", "PartMemory", "PartRoom", "PartSpool"]


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
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)
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
            # An upload that is never ended goes with its client, and its file with it.
            weakref.finalize(self, self._file.close)
        return self._file


class PartContent:
    """The bytes of one part: plaintext, until `encrypt` makes them ciphertext in place.

    Attributes:
        length: bytes of plaintext.
    """

    def __init__(self, spool: PartSpool) -> None:
        """Start empty."""
        self.length = 0
        self._expected: int | None = None
        self._memory_limit = 0
        self._spool = spool
        self._memory: bytearray | None = bytearray()
        self._slots: list[_Slot] = []
        self._tag = b""

    @classmethod
    def read_from(
        cls,
        source: Source,
        spool: PartSpool,
        *,
        memory_limit: int,
        observe: Callable[[memoryview], None],
        check: Callable[[], None],
    ) -> PartContent:
        """Take a whole body.

        All of it is read before any of it is encrypted: a body that fails half-way has used no counter, and what is
        compared with an earlier attempt is what will be encrypted.

        Args:
            source: positioned at its start.
            spool: for what does not fit into memory.
            memory_limit: bytes; a longer part goes to the spool.
            observe: sees each chunk of `CHUNK_SIZE` bytes, the last one shorter.
            check: called at the end; what it raises drops the bytes again.

        Raises:
            SourceChangedError: the body gave fewer bytes, or more, than it has.
        """
        content = cls(spool)
        try:
            content.expect(source.length, memory_limit)
            while chunk := source.read_chunk(CHUNK_SIZE):
                observe(chunk)
                if not content.take(chunk):
                    break
            content.end()
            check()
        except BaseException:
            content.close()
            raise
        return content

    def expect(self, length: int | None, memory_limit: int) -> None:
        """Be filled with a body of that length, or of one that only its end tells."""
        self._expected = length
        self._memory_limit = memory_limit
        if length is not None and length <= memory_limit:
            self._memory = bytearray(length + UPDATE_ROOM)

    def take(self, chunk: memoryview) -> bool:
        """Keep the next `CHUNK_SIZE` bytes; False where they are more than were expected."""
        end = self.length + len(chunk)
        if end > self._memory_limit:
            self.move_to_spool()
        if self._memory is None:
            self._slots.append(self._spool.seal(chunk))
        else:
            self._memory[self.length : end] = chunk
        self.length = end
        return self._expected is None or end <= self._expected

    def end(self) -> None:
        """That was all.

        Raises:
            SourceChangedError: it was not what was expected.
        """
        self._check_length(self._expected)
        if self._memory is not None:
            self._memory[self.length :] = bytes(UPDATE_ROOM)

    def _check_length(self, expected: int | None) -> None:
        if expected is not None and self.length != expected:
            raise SourceChangedError(
                f"the body of the part gave {self.length} bytes and has {expected}; none of them was sent"
            )

    @property
    def in_memory(self) -> bool:
        """True until it is moved to the spool."""
        return self._memory is not None

    @property
    def ciphertext_length(self) -> int:
        """Bytes to send."""
        return self.length + len(self._tag)

    def encrypt(self, cipher: _Cipher, observe: Callable[[memoryview], object] | None = None) -> None:
        """Turn the plaintext into ciphertext, in place.

        Args:
            cipher: positioned at the part's offset.
            observe: sees each chunk of plaintext on the way.
        """
        if self._memory is not None:
            self._encrypt_memory(memoryview(self._memory), cipher, observe)
            return
        buffer = bytearray(CHUNK_SIZE + UPDATE_ROOM)
        for slot in self._slots:
            plaintext = memoryview(self._spool.unseal(slot))
            if observe is not None:
                observe(plaintext)
            count = cipher.update_into(plaintext, buffer)
            self._spool.replace(slot, memoryview(buffer)[:count])

    def _encrypt_memory(
        self, view: memoryview, cipher: _Cipher, observe: Callable[[memoryview], object] | None
    ) -> None:
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

    def last_bytes(self, count: int) -> bytes:
        """The end of the ciphertext, or all of it where it is shorter."""
        start = max(self.length - count, 0)
        return b"".join(pieces(self._read_at, start, self.length - start))

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


class PartMemory:
    """How much of the parts that wait stays in memory; the rest is spooled."""

    def __init__(self, limit: int) -> None:
        """Take the limit, in bytes."""
        self._limit = limit
        self._used = 0
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

    def keep(self, content: PartContent, *, encrypted: bool) -> None:
        """Count a part that has to wait, or spool it."""
        if not content.in_memory:
            return
        with self._lock:
            if fits := self._used + content.length <= self._limit:
                self._used += content.length
        if not fits:
            content.move_to_spool(encrypted=encrypted)

    def release(self, content: PartContent) -> None:
        """It waits no more."""
        if content.in_memory:
            with self._lock:
                self._used -= content.length


class PartRoom:
    """Where the parts of one upload are kept.

    Attributes:
        monitor: guards the upload's state.
        buffer_size: bytes that are kept in memory.
        spool: its file.
    """

    def __init__(self, monitor: Monitor, buffer_size: int, directory: str | os.PathLike[str] | None) -> None:
        """Keep this many bytes in memory, and a file in that folder beyond them."""
        self.monitor = monitor
        self.spool = PartSpool(directory)
        self._memory = PartMemory(buffer_size)
        self.buffer_size = buffer_size

    @classmethod
    def for_threads(cls, options: Options) -> PartRoom:
        """The room of an upload of a client with these options, whose parts come from threads."""
        return cls(ThreadMonitor(), options.buffer_size, options.spool_directory)

    def take_in(self, source: Source, observe: Callable[[memoryview], None], check: Callable[[], None]) -> PartContent:
        """Take a whole body; see `PartContent.read_from`."""
        return PartContent.read_from(source, self.spool, memory_limit=self.buffer_size, observe=observe, check=check)

    def empty(self) -> PartContent:
        """A part without bytes."""
        return PartContent(self.spool)

    def keep(self, content: PartContent, *, encrypted: bool) -> None:
        """Count a part that has to wait, or spool it."""
        self._memory.keep(content, encrypted=encrypted)

    def release(self, content: PartContent) -> None:
        """It waits no more."""
        self._memory.release(content)

    def close(self) -> None:
        """Drop everything; a body that is still being sent from here fails."""
        self.spool.close()
