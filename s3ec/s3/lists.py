"""Lists of S3 that lead on: one that goes round in circles must keep nobody for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ROWS", "Trail"]

_MOST_EMPTY = 1000  # pages without a row, one after the other
ROWS: Mapping[str, Mapping[str, type]] = {
    "Contents": {"Key": str, "Size": int},
    "Versions": {"Key": str, "VersionId": str, "IsLatest": bool, "Size": int},
    "DeleteMarkers": {"Key": str, "VersionId": str},
    "Uploads": {"Key": str, "UploadId": str},
    "CommonPrefixes": {"Prefix": str},
}
"""What each row of a list has, by the name of the list."""


class Trail:
    """What has been seen of one list. An endless list of new keys cannot be told from a large bucket."""

    def __init__(self) -> None:
        """Begin before the first page."""
        self._number = 0
        self._empty = 0
        self._anchor: tuple[object, ...] | None = None

    def leads_nowhere(self, page: Mapping[str, Any]) -> bool:
        """True if a page has come before, or if a thousand in a row had nothing.

        Args:
            page: the next answer to ``ListObjectsV2``, ``ListObjectVersions`` or ``ListMultipartUploads``.
        """
        self._number += 1
        first = _first_row(page)
        self._empty = 0 if first else self._empty + 1
        repeats = first is not None and first == self._anchor
        # Every circle is found, whatever its length, by comparing with page 1, 2, 4, 8 and so on.
        if self._number & (self._number - 1) == 0:
            self._anchor = first
        return repeats or self._empty > _MOST_EMPTY


def _first_row(page: Mapping[str, Any]) -> tuple[object, ...] | None:
    for name, members in ROWS.items():
        for row in page.get(name, ()):
            return (name, *(row.get(member) for member, kind in members.items() if kind is str))
    return None
