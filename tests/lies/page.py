"""docs/security-lies.md: the table, written by the run that filled it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from .calls import CALLS
from .generator import ROWS

__all__ = ["PAGE", "columns_of", "page", "rows_of"]

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


def page(text: str, tallies: Mapping[str, Mapping[str, Counter[str]]], seconds: float) -> str:
    """The page with other tables.

    Args:
        text: the page as it is.
        tallies: verdicts by row, by call.
        seconds: how long it took.
    """
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + "\n\n" + "\n".join(_tables(tallies, seconds)) + "\n" + _END + after


def _tables(tallies: Mapping[str, Mapping[str, Counter[str]]], seconds: float) -> Iterator[str]:
    total: Counter[str] = Counter()
    for tally in tallies.values():
        for counts in tally.values():
            total.update(counts)
    if total:
        cells = f"{sum(total.values()):,}"
        yield f"On {date.today().isoformat()}, {cells} lies in {seconds / 60:.0f} minutes:"
        yield ", ".join(f"{total[word]:,} {letter}" for word, letter in LETTERS.items() if total[word]) + "."
    else:
        yield "The whole table has not been filled yet; parts of it were run while it was built, see below."
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


def columns_of(text: str) -> list[str]:
    """The calls that a page has tables for."""
    return [name for line in _table_lines(text) if line[0] == "lie" for name in line[1:]]


def rows_of(text: str) -> set[str]:
    """The kinds of lies that a page has rows for."""
    return {line[0] for line in _table_lines(text)} - {"lie"}
