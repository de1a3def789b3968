"""Ranges of CBC content: it has no tag, so nothing can ever verify one."""

from __future__ import annotations

from typing import Any, cast

from s3ec.algorithms import BLOCK_LENGTH
from s3ec.crypto.legacy.content import CbcCipher
from s3ec.errors import AuthenticationError, UnauthenticatedRangeError
from s3ec.s3.answers import check_partial, etag_of, is_partial, length_of
from s3ec.s3.contents import CbcSpan, Nothing
from s3ec.s3.flow import Flow, close_body, open_cipher, read_body
from s3ec.s3.pinning import get_pinned
from s3ec.s3.range_header import ByteRange
from s3ec.s3.range_reads import RangeRead

__all__ = ["serve"]

_TAIL = 2 * BLOCK_LENGTH
_SKIPPED = 64 * 1024


def serve(read: RangeRead, etag: str, total: int) -> Flow[dict[str, Any]]:
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
    if not whole and not read.s3.reading.enable_unauthenticated_ranges:
        raise UnauthenticatedRangeError(
            "a partial range of a CBC object: it has no tag, so nothing can ever verify it; "
            "enable_unauthenticated_ranges=True accepts unverified bytes",
            "enable_unauthenticated_ranges",
        )
    cipher = cast("CbcCipher", (yield from open_cipher(read.checked)))
    length = total
    if cipher.padded:
        response, start = yield from _blocks(read, etag, total, ByteRange(None, suffix=_TAIL))
        body = response["Body"]
        try:
            yield from _skip(body, max(total - _TAIL, 0) - start)
            # One byte more than there should be, so that the end is read.
            tail = yield from read_body(body, _TAIL + 1, has_tag=False)
        finally:
            yield from close_body(body)
        length = _plaintext_length(cipher, tail, total)
    span = read.span(length)
    first, last = span or (0, 0)
    first = max(first // BLOCK_LENGTH * BLOCK_LENGTH - BLOCK_LENGTH, 0)
    last = (last // BLOCK_LENGTH + 1) * BLOCK_LENGTH - 1
    response, start = yield from _blocks(read, etag, total, ByteRange(first, last))
    content = Nothing() if span is None else CbcSpan(cipher, start, span)
    return (yield from read.answer(response, content, span, length, authenticated=False))


def _skip(body: Any, count: int) -> Flow[None]:
    """Read past what a server sends before the blocks that it was asked for."""
    while count > 0:
        size = min(count, _SKIPPED)
        if len((yield from read_body(body, size, has_tag=False))) < size:
            raise AuthenticationError("the answer ended before the range that it announced")
        count -= size


def _plaintext_length(cipher: CbcCipher, tail: bytes, total: int) -> int:
    """Bytes of plaintext of a padded object, by its last two blocks (or the only one).

    Raises:
        S3ECError: the one error for content that does not decrypt.
    """
    previous = tail[-32:-16] if total > BLOCK_LENGTH else cipher.iv
    if len(tail) != min(total, 32):
        raise cipher.failure()
    decryptor = cipher.decryptor_from(previous, reaches_end=True)
    last = decryptor.update(tail[-16:]) + decryptor.finish()
    return total - BLOCK_LENGTH + len(last)


def _blocks(read: RangeRead, etag: str, total: int, asked: ByteRange) -> Flow[tuple[dict[str, Any], int]]:
    """Ask for some blocks of the very same object: the answer, and the offset that its body starts at."""
    response = yield from get_pinned({**read.question.request.pinned(etag), "Range": str(asked)})
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
        yield from close_body(response["Body"])
        raise
    return response, start
