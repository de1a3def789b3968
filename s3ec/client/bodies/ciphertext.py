"""Bodies on the wire: ciphertext that comes out the same however often botocore reads it.

botocore reads a body once to three times (checksum, signature, sending) and again on every retry. Under one key and
counter, two different plaintexts would give away their difference, so each body here either keeps its ciphertext or
proves, chunk by chunk, that it encrypts the same plaintext again before a byte of it leaves.
"""

from __future__ import annotations

import io
import tempfile
from functools import partial
from typing import IO, Any

from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.client.bodies.ahead import Ahead
from s3ec.client.bodies.claims import Digest, PlaintextClaims
from s3ec.client.bodies.sources import CHUNK_SIZE, BytesSource, PassingSource, Source
from s3ec.crypto.buffers import UPDATE_ROOM, Rooms
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.own.mac import ChunkMac
from s3ec.errors import S3ECError, SourceChangedError

__all__ = ["CiphertextBody", "EncryptingBody", "PassingBody", "StoredBody", "encrypted_body"]

_ROOM = GCM_TAG_LENGTH + UPDATE_ROOM
_IN_HAND = (
    2  # chunks that a connection still has: the one that is sent, and while it asks for the next one, that before
)


def encrypted_body(
    source: Source,
    cipher: ContentCipher,
    claims: PlaintextClaims,
    *,
    buffer_size: int,
    spool_directory: str | None,
) -> bytes | CiphertextBody:
    """The body to hand to botocore: bytes, or a file-like object to be closed after the call.

    Small bodies are encrypted once and replayed; large ones that can be read again are encrypted as they are sent;
    streams are encrypted once into a spool, of ciphertext, in memory up to ``buffer_size``; what is only passed
    on, as it arrives.
    """
    if isinstance(source, PassingSource) and (source.length or 0) > CHUNK_SIZE:
        return PassingBody(source, cipher, claims)
    if source.rewindable and source.length is not None and source.length > CHUNK_SIZE:
        return EncryptingBody(source, cipher, claims)
    if isinstance(source, BytesSource):
        return _encrypt_at_once(source, cipher, claims)
    spool = tempfile.SpooledTemporaryFile(max_size=buffer_size, dir=spool_directory)  # noqa: SIM115 - closed by its owner
    try:
        length = _encrypt_into(spool, source, cipher, claims)
    except BaseException:
        spool.close()
        raise
    return StoredBody(spool, length, source)


def _encrypt_at_once(source: BytesSource, cipher: ContentCipher, claims: PlaintextClaims) -> bytes:
    plaintext = source.read_chunk(CHUNK_SIZE)
    claims.update(plaintext)
    claims.check()
    return cipher.encrypt(plaintext)


def _encrypt_into(spool: IO[bytes], source: Source, cipher: ContentCipher, claims: PlaintextClaims) -> int:
    encryptor = cipher.encryptor()
    buffer = bytearray(CHUNK_SIZE + _ROOM)
    view = memoryview(buffer)
    length = 0
    while chunk := source.read_chunk(CHUNK_SIZE):
        claims.update(chunk)
        length += len(chunk)
        _check_not_longer(length, source.length)
        count = encryptor.update_into(chunk, buffer)
        spool.write(view[:count])
    if source.length is not None and length != source.length:
        raise SourceChangedError(f"Body ended after {length} of {source.length} bytes; nothing was stored")
    claims.check()
    spool.write(encryptor.finalize())
    spool.seek(0)
    return length + 16


def _check_not_longer(read: int, length: int | None) -> None:
    if length is not None and read > length:
        raise SourceChangedError(f"Body gives more than the {length} bytes that it had; it grew while it was sent")


class CiphertextBody(io.RawIOBase):
    """What both kinds share: the length, the position, and s3transfer's progress signals."""

    def __init__(self, length: int, source: Source) -> None:
        super().__init__()
        self._length = length
        self._source = source

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

    def signal_transferring(self) -> None:
        """Count progress from here on (s3transfer)."""
        self._source.signal("signal_transferring")

    def signal_not_transferring(self) -> None:
        """Do not count progress, the body is only measured (s3transfer)."""
        self._source.signal("signal_not_transferring")


