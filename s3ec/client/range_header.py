"""The ``Range`` and ``Content-Range`` headers (RFC 9110, section 14), in plaintext's and in ciphertext's terms."""

from __future__ import annotations

import re
from dataclasses import dataclass

from s3ec.errors import AuthenticationError

__all__ = ["ByteRange", "ContentRange", "parse_content_range", "parse_range"]

_RANGE = re.compile(r"bytes=\s*(?:(\d+)-(\d*)|-(\d+))\s*", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """One range: ``first`` to ``last`` inclusive, an open end (``last`` None), or the last ``suffix`` bytes."""

    first: int | None
    last: int | None = None
    suffix: int | None = None

    def within(self, length: int) -> tuple[int, int] | None:
        """First and last offset in content of this length, or None where S3 answers 416."""
        if self.first is None:
            assert self.suffix is not None  # noqa: S101 - narrows the type; one of the two is given
            return (max(length - self.suffix, 0), length - 1) if self.suffix and length else None
        if self.first >= length:
            return None
        return self.first, length - 1 if self.last is None else min(self.last, length - 1)

    def widened(self, granularity: int, tail: int) -> str:
        """The header that asks for the ciphertext of this range.

        Args:
            granularity: the start and the end are moved out to multiples of it.
            tail: bytes to ask for beyond the end: the tag, in case the range turns out to reach it.
        """
        if self.first is None:
            assert self.suffix is not None  # noqa: S101 - narrows the type; one of the two is given
            return f"bytes=-{self.suffix + granularity - 1 + tail}"
        start = self.first // granularity * granularity
        if self.last is None:
            return f"bytes={start}-"
        return f"bytes={start}-{(self.last // granularity + 1) * granularity - 1 + tail}"


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
        return ByteRange(None, suffix=int(suffix))
    if last and int(last) < int(first):
        return None
    return ByteRange(int(first), int(last) if last else None)


def parse_content_range(text: str) -> ContentRange:
    """Read a ``Content-Range`` header.

    Raises:
        AuthenticationError: it makes no sense; whoever answers so may answer with any bytes.
    """
    match = _CONTENT_RANGE.fullmatch(text)
    if match is not None:
        found = ContentRange(*(int(group) for group in match.groups()))
        if found.first <= found.last < found.total:
            return found
    raise AuthenticationError(f"the answer's Content-Range makes no sense: {text!r}")
