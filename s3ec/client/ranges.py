"""Ranged reads: verified by default, in every form that HTTP has, in plaintext's own offsets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from s3ec.client import reads
from s3ec.client.ciphertext_reader import CiphertextReader
from s3ec.client.instruction_objects import read_whole
from s3ec.client.objects import (
    EncryptedObject,
    ReadRequest,
    check,
    describe,
    describe_unencrypted,
    open_cipher,
    resolve,
    speak_plaintext,
)
from s3ec.client.plaintext import DecryptedBody, PlaintextStream
from s3ec.client.range_bodies import CbcRange, UnverifiedRange, VerifiedRange
from s3ec.client.range_header import ByteRange, ContentRange, parse_content_range, parse_range
from s3ec.client.releases import Ready
from s3ec.client.verified_ranges import RANGE_CHUNK_SIZE, VerifiedObject, VerifiedTable, authenticate
from s3ec.client.wire import Wire, location_of
from s3ec.decryption import Checked
from s3ec.errors import AuthenticationError, UnauthenticatedRangeError

__all__ = ["RangeReader"]

_BLOCK_LENGTH = 16
_TAG_LENGTH = 16


@dataclass(frozen=True, slots=True)
class _RangeRead:
    """A ranged read of an encrypted object, which has passed the gate's checks."""

    wire: Wire
    request: ReadRequest
    wanted: ByteRange
    found: EncryptedObject
    checked: Checked


