"""Ciphertext in order, waited for, to its verified end."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiobotocore import httpchecksum, response

__all__ = ["PLAIN_BODY", "AsyncReader"]

_SURPLUS = 64 * 1024

# Both have had other names, in the years before these.
_WITH_CHECKSUM: type = getattr(httpchecksum, "AioStreamingChecksumBody", None) or httpchecksum.StreamingChecksumBody
PLAIN_BODY: Any = getattr(response, "AioStreamingBody", None) or response.StreamingBody
"""aiobotocore's own body, without a checksum."""


class AsyncReader:
    """Reads a body in filled chunks, and aiobotocore's own to the very end, where it compares lengths."""

    def __init__(self, body: Any, *, has_tag: bool = True) -> None:
        """Take the ``Body`` of a response.

        Args:
            body: as aiobotocore made it.
            has_tag: True if something stronger than a checksum covers every byte that will be read; the checksum that
                S3 sent is then left alone.
        """
        self._body = body
        self._read: Callable[[int], Awaitable[bytes]] = body.read
        if has_tag and type(body) is _WITH_CHECKSUM:
            # The checksumming happens in this class's own read(); its base still compares lengths at the end.
            self._read = partial(PLAIN_BODY.read, body)
        self._ended = False

    async def read(self, size: int) -> bytes:
        """``size`` bytes; fewer only at the verified end."""
        data = await self._read(size)
        if len(data) != size:
            pieces, left = [data], size - len(data)
            while left and (piece := await self._read(left)):
                pieces.append(piece)
                left -= len(piece)
            data = b"".join(pieces)
        self._ended = len(data) < size
        return data

    async def drain(self) -> None:
        """Read what is left of a small surplus, so that the connection can serve the next request."""
        while not self._ended:
            await self.read(_SURPLUS)

    def close(self) -> None:
        """Close the connection's body; nothing is waited for."""
        closing = self._body.close()
        if inspect.isawaitable(closing):  # with httpx
            with contextlib.suppress(RuntimeError):  # no loop runs any more, and none has to be told
                asyncio.ensure_future(closing)
