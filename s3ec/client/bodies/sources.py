"""Request bodies: whatever the caller gives becomes one thing, a reader with a length.

Accepted is all that plain boto3 takes, and memoryviews, iterators of bytes and read-only streams besides.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from s3ec.errors import ConfigurationError, SourceChangedError

__all__ = [
    "CHUNK_SIZE",
    "BytesSource",
    "FileSource",
    "PassedOn",
    "PassingSource",
    "Source",
    "SourceBody",
    "is_readable_body",
    "octets_of",
    "open_source",
    "there",
]

CHUNK_SIZE = 1024 * 1024
"""Bytes that are read and encrypted at a time: large enough for full speed, small enough to stay in the cache."""


class Source(Protocol):
    """Plaintext to be read in order, once or several times.

    Attributes:
        length: bytes in all, or None if only the end will tell.
        rewindable: True if `rewind` works.
        immutable: True if every reading must give the same bytes.
    """

    length: int | None
    rewindable: bool
    immutable: bool

    def read_chunk(self, size: int) -> memoryview:
        """Return the next ``size`` bytes; fewer only at the end. The view is valid until the next call."""
        ...

    def fill(self, view: memoryview) -> int:
        """Read into memory of the reader's own, and return how many bytes; fewer than fit only at the end."""
        ...

    def rewind(self) -> None:
        """Go back to where the body stood when the call was made."""
        ...

    def report_position(self, offset: int) -> None:
        """Tell the caller's progress counting where the transfer stands, in plaintext bytes."""
        ...

    def signal(self, name: str) -> None:
        """Pass on s3transfer's ``signal_transferring`` and ``signal_not_transferring``."""
        ...


class BytesSource:
    """Bytes that are in memory already."""

    rewindable = True

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        """Take anything contiguous; bytes that cannot change are not copied."""
        view = memoryview(data)
        if not view.c_contiguous:
            raise ConfigurationError("Body is a memoryview that is not contiguous; give bytes(view)")
        self._view = view.cast("B")
        self._offset = 0
        self.length: int | None = self._view.nbytes
        self.immutable = type(self._view.obj) is bytes

    def read_chunk(self, size: int) -> memoryview:
        """See `Source`."""
        chunk = self._view[self._offset : self._offset + size]
        self._offset += len(chunk)
        # Memory of the caller's may change at any moment: what is authenticated, compared and encrypted is one snapshot
        # of it. Otherwise a write between two of these would send a second plaintext under the same counters.
        return chunk if self.immutable else memoryview(bytes(chunk))

    def fill(self, view: memoryview) -> int:
        """See `Source`."""
        chunk = self._view[self._offset : self._offset + len(view)]
        self._offset += len(chunk)
        view[: len(chunk)] = chunk
        return len(chunk)

    def rewind(self) -> None:
        """See `Source`."""
        self._offset = 0

    def report_position(self, offset: int) -> None:
        """Do nothing: the progress of bytes is not counted."""

    def signal(self, name: str) -> None:
        """Do nothing: the progress of bytes is not counted."""


class PassedOn:
    """A stream whose sender waits for the answer, and sends it again if that is an error: it may be sent as it arrives.

    Attributes:
        readinto: writes into a buffer what it has, and gives back how many bytes that are; raises with the last of them
            if they are not what they should be.
        length: bytes.
    """

    def __init__(self, readinto: Callable[[memoryview], int], length: int) -> None:
        """Take what gives the bytes, and how many there are."""
        self.readinto = readinto
        self.length = length

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes."""
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[: self.readinto(memoryview(buffer))])


# What these fill a buffer with is what they read; a class of the caller's own may change the one and not the other.
_FILLABLE = frozenset({io.BufferedRandom, io.BufferedReader, io.BytesIO, io.FileIO, PassedOn})


class _Reader:
    """Fills chunks from anything with ``read``; short reads happen."""

    immutable = False

    def __init__(self, body: Any) -> None:
        self._body = body
        self._buffer = bytearray(0)
        self._readinto = body.readinto if type(body) in _FILLABLE else None

    def read_chunk(self, size: int) -> memoryview:
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)
        return view[: self.fill(view[:size])]

    def fill(self, view: memoryview) -> int:
        filled = 0
        while filled < len(view) and (count := self._read_some(view[filled:])):
            filled += count
        return filled

    def _read_some(self, view: memoryview) -> int:
        if self._readinto is not None:
            count: int | None = self._readinto(view)
            return there(count)
        wanted = min(len(view), CHUNK_SIZE)
        data = octets_of(there(self._body.read(wanted)))
        if len(data) > wanted:
            raise SourceChangedError(f"Body answered read({wanted}) with {len(data)} bytes")
        view[: len(data)] = data
        return len(data)

    def signal(self, name: str) -> None:
        method = getattr(self._body, name, None)
        if method is not None:
            method()


T = TypeVar("T")


def there(answer: T | None) -> T:
    """What a body answered, where it answered: None says that there is nothing *yet*, which is not the end (PEP 3116).

    Raises:
        ConfigurationError: the body does not wait, and what it gave so far must not be taken for all of it.
    """
    if answer is None:
        raise ConfigurationError(
            "Body has nothing to read yet (it answered None, as a non-blocking file, pipe or socket does), and is not "
            "at its end; make it blocking (os.set_blocking), or read it first. Nothing was stored"
        )
    return answer


def octets_of(data: Any) -> memoryview:
    """Return what a body gave as bytes.

    Raises:
        ConfigurationError: it is something else.
    """
    if isinstance(data, str):
        raise ConfigurationError("Body gives text; open the file in binary mode, or encode it")
    try:
        return memoryview(data).cast("B")
    except (TypeError, ValueError):
        raise ConfigurationError(f"Body gives {type(data).__name__} where it should give bytes") from None


class FileSource(_Reader):
    """A file-like body that can be read again from where it stood.

    The start is remembered: botocore itself rewinds to 0, which for a body at another offset would send other bytes on
    a retry, under the same key and counter.
    """

    rewindable = True

    def __init__(self, body: Any, start: int, length: int, *, may_grow: bool = False) -> None:
        """Take the body, its offset at call time and the bytes from there to its end.

        With ``may_grow`` nothing is read past that end: what is appended later is not part of the content.
        """
        super().__init__(body)
        self._start = start
        self._room = length if may_grow else None
        self._read = 0
        self.length: int | None = length

    def read_chunk(self, size: int) -> memoryview:
        """See `Source`."""
        return super().read_chunk(min(size, self._left(size)))

    def fill(self, view: memoryview) -> int:
        """See `Source`."""
        filled = super().fill(view[: self._left(len(view))])
        self._read += filled
        return filled

    def _left(self, size: int) -> int:
        return size if self._room is None else self._room - self._read

    def rewind(self) -> None:
        """See `Source`."""
        self._body.seek(self._start)
        self._read = 0

    def report_position(self, offset: int) -> None:
        """Move the body itself: s3transfer's wrappers count progress by where they are moved to."""
        self._body.seek(self._start + offset)


