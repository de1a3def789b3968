"""What the bytes of an answer's body are, and what of them is handed out: the plan by which a body is delivered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from s3ec.crypto.content import ContentCipher
from s3ec.crypto.legacy.content import CbcCipher
from s3ec.s3.verified import VerifiedObject

__all__ = ["CbcSpan", "Content", "Nothing", "Span", "UnverifiedSpan", "VerifiedSpan", "WholeContent"]

Span: TypeAlias = tuple[int, int]
"""First and last offset of plaintext."""


@dataclass(frozen=True, slots=True)
class WholeContent:
    """The whole ciphertext of an object.

    Attributes:
        cipher: opens it.
        length: bytes of ciphertext, tag or padding included.
        delayed: released before it is verified, as the caller chose.
        span: what is handed out; None for all of it.
    """

    cipher: ContentCipher = field(repr=False)
    length: int
    delayed: bool
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class VerifiedSpan:
    """A part of an object that was authenticated: each chunk is checked before any of its plaintext leaves.

    Attributes:
        verified: the object.
        start: offset of the body's first byte in the ciphertext.
        span: what is handed out; the body reaches at least its end.
    """

    verified: VerifiedObject
    start: int
    span: Span


@dataclass(frozen=True, slots=True)
class UnverifiedSpan:
    """A part of GCM content without its tag: the caller has accepted unverified bytes by name.

    Attributes:
        cipher: opens it.
        start: as in `VerifiedSpan`.
        span: as in `VerifiedSpan`.
    """

    cipher: ContentCipher = field(repr=False)
    start: int
    span: Span


@dataclass(frozen=True, slots=True)
class CbcSpan:
    """A part of CBC content, which nothing authenticates.

    Attributes:
        cipher: opens it.
        start: offset of the body's first byte; the block before the span's comes first, or the object's start.
        span: what is handed out; the body reaches at least its last block.
    """

    cipher: CbcCipher = field(repr=False)
    start: int
    span: Span


@dataclass(frozen=True, slots=True)
class Nothing:
    """A part of an object that holds no plaintext, but its tag."""


Content: TypeAlias = WholeContent | VerifiedSpan | UnverifiedSpan | CbcSpan | Nothing
