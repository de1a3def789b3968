"""Bodies on the way home: nothing leaves before its tag is verified, unless the caller asked for that by name.

`PlaintextStream` does the decrypting; `DecryptedBody` gives it the surface of botocore's ``StreamingBody``.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any, Protocol

from botocore.response import StreamingBody

from s3ec.client.sources import CHUNK_SIZE
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.mac import ChunkMac
from s3ec.errors import AuthenticationError, S3ECError

__all__ = ["CiphertextReader", "DecryptedBody", "Release", "open_plaintext"]

_SURPLUS = 64 * 1024
_ROOM = 15  # what update_into wants beyond its input


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

    def readinto(self, view: memoryview) -> int:
        """Fill as much of the view as there is; 0 at the end."""
        ...

    def close(self) -> None:
        """Forget the plaintext."""
        ...


class _InMemory:
    """Verified plaintext held in memory."""

    def __init__(self, plaintext: memoryview) -> None:
        self._rest = plaintext

    def readinto(self, view: memoryview) -> int:
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._rest = memoryview(b"")


class _Delayed:
    """GCM plaintext released before its tag is verified; the last chunk still waits for it."""

    def __init__(self, reader: CiphertextReader, cipher: ContentCipher, length: int) -> None:
        self._reader = reader
        self._decryptor = cipher.decryptor()
        self._left = length
        self._ciphertext = bytearray(CHUNK_SIZE)
        self._plaintext = bytearray(CHUNK_SIZE + _ROOM)
        self._ready = memoryview(b"")
        self._verified = False

    def readinto(self, view: memoryview) -> int:
        if not self._ready and not self._verified:
            self._next()
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next(self) -> None:
        wanted = memoryview(self._ciphertext)[: min(CHUNK_SIZE, self._left)]
        count = self._reader.fill(wanted)
        if count < len(wanted):
            raise _cut_off()
        self._left -= count
        count = self._decryptor.update_into(wanted, self._plaintext)
        if self._left == 0:
            self._decryptor.verify(_read_tag(self._reader))
            self._verified = True
        self._ready = memoryview(self._plaintext)[:count]

    def close(self) -> None:
        self._ready = memoryview(b"")


class _Spooled:
    """Verified ciphertext in a spool, decrypted while the caller reads.

    Each chunk carries a keyed MAC from the verifying pass: what comes back from the disk is what was verified.
    """

    def __init__(self, spool: IO[bytes], cipher: ContentCipher, mac: ChunkMac, macs: list[bytes]) -> None:
        self._spool = spool
        self._decryptor = cipher.decryptor()
        self._mac = mac
        self._macs = macs
        self._index = 0
        self._ciphertext = memoryview(bytearray(CHUNK_SIZE))
        self._plaintext = bytearray(CHUNK_SIZE + _ROOM)
        self._ready = memoryview(b"")

    def readinto(self, view: memoryview) -> int:
        if not self._ready and self._index < len(self._macs):
            self._next()
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next(self) -> None:
        count = self._spool.readinto(self._ciphertext)  # type: ignore[attr-defined]  # a raw temporary file has it
        chunk = self._ciphertext[:count]
        if not self._mac.equal(self._mac.of(self._index, chunk), self._macs[self._index]):
            raise AuthenticationError("the spooled ciphertext changed on disk after it was verified")
        self._index += 1
        self._ready = memoryview(self._plaintext)[: self._decryptor.update_into(chunk, self._plaintext)]

    def close(self) -> None:
        self._spool.close()
        self._ready = memoryview(b"")


def _cut_off() -> AuthenticationError:
    return AuthenticationError("the stored object is shorter than its content metadata allows: it was cut off")


def _read_tag(reader: CiphertextReader) -> bytes:
    tag = bytearray(16)
    if reader.fill(memoryview(tag)) < 16 or not reader.at_end():
        raise AuthenticationError("the stored object does not end with its authentication tag")
    return bytes(tag)


def open_plaintext(
    reader: CiphertextReader,
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


def _verify_in_memory(reader: CiphertextReader, cipher: ContentCipher, length: int) -> _InMemory:
    plaintext = bytearray(length + _ROOM)
    view = memoryview(plaintext)
    scratch = memoryview(bytearray(min(CHUNK_SIZE, length)))
    decryptor = cipher.decryptor()
    done = 0
    while done < length:
        chunk = scratch[: min(CHUNK_SIZE, length - done)]
        if reader.fill(chunk) < len(chunk):
            raise _cut_off()
        done += decryptor.update_into(chunk, view[done:])
    decryptor.verify(_read_tag(reader))
    return _InMemory(view[:length])


def _verify_on_disk(reader: CiphertextReader, cipher: ContentCipher, length: int, directory: str | None) -> _Spooled:
    spool = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - closed by the release that owns it
    try:
        mac, macs = ChunkMac(), list[bytes]()
        scratch = memoryview(bytearray(CHUNK_SIZE))
        discarded = bytearray(CHUNK_SIZE + _ROOM)
        decryptor = cipher.decryptor()
        for offset in range(0, length, CHUNK_SIZE):
            chunk = scratch[: min(CHUNK_SIZE, length - offset)]
            if reader.fill(chunk) < len(chunk):
                raise _cut_off()
            decryptor.update_into(chunk, discarded)
            macs.append(mac.of(len(macs), chunk))
            spool.write(chunk)
        decryptor.verify(_read_tag(reader))
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return _Spooled(spool, cipher, mac, macs)


class _Cbc:
    """CBC plaintext, which nothing authenticates: the caller has allowed it by name."""

    def __init__(self, reader: CiphertextReader, cipher: ContentCipher, length: int) -> None:
        self._reader = reader
        self._decryptor = cipher.decryptor()
        self._left = length
        self._scratch = memoryview(bytearray(CHUNK_SIZE))
        self._ready = memoryview(b"")

    def readinto(self, view: memoryview) -> int:
        while not self._ready and self._left:
            self._next()
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next(self) -> None:
        chunk = self._scratch[: min(CHUNK_SIZE, self._left)]
        if self._reader.fill(chunk) < len(chunk):
            raise _cut_off()
        self._left -= len(chunk)
        plaintext = self._decryptor.update(chunk)
        if self._left == 0:
            self._reader.at_end()
            plaintext += self._decryptor.finish()
        self._ready = memoryview(plaintext)

    def close(self) -> None:
        self._ready = memoryview(b"")


def _open_cbc(reader: CiphertextReader, cipher: ContentCipher, length: int) -> Release:
    return _Cbc(reader, cipher, length)


class PlaintextStream(io.RawIOBase):
    """Decrypted content as a raw stream; verifies on the first read and remembers a failure."""

    def __init__(self, reader: CiphertextReader, opener: Callable[[], Release]) -> None:
        """Take the connection and what opens plaintext from it; nothing is read yet."""
        super().__init__()
        self._reader = reader
        self._opener = opener
        self._release: Release | None = None
        self._failure: S3ECError | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`.

        Raises:
            AuthenticationError: at the first read of content that does not verify, and at every read after it.
        """
        if self._failure is not None:
            raise self._failure
        try:
            if self._release is None:
                self._release = self._opener()
            return self._release.readinto(memoryview(buffer).cast("B"))
        except S3ECError as error:
            self._failure = error
            self._reader.close()
            raise

    def set_socket_timeout(self, timeout: float | None) -> None:
        """Pass the time-out on to the connection."""
        self._reader.set_socket_timeout(timeout)

    def close(self) -> None:
        """Close the connection and forget the plaintext."""
        if not self.closed:
            self._reader.close()
            if self._release is not None:
                self._release.close()
        super().close()


