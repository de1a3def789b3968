"""What counts as bytes, and room for many of them."""

from __future__ import annotations

import contextlib
import mmap
from collections import deque

from s3ec.algorithms import BLOCK_LENGTH

__all__ = ["UPDATE_ROOM", "Octets", "Rooms", "octets", "room_for"]

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


def room_for(size: int) -> memoryview:
    """Return zero bytes to be written into, for megabytes that are held once and given back.

    The system makes memory page by page as it is first touched. At 4 KiB a page that takes several times as long as
    AES-GCM takes to fill it, so pages of 2 MiB are asked for where the system has them (Linux, unless it is configured
    to give none). The bytes belong to this process alone, and go back to the system with the last view of them.

    Args:
        size: bytes, at least one.
    """
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # no room to map: then the allocator says whether there is any
            pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            with contextlib.suppress(OSError):  # a kernel that was built without them
                pages.madvise(mmap.MADV_HUGEPAGE)
            return memoryview(pages)
    return memoryview(bytearray(size))


class Rooms:
    """Memory that goes round: taken again once nobody has a view of it.

    Fresh memory takes longer than AES-GCM does to fill it. Whoever keeps a view keeps what it shows: that memory is
    theirs then, and other memory is taken in its place.
    """

    def __init__(self, size: int, most: int) -> None:
        """Begin without any.

        Args:
            size: bytes of each.
            most: how many are remembered.
        """
        self._size = size
        self._most = most
        self._taken: deque[bytearray] = deque()

    def take(self) -> memoryview:
        """Return memory to be written into."""
        if self._taken and _is_free(self._taken[0]):
            room = self._taken.popleft()
        else:
            room = bytearray(self._size)
            if len(self._taken) == self._most:
                self._taken.popleft()
        self._taken.append(room)
        return memoryview(room)


def _is_free(room: bytearray) -> bool:
    """True if there is no view of it: while there is one Python lets nobody change the length."""
    try:
        # Shorter first: longer first would move it to memory that is an eighth larger.
        last = room.pop()
    except BufferError:
        return False
    room.append(last)
    return True
