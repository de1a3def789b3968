"""s3ec.open: an object as a seekable, verified, read-only binary file."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.bodies.releases import FedSpan, Release, open_plaintext
from s3ec.client.calls.wire import Wire
from s3ec.client.encryption_client import EncryptionClient
from s3ec.errors import AuthenticationError, ConfigurationError, S3ECError, UnsupportedOperationError
from s3ec.materials import StoredContext
from s3ec.s3.answers import check_partial, etag_of, length_of, status_of
from s3ec.s3.contents import VerifiedSpan
from s3ec.s3.names import location_of
from s3ec.s3.objects import ReadRequest, check, check_stored_length, resolve, take_read_request
from s3ec.s3.range_header import ByteRange
from s3ec.s3.ranges import authenticate
from s3ec.s3.receiving import receive_span
from s3ec.s3.verified import RANGE_CHUNK_SIZE, VerifiedObject

__all__ = ["open_object"]

DEFAULT_READ_AHEAD = 1024 * 1024
"""Bytes that one request fetches when the file is read on in order."""


def open_object(
    client: BaseClient,
    *,
    Bucket: str,  # noqa: N803 - boto3's name
    Key: str,  # noqa: N803 - boto3's name
    EncryptionContext: Mapping[str, str] | StoredContext | None = None,  # noqa: N803 - the client's name
    read_ahead: int = DEFAULT_READ_AHEAD,
    **parameters: Any,
) -> io.BufferedReader:
    """Open an object as a seekable, read-only binary file whose every byte is verified.

    The object is read and authenticated once; up to ``buffer_size`` its plaintext is then in memory, above it only a
    keyed MAC per 64 KiB is kept, and each read fetches what it needs and is checked against them. There is no limit of
    size, and memory is constant. All reads are pinned to what was opened, by its ETag: if the object is replaced
    meanwhile, the former version is read on if the bucket keeps it and the caller may read versions; otherwise the
    read ends in S3's 412.

    Args:
        client: an `EncryptionClient`.
        Bucket: as for get_object.
        Key: as for get_object.
        EncryptionContext: as for get_object.
        read_ahead: bytes fetched at a time.
        **parameters: other parameters of get_object, such as ``VersionId`` or ``InstructionFileSuffix``; no ranges.

    Returns:
        A file for ``with``, to be closed. Writing to it raises `io.UnsupportedOperation`.

    Raises:
        UnsupportedOperationError: CBC content, which nothing can verify.
        AuthenticationError: the object does not verify.
        botocore.exceptions.ClientError: as from get_object.
    """
    if not isinstance(client, EncryptionClient):
        raise ConfigurationError("s3ec.open takes an EncryptionClient")
    if {"Range", "PartNumber"} & parameters.keys():
        raise ConfigurationError("s3ec.open reads whole objects; seek in the file instead of giving a range")
    if read_ahead < 1:
        raise ConfigurationError("read_ahead is a number of bytes, at least 1")
    wire: Wire = client._s3ec_for(Bucket)._s3ec_wire
    context = {} if EncryptionContext is None else {"EncryptionContext": EncryptionContext}
    request = take_read_request({"Bucket": Bucket, "Key": Key, **context, **parameters})
    try:
        raw = _open(wire, request)
    except S3ECError as error:
        raise error.locate(location_of(request.parameters) or "") from error.__cause__
    return io.BufferedReader(raw, read_ahead)


def _open(wire: Wire, request: ReadRequest) -> io.RawIOBase:
    response = wire.call("GetObject", request.parameters)
    # botocore's own body as a context is the connection beneath it, whose errors are urllib3's.
    with contextlib.closing(response["Body"]):
        found = wire.run(resolve(wire, request, response.get("Metadata", {})))
        etag, stored = etag_of(response), length_of(response)
        if found is None:
            return _ObjectFile(wire, request.pinned(etag), response.get("VersionId"), stored, None)
        suite = found.content_metadata.algorithm_suite
        checked = check(wire, request, found)
        if suite.is_legacy:
            raise UnsupportedOperationError(
                "s3ec.open is refused for CBC content: nothing can verify it. get_object reads it as a stream"
            )
        check_stored_length(found.content_metadata, stored)
        cipher = checked.open()
        if stored - suite.tag_length <= wire.options.buffer_size:
            release = open_plaintext(
                CiphertextReader(response["Body"]),
                cipher,
                stored,
                delayed=False,
                buffer_size=wire.options.buffer_size,
                spool_directory=None,
            )
            return _MemoryFile(release, stored - suite.tag_length)
        verified = wire.run(authenticate(response, cipher, found.content_metadata))
    return _ObjectFile(wire, request.pinned(etag), response.get("VersionId"), verified.length, verified)


class _SeekableFile(io.RawIOBase):
    """Reads any number of bytes at any offset; `io.BufferedReader` above it reads ahead."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check_open()
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        target = offset + (0, self._position, self._length)[whence]
        if target < 0:
            raise ValueError("a file has nothing before its start")
        self._position = target
        return target

    def readinto(self, buffer: Any) -> int:
        self._check_open()
        view = memoryview(buffer).cast("B")
        size = min(len(view), self._length - self._position)
        if size <= 0:
            return 0
        self._read_span(view[:size], (self._position, self._position + size - 1))
        self._position += size
        return size

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _read_span(self, view: memoryview, span: tuple[int, int]) -> None:
        """Fill a buffer with the bytes of a span that lies within the file."""
        raise NotImplementedError("each kind of file has its own")  # pragma: no cover - abstract


