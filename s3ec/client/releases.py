"""Plaintext that may be handed out: verified first, in memory or by a spool of ciphertext, or as the caller chose.

`open_plaintext` decides which; what comes out is a `Release`.
"""

from __future__ import annotations

import tempfile
from typing import IO, Any, Protocol

from botocore.response import StreamingBody

from s3ec.client.sources import CHUNK_SIZE
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.mac import ChunkMac
from s3ec.errors import AuthenticationError

__all__ = ["CiphertextReader", "Reader", "Ready", "Release", "open_plaintext"]

_SURPLUS = 64 * 1024
_ROOM = 15  # what update_into wants beyond its input


class Reader(Protocol):
    """Ciphertext in order, from one response or from several."""

    def fill(self, view: memoryview) -> int:
        """Fill the view; fewer bytes only at the end."""
        ...

    def at_end(self) -> bool:
        """True where nothing more comes."""
        ...


class CiphertextReader:
    """Reads botocore's body in filled chunks, to the very end.

    Only a read that gives nothing makes botocore compare lengths and checksums, so the end is always read: then a
    connection that was cut shows as botocore's own error (which transfers retry), and what is left to find is forgery.
    """

    def __init__(self, body: Any) -> None:
        """Take the ``Body`` of a response."""
        self._body = body
        # A fresh bytes object for each read costs more than the decryption; older botocore has no readinto.
        self._readinto = getattr(body, "readinto", None) if _has_own_readinto(body) else None

    def fill(self, view: memoryview) -> int:
        """Fill the view; fewer bytes only at the verified end."""
        filled = 0
        while filled < len(view):
            count = self._some(view[filled:])
            if count == 0:
                break
            filled += count
        return filled

    def _some(self, view: memoryview) -> int:
        if self._readinto is not None:
            return int(self._readinto(view))
        data = self._body.read(len(view))
        view[: len(data)] = data
        return len(data)

    def at_end(self) -> bool:
        """Read on once the expected bytes are here: True where nothing more comes."""
        return self._some(memoryview(bytearray(1))) == 0

    def drain(self) -> None:
        """Read what is left of a small surplus, so that the connection can serve the next request."""
        scratch = memoryview(bytearray(_SURPLUS))
        while self._some(scratch):
            pass

    def close(self) -> None:
        """Close the connection's body."""
        self._body.close()

    def set_socket_timeout(self, timeout: float | None) -> None:
        """Pass the time-out on to the connection."""
        self._body.set_socket_timeout(timeout)


def _has_own_readinto(body: Any) -> bool:
    # io.IOBase has none, and a checksumming body of older botocore must see the bytes through its own read().
    return "readinto" in type(body).__dict__ or type(body) is StreamingBody and hasattr(StreamingBody, "readinto")


class Release(Protocol):
    """Plaintext that may be handed out."""

    def take(self, size: int) -> memoryview:
        """The next bytes, ``size`` at most and 0 at the end only. The view is valid until the next call."""
        ...

    def close(self) -> None:
        """Forget the plaintext."""
        ...


class Ready:
    """Base of releases that decrypt a chunk at a time: hands out what is ready, and asks for more when it is not."""

    _ready = memoryview(b"")

    def take(self, size: int) -> memoryview:
        """See `Release`."""
        while not self._ready and self._more():
            pass
        piece, self._ready = self._ready[:size], self._ready[size:]
        return piece

    def _more(self) -> bool:
        """Make the next chunk ready; False at the end. A chunk may turn out empty."""
        return False

    def close(self) -> None:
        """Forget the plaintext."""
        self._ready = memoryview(b"")


class _InMemory(Ready):
    """Verified plaintext held in memory."""

    def __init__(self, plaintext: memoryview) -> None:
        self._ready = plaintext


