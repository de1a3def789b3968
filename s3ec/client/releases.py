"""Plaintext that may be handed out: verified first, in memory or by a spool of ciphertext, or as the caller chose.

`open_plaintext` decides which; what comes out is a `Release`.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterable
from typing import IO, Protocol

from s3ec.client.ciphertext_reader import Reader
from s3ec.client.sources import CHUNK_SIZE
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.legacy.content import CbcCipher
from s3ec.crypto.own.mac import ChunkMac
from s3ec.errors import AuthenticationError

__all__ = ["Ready", "Release", "open_plaintext", "read_tag"]

_ROOM = 15  # what update_into wants beyond its input


class Release(Protocol):
    """Plaintext that may be handed out."""

    def take(self, size: int) -> bytes | memoryview:
        """Return the next bytes: ``size`` at most, and none only at the end."""
        ...

    def close(self) -> None:
        """Forget the plaintext."""
        ...


class Ready:
    """Base of releases that decrypt a chunk at a time: hands out what is ready, and asks for more when it is not.

    A chunk that is wanted whole is handed out as it is: copying costs as much as decrypting.
    """

    _ready: bytes | memoryview = b""

    def take(self, size: int) -> bytes | memoryview:
        """See `Release`."""
        while not self._ready and self._more():
            pass
        ready = self._ready
        if len(ready) <= size:
            self._ready = b""
            return ready
        view = memoryview(ready)
        self._ready = view[size:]
        return view[:size]

    def _more(self) -> bool:
        """Make the next chunk ready; False at the end. A chunk may turn out empty."""
        return False

    def close(self) -> None:
        """Forget the plaintext."""
        self._ready = b""


class _InMemory(Ready):
    """Verified plaintext held in memory, in chunks that are let go as they are read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = deque(chunks)

    def _more(self) -> bool:
        if not self._chunks:
            return False
        self._ready = self._chunks.popleft()
        return True

    def close(self) -> None:
        """Forget the plaintext."""
        self._chunks.clear()
        super().close()


class _Delayed(Ready):
    """GCM plaintext released before its tag is verified; the last chunk still waits for it."""

    def __init__(self, reader: Reader, cipher: ContentCipher, length: int) -> None:
        self._reader = reader
        self._decryptor = cipher.decryptor()
        self._left = length
        self._verified = False

    def _more(self) -> bool:
        if self._verified:
            return False
        chunk = _read_exactly(self._reader, min(CHUNK_SIZE, self._left))
        self._left -= len(chunk)
        plaintext = self._decryptor.update(chunk)
        if self._left == 0:
            self._decryptor.verify(read_tag(self._reader))
            self._verified = True
        self._ready = plaintext
        return True


class _Spooled(Ready):
    """Verified ciphertext in a spool, decrypted while the caller reads.

    Each chunk carries a keyed MAC from the verifying pass: what comes back from the disk is what was verified.
    """

    def __init__(self, spool: IO[bytes], cipher: ContentCipher, mac: ChunkMac, macs: list[bytes]) -> None:
        self._spool = spool
        self._decryptor = cipher.decryptor()
        self._mac = mac
        self._macs = macs
        self._index = 0

    def _more(self) -> bool:
        if self._index == len(self._macs):
            return False
        chunk = self._spool.read(CHUNK_SIZE)
        if not self._mac.equal(self._mac.of(self._index, chunk), self._macs[self._index]):
            raise AuthenticationError("the spooled ciphertext changed on disk after it was verified")
        self._index += 1
        self._ready = self._decryptor.update(chunk)
        return True

    def close(self) -> None:
        """Forget the plaintext and the spool."""
        self._spool.close()
        super().close()


def _cut_off() -> AuthenticationError:
    return AuthenticationError("the stored object is shorter than its content metadata allows: it was cut off")


def _no_tag_at_the_end() -> AuthenticationError:
    return AuthenticationError("the stored object does not end with its authentication tag")


