"""Ranged reads: verified by default, in every form that HTTP has, in plaintext's own offsets."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

from s3ec.algorithms import BLOCK_LENGTH, GCM_TAG_LENGTH
from s3ec.crypto.content import ContentCipher
from s3ec.decryption import Checked
from s3ec.errors import AuthenticationError, UnauthenticatedRangeError
from s3ec.formats import ContentMetadata
from s3ec.s3 import cbc_ranges
from s3ec.s3.answers import check_partial, etag_of, is_partial, length_of
from s3ec.s3.contents import Nothing, UnverifiedSpan, VerifiedSpan
from s3ec.s3.flow import Flow, RefusedError, call, close_body, enter, leave, open_cipher, read_body, work
from s3ec.s3.head_object import head_parameters
from s3ec.s3.objects import ReadRequest, check, check_stored_length, decrypted_response, describe_unencrypted, resolve
from s3ec.s3.pinning import ReplacedError, get_pinned
from s3ec.s3.range_header import ByteRange, parse_content_range
from s3ec.s3.range_reads import Part, Question, RangeRead, range_not_satisfiable
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.verified import RANGE_CHUNK_SIZE, Authentication, OpenedKey, Place, Table, VerifiedObject

__all__ = ["authenticate", "get_part", "get_range", "question"]


def question(s3: Surroundings, request: ReadRequest, wanted: ByteRange, part: Part | None = None) -> Question:
    """Return what S3 is to be asked for."""
    granularity = BLOCK_LENGTH if s3.reading.enable_unauthenticated_ranges else RANGE_CHUNK_SIZE
    return Question(request, wanted, wanted.widened(granularity, GCM_TAG_LENGTH), part)


def get_range(s3: Surroundings, table: Table, question: Question) -> Flow[dict[str, Any]]:
    """Read a range.

    Raises:
        ReplacedError: the object was replaced during the read.
        UnauthenticatedRangeError: it cannot be verified within the client's limits.
        RefusedError: S3's own errors.
    """
    try:
        response = yield from call("GetObject", question.parameters)
    except RefusedError as refused:
        if refused.status != 416:
            raise
    else:
        return (yield from _answer(s3, table, question, response))
    return (yield from _refuse(s3, table, question))


def _answer(s3: Surroundings, table: Table, question: Question, response: dict[str, Any]) -> Flow[dict[str, Any]]:
    request = question.request
    try:
        found = yield from resolve(s3, request, response.get("Metadata", {}))
        if found is None:
            yield from close_body(response["Body"])
            return (yield from _unencrypted(question, etag_of(response)))
        read = RangeRead(s3, table, question, found, check(s3, request, found))
        return (yield from _serve(read, response))
    except BaseException:
        yield from close_body(response["Body"])
        raise


def _serve(read: RangeRead, response: dict[str, Any]) -> Flow[dict[str, Any]]:
    table, request = read.table, read.question.request
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
        yield from close_body(response["Body"])
        return (yield from cbc_ranges.serve(read, etag_of(response), total))
    length = total - GCM_TAG_LENGTH
    span = wanted.within(length)
    # A server may give the whole object for any range; otherwise all of it was wanted, and it is here.
    if (first, last) == (0, total - 1) and span is not None and (not ranged or span == (0, length - 1)):
        cipher = yield from _cipher(table, request, read.checked)
        return (yield from decrypted_response(read.s3, request, response, read.found, cipher, span=span))
    if read.s3.reading.enable_unauthenticated_ranges:
        span = read.span(length)
        cipher = yield from _cipher(table, request, read.checked)
        content = Nothing() if span is None else UnverifiedSpan(cipher, first, span)
        return (yield from read.answer(response, content, span, length, authenticated=False))
    return (yield from _serve_verified(read, response, first, total))


def _serve_verified(read: RangeRead, response: dict[str, Any], first: int, total: int) -> Flow[dict[str, Any]]:
    etag = etag_of(response)
    is_known = _known(read, etag, total) is not None
    verified = yield from _verified(read, etag, total)
    span = read.span(verified.length)
    if not is_known and span is not None:
        # The first answer's connection would have waited for the whole object to be read.
        yield from close_body(response["Body"])
        response = yield from get_pinned(read.question.pinned(etag))
        first = yield from _first_of_the_same(read, response, verified)
    content = Nothing() if span is None else VerifiedSpan(verified, first, span)
    return (yield from read.answer(response, content, span, verified.length, authenticated=True))


def _first_of_the_same(read: RangeRead, response: dict[str, Any], verified: VerifiedObject) -> Flow[int]:
    """Return the offset of an answer to a pinned request, which is about the object that was verified."""
    try:
        answered = check_partial(response, read.question.asked)
        if not verified.matches(etag_of(response), answered.total, read.found.content_metadata):
            raise AuthenticationError(  # noqa: TRY301 - the handler only closes the body
                "the object was replaced between two reads that were pinned to its ETag"
            )
    except AuthenticationError:
        yield from close_body(response["Body"])
        raise
    return answered.first


def _opened(table: Table, request: ReadRequest, checked: Checked) -> Flow[OpenedKey]:
    """Return the key of an object that has passed the gate: a kept one of exactly its metadata, or the keyring's.

    Raises:
        KeyringError, CommitmentMismatchError: as `s3ec.decryption.Checked.open`.
    """
    place, metadata = _place(request), checked.content_metadata
    key = table.opened(place, metadata)
    if key is None:
        expires = table.expiry()  # as it is before the keyring is asked, so that age never falls short of the truth
        key = OpenedKey(metadata, (yield from open_cipher(checked)), expires)
    return key


def _cipher(table: Table, request: ReadRequest, checked: Checked) -> Flow[ContentCipher]:
    """The same for what is not looked up among the verified objects: the key is kept by itself."""
    key = yield from _opened(table, request, checked)
    table.keep(_place(request), key)
    return key.cipher


def _known(read: RangeRead, etag: str, total: int) -> VerifiedObject | None:
    verified = read.table.get(_place(read.question.request))
    matching = verified is not None and verified.matches(etag, total, read.found.content_metadata)
    return verified if matching else None


def _verified(read: RangeRead, etag: str, total: int) -> Flow[VerifiedObject]:
    """Return the object as its tag covers it, with its key: remembered, or by reading all of it once.

    Raises:
        UnauthenticatedRangeError: it is too large for that.
        AuthenticationError: it does not verify, or is not as long as the server said.
    """
    verified = _known(read, etag, total)
    if verified is not None and verified.cipher is not None:
        return verified
    limit = read.s3.reading.verified_range_limit
    if verified is None and total > limit:
        raise UnauthenticatedRangeError(
            f"a partial range of an object of {total} bytes: no tag covers it, and authenticating the whole object "
            f"first is limited to verified_range_limit={limit} bytes. Raise that limit, read through s3ec.open "
            "(which has none), or accept unverified bytes with enable_unauthenticated_ranges=True",
            "verified_range_limit",
        )
    place = _place(read.question.request)
    gate = read.table.gate(place)
    yield from enter(gate)
    try:
        verified = _known(read, etag, total)
        if verified is None or verified.cipher is None:
            key = yield from _opened(read.table, read.question.request, read.checked)
            known = verified or (yield from _authenticate(read, etag, key.cipher))
            verified = known.with_cipher(key.cipher)
            read.table.put(place, verified, key.expires)
    finally:
        yield from leave(gate)
    if verified.total != total:
        raise AuthenticationError(
            f"S3 said that the object has {total} bytes, and it has {verified.total}: an answer was forged"
        )
    return verified


def authenticate(
    response: dict[str, Any], cipher: ContentCipher, content_metadata: ContentMetadata
) -> Flow[VerifiedObject]:
    """Read a whole object, verify its tag and remember its chunks. Constant memory; releases nothing.

    Raises:
        AuthenticationError: the object does not verify.
    """
    if is_partial(response):
        raise AuthenticationError("S3 was asked for the whole object, and answered with a part of it")
    total = length_of(response)
    check_stored_length(content_metadata, total)
    reading = Authentication(etag_of(response), total, content_metadata, cipher)
    while reading.wanted:
        block = yield from read_body(response["Body"], reading.wanted)
        yield from work(partial(reading.feed, block), len(block))
    # One byte more than a tag has, so that the end is read.
    return reading.finish((yield from read_body(response["Body"], GCM_TAG_LENGTH + 1)))


def _authenticate(read: RangeRead, etag: str, cipher: ContentCipher) -> Flow[VerifiedObject]:
    """Read the whole object that an answer was about, and verify its tag."""
    whole = yield from get_pinned(read.question.request.pinned(etag))
    try:
        verified = yield from authenticate(whole, cipher, read.found.content_metadata)
    finally:
        yield from close_body(whole["Body"])
    if verified.etag != etag:
        raise AuthenticationError("the object was replaced between two reads that were pinned to its ETag")
    return verified


def _refuse(s3: Surroundings, table: Table, question: Question) -> Flow[dict[str, Any]]:
    """After S3's own 416: raise the plaintext's, once it is known how long that is.

    A forged one would tell a reader that there is nothing more, and cut the object off as surely as a forged
    length.
    """
    request = question.request
    head = yield from call("HeadObject", head_parameters(s3, request.parameters))
    found = yield from resolve(s3, request, head.get("Metadata", {}))
    if found is None:
        return (yield from _unencrypted(question, etag_of(head)))
    read = RangeRead(s3, table, question, found, check(s3, request, found))
    total = length_of(head)
    check_stored_length(found.content_metadata, total)
    if question.asked.within(total) is not None:
        error = "S3 answered that the range lies behind the end of the object, and then that it does not"
        raise ReplacedError(AuthenticationError(error))
    if found.content_metadata.algorithm_suite.is_legacy:
        return (yield from cbc_ranges.serve(read, etag_of(head), total))
    length = total - GCM_TAG_LENGTH
    if not s3.reading.enable_unauthenticated_ranges:
        length = (yield from _verified(read, etag_of(head), total)).length
    raise range_not_satisfiable(s3, question.wanted, length)


def get_part(s3: Surroundings, table: Table, request: ReadRequest) -> Flow[dict[str, Any]]:
    """Read a part of a multipart upload, a range of the ciphertext; the last may hold only the tag.

    Raises:
        ReplacedError: the object was replaced during the read.
        RefusedError: S3's own errors.
    """
    response = yield from call("GetObject", request.parameters)
    number = request.parameters["PartNumber"]
    try:
        found = yield from resolve(s3, request, response.get("Metadata", {}))
        if found is None:
            response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
            return response
        if not is_partial(response):
            if number != 1:
                raise AuthenticationError(  # noqa: TRY301 - the handler only closes the body
                    f"S3 was asked for part {number}, and answered with the whole object"
                )
            check_stored_length(found.content_metadata, length_of(response))
            cipher = yield from _cipher(table, request, check(s3, request, found))
            return (yield from decrypted_response(s3, request, response, found, cipher))
        stated = parse_content_range(response["ContentRange"])
        check_partial(response, ByteRange(stated.first, stated.last))
    except BaseException:
        yield from close_body(response["Body"])
        raise
    yield from close_body(response["Body"])
    part = Part(number, response.get("PartsCount"), stated.total)
    pinned = dataclasses.replace(request, parameters=request.pinned(etag_of(response)))
    asked = question(s3, pinned, ByteRange(stated.first, stated.last), part)
    try:
        ranged = yield from get_range(s3, table, asked)
    except RefusedError as refused:
        if refused.status == 412:
            raise ReplacedError(refused.error) from None
        raise
    if part.count is not None:
        ranged["PartsCount"] = part.count
    return ranged


def _unencrypted(question: Question, etag: str) -> Flow[dict[str, Any]]:
    """Return S3's own answer to the range as the caller wrote it, for an object that is not encrypted.

    Pinned: an encrypted object put there meanwhile must not come back marked as unencrypted.
    """
    as_written = question.wanted.written or str(question.wanted)
    response = yield from get_pinned({**question.request.parameters, "Range": as_written, "IfMatch": etag})
    response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
    return response


def _place(request: ReadRequest) -> Place:
    return tuple(str(request.parameters.get(name, "")) for name in ("Bucket", "Key", "VersionId"))
