"""Request bodies that are read by waiting: objects with ``async def read``, asynchronous iterators and generators.

All others are those of the synchronous client, and are read in a thread.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any

from s3ec.client.bodies.sources import Source, octets_of, open_source, there
from s3ec.errors import SourceChangedError

__all__ = ["AsyncSource", "is_async_body", "open_body"]


def is_async_body(body: object) -> bool:
    """True if it is read by waiting."""
    return inspect.iscoroutinefunction(getattr(body, "read", None)) or hasattr(body, "__aiter__")


class AsyncSource:
    """Plaintext that is waited for, once.

    Attributes:
        length: bytes in all as the caller says, or None if only the end will tell.
    """

    rewindable = False

    def report_position(self, offset: int) -> None:
        """Do nothing: reading it was its progress."""

    def signal(self, name: str) -> None:
        """Do nothing."""

    def __init__(self, body: Any, length: int | None) -> None:
        """Take the body; nothing is read yet."""
        self.length = length
        self._body = body
        # An asynchronous file is an iterator too, of lines.
        self._reads = inspect.iscoroutinefunction(getattr(body, "read", None))
        self._chunks: AsyncIterator[Any] | None = None
        self._rest = memoryview(b"")

    async def read_chunk(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer only at the end.

        Raises:
            ConfigurationError: the body gives something else than bytes.
            SourceChangedError: it gives more than it is asked for.
        """
        pieces: list[bytes] = []
        left = size
        while left:
            piece = bytes(await self._some(left))
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _some(self, size: int) -> memoryview:
        if self._reads:
            data = octets_of(there(await self._body.read(size)))
            if len(data) > size:
                raise SourceChangedError(f"Body answered read({size}) with {len(data)} bytes")
            return data
        if self._chunks is None:
            self._chunks = self._body.__aiter__()
        while not self._rest:
            try:
                self._rest = octets_of(there(await self._chunks.__anext__()))
            except StopAsyncIteration:
                return memoryview(b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def open_body(body: Any, declared_length: int | None) -> Source | AsyncSource:
    """Make a source of a caller's body.

    Args:
        body: whatever the synchronous client takes, and what is read by waiting.
        declared_length: what the caller gave as ``ContentLength``.

    Raises:
        ConfigurationError: the body gives text, or its length is not the declared one.
    """
    return AsyncSource(body, declared_length) if is_async_body(body) else open_source(body, declared_length)