def _read_exactly(reader: Reader, size: int) -> bytes:
    data = reader.read(size)
    if len(data) < size:
        raise _cut_off()
    return data


def read_tag(reader: Reader) -> bytes:
    """Return the 16 bytes with which an object of AES-GCM ends.

    Raises:
        AuthenticationError: there are fewer, or more follow.
    """
    tag = reader.read(17)
    if len(tag) != 16:
        raise _no_tag_at_the_end()
    return tag


def open_plaintext(
    reader: Reader,
    cipher: ContentCipher,
    ciphertext_length: int,
    *,
    delayed: bool,
    buffer_size: int,
    spool_directory: str | None,
) -> Release:
    """Return plaintext that may be released, verified first unless ``delayed``.

    Args:
        reader: the whole ciphertext.
        cipher: what opens it.
        ciphertext_length: bytes of it, tag or padding included.
        delayed: release before verifying.
        buffer_size: bytes to hold in memory at most; above it ciphertext goes to disk.
        spool_directory: where it goes, or None for the system's folder.

    Raises:
        AuthenticationError: the content does not verify; nothing was released.
    """
    if isinstance(cipher, CbcCipher):
        return _open_cbc(reader, cipher, ciphertext_length)
    length = ciphertext_length - cipher.suite.tag_length
    if length < 0:
        raise _cut_off()
    if delayed:
        return _Delayed(reader, cipher, length)
    if length <= buffer_size:
        return _verify_in_memory(reader, cipher, length)
    return _verify_on_disk(reader, cipher, length, spool_directory)


def _verify_in_memory(reader: Reader, cipher: ContentCipher, length: int) -> _InMemory:
    if length <= CHUNK_SIZE:
        # One byte more than there should be, so that the end is read.
        ciphertext = reader.read(length + cipher.suite.tag_length + 1)
        if len(ciphertext) < length + cipher.suite.tag_length:
            raise _cut_off()
        if len(ciphertext) > length + cipher.suite.tag_length:
            raise _no_tag_at_the_end()
        return _InMemory([cipher.decrypt(ciphertext)])
    decryptor = cipher.decryptor()
    chunks = [
        decryptor.update(_read_exactly(reader, min(CHUNK_SIZE, length - start)))
        for start in range(0, length, CHUNK_SIZE)
    ]
    decryptor.verify(read_tag(reader))
    return _InMemory(chunks)


def _verify_on_disk(reader: Reader, cipher: ContentCipher, length: int, directory: str | None) -> _Spooled:
    spool = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - closed by the release that owns it
    try:
        mac, macs = ChunkMac(), list[bytes]()
        discarded = bytearray(CHUNK_SIZE + _ROOM)
        decryptor = cipher.decryptor()
        for offset in range(0, length, CHUNK_SIZE):
            chunk = _read_exactly(reader, min(CHUNK_SIZE, length - offset))
            decryptor.update_into(chunk, discarded)
            macs.append(mac.of(len(macs), chunk))
            spool.write(chunk)
        decryptor.verify(read_tag(reader))
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return _Spooled(spool, cipher, mac, macs)


class _Cbc(Ready):
    """CBC plaintext, which nothing authenticates: the caller has opted in by name."""

    def __init__(self, reader: Reader, cipher: CbcCipher, length: int) -> None:
        self._reader = reader
        self._decryptor = cipher.decryptor()
        self._left = length

    def _more(self) -> bool:
        if self._left == 0:
            return False
        chunk = _read_exactly(self._reader, min(CHUNK_SIZE, self._left))
        self._left -= len(chunk)
        plaintext = self._decryptor.update(chunk)
        if self._left == 0:
            self._reader.read(1)
            plaintext += self._decryptor.finish()
        self._ready = plaintext
        return True


def _open_cbc(reader: Reader, cipher: CbcCipher, length: int) -> Release:
    if length == 0 and cipher.padded:
        # Padding fills at least one block: an object without any was cut off, and is not the empty one.
        raise cipher.failure()
    return _Cbc(reader, cipher, length)