class RangeReader:
    """get_object, whole or in part, with the client's table of verified objects."""

    def __init__(self, wire: Wire) -> None:
        """Take the plain calls."""
        self._table = VerifiedTable()
        unverified = wire.options.enable_unauthenticated_ranges
        self._granularity = _BLOCK_LENGTH if unverified else RANGE_CHUNK_SIZE

    def get_object(self, wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        """Read an object, or a range of it.

        Raises:
            UnauthenticatedRangeError: a partial range that cannot be verified within the client's limits.
            botocore.exceptions.ClientError: S3's own, 416 past the end of the plaintext among them.
        """
        request = reads.take_read_request(parameters)
        if "PartNumber" in parameters:
            return self._get_part(wire, request)
        if not isinstance(parameters.get("Range"), str):
            return reads.get_whole_object(wire, request)
        wanted = parse_range(parameters["Range"])
        if wanted is None:
            # What is no range of bytes is ignored (RFC 9110, section 14.2).
            del parameters["Range"]
            return reads.get_whole_object(wire, request)
        return self._get_range(wire, request, wanted)

    def _get_range(self, wire: Wire, request: ReadRequest, wanted: ByteRange) -> dict[str, Any]:
        header = wanted.widened(self._granularity, _TAG_LENGTH)
        response = wire.call("GetObject", {**request.parameters, "Range": header})
        try:
            found = resolve(wire, request, response.get("Metadata", {}))
            if found is None:
                response["Body"].close()
                # Pinned: an encrypted object put there meanwhile must not come back marked as unencrypted.
                response = wire.call("GetObject", {**request.parameters, "IfMatch": response["ETag"]})
                response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
                return response
            checked = check(wire, request, found)
            if "ContentRange" not in response:
                # The server ignored the range; the whole object is here, and can be authenticated.
                return reads.decrypted_response(wire, request, response, found, checked.open())
            return self._serve(_RangeRead(wire, request, wanted, found, checked), response)
        except BaseException:
            response["Body"].close()
            raise

    def _serve(self, read: _RangeRead, response: dict[str, Any]) -> dict[str, Any]:
        answered = parse_content_range(response["ContentRange"])
        if read.found.content_metadata.algorithm_suite.is_legacy:
            return self._serve_cbc(read, response, answered.total)
        length = answered.total - _TAG_LENGTH
        if length < 0:
            raise AuthenticationError("the stored object is shorter than its authentication tag: it was cut off")
        span = _span(read.wire, read.wanted, length)
        self._check_answer(read.wanted, answered, span)
        if span == (0, length - 1) and answered.last == answered.total - 1 and answered.first == 0:
            response = reads.decrypted_response(read.wire, read.request, response, read.found, read.checked.open())
            response["ContentRange"] = str(ContentRange(*span, length))
            return response
        if read.wire.options.enable_unauthenticated_ranges:
            unverified = partial(UnverifiedRange, read.checked.open(), answered.first, span)
            return _ranged(read.request, response, read.found, unverified, span, length, authenticated=False)
        verified = self._table.get(_place(read.request))
        if verified is None or not verified.matches(response, answered.total, read.found.content_metadata):
            response["Body"].close()
            verified, response = self._verify(read, response, answered.total)
            answered = parse_content_range(response["ContentRange"])
            self._check_answer(read.wanted, answered, span)
        release = partial(VerifiedRange, verified, answered.first, span)
        return _ranged(read.request, response, read.found, release, span, length, authenticated=True)

    def _check_answer(self, wanted: ByteRange, answered: ContentRange, span: tuple[int, int]) -> None:
        """Notice a server that answers another range than the one asked for."""
        start = span[0] // self._granularity * self._granularity
        fits = answered.first <= start if wanted.first is None else answered.first == start
        if not fits or answered.last < span[1]:
            raise AuthenticationError(f"S3 was asked for another range than it answered with ({answered})")

    def _verify(self, read: _RangeRead, response: dict[str, Any], total: int) -> tuple[VerifiedObject, dict[str, Any]]:
        """Authenticate the object once, and ask for the range again, of the very same object."""
        wire, request, content_metadata = read.wire, read.request, read.found.content_metadata
        if total > wire.options.verified_range_limit:
            raise UnauthenticatedRangeError(
                f"a partial range of an object of {total} bytes: no tag covers it, and authenticating the whole object "
                f"first is limited to verified_range_limit={wire.options.verified_range_limit} bytes. Raise that "
                "limit, read through s3ec.open (which has none), or accept unverified bytes with "
                "enable_unauthenticated_ranges=True",
                "verified_range_limit",
            )
        place = _place(request)
        with self._table.building(place):
            verified = self._table.get(place)
            if verified is None or not verified.matches(response, total, content_metadata):
                verified = self._authenticate(read, response)
                self._table.put(place, verified)
        again = wire.call(
            "GetObject",
            {
                **request.pinned(verified.etag, verified.version_id),
                "Range": read.wanted.widened(self._granularity, _TAG_LENGTH),
            },
        )
        try:
            total = parse_content_range(again.get("ContentRange", "")).total
            if not verified.matches(again, total, content_metadata):
                raise AuthenticationError(  # noqa: TRY301 - the handler only closes the body
                    "the object was replaced between two reads that were pinned to its ETag"
                )
        except AuthenticationError:
            again["Body"].close()
            raise
        return verified, again

    def _authenticate(self, read: _RangeRead, response: dict[str, Any]) -> VerifiedObject:
        """Read the whole object that an answer was about, and verify its tag."""
        cipher = read.checked.open()
        pinned = read.request.pinned(response["ETag"], response.get("VersionId"))
        whole = read.wire.call("GetObject", pinned)
        with whole["Body"]:
            return authenticate(whole, cipher, read.found.content_metadata)

    def _serve_cbc(self, read: _RangeRead, response: dict[str, Any], total: int) -> dict[str, Any]:
        """CBC has no tag: the whole object as get_object gives it, partial ranges only with every leave."""
        wire, request, wanted = read.wire, read.request, read.wanted
        # Plaintext is never longer than its ciphertext: what is the whole of this is the whole of that.
        whole = wanted.within(total) == (0, total - 1)
        if not whole and not wire.options.enable_unauthenticated_ranges:
            raise UnauthenticatedRangeError(
                "a partial range of a CBC object: it has no tag, so nothing can ever verify it; "
                "enable_unauthenticated_ranges=True accepts unverified bytes",
                "enable_unauthenticated_ranges",
            )
        response["Body"].close()
        cipher = read.checked.open()
        pinned = request.pinned(response["ETag"], response.get("VersionId"))
        if total % _BLOCK_LENGTH:
            raise cipher.failure()
        length = total
        if cipher.padded:
            tail = wire.call("GetObject", {**pinned, "Range": "bytes=-32"})
            length = CbcRange.plaintext_length(cipher, read_whole(tail["Body"], 2 * _BLOCK_LENGTH), total)
        span = _span(wire, wanted, length)
        start = max(span[0] // _BLOCK_LENGTH * _BLOCK_LENGTH - _BLOCK_LENGTH, 0)
        end = (span[1] // _BLOCK_LENGTH + 1) * _BLOCK_LENGTH - 1
        response = wire.call("GetObject", {**pinned, "Range": f"bytes={start}-{end}"})
        answered = parse_content_range(response.get("ContentRange", ""))
        if (answered.first, answered.last) != (start, end):
            raise AuthenticationError(f"S3 was asked for another range than it answered with ({answered})")
        release = partial(CbcRange, cipher, start, span)
        return _ranged(request, response, read.found, release, span, length, authenticated=False)

    def _get_part(self, wire: Wire, request: ReadRequest) -> dict[str, Any]:
        """A part of a multipart upload, which is a range of the ciphertext; the last may hold the tag alone."""
        response = wire.call("GetObject", request.parameters)
        try:
            found = resolve(wire, request, response.get("Metadata", {}))
            if found is None:
                response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
                return response
            if "ContentRange" not in response:
                return reads.decrypted_response(wire, request, response, found, open_cipher(wire, request, found))
            part = parse_content_range(response["ContentRange"])
            length = part.total - found.content_metadata.algorithm_suite.tag_length
            if part.first >= length:
                check(wire, request, found)
                return _tag_part(request, response, found)
        except BaseException:
            response["Body"].close()
            raise
        response["Body"].close()
        pinned = ReadRequest(
            request.pinned(response["ETag"], response.get("VersionId")), request.encryption_context, request.suffix
        )
        ranged = self._get_range(wire, pinned, ByteRange(part.first, part.last))
        if "PartsCount" in response:
            ranged["PartsCount"] = response["PartsCount"]
        return ranged


def _tag_part(request: ReadRequest, response: dict[str, Any], found: EncryptedObject) -> dict[str, Any]:
    """The part that holds our tag and no content: empty, so that parts one after another give the object."""
    reader = CiphertextReader(response["Body"])
    reader.drain()
    del response["ContentRange"]
    response["ContentLength"] = 0
    response["Body"] = DecryptedBody(PlaintextStream(reader, Ready, location_of(request.parameters)), 0)
    speak_plaintext(response, describe(found, authenticated=False))
    return response


def _place(request: ReadRequest) -> tuple[str, ...]:
    return tuple(str(request.parameters.get(name, "")) for name in ("Bucket", "Key", "VersionId"))


def _span(wire: Wire, wanted: ByteRange, length: int) -> tuple[int, int]:
    """First and last offset of the plaintext wanted.

    Raises:
        botocore.exceptions.ClientError: 416, as S3 would answer for the plaintext.
    """
    span = wanted.within(length)
    if span is not None:
        return span
    raise reads.range_not_satisfiable(wire, "GetObject", wanted, length)


def _ranged(
    request: ReadRequest,
    response: dict[str, Any],
    found: EncryptedObject,
    release: Any,
    span: tuple[int, int],
    length: int,
    *,
    authenticated: bool,
) -> dict[str, Any]:
    """Put a partial body and plaintext's offsets into an answer."""
    reader = CiphertextReader(response["Body"])
    size = span[1] - span[0] + 1
    stream = PlaintextStream(reader, partial(release, reader), location_of(request.parameters))
    response["Body"] = DecryptedBody(stream, size)
    response["ContentLength"] = size
    response["ContentRange"] = str(ContentRange(*span, length))
    speak_plaintext(response, describe(found, authenticated=authenticated))
    return response
