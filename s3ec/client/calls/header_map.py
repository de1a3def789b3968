"""Headers of requests and answers, found by their names in small letters.

botocore's own map makes an object of each name that is looked up, put in or gone through, whose hash and equality are
functions of its own: more than a hundred for a small request. This one is botocore's to whoever uses it.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator
from typing import Any

from botocore.awsrequest import HeadersDict

__all__ = ["Headers"]


class Headers(HeadersDict):
    """A `HeadersDict`: names are found in any case, and given back as they first came."""

    def __init__(self, *args: Any, **more: Any) -> None:
        """Take what a dict takes."""
        self._kept: dict[str, tuple[str, Any]] = {}
        self.update(*args, **more)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Any]]) -> Headers:
        """Make one of names and values, in order."""
        headers = cls()
        kept = headers._kept
        for pair in pairs:
            lower = pair[0].lower()
            kept[lower] = (kept[lower][0], pair[1]) if lower in kept else pair
        return headers

    def __setitem__(self, key: str, value: Any) -> None:
        lower = key.lower()
        former = self._kept.get(lower)
        self._kept[lower] = (key if former is None else former[0], value)

    def __getitem__(self, key: str) -> Any:
        return self._kept[key.lower()][1]

    def __delitem__(self, key: str) -> None:
        del self._kept[key.lower()]

    def __contains__(self, key: Any) -> bool:
        return key.lower() in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._kept.values()])

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return repr(dict(self._kept.values()))

    def get(self, key: str, default: Any = None) -> Any:
        """See `dict`."""
        found = self._kept.get(key.lower())
        return default if found is None else found[1]

    def items(self) -> ItemsView[str, Any]:
        """See `dict`."""
        return _Items(self)

    def copy(self) -> Headers:
        """See `dict`; what is copied may be changed."""
        headers = Headers()
        headers._kept = self._kept.copy()
        return headers


class _Items(ItemsView[str, Any]):
    """Names and values, without looking each up by its name again."""

    _mapping: Headers

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._mapping._kept.values())
