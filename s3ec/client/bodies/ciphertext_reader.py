"""Ciphertext in order, read to its verified end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from botocore.httpchecksum import StreamingChecksumBody
from botocore.response import StreamingBody

from s3ec.bodies import filled

__all__ = ["CiphertextReader", "Reader"]

_SURPLUS = 64 * 1024


class Reader(Protocol):
    """Ciphertext in order, from one response or from several."""

    def read(self, size: int) -> bytes:
        """``size`` bytes; fewer only at the verified end."""
        ...


class CiphertextReader:
    """Reads a body in filled chunks, and botocore's own to the very end.

    Only a read that gives nothing makes botocore compare lengths, so the end is always read: then a connection that was
    cut shows as botocore's own error (which transfers retry), and what is left to find is forgery.
    """

    def __init__(self, body: Any, *, has_tag: bool = True) -> None:
        """Take the ``Body`` of a response.

        Args:
            body: as botocore made it.
            has_tag: True if something stronger than a checksum covers every byte that will be read; the checksum
                that S3 sent is then left alone, since it costs more than the decryption.
        """
        self._body = body
        self._read: Callable[[int], bytes] = body.read
        if has_tag and type(body) is StreamingChecksumBody:
            # The checksumming happens in this class's own read(); its base still compares lengths at the end.
            self._read = partial(StreamingBody.read, body)
        self._ended = False

    def read(self, size: int) -> bytes:
        """``size`` bytes; fewer only at the verified end."""
        data = filled(self._read, size)
        self._ended = len(data) < size
        return data

    def drain(self) -> None:
        """Read what is left of a small surplus, so that the connection can serve the next request."""
        while not self._ended:
            self.read(_SURPLUS)

    def close(self) -> None:
        """Close the connection's body."""
        self._body.close()

    def set_socket_timeout(self, timeout: float | None) -> None:
        """Pass the time-out on to the connection."""
        self._body.set_socket_timeout(timeout)
