"""What holds a key must not be written down by accident."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Unpicklable"]


class Unpicklable:
    """Base of objects that hold secrets: pickling and copying raise `TypeError`."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds secret keys and cannot be pickled or copied")
