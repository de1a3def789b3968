"""What holds a key must not be written down by accident: not by a pickle, a repr, or a report of an error."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

__all__ = ["Secret", "Unpicklable", "revealed"]

S = TypeVar("S")


class Unpicklable:
    """Base of whatever holds secrets: pickling and copying raise `TypeError`.

    Pickles reach queues, caches and crash reports, where a key has no business; what is needed elsewhere is made there.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        name = type(self).__name__
        del self  # or this frame would carry the keys to whoever reports the error
        raise TypeError(f"{name} holds secret keys and cannot be pickled or copied")


class Secret(Unpicklable, Generic[S]):
    """Holds a key wherever it is a variable or an attribute, so that only `reveal` gives it away.

    Error reporters send the local variables of every frame with an error, as their repr or by going through attributes
    and containers; anyone who can write to a bucket can cause an error. The value is therefore kept in a closure, where
    none of these look, and is revealed only as an argument of the call that needs it, never into a variable.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: S) -> None:
        self._reveal: Callable[[], S] = lambda: value

    def reveal(self) -> S:
        """Return the value itself."""
        return self._reveal()

    def __repr__(self) -> str:
        return "Secret(<hidden>)"

    def __len__(self) -> int:
        return len(self._reveal())  # type: ignore[arg-type]  # of keys; nothing else is asked for its length

    def __eq__(self, other: object) -> bool:
        value: Any = self._reveal()
        return isinstance(other, (Secret, bytes)) and hmac.compare_digest(value, revealed(other))

    def __hash__(self) -> int:
        return hash(self._reveal())


def revealed(value: S | Secret[S]) -> S:
    """Return the value of a secret, or the value itself if it was never made one."""
    return value.reveal() if isinstance(value, Secret) else value