class StreamSource(_Reader):
    """A body that can be read only once."""

    rewindable = False

    def __init__(self, body: Any, length: int | None) -> None:
        """Take the body and the length that the caller says it has."""
        super().__init__(body)
        self.length = length

    def rewind(self) -> None:
        """Never called: what is read once is kept as ciphertext."""
        raise io.UnsupportedOperation("a stream cannot be rewound")

    def report_position(self, offset: int) -> None:
        """Do nothing: reading the stream was its progress."""


class PassingSource(StreamSource):
    """The plaintext of such a stream."""

    def __init__(self, body: PassedOn) -> None:
        """Take the stream."""
        super().__init__(body, body.length)


_END = object()


class _IteratorStream:
    """An iterator of bytes as something with ``read``."""

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int) -> memoryview:
        while not self._rest:
            chunk = next(self._chunks, _END)
            if chunk is _END:
                return memoryview(b"")
            self._rest = octets_of(there(chunk))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


class SourceBody(io.RawIOBase):
    """A source as a file: what the handlers of a managed upload see as ``Body``, as boto3's own transfers give one.

    Attributes:
        touched: True if it does not stand at its start.
    """

    def __init__(self, source: Source) -> None:
        """Take a source that stands at its start."""
        super().__init__()
        self._source = source
        self._position = 0

    @property
    def touched(self) -> bool:
        """True if it does not stand at its start any more."""
        return self._position != 0

    def readable(self) -> bool:
        """Return True: it is readable."""
        return True

    def seekable(self) -> bool:
        """True if the source can be read again."""
        return self._source.rewindable and self._source.length is not None

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`."""
        view = memoryview(buffer).cast("B")
        chunk = self._source.read_chunk(min(len(view), CHUNK_SIZE))
        view[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to any place: from the start again, and by reading up to there."""
        if not self.seekable():
            raise io.UnsupportedOperation("this body can be read once only")
        target = max(offset + (0, self._position, self._source.length or 0)[whence], 0)
        if target < self._position:
            self._source.rewind()
            self._position = 0
        while self._position < target and self.read(min(target - self._position, CHUNK_SIZE)):
            pass
        return self._position


def is_readable_body(body: object) -> bool:
    """True if it is a body that `open_source` takes."""
    return isinstance(body, (bytes, str, bytearray, memoryview, Iterator)) or hasattr(body, "read")


def open_source(body: Any, declared_length: int | None = None) -> Source:
    """Make a `Source` of a caller's body.

    Args:
        body: bytes, str (sent as UTF-8), bytearray, memoryview, file, mmap, stream or iterator of bytes.
        declared_length: what the caller gave as ``ContentLength``; the length of a stream that cannot tell its own.

    Raises:
        ConfigurationError: the body gives text, or its length is not the declared one.
    """
    source = _open(body, declared_length)
    if declared_length is not None and source.length != declared_length:
        raise ConfigurationError(
            f"ContentLength says {declared_length} bytes, and Body has {source.length}; leave ContentLength out"
        )
    return source


def _open(body: Any, declared_length: int | None) -> Source:
    if isinstance(body, PassedOn):
        return PassingSource(body)
    if isinstance(body, str):
        body = body.encode()
    if isinstance(body, (bytes, bytearray, memoryview)):
        return BytesSource(body)
    if isinstance(body, io.TextIOBase):
        raise ConfigurationError("Body is a text file; open it in binary mode")
    if not hasattr(body, "read"):
        return StreamSource(_IteratorStream(iter(body)), declared_length)
    place = _place_and_length(body)
    if place is None:
        return StreamSource(body, declared_length)
    start, length = place
    return FileSource(body, start, length)


def _place_and_length(body: Any) -> tuple[int, int] | None:
    """Return offset and remaining bytes of a body that can be read again, or None."""
    if not hasattr(body, "seek") or not hasattr(body, "tell"):
        return None
    if not isinstance(body, mmap.mmap) and hasattr(body, "seekable") and not body.seekable():
        return None
    try:
        start = body.tell()
        if hasattr(body, "__len__") and not isinstance(body, mmap.mmap):
            return start, len(body) - start
        # Return values of seek are not to be trusted: s3transfer's wrappers answer None.
        body.seek(0, 2)
        end = body.tell()
        body.seek(start)
    except (OSError, io.UnsupportedOperation):
        return None
    return start, max(end - start, 0)
