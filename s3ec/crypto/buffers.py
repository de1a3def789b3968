"""What counts as bytes."""

from __future__ import annotations

__all__ = ["Octets", "octets"]

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
