"""Ranged reads: verified by default, in every form that HTTP has, in plaintext's own offsets.

What is handed out, and what the answer says of it, comes from what was verified; a header of the server's only decides
what is looked at next.
"""

from __future__ import annotations

import contextlib
import dataclasses
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from s3ec.client import cbc_ranges, reads
from s3ec.client.answers import check_partial, etag_of, is_partial, length_of, status_of
from s3ec.client.objects import (
    ReadRequest,
    check,
    check_stored_length,
    describe_unencrypted,
    open_cipher,
    resolve,
)
from s3ec.client.pinning import ReplacedError, get_pinned, read_again_if_replaced
from s3ec.client.range_bodies import UnverifiedRange, VerifiedRange
from s3ec.client.range_header import ByteRange, parse_content_range, parse_range
from s3ec.client.range_reads import Part, Question, RangeRead, range_not_satisfiable
from s3ec.client.verified_ranges import RANGE_CHUNK_SIZE, VerifiedObject, VerifiedTable, authenticate
from s3ec.client.wire import Wire
from s3ec.crypto.content import ContentCipher
from s3ec.errors import AuthenticationError, UnauthenticatedRangeError

__all__ = ["RangeReader"]

_BLOCK_LENGTH = 16
_TAG_LENGTH = 16


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
            return read_again_if_replaced(partial(self._get_part, wire, request))
        if not isinstance(parameters.get("Range"), str):
            return reads.get_whole_object(wire, request)
        wanted = parse_range(parameters.pop("Range"))
        if wanted is None:
            # What is not a range of bytes is ignored (RFC 9110, section 14.2).
            return reads.get_whole_object(wire, request)
        return read_again_if_replaced(partial(self._get_range, wire, self._question(request, wanted)))

    def _question(self, request: ReadRequest, wanted: ByteRange, part: Part | None = None) -> Question:
        return Question(request, wanted, wanted.widened(self._granularity, _TAG_LENGTH), part)

    def _get_range(self, wire: Wire, question: Question) -> dict[str, Any]:
        try:
            response = wire.call("GetObject", question.parameters)
        except ClientError as error:
            if status_of(error.response) != 416:
                raise
        else:
            return self._answer(wire, question, response)
        return self._refuse(wire, question)

    def _answer(self, wire: Wire, question: Question, response: dict[str, Any]) -> dict[str, Any]:
        request = question.request
        try:
            found = resolve(wire, request, response.get("Metadata", {}))
            if found is None:
                response["Body"].close()
                return _unencrypted(wire, question, etag_of(response))
            return self._serve(RangeRead(wire, question, found, check(wire, request, found)), response)
        except BaseException:
            response["Body"].close()
            raise

    def _serve(self, read: RangeRead, response: dict[str, Any]) -> dict[str, Any]:
        wanted, part = read.question.wanted, read.question.part
        ranged = is_partial(response)
        first, last, total = 0, length_of(response) - 1, length_of(response)
        if ranged:
            answered = check_partial(response, read.question.asked)
            first, last, total = answered.first, answered.last, answered.total
        if part is not None and part.total != total:
            raise AuthenticationError("S3 states one length in the answer for a part of the object, and another then")
        check_stored_length(read.found.content_metadata, total)
        if read.found.content_metadata.algorithm_suite.is_legacy:
            response["Body"].close()
            return cbc_ranges.serve(read, etag_of(response), total)
        length = total - _TAG_LENGTH
        span = wanted.within(length)
        # A server may give the whole object for any range; otherwise all of it was wanted, and it is here.
        if (first, last) == (0, total - 1) and span is not None and (not ranged or span == (0, length - 1)):
            cipher = read.checked.open()
            return reads.decrypted_response(read.wire, read.question.request, response, read.found, cipher, span=span)
        if read.wire.options.enable_unauthenticated_ranges:
            span = read.span(length)
            unverified = partial(UnverifiedRange, read.checked.open(), first, span or (0, 0))
            return read.answer(response, unverified, span, length, authenticated=False)
        return self._serve_verified(read, response, first, total)

    def _serve_verified(self, read: RangeRead, response: dict[str, Any], first: int, total: int) -> dict[str, Any]:
        etag = etag_of(response)
        is_known = self._known(read, etag, total) is not None
        verified = self._verified(read, etag, total)
        span = read.span(verified.length)
        if not is_known and span is not None:
            # The first answer's connection would have waited for the whole object to be read.
            response["Body"].close()
            response = get_pinned(read.wire, read.question.pinned(etag))
            first = self._first_of_the_same(read, response, verified)
        release = partial(VerifiedRange, verified, first, span or (0, 0))
        return read.answer(response, release, span, verified.length, authenticated=True)

    def _first_of_the_same(self, read: RangeRead, response: dict[str, Any], verified: VerifiedObject) -> int:
        """Return the offset of an answer to a pinned request, which is about the object that was verified."""
        try:
            answered = check_partial(response, read.question.asked)
            if not verified.matches(etag_of(response), answered.total, read.found.content_metadata):
                raise AuthenticationError(  # noqa: TRY301 - the handler only closes the body
                    "the object was replaced between two reads that were pinned to its ETag"
                )
        except AuthenticationError:
            response["Body"].close()
            raise
        return answered.first

    def _known(self, read: RangeRead, etag: str, total: int) -> VerifiedObject | None:
        verified = self._table.get(_place(read.question.request))
        matching = verified is not None and verified.matches(etag, total, read.found.content_metadata)
        return verified if matching else None

    def _verified(self, read: RangeRead, etag: str, total: int) -> VerifiedObject:
        """Return the object as its tag covers it, with its key: remembered, or by reading all of it once.

        Raises:
            UnauthenticatedRangeError: it is too large for that.
            AuthenticationError: it does not verify, or is not as long as the server said.
        """
        verified = self._known(read, etag, total)
        if verified is not None and verified.cipher is not None:
            return verified
        limit = read.wire.options.verified_range_limit
        if verified is None and total > limit:
            raise UnauthenticatedRangeError(
                f"a partial range of an object of {total} bytes: no tag covers it, and authenticating the whole object "
                f"first is limited to verified_range_limit={limit} bytes. Raise that limit, read through s3ec.open "
                "(which has none), or accept unverified bytes with enable_unauthenticated_ranges=True",
                "verified_range_limit",
            )
        place = _place(read.question.request)
        with self._table.building(place):
            verified = self._known(read, etag, total)
            if verified is None or verified.cipher is None:
                expires = self._table.expiry()
                cipher = read.checked.open()
                known = verified or self._authenticate(read, etag, cipher)
                verified = known.with_cipher(cipher)
                self._table.put(place, verified, expires)
        if verified.total != total:
            raise AuthenticationError(
                f"S3 said that the object has {total} bytes, and it has {verified.total}: an answer was forged"
            )
        return verified

    def _authenticate(self, read: RangeRead, etag: str, cipher: ContentCipher) -> VerifiedObject:
        """Read the whole object that an answer was about, and verify its tag."""
        whole = get_pinned(read.wire, read.question.request.pinned(etag))
        with contextlib.closing(whole["Body"]):
            verified = authenticate(whole, cipher, read.found.content_metadata)
        if verified.etag != etag:
            raise AuthenticationError("the object was replaced between two reads that were pinned to its ETag")
        return verified

    def _refuse(self, wire: Wire, question: Question) -> dict[str, Any]:
        """After S3's own 416: raise the plaintext's, once it is known how long that is.

        A forged one would tell a reader that there is nothing more, and cut the object off as surely as a forged
        length.
        """
        request = question.request
        head = wire.call("HeadObject", reads.head_parameters(wire, request.parameters))
        found = resolve(wire, request, head.get("Metadata", {}))
        if found is None:
            return _unencrypted(wire, question, etag_of(head))
        read = RangeRead(wire, question, found, check(wire, request, found))
        total = length_of(head)
        check_stored_length(found.content_metadata, total)
        if question.asked.within(total) is not None:
            error = "S3 answered that the range lies behind the end of the object, and then that it does not"
            raise ReplacedError(AuthenticationError(error))
        if found.content_metadata.algorithm_suite.is_legacy:
            return cbc_ranges.serve(read, etag_of(head), total)
        length = total - _TAG_LENGTH
        if not wire.options.enable_unauthenticated_ranges:
            length = self._verified(read, etag_of(head), total).length
        raise range_not_satisfiable(wire, question.wanted, length)

    def _get_part(self, wire: Wire, request: ReadRequest) -> dict[str, Any]:
        """Return a part of a multipart upload, a range of the ciphertext; the last may hold only the tag."""
        response = wire.call("GetObject", request.parameters)
        number = request.parameters["PartNumber"]
        try:
            found = resolve(wire, request, response.get("Metadata", {}))
            if found is None:
                response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
                return response
            if not is_partial(response):
                if number != 1:
                    raise AuthenticationError(  # noqa: TRY301 - the handler only closes the body
                        f"S3 was asked for part {number}, and answered with the whole object"
                    )
                check_stored_length(found.content_metadata, length_of(response))
                return reads.decrypted_response(wire, request, response, found, open_cipher(wire, request, found))
            stated = parse_content_range(response["ContentRange"])
            check_partial(response, ByteRange(stated.first, stated.last))
        except BaseException:
            response["Body"].close()
            raise
        response["Body"].close()
        part = Part(number, response.get("PartsCount"), stated.total)
        pinned = dataclasses.replace(request, parameters=request.pinned(etag_of(response)))
        question = self._question(pinned, ByteRange(stated.first, stated.last), part)
        try:
            ranged = self._get_range(wire, question)
        except ClientError as error:
            if status_of(error.response) == 412:
                raise ReplacedError(error) from None
            raise
        if part.count is not None:
            ranged["PartsCount"] = part.count
        return ranged


def _unencrypted(wire: Wire, question: Question, etag: str) -> dict[str, Any]:
    """Return S3's own answer to the range as the caller wrote it, for an object that is not encrypted.

    Pinned: an encrypted object put there meanwhile must not come back marked as unencrypted.
    """
    as_written = question.wanted.written or str(question.wanted)
    response = get_pinned(wire, {**question.request.parameters, "Range": as_written, "IfMatch": etag})
    response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
    return response


def _place(request: ReadRequest) -> tuple[str, ...]:
    return tuple(str(request.parameters.get(name, "")) for name in ("Bucket", "Key", "VersionId"))
