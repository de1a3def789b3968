"""Bodies on the wire: encrypted once, before the first byte leaves, and sent as often as it takes.

aiohttp may read the body of an attempt that was given up while the next attempt is on its way, in another thread or
after its task was cancelled. So no cipher is behind a body that is sent: each attempt has an iterator of its own, over
bytes that do not change.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from botocore.httpchecksum import AwsChunkedWrapper

from s3ec.aio.sources import AsyncSource
from s3ec.aio.spool import Spool
from s3ec.aio.work import LARGE, off_loop, work_on
from s3ec.client.bodies.ciphertext import encrypted_body as encrypted_at_once
from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.client.bodies.sources import CHUNK_SIZE, BytesSource, Source
from s3ec.client.calls.seals import SealedBytes, SealedRequest, check_at_last
from s3ec.crypto.content import ContentCipher
from s3ec.errors import SourceChangedError

__all__ = ["Base64Sum", "StoredCiphertext", "Summing", "encrypted_body", "send_independently"]

_PASS_SIZE = 256 * 1024
_SUMMED_AT_ONCE = 16 * 1024 * 1024  # whoever is cancelled meanwhile waits so long


async def encrypted_body(
    source: Source | AsyncSource,
    cipher: ContentCipher,
    claims: PlaintextClaims,
    *,
    buffer_size: int,
    spool_directory: str | None,
) -> bytes | StoredCiphertext:
    """Encrypt a body: to bytes, or to an object that is to be closed after the call.

    What it takes is what `s3ec.client.bodies.ciphertext.encrypted_body` takes.

    Raises:
        SourceChangedError: the body is not what the caller says about it.
        whatever reading the body raises.
    """
    if isinstance(source, BytesSource) and source.length is not None and source.length < LARGE:
        small = encrypted_at_once(source, cipher, claims, buffer_size=LARGE, spool_directory=None)
        assert isinstance(small, bytes)  # noqa: S101 - what a small body of bytes becomes
        return small
    spool = Spool(in_memory=buffer_size, directory=spool_directory)
    encrypting = _Encrypting(spool, cipher, claims, source.length)
    try:
        if isinstance(source, AsyncSource):
            await _take_all(encrypting, source)
        else:
            reading = source
            while await off_loop(lambda: encrypting.take(reading.read_chunk(CHUNK_SIZE))):
                pass
        await off_loop(encrypting.finish)
    except BaseException:
        spool.close()
        raise
    if spool.length < LARGE and not spool.on_disk:
        return spool.whole()
    return StoredCiphertext(spool)


async def _take_all(encrypting: _Encrypting, source: AsyncSource) -> None:
    while chunk := await source.read_chunk(CHUNK_SIZE):
        piece = memoryview(chunk)
        await work_on(len(chunk), lambda piece=piece: encrypting.take(piece))  # type: ignore[misc]  # its type is known


class _Encrypting:
    """Encrypts in order, into a spool."""

    def __init__(self, spool: Spool, cipher: ContentCipher, claims: PlaintextClaims, length: int | None) -> None:
        self._spool = spool
        self._claims = claims
        self._encryptor = cipher.encryptor()
        self._expected = length
        self._length = 0
        self._held = b""

    def take(self, chunk: memoryview) -> bool:
        """Encrypt some more; False if that was none."""
        if not chunk:
            return False
        self._length += len(chunk)
        if self._expected is not None and self._length > self._expected:
            raise SourceChangedError(f"Body gives more than the {self._expected} bytes that it had; nothing was stored")
        self._claims.update(chunk)
        ciphertext = self._encryptor.update(chunk)
        # One piece is held back, for the last one to end with the tag.
        if self._held:
            self._spool.append(self._held)
        self._held = ciphertext
        return True

    def finish(self) -> None:
        """End the stream with its tag, if all is what the caller says."""
        if self._expected is not None and self._length != self._expected:
            raise SourceChangedError(f"Body ended after {self._length} of {self._expected} bytes; nothing was stored")
        self._claims.check()
        self._spool.append(self._held + self._encryptor.finalize())


class Summing(Protocol):
    """A checksum that is being computed."""

    def update(self, data: bytes) -> None:
        """Take more."""
        ...

    def text(self) -> str:
        """The checksum, as a header states it."""
        ...


class Base64Sum:
    """One of botocore's checksums."""

    def __init__(self, digest: Callable[[], Any]) -> None:
        """Take what makes it."""
        self._digest = digest()
        self.update = self._digest.update

    def text(self) -> str:
        """In base64."""
        return str(self._digest.b64digest())


