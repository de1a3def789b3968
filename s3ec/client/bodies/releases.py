"""Plaintext that may be handed out, over a connection that is read: loops around `s3ec.s3.receiving`.

`open_plaintext` reads what has to be verified first; what comes out is a `Release`.
"""

from __future__ import annotations

import tempfile
from collections import deque
from typing import IO, Protocol

from s3ec.client.bodies.ciphertext_reader import CiphertextReader, Reader
from s3ec.crypto.content import ContentCipher
from s3ec.s3.contents import Span
from s3ec.s3.receiving import InMemory, Receiver, ThroughSpool, receive_whole

__all__ = ["Fed", "FedSpan", "Ready", "Release", "Slice", "open_plaintext"]


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

    def __init__(self, chunks: deque[bytes | memoryview]) -> None:
        self._chunks = chunks

    def _more(self) -> bool:
        if not self._chunks:
            return False
        self._ready = self._chunks.popleft()
        return True

    def close(self) -> None:
        """Forget the plaintext."""
        self._chunks.clear()
        super().close()


class Fed(Ready):
    """Plaintext of a receiver that is fed from a reader."""

    def __init__(self, receiver: Receiver, reader: Reader) -> None:
        """Take what receives, and what gives it ciphertext."""
        self._receiver = receiver
        self._reader = reader

    def _more(self) -> bool:
        wanted = self._receiver.wanted
        if not wanted:
            return False
        self._ready = self._receiver.feed(self._reader.read(wanted))
        return True


class FedSpan(Fed):
    """The same for a part of an object: what a server sends behind it is read as well."""

    _reader: CiphertextReader

    def _more(self) -> bool:
        more = super()._more()
        if more and not self._receiver.wanted:
            self._reader.drain()
        return more


class _Spooled(Fed):
    """Verified ciphertext in a spool, decrypted while the caller reads."""

    def __init__(self, receiver: Receiver, spool: IO[bytes]) -> None:
        super().__init__(receiver, spool)
        self._spool = spool

    def close(self) -> None:
        """Forget the plaintext and the spool."""
        self._spool.close()
        super().close()


class Slice:
    """A span of a whole object's plaintext, where the server gave all of it; each byte leaves as the whole's would."""

    def __init__(self, release: Release, span: Span) -> None:
        """Take the whole plaintext (verified first, unless the caller chose otherwise), and the span."""
        self._release = release
        self._left = span[1] - span[0] + 1
        before = span[0]
        while before and (piece := self._release.take(before)):
            before -= len(piece)

    def take(self, size: int) -> bytes | memoryview:
        """See `Release`."""
        piece = self._release.take(min(size, self._left)) if self._left else b""
        self._left -= len(piece)
        if not self._left:
            self._release.close()
        return piece

    def close(self) -> None:
        """Forget the plaintext."""
        self._release.close()


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
    receiver = receive_whole(cipher, ciphertext_length, delayed=delayed, in_memory=buffer_size)
    if isinstance(receiver, ThroughSpool):
        return _through_spool(receiver, reader, spool_directory)
    if not isinstance(receiver, InMemory):
        return Fed(receiver, reader)
    while receiver.wanted:
        receiver.feed(reader.read(receiver.wanted))
    return _InMemory(receiver.finish())


def _through_spool(receiver: ThroughSpool, reader: Reader, directory: str | None) -> Release:
    spool = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - closed by the release that owns it
    try:
        while receiver.left:
            chunk = reader.read(receiver.wanted)
            receiver.feed(chunk)
            spool.write(chunk)
        receiver.feed(reader.read(receiver.wanted))
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return _Spooled(receiver.finish(), spool)