class _Delayed(Ready):
    """GCM plaintext released before its tag is verified; the last chunk still waits for it."""

    def __init__(self, reader: Reader, cipher: ContentCipher, length: int) -> None:
        self._reader = reader
        self._decryptor = cipher.decryptor()
        self._left = length
        self._buffer = memoryview(bytearray(min(CHUNK_SIZE, length) + _ROOM))
        self._verified = False

    def _more(self) -> bool:
        if self._verified:
            return False
        chunk = self._buffer[: min(CHUNK_SIZE, self._left)]
        if self._reader.fill(chunk) < len(chunk):
            raise _cut_off()
        self._left -= len(chunk)
        self._decryptor.update_into(chunk, self._buffer)
        if self._left == 0:
            self._decryptor.verify(_read_tag(self._reader))
            self._verified = True
        self._ready = chunk
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
        self._buffer = memoryview(bytearray(CHUNK_SIZE + _ROOM))

    def _more(self) -> bool:
        if self._index == len(self._macs):
            return False
        count = self._spool.readinto(self._buffer[:CHUNK_SIZE])  # type: ignore[attr-defined]  # raw files have it
        chunk = self._buffer[:count]
        if not self._mac.equal(self._mac.of(self._index, chunk), self._macs[self._index]):
            raise AuthenticationError("the spooled ciphertext changed on disk after it was verified")
        self._index += 1
        self._decryptor.update_into(chunk, self._buffer)
        self._ready = chunk
        return True

    def close(self) -> None:
        """Forget the plaintext and the spool."""
        self._spool.close()
        super().close()


def _cut_off() -> AuthenticationError:
    return AuthenticationError("the stored object is shorter than its content metadata allows: it was cut off")


def _read_tag(reader: Reader) -> bytes:
    tag = bytearray(16)
    if reader.fill(memoryview(tag)) < 16 or not reader.at_end():
        raise AuthenticationError("the stored object does not end with its authentication tag")
    return bytes(tag)


def open_plaintext(
    reader: Reader,
    cipher: ContentCipher,
    ciphertext_length: int,
    *,
    delayed: bool,
    buffer_size: int,
    spool_directory: str | None,
) -> Release:
    """Plaintext that may be released, verified first unless ``delayed``.

    Args:
        reader: the whole ciphertext.
        cipher: what opens it.
        ciphertext_length: bytes of it, tag or padding included.
        delayed: release before verifying.
        buffer_size: bytes to hold in memory at most; above it ciphertext goes to disk.
        spool_directory: where to, or None for the system's folder.

    Raises:
        AuthenticationError: the content does not verify; nothing was released.
    """
    if cipher.suite.is_legacy:
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
    # Decrypted where it lies: fresh memory costs more than the decryption.
    view = memoryview(bytearray(length + _ROOM))
    decryptor = cipher.decryptor()
    for start in range(0, length, CHUNK_SIZE):
        chunk = view[start : min(start + CHUNK_SIZE, length)]
        if reader.fill(chunk) < len(chunk):
            raise _cut_off()
        decryptor.update_into(chunk, view[start:])
    decryptor.verify(_read_tag(reader))
    return _InMemory(view[:length])


def _verify_on_disk(reader: Reader, cipher: ContentCipher, length: int, directory: str | None) -> _Spooled:
    spool = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - closed by the release that owns it
    try:
        mac, macs = ChunkMac(), list[bytes]()
        scratch = memoryview(bytearray(CHUNK_SIZE))
        discarded = bytearray(CHUNK_SIZE + _ROOM)
        decryptor = cipher.decryptor()
        for offset in range(0, length, CHUNK_SIZE):
            chunk = scratch[: min(CHUNK_SIZE, length - offset)]
            if reader.fill(chunk) < len(chunk):
                raise _cut_off()  # noqa: TRY301 - the handler only closes the file
            decryptor.update_into(chunk, discarded)
            macs.append(mac.of(len(macs), chunk))
            spool.write(chunk)
        decryptor.verify(_read_tag(reader))
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return _Spooled(spool, cipher, mac, macs)


class _Cbc(Ready):
    """CBC plaintext, which nothing authenticates: the caller has allowed it by name."""

    def __init__(self, reader: Reader, cipher: ContentCipher, length: int) -> None:
        self._reader = reader
        self._decryptor = cipher.decryptor()
        self._left = length
        self._scratch = memoryview(bytearray(min(CHUNK_SIZE, length)))

    def _more(self) -> bool:
        if self._left == 0:
            return False
        chunk = self._scratch[: min(CHUNK_SIZE, self._left)]
        if self._reader.fill(chunk) < len(chunk):
            raise _cut_off()
        self._left -= len(chunk)
        plaintext = self._decryptor.update(chunk)
        if self._left == 0:
            self._reader.at_end()
            plaintext += self._decryptor.finish()
        self._ready = memoryview(plaintext)
        return True


def _open_cbc(reader: Reader, cipher: ContentCipher, length: int) -> Release:
    if length == 0 and cipher.padded:
        # Padding fills at least one block: an object without any was cut off, and is not the empty one.
        raise cipher.failure()
    return _Cbc(reader, cipher, length)
