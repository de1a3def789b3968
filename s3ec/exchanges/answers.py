"""What a server has answered, and what goes wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException

__all__ = ["Answer", "Stream", "WireError"]


class WireError(OSError):
    """The connection broke, or what came is not understood; nothing is known of what the server has done."""


class Stream:
    """Content that is too long to be kept: read in order, by one thread at a time, and closed."""

    __slots__ = ("_ends", "_left", "_read")

    def __init__(self, read: Callable[[int], bytes], length: int) -> None:
        """Take what gives the content, and how many bytes of it there are."""
        self._read = read
        self._left = length
        self._ends: list[Callable[[bool], None]] = []

    def at_end(self, function: Callable[[bool], None]) -> None:
        """Have something done once at the end, in this order: with True if all was read."""
        self._ends.append(function)

    def read(self, size: int) -> bytes:
        """``size`` bytes; fewer only at the end.

        Raises:
            WireError: the connection was cut, or nothing came in time.
        """
        wanted = min(size, self._left)
        if not wanted:
            return b""
        try:
            data = self._read(wanted)
        except (HTTPException, OSError, ValueError) as error:
            self.close()
            raise WireError(f"{type(error).__name__}: {error}") from error
        except BaseException:
            self.close()
            raise
        if len(data) < wanted:
            self.close()
            raise WireError("the answer's body ended too early")
        self._left -= wanted
        if not self._left:
            self._finish(whole=True)
        return data

    def close(self) -> None:
        """Be done: what was not read is not, and ends the connection."""
        self._left = 0
        self._finish(whole=False)

    def _finish(self, *, whole: bool) -> None:
        ends, self._ends = self._ends, []
        for function in ends:
            function(whole)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whole, or to be read on.

    Attributes:
        status: HTTP's number.
        headers: names as they came; of one that came twice the values joined by a comma.
        named: the same by lower-case names.
        body: the content, without its framing.
        rest: the content instead, where it is longer than was to be kept; to be closed.
    """

    status: int
    headers: dict[str, str]
    named: dict[str, str]
    body: bytes = field(repr=False)
    rest: Stream | None = field(default=None, repr=False)