class _MemoryFile(_SeekableFile):
    """Verified plaintext in memory, up to ``buffer_size``; each chunk of the release is let go as it is copied."""

    def __init__(self, release: Release, length: int) -> None:
        super().__init__(length)
        self._plaintext = memoryview(bytearray(length))
        _fill(self._plaintext, release.take)

    def close(self) -> None:
        self._plaintext = memoryview(b"")
        super().close()

    def _read_span(self, view: memoryview, span: tuple[int, int]) -> None:
        view[:] = self._plaintext[span[0] : span[1] + 1]


class _ObjectFile(_SeekableFile):
    """Reads of one pinned object."""

    def __init__(
        self, wire: Wire, pinned: dict[str, Any], version_id: str | None, length: int, verified: VerifiedObject | None
    ) -> None:
        super().__init__(length)
        self._wire = wire
        self._pinned = pinned
        self._version_id = version_id
        self._verified = verified

    def _read_span(self, view: memoryview, span: tuple[int, int]) -> None:
        first, last = span
        if self._verified is not None:
            first = first // RANGE_CHUNK_SIZE * RANGE_CHUNK_SIZE
            last = min((last // RANGE_CHUNK_SIZE + 1) * RANGE_CHUNK_SIZE, self._length) - 1
        asked = ByteRange(first, last)
        try:
            response = self._get(asked)
            with response["Body"]:
                total = check_partial(response, asked).total
                if (etag_of(response), total) != (self._pinned["IfMatch"], self._total):
                    raise AuthenticationError("S3 answered for another object than the one that was opened")
                reader = CiphertextReader(response["Body"])
                ranged = None if self._verified is None else _verified_span(self._verified, first, span, reader)
                filled = _fill(view, ranged.take if ranged else reader.read)
            if filled < len(view):
                raise AuthenticationError("the answer ended before the range that it announced")
        except S3ECError as error:
            raise error.locate(location_of(self._pinned) or "") from error.__cause__

    def _get(self, asked: ByteRange) -> dict[str, Any]:
        try:
            return self._wire.call("GetObject", {**self._pinned, "Range": str(asked)})
        except ClientError as error:
            if status_of(error.response) != 412 or self._version_id in (None, self._pinned.get("VersionId")):
                raise
            replaced = error
        # Naming a version takes a permission that the caller may not have, hence only if nothing else is left.
        named = {**self._pinned, "VersionId": self._version_id}
        try:
            response = self._wire.call("GetObject", {**named, "Range": str(asked)})
        except ClientError:
            raise replaced from None
        self._pinned = named
        return response

    @property
    def _total(self) -> int:
        return self._length if self._verified is None else self._verified.total


def _verified_span(verified: VerifiedObject, first: int, span: tuple[int, int], reader: CiphertextReader) -> Release:
    return FedSpan(receive_span(VerifiedSpan(verified, first, span)), reader)


def _fill(view: memoryview, take: Callable[[int], bytes | memoryview]) -> int:
    filled = 0
    while filled < len(view) and (piece := take(len(view) - filled)):
        view[filled : filled + len(piece)] = piece
        filled += len(piece)
    return filled
