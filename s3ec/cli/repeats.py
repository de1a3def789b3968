"""One reason that hits many objects: said a few times with names, then counted.

A wrong key fails every object of a bucket alike. A million equal lines hide the one that differs; every single one
still stands in the events and in the JSON document.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["NAMED", "Repeats"]

NAMED = 5
"""Objects that are named for each reason."""

_MOST_REASONS = 1000


@dataclass(slots=True)
class _Reason:
    text: str
    count: int = 0
    named: int = 0


class Repeats:
    """Reports what happened to each object until the reason is known; use it from one thread at a time.

    Args:
        say: writes one line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Take the function that writes a line."""
        self._say = say
        self._reasons: dict[str, _Reason] = {}

    def add(self, place: str, text: str) -> None:
        """Report this object, or only count it if enough objects were named.

        Args:
            place: URL or path of the object.
            text: the whole line.
        """
        for line in self.lines(place, text):
            self._say(line)

    def lines(self, place: str, text: str, *, most: int = NAMED) -> list[str]:
        """Return what to write for this object: its line, or nothing if its reason is known well enough.

        Args:
            place: URL or path of the object.
            text: the whole line.
            most: objects that are named for this reason.
        """
        reason = self._reason(place, text)
        reason.count += 1
        if reason.count > most:
            return []
        reason.named += 1
        return [text]

    @property
    def alike(self) -> int:
        """Objects of the one reason that there is; 0 if there are several."""
        return next(iter(self._reasons.values())).count if len(self._reasons) == 1 else 0

    def close(self) -> None:
        """Say how many more there were of each reason."""
        for reason in self._reasons.values():
            if more := reason.count - reason.named:
                self._say(f"s3ec: … and {more:,} more with the same reason: {reason.text}")
        self._reasons.clear()

    def _reason(self, place: str, text: str) -> _Reason:
        """Return the entry for the text without the object: its name and numbers differ from line to line."""
        said = re.sub(r" ?\[s3://[^\]]*\]", "", text.removeprefix("s3ec: "))
        said = said.replace(place, "").strip(" :")
        key = re.sub(r"\d+", "#", said)
        if key not in self._reasons and len(self._reasons) >= _MOST_REASONS:
            # Every text is different: nothing is a repetition, and memory is limited.
            return _Reason(said)
        return self._reasons.setdefault(key, _Reason(said))
