"""Memory that one request gives back is kept for the next one: to get it anew costs more than to decrypt into it.

glibc returns freed memory to the system beyond a few MiB, and the system hands it out again page by page, zeroed: for
64 MiB that takes five times as long as AES-GCM. One heap for all threads keeps what is held no larger than what was
needed at once.
Source: glibc manual, "Memory Allocation Tunables" and "Malloc Tunable Parameters"; malloc.h.
"""

from __future__ import annotations

import ctypes
import platform

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGEST_IN_HEAP = 32 * 1024 * 1024  # what glibc takes at most


def keep_freed_memory(most: int) -> bool:
    """Keep freed memory in this process, before it has threads.

    Args:
        most: bytes of it, at most.

    Returns:
        False where the C library is another one; nothing is changed there.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _LARGEST_IN_HEAP), (_TRIM_THRESHOLD, min(most, 2**31 - 1)))
    return all([mallopt(option, value) == 1 for option, value in wanted])
