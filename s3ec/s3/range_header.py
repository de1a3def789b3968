"""The ``Range`` and ``Content-Range`` headers (RFC 9110, section 14), in plaintext's and in ciphertext's terms."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from s3ec.errors import AuthenticationError

__all__ = ["ByteRange", "ContentRange", "parse_content_range", "parse_range"]

_RANGE = re.compile(r"bytes=[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)

_BEYOND = 64 * 1024**4
"""Bytes that no object reaches: S3 stores 50 TB in one. Servers that count in 64 bits never see a larger number."""

_MOST_DIGITS = 18
_LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ByteRange:
    """One range: ``first`` to ``last`` inclusive, an open end (``last`` None), or the last ``suffix`` bytes.

    Attributes:
        written: as the caller wrote it, for the error that names it.
    """

    first: int | None
    last: int | None = None
    suffix: int | None = None
    written: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """The header's value."""
        if self.first is None:
            return f"bytes=-{self.suffix}"
        return f"bytes={self.first}-{'' if self.last is None else self.last}"

    def within(self, length: int) -> tuple[int, int] | None:
        """First and last offset in content of this length, or None where S3 answers 416."""
        if self.first is None:
            assert self.suffix is not None  # noqa: S101 - narrows the type; one of the two is given
            return (max(length - self.suffix, 0), length - 1) if self.suffix and length else None
        if self.first >= length:
            return None
        return self.first, length - 1 if self.last is None else min(self.last, length - 1)

    def widened(self, granularity: int, tail: int) -> ByteRange:
        """What to ask for, to get the ciphertext of this range.

        An end that no object reaches is left open, and a suffix is no longer than any object: a server whose offsets
        have 64 bits would not understand the number, and answer with the whole object.

        Args:
            granularity: the start and the end are moved out to multiples of it.
            tail: bytes to ask for beyond the end: the tag, in case the range turns out to reach it.
        """
        if self.first is None:
            assert self.suffix is not None  # noqa: S101 - narrows the type; one of the two is given
            return ByteRange(None, suffix=min(self.suffix + granularity - 1 + tail, _BEYOND))
        start = min(self.first, _BEYOND) // granularity * granularity
        if self.last is None or self.last >= _BEYOND:
            return ByteRange(start)
        return ByteRange(start, (self.last // granularity + 1) * granularity - 1 + tail)


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which bytes an answer holds, of how many."""

    first: int
    last: int
    total: int

    def __str__(self) -> str:
        """The header's value."""
        return f"bytes {self.first}-{self.last}/{self.total}"


def parse_range(text: str) -> ByteRange | None:
    """Read a ``Range`` header; None for forms that S3 ignores (several ranges, other units, a first after the last)."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return ByteRange(None, suffix=_number(suffix), written=text)
    if last and _order(last) < _order(first):
        return None
    return ByteRange(_number(first), _number(last) if last else None, written=text)


def _order(digits: str) -> tuple[int, str]:
    """What numbers of any length are compared by; Python makes no number of more than 4300 digits."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _number(digits: str) -> int:
    """The number, or one that no object reaches either."""
    count, significant = _order(digits)
    return int(significant or "0") if count <= _MOST_DIGITS else 10**_MOST_DIGITS


def parse_content_range(text: str) -> ContentRange:
    """Read a ``Content-Range`` header.

    Raises:
        AuthenticationError: it makes no sense; a server that answers so may answer with any bytes.
    """
    match = _CONTENT_RANGE.fullmatch(text)
    if match is not None:
        found = ContentRange(*(int(group) for group in match.groups()))
        if found.first <= found.last < found.total:
            return found
    raise AuthenticationError(f"the answer's Content-Range makes no sense: {text[:_LONGEST_SHOWN]!r}")
