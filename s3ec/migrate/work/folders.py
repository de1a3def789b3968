"""What one object of a folder shows of the others: asked by the first thread that comes there, and awaited by the rest.

Permissions are given for buckets and prefixes, so that what may be read of one object of a folder may be read of the
next. The answer is remembered for a folder, never for a bucket: policies do differ from prefix to prefix.
"""

from __future__ import annotations

import threading

from s3ec import forks

__all__ = ["FirstOfFolder"]

_MOST = 10_000
_PATIENCE = 60.0  # seconds; whoever asks may be gone


class FirstOfFolder:
    """Remembers folders in which a question was answered with yes. Threads share it."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock: threading.Lock
        self._folders: dict[tuple[str, str], threading.Event]
        # Whoever was asking is not in a forked child.
        forks.make_in_each_process(self, _lock=threading.Lock, _folders=dict)
        self._known: set[tuple[str, str]] = set()

    def is_known(self, bucket: str, key: str) -> bool:
        """True if the answer for the key's folder is yes; where it is False, the caller asks, and calls `answered`."""
        folder = (bucket, key.rpartition("/")[0])
        with self._lock:
            if folder in self._known:
                return True
            if folder not in self._folders:
                self._folders[folder] = threading.Event()
                return False
            asked = self._folders[folder]
        asked.wait(_PATIENCE)
        with self._lock:
            return folder in self._known

    def answered(self, bucket: str, key: str, *, is_yes: bool) -> None:
        """Remember an answer. After a no, whoever comes next asks for themselves."""
        folder = (bucket, key.rpartition("/")[0])
        with self._lock:
            if is_yes:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known.add(folder)
            asked = self._folders.pop(folder, None)
        if asked is not None:
            asked.set()
