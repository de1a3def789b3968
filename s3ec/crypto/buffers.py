"""What counts as bytes."""

from __future__ import annotations

from s3ec.algorithms import BLOCK_LENGTH

__all__ = ["UPDATE_ROOM", "Octets", "octets"]

UPDATE_ROOM = BLOCK_LENGTH - 1
"""Bytes that a buffer must hold beyond what a cipher writes into it."""

Octets = bytes | bytearray | memoryview
"""Contiguous bytes in any of Python's own containers."""


def octets(data: Octets) -> memoryview:
    """Return a flat view of single bytes, so that its length is the number of bytes in any format.

    Raises:
        TypeError: the data is not a buffer, or a view that is not contiguous.
    """
    view = memoryview(data)
    if view.format == "B" and view.ndim == 1 and view.contiguous:
        return view
    return view.cast("B") if view.nbytes else memoryview(b"")