class DecryptedBody(StreamingBody):
    """A ``StreamingBody`` of plaintext, whole surface.

    botocore's class hands out its raw stream in several places (``with``, ``readlines``, ``tell``); here that raw
    stream is the decrypted one, so there is no way round the verification.
    """

    def __init__(self, stream: io.RawIOBase, length: int | None, location: str | None = None) -> None:
        """Take decrypted content.

        Args:
            stream: raw stream of plaintext.
            length: bytes of it, or None where only the end will tell (CBC).
            location: the object, for the text of errors.
        """
        super().__init__(io.BufferedReader(stream, CHUNK_SIZE), length)
        self._plain = stream
        self._location = location
        self._position = 0
        self._is_closed = False

    def read(self, amt: int | None = None) -> bytes:
        """At most ``amt`` bytes of plaintext; all of it without ``amt``."""
        if self._is_closed or amt == 0:
            return b""
        with self._located():
            data: bytes = self._raw_stream.read(-1 if amt is None or amt < 0 else amt)
        self._position += len(data)
        return data

    def readinto(self, b: Any) -> int:
        """Read into a writable buffer; the count of bytes, 0 at the end."""
        if self._is_closed:
            return 0
        with self._located():
            count: int = self._raw_stream.readinto(b)
        self._position += count
        return count

    def readline(self, size: int | None = -1) -> bytes:  # type: ignore[override]  # IOBase has it positional-only
        """One line, from the buffer."""
        if self._is_closed:
            return b""
        with self._located():
            line: bytes = self._raw_stream.readline(-1 if size is None else size)
        self._position += len(line)
        return line

    def readlines(self, hint: int | None = None) -> list[bytes]:  # type: ignore[override]  # botocore's takes no hint
        """All lines that are left, or about ``hint`` bytes of them."""
        lines: list[bytes] = []
        total = 0
        while line := self.readline():
            lines.append(line)
            total += len(line)
            if hint and total >= hint:
                break
        return lines

    def readable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes of plaintext read so far."""
        return self._position

    def set_socket_timeout(self, timeout: float | None) -> None:
        """Set the read time-out of the connection, in seconds."""
        if isinstance(self._plain, PlaintextStream):
            self._plain.set_socket_timeout(timeout)

    def close(self) -> None:
        """Close the connection and forget the plaintext; further reads give nothing."""
        self._is_closed = True
        self._raw_stream.close()

    def __enter__(self) -> DecryptedBody:
        """The body itself, where botocore's gives its raw stream."""
        return self

    def __exit__(self, *details: object) -> None:
        """Close."""
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """Chunks of 1 KiB, as botocore's does (not lines)."""
        return self.iter_chunks(self._DEFAULT_CHUNK_SIZE)

    def _located(self) -> _Located:
        return _Located(self._location)


class _Located:
    """Adds the object's place to errors that pass."""

    __slots__ = ("_location",)

    def __init__(self, location: str | None) -> None:
        self._location = location

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, S3ECError) and self._location is not None:
            error.locate(self._location)