class StoredBody(CiphertextBody):
    """Ciphertext that is kept, in memory or in an unlinked file, and replayed."""

    def __init__(self, spool: IO[bytes], length: int, source: Source) -> None:
        """Take the spool, positioned at its start."""
        super().__init__(length, source)
        self._spool = spool
        # Encrypting has read the source to its end, and nothing of that was progress.
        source.report_position(0)

    def read(self, size: int | None = -1) -> bytes:
        """See `io.RawIOBase.read`."""
        data = self._spool.read(-1 if size is None else size)
        self._report()
        return data

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """See `io.RawIOBase.seek`."""
        self._spool.seek(offset, whence)
        if whence == 0:
            self._report()
        return self._spool.tell()

    def tell(self) -> int:
        """Bytes of ciphertext read so far."""
        return self._spool.tell()

    def _report(self) -> None:
        self._source.report_position(min(self._spool.tell(), self._length - 16))

    def close(self) -> None:
        """Drop the ciphertext."""
        if not self.closed:
            self._spool.close()
        super().close()


class EncryptingBody(CiphertextBody):
    """A large body that can be read again: encrypted as it is read, in constant memory.

    Attributes:
        failure: why the body gives nothing more, or None.

    The first pass keeps a keyed MAC of each chunk of plaintext; every later pass recomputes it over the very bytes in
    hand and releases nothing that differs, so there is no gap between the check and the use.

    While chunks of what may change are sent, a thread proves, encrypts and sums the next ones. The source is read by
    whoever reads the body, so that no code of the caller's runs in a thread of ours.
    """

    _most_ahead = 4
    _threads_from = 8 * CHUNK_SIZE

    def __init__(self, source: Source, cipher: ContentCipher, claims: PlaintextClaims) -> None:
        """Take a rewindable source of known length."""
        assert source.length is not None  # noqa: S101 - narrows the type; the caller has looked
        super().__init__(source.length + 16, source)
        self._plaintext_length = source.length
        # A thread takes longer to start than it would save, and of what needs no proof it would save too little.
        if source.immutable or source.length <= self._threads_from:
            self._most_ahead = 0
        self._cipher = cipher
        self._claims = claims
        self._mac = ChunkMac()
        self._macs: list[bytes] = []
        self.failure: S3ECError | None = None
        self._at_end = False
        self._ahead: Ahead[memoryview] = Ahead("s3ec-encrypt")
        self._rooms = Rooms(CHUNK_SIZE + _ROOM, self._most_ahead + _IN_HAND)
        self._start_pass()

    def _start_pass(self) -> None:
        # Nothing of the pass before may still be encrypted: it moves the same counts.
        self._ahead.drop()
        self._encryptor = self._cipher.encryptor()
        self._digest: Digest | None = None
        self._given = 0
        self._index = 0
        self._encrypted = 0
        self._position = 0
        self._ready = memoryview(b"")

    def begin(self, digest: Digest) -> None:
        """To the start; what is read from there on has its checksum taken as it is encrypted, while it is hot.

        Args:
            digest: takes all of the ciphertext, in order. What is in it counts once all of the body has been read.
        """
        self._at_end = False
        if self._given:
            self._source.rewind()
            self._start_pass()
        self._digest = digest

    def read(self, size: int | None = -1) -> bytes:
        """At most ``size`` bytes of ciphertext; empty only at the end."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(CHUNK_SIZE), b""))
        return bytes(self.read_view(size))

    def read_view(self, size: int) -> memoryview:
        """The same without a copy. The bytes stay what they are for as long as anybody has a view of them."""
        if self.failure is not None:
            raise self.failure
        if self._at_end or size == 0:
            return memoryview(b"")
        if not self._ready:
            self._produce()
        piece, self._ready = self._ready[:size], self._ready[size:]
        self._position += len(piece)
        return piece

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _produce(self) -> None:
        """Make the next chunk ready, with the tag behind the last one, and begin those after it."""
        if not self._ahead and self._given < self._plaintext_length:
            self._begin_next()
        if not self._ahead:
            return
        # Ready before others are read, which may fail and be tried again.
        self._ready = self._ahead.take()
        while len(self._ahead) < self._most_ahead and self._given < self._plaintext_length:
            self._begin_next()

    def _begin_next(self) -> None:
        wanted = min(CHUNK_SIZE, self._plaintext_length - self._given)
        room = self._rooms.take()
        # Of bytes that cannot change there is no copy.
        chunk = self._source.read_chunk(wanted) if self._source.immutable else room[: self._source.fill(room[:wanted])]
        if len(chunk) != wanted:
            self._fail(f"Body ended after {self._given + len(chunk)} of {self._plaintext_length} bytes")
        if self._given + wanted == self._plaintext_length and self._source.read_chunk(1):
            self._fail(f"Body gives more than the {self._plaintext_length} bytes that it had")
        self._given += wanted
        self._ahead.begin(partial(self._encrypt, chunk, room), threaded=self._most_ahead > 0)

    def _encrypt(self, chunk: memoryview, room: memoryview) -> memoryview:
        self._prove_unchanged(chunk)
        count = self._encryptor.update_into(chunk, room)
        self._index += 1
        self._encrypted += count
        if self._encrypted == self._plaintext_length:
            room[count : count + GCM_TAG_LENGTH] = self._encryptor.finalize()
            count += GCM_TAG_LENGTH
        ciphertext = room[:count].toreadonly()
        if self._digest is not None:
            self._digest.update(ciphertext)
        return ciphertext

    def _prove_unchanged(self, chunk: memoryview) -> None:
        # Bytes cannot change: their MAC would be work for nothing.
        mac = b"" if self._source.immutable else self._mac.of(self._index, chunk)
        if self._index < len(self._macs):
            if not self._mac.equal(mac, self._macs[self._index]):
                self._fail("Body gave other bytes when it was read again")
            return
        self._macs.append(mac)
        self._claim(chunk)

    def _claim(self, chunk: memoryview) -> None:
        self._claims.update(chunk)
        if self._encrypted + len(chunk) == self._plaintext_length:
            self._check_claims()

    def _check_claims(self) -> None:
        try:
            self._claims.check()
        except SourceChangedError as error:
            self.failure = error
            raise

    def _fail(self, what: str) -> None:
        """Latch the failure: every further read raises the same error."""
        self.failure = SourceChangedError(
            f"{what}; none of them was sent, since two plaintexts under one key would give each other away"
        )
        raise self.failure

    def seek(self, offset: int, whence: int = 0) -> int:
        """To the start (at once, so that progress is counted right), to the end (to be measured), or to stay.

        Raises:
            io.UnsupportedOperation: for any other place.
        """
        target = offset + (0, self.tell(), self._length)[whence]
        if target == self._position:
            self._at_end = False
        elif target == 0:
            self._at_end = False
            self._source.rewind()
            self._start_pass()
        elif target == self._length:
            self._at_end = True
        else:
            raise io.UnsupportedOperation("an encrypting body can only be rewound or measured")
        return target

    def tell(self) -> int:
        """Position in the ciphertext."""
        return self._length if self._at_end else self._position

    def close(self) -> None:
        """End the thread: nobody reads on."""
        if not self.closed:
            self._ahead.close()
        super().close()


class PassingBody(EncryptingBody):
    """A large body that is encrypted while it arrives, and cannot be sent a second time: nothing of it is kept.

    Whoever sends it here sends it again, as they would to S3. What has arrived goes on at once: nothing waits for the
    chunk behind it.
    """

    _most_ahead = 0

    def _prove_unchanged(self, chunk: memoryview) -> None:
        self._claim(chunk)

    def seek(self, offset: int, whence: int = 0) -> int:
        """To the end, to be measured, and back, before anything was read.

        Raises:
            io.UnsupportedOperation: something was read.
        """
        if self.begun and (offset, whence) != (self._position, 0):
            raise io.UnsupportedOperation("a body that is only passed on cannot be rewound")
        return super().seek(offset, whence)

    @property
    def begun(self) -> bool:
        """True once bytes of it may be on their way."""
        return bool(self._encrypted)
