"""Ranges of CBC content: it has no tag, so nothing can ever verify one."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from s3ec.client.answers import check_partial, etag_of, is_partial, length_of
from s3ec.client.ciphertext_reader import CiphertextReader
from s3ec.client.pinning import get_pinned
from s3ec.client.range_bodies import CbcRange, skip
from s3ec.client.range_header import ByteRange
from s3ec.client.range_reads import RangeRead
from s3ec.crypto.legacy.content import CbcCipher
from s3ec.errors import AuthenticationError, UnauthenticatedRangeError

__all__ = ["serve"]

_BLOCK_LENGTH = 16
_TAIL = 2 * _BLOCK_LENGTH


def serve(read: RangeRead, etag: str, total: int) -> dict[str, Any]:
    """The whole object as get_object gives it; partial ranges only where the caller accepts unverified bytes.

    Args:
        read: the read.
        etag: ETag of the object.
        total: bytes of ciphertext, in whole blocks.

    Raises:
        UnauthenticatedRangeError: a partial range without that opt-in; no key is touched.
        S3ECError: the one error for content that does not decrypt.
        botocore.exceptions.ClientError: 416 past the end.
    """
    # Plaintext is never longer than its ciphertext: what is the whole of this is the whole of that.
    whole = read.question.wanted.within(total) == (0, total - 1)
    if not whole and not read.wire.options.enable_unauthenticated_ranges:
        raise UnauthenticatedRangeError(
            "a partial range of a CBC object: it has no tag, so nothing can ever verify it; "
            "enable_unauthenticated_ranges=True accepts unverified bytes",
            "enable_unauthenticated_ranges",
        )
    cipher = cast("CbcCipher", read.checked.open())
    length = total
    if cipher.padded:
        _, start, reader = _blocks(read, etag, total, ByteRange(None, suffix=_TAIL))
        try:
            skip(reader, max(total - _TAIL, 0) - start)
            length = CbcRange.plaintext_length(cipher, reader.read(_TAIL + 1), total)
        finally:
            reader.close()
    span = read.span(length)
    first, last = span or (0, 0)
    first = max(first // _BLOCK_LENGTH * _BLOCK_LENGTH - _BLOCK_LENGTH, 0)
    last = (last // _BLOCK_LENGTH + 1) * _BLOCK_LENGTH - 1
    response, start, _ = _blocks(read, etag, total, ByteRange(first, last))
    release = partial(CbcRange, cipher, start, span or (0, 0))
    return read.answer(response, release, span, length, authenticated=False)


def _blocks(read: RangeRead, etag: str, total: int, asked: ByteRange) -> tuple[dict[str, Any], int, CiphertextReader]:
    """Ask for some blocks of the very same object: the answer, the offset that it starts at, and its body."""
    response = get_pinned(read.wire, {**read.question.request.pinned(etag), "Range": str(asked)})
    try:
        start, answered_total = 0, length_of(response)
        if is_partial(response):
            answered = check_partial(response, asked)
            start, answered_total = answered.first, answered.total
        if (etag_of(response), answered_total) != (etag, total):
            raise AuthenticationError(  # noqa: TRY301 - the handler only closes the body
                "the object was replaced between two reads that were pinned to its ETag"
            )
    except AuthenticationError:
        response["Body"].close()
        raise
    return response, start, CiphertextReader(response["Body"], has_tag=False)
