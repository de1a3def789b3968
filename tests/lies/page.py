"""docs/security-lies.md: the table, written by the run that filled it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from .calls import CALLS
from .generator import ROWS

__all__ = ["PAGE", "columns_of", "page", "rows_of", "summary", "tallies_of"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security-lies.md"
LETTERS = {
    "right": "r",
    "our error": "e",
    "S3's error": "b",
    "word": "w",
    "older": "o",
    "other": "x",
    "FAULT": "FAULT",
}
_BEGIN, _END = "<!-- written by the run -->", "<!-- until here -->"


Tallies = Mapping[str, Mapping[str, Counter[str]]]
"""Verdicts by row, by call."""


def page(text: str, tallies: Tallies) -> str:
    """The page with the cells of a run in the place of those it had; what the run did not tell stays.

    Args:
        text: the page as it is.
        tallies: what the run found.
    """
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    kept = tallies_of(text)
    merged = {call.name: {**kept.get(call.name, {}), **tallies.get(call.name, {})} for call in CALLS}
    return before + _BEGIN + "\n\n" + "\n".join(_tables(merged)) + "\n" + _END + after


def summary(tallies: Tallies) -> str:
    """How many lies were told, of how many kinds, to how many calls, and what came of them."""
    counted = [counts for tally in tallies.values() for counts in tally.values() if counts]
    total = sum(counted, Counter[str]())
    kinds = {row for tally in tallies.values() for row, counts in tally.items() if counts}
    calls = sum(any(tally.values()) for tally in tallies.values())
    verdicts = ", ".join(f"{total[word]:,} {letter}" for word, letter in LETTERS.items() if total[word])
    return f"{sum(total.values()):,} lies of {len(kinds)} kinds, told to {calls} calls: {verdicts}."


def _tables(tallies: Tallies) -> Iterator[str]:
    yield f"Last run on {date.today().isoformat()}: {summary(tallies)}"
    for group in dict.fromkeys(call.group for call in CALLS):
        names = [call.name for call in CALLS if call.group == group]
        yield ""
        yield f"### {group}"
        yield ""
        yield f"| lie | {' | '.join(names)} |"
        yield "| --- " * (len(names) + 1) + "|"
        for row in ROWS:
            cells_of_row = [_cell(tallies.get(name, {}).get(row)) for name in names]
            yield f"| {row} | {' | '.join(cell or '·' for cell in cells_of_row)} |"


def _cell(counts: Counter[str] | None) -> str:
    return " ".join(f"{counts[word]}{letter}" for word, letter in LETTERS.items() if counts[word]) if counts else ""


def _table_lines(text: str) -> list[list[str]]:
    written = text.partition(_BEGIN)[2].partition(_END)[0]
    lines = [line for line in written.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def tallies_of(text: str) -> dict[str, dict[str, Counter[str]]]:
    """The verdicts that stand in a page's tables, by row, by call; rows that are gone are left out."""
    words = {letter: word for word, letter in LETTERS.items()}
    names: list[str] = []
    found: dict[str, dict[str, Counter[str]]] = {}
    for row, *written in _table_lines(text):
        if row == "lie":
            names = written
            continue
        for name, cell in zip(names, written, strict=True):
            pairs = re.findall(r"(\d+)([a-zA-Z]+)", cell)
            if pairs and row in ROWS:
                found.setdefault(name, {})[row] = Counter({words[letter]: int(count) for count, letter in pairs})
    return found


def columns_of(text: str) -> list[str]:
    """The calls that a page has tables for."""
    return [name for line in _table_lines(text) if line[0] == "lie" for name in line[1:]]


def rows_of(text: str) -> set[str]:
    """The kinds of lies that a page has rows for."""
    return {line[0] for line in _table_lines(text)} - {"lie"}
