"""s3ec.open: an object as a seekable, verified, read-only binary file."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from typing import Any

from botocore.client import BaseClient

from s3ec.client.ciphertext_reader import CiphertextReader
from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.objects import ReadRequest, open_cipher, resolve
from s3ec.client.range_bodies import VerifiedRange
from s3ec.client.range_header import parse_content_range
from s3ec.client.reads import decrypted_response, take_read_request
from s3ec.client.verified_ranges import RANGE_CHUNK_SIZE, VerifiedObject, authenticate
from s3ec.client.wire import Wire, location_of
from s3ec.errors import AuthenticationError, ConfigurationError, S3ECError, UnsupportedOperationError
from s3ec.materials import StoredContext

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
) -> io.BufferedIOBase:
    """Open an object as a seekable, read-only binary file whose every byte is verified.

    The object is read and authenticated once; up to ``buffer_size`` its plaintext is then in memory, above it only a
    keyed MAC per 64 KiB is kept, and each read fetches what it needs and is held against them. There is no limit of
    size, and memory is constant. All reads are pinned to the version that was opened.

    Args:
        client: an `EncryptionClient`.
        Bucket: as for get_object.
        Key: as for get_object.
        EncryptionContext: as for get_object.
        read_ahead: bytes fetched at a time.
        **parameters: other parameters of get_object, such as ``VersionId`` or ``InstructionFileSuffix``; no ranges.

    Returns:
        A file for ``with``, to be closed.

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
    wire: Wire = client._s3ec_wire
    context = {} if EncryptionContext is None else {"EncryptionContext": EncryptionContext}
    request = take_read_request({"Bucket": Bucket, "Key": Key, **context, **parameters})
    try:
        return _open(wire, request, read_ahead)
    except S3ECError as error:
        raise error.locate(location_of(request.parameters) or "") from error.__cause__


def _open(wire: Wire, request: ReadRequest, read_ahead: int) -> io.BufferedIOBase:
    response = wire.call("GetObject", request.parameters)
    # botocore's own body as a context is the connection beneath it, whose errors are urllib3's.
    with contextlib.closing(response["Body"]):
        found = resolve(wire, request, response.get("Metadata", {}))
        if found is None:
            pinned = request.pinned(response["ETag"], response.get("VersionId"))
            raw: io.RawIOBase = _ObjectFile(wire, pinned, response["ContentLength"], None, read_ahead)
            return io.BufferedReader(raw, read_ahead)
        if found.content_metadata.algorithm_suite.is_legacy:
            raise UnsupportedOperationError(
                "s3ec.open is refused for CBC content: nothing can verify it. get_object reads it as a stream"
            )
        cipher = open_cipher(wire, request, found)
        if response["ContentLength"] - cipher.suite.tag_length <= wire.options.buffer_size:
            with decrypted_response(wire, request, response, found, cipher)["Body"] as plaintext:
                return io.BytesIO(plaintext.read())
        verified = authenticate(response, cipher, found.content_metadata)
    pinned = request.pinned(verified.etag, verified.version_id)
    return io.BufferedReader(_ObjectFile(wire, pinned, verified.length, verified, read_ahead), read_ahead)


class _ObjectFile(io.RawIOBase):
    """Reads of one pinned object at any offset; io.BufferedReader above it reads ahead."""

    def __init__(
        self, wire: Wire, pinned: dict[str, Any], length: int, verified: VerifiedObject | None, read_ahead: int
    ) -> None:
        super().__init__()
        self._wire = wire
        self._pinned = pinned
        self._length = length
        self._verified = verified
        self._read_ahead = read_ahead
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        target = offset + (0, self._position, self._length)[whence]
        if target < 0:
            raise ValueError("a file has nothing before its start")
        self._position = target
        return target

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        size = min(len(view), self._length - self._position)
        if size <= 0:
            return 0
        span = (self._position, self._position + size - 1)
        try:
            self._read_span(view[:size], span)
        except S3ECError as error:
            raise error.locate(location_of(self._pinned) or "") from error.__cause__
        self._position += size
        return size

    def _read_span(self, view: memoryview, span: tuple[int, int]) -> None:
        first, last = span
        if self._verified is not None:
            first = first // RANGE_CHUNK_SIZE * RANGE_CHUNK_SIZE
            last = min((last // RANGE_CHUNK_SIZE + 1) * RANGE_CHUNK_SIZE, self._length) - 1
        response = self._wire.call("GetObject", {**self._pinned, "Range": f"bytes={first}-{last}"})
        with response["Body"]:
            answered = parse_content_range(response.get("ContentRange", ""))
            if (answered.first, answered.last) != (first, last):
                raise AuthenticationError(f"S3 was asked for another range than it answered with ({answered})")
            reader = CiphertextReader(response["Body"])
            ranged = None if self._verified is None else VerifiedRange(self._verified, first, span, reader)
            filled = _fill(view, ranged.take if ranged else reader.read)
        if filled < len(view):
            raise AuthenticationError("the answer ended before the range that it announced")


def _fill(view: memoryview, take: Callable[[int], bytes | memoryview]) -> int:
    filled = 0
    while filled < len(view) and (piece := take(len(view) - filled)):
        view[filled : filled + len(piece)] = piece
        filled += len(piece)
    return filled