class Stored(Protocol):
    """What ciphertext is kept in."""

    @property
    def length(self) -> int:
        """Bytes of it."""
        ...

    @property
    def on_disk(self) -> bool:
        """True if reading and closing it may take a while."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """Some bytes from an offset on, ``size`` at most; none only at the end."""
        ...

    def close(self) -> None:
        """Forget it."""
        ...


class StoredCiphertext:
    """What botocore sees of it: a file that it measures, and never sends itself.

    Attributes:
        sums: checksums of all of it by the names of their headers, as those state them.
    """

    def __init__(self, spool: Stored) -> None:
        """Take the spool, which is complete."""
        self._spool = spool
        self._position = 0
        self.sums: dict[str, str] = {}

    def __len__(self) -> int:
        return self._spool.length

    def __bool__(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """As a file does."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(CHUNK_SIZE), b""))
        data = self._spool.read_at(self._position, size)
        self._position += len(data)
        return data

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """As a file does."""
        self._position = max(offset + (0, self._position, self._spool.length)[whence], 0)
        return self._position

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it, from the start; independent of `read` and of any other reading."""
        offset = 0
        while offset < self._spool.length:
            if self._spool.on_disk:
                at = offset
                piece = await off_loop(lambda: self._spool.read_at(at, _PASS_SIZE))  # noqa: B023 - called at once
            else:
                piece = self._spool.read_at(offset, _PASS_SIZE)
            offset += len(piece)
            yield piece

    async def sum_up(self, digests: Mapping[str, Callable[[], Summing]]) -> None:
        """Compute checksums of all of it in a thread; what was computed before, for an attempt that failed, is kept.

        Args:
            digests: what makes each, by the name of its header.
        """
        making = {name: make() for name, make in digests.items() if name not in self.sums}
        offset = 0
        while making and offset < self._spool.length:
            offset = await off_loop(partial(self._sum_from, offset, list(making.values())))
        self.sums.update({name: digest.text() for name, digest in making.items()})

    def _sum_from(self, offset: int, digests: Sequence[Summing]) -> int:
        end = min(offset + _SUMMED_AT_ONCE, self._spool.length)
        while offset < end:
            piece = self._spool.read_at(offset, CHUNK_SIZE)
            for digest in digests:
                digest.update(piece)
            offset += len(piece)
        return offset

    async def close(self) -> None:
        """Forget it."""
        if self._spool.on_disk:
            await off_loop(self._spool.close)
        else:
            self._spool.close()


class _Frame:
    """S3's chunks, each with its length, and a checksum of all of them behind the last; as botocore would make them.

    Source: Amazon S3 API reference, "Signature calculations: trailing headers (chunked uploads)".
    """

    def __init__(self, wrapper: Any) -> None:
        """Take botocore's wrapper, which says what the checksum is."""
        self._digest = wrapper._checksum_cls
        self._header: str = wrapper._checksum_name
        self._name = self._header.encode()

    def length(self, length: int) -> int:
        """Bytes of a frame around so many."""
        whole, rest = divmod(length, _PASS_SIZE)
        chunks = whole * len(b"%x\r\n\r\n" % _PASS_SIZE) + (len(b"%x\r\n\r\n" % rest) if rest else 0)
        return chunks + length + len(self._trailer(self._digest().b64digest()))

    def around(self, ciphertext: bytes) -> bytes:
        """A small body in its frame."""
        digest = self._digest()
        digest.update(ciphertext)
        return b"%x\r\n%b\r\n%b" % (len(ciphertext), ciphertext, self._trailer(digest.b64digest()))

    async def around_all(self, body: StoredCiphertext) -> AsyncIterator[bytes]:
        """A large one, whose checksum is known, or is computed now."""
        await body.sum_up({self._header: partial(Base64Sum, self._digest)})
        async for piece in body.pieces():
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
        yield self._trailer(body.sums[self._header])

    def _trailer(self, checksum: str) -> bytes:
        return b"0\r\n%b:%b\r\n\r\n" % (self._name, checksum.encode())


class _Pass:
    """One attempt's reading of the body, as aiohttp takes it: an asynchronous iterable of bytes."""

    def __init__(self, body: StoredCiphertext, frame: _Frame | None) -> None:
        self._body = body
        self._frame = frame

    def __len__(self) -> int:
        return len(self._body) if self._frame is None else self._frame.length(len(self._body))

    def __bool__(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Do nothing: the next attempt has a pass of its own."""
        return offset

    def tell(self) -> int:
        """The start, which each reading begins at."""
        return 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.pieces() if self._frame is None else self._frame.around_all(self._body)


def send_independently(request: Any, **_: Any) -> None:
    """Last handler of ``before-send``: the last look at the seal, and a reading of its own for this attempt.

    Nothing that is signed changes: SigV4 leaves ``Transfer-Encoding`` and ``Expect`` out. aiohttp would wait for
    ever for a server that does not answer ``Expect``.

    Args:
        request: botocore's prepared request.
    """
    check_at_last(request)
    headers = request.headers
    headers.pop("Expect", None)
    if not isinstance(request, SealedRequest):
        return
    frame = _Frame(request.body) if isinstance(request.body, AwsChunkedWrapper) else None
    body = getattr(request.body, "_raw", None) if frame else request.body
    if isinstance(body, SealedBytes):
        ciphertext = body.getvalue()
        data = frame.around(ciphertext) if frame else ciphertext
        request.frame(data, len(data))
    elif isinstance(body, StoredCiphertext):
        reading = _Pass(body, frame)
        request.frame(reading, len(reading))
    else:
        return
    if frame:
        del headers["Transfer-Encoding"]
