"""What the commands say: tables and text for people, exactly one JSON document for machines.

On a terminal `rich` draws. Elsewhere every line is written whole: nothing is wrapped, cut or coloured. Keys and error
texts come from buckets that others may write to: control characters in them are shown, never sent to the terminal.
"""

from __future__ import annotations

import datetime
import json
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TextIO

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from s3ec.errors import escaped

__all__ = ["Output", "Table", "human_bytes"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def human_bytes(number: float) -> str:
    """Format bytes for people: ``0 B``, ``1.5 MiB``."""
    for unit in _UNITS:
        if abs(number) < 1024 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


@dataclass(slots=True)
class Table:
    """Rows for people.

    Attributes:
        columns: headings; one that begins with ``>`` is right-aligned.
        rows: cells; anything with a `str`.
        title: shown above, or nothing.
        expendable: columns that `fitting` may leave out, the first of them first.
    """

    columns: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)
    title: str = ""
    expendable: Sequence[str] = ()

    def add(self, *cells: object) -> None:
        """Append a row."""
        self.rows.append(cells)

    def plain_lines(self) -> Iterable[str]:
        """Render aligned columns two spaces apart, nothing cut, no trailing blanks."""
        head = [name.lstrip(">") for name in self.columns]
        cells = [head, *([escaped(str(cell)) for cell in row] for row in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        if self.title:
            yield self.title
        for row in cells:
            yield "  ".join(
                cell.rjust(width) if name.startswith(">") else cell.ljust(width)
                for cell, width, name in zip(row, widths, self.columns, strict=True)
            ).rstrip()

    def fitting(self, width: int | None) -> Table:
        """Return the table without the columns that a narrow terminal has no room for; the last column always stays.

        Args:
            width: columns of the terminal; None if there is no terminal, and nothing is left out.
        """
        if width is None:
            return self
        kept = list(range(len(self.columns)))
        names = [name.lstrip(">") for name in self.columns]
        cells = [names, *([escaped(str(cell)) for cell in row] for row in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in kept]
        for name in self.expendable:
            if sum(widths[i] + 3 for i in kept) + 1 > width and name in names:
                kept.remove(names.index(name))
        columns = [self.columns[i] for i in kept]
        return Table(columns, [[row[i] for i in kept] for row in self.rows], self.title, self.expendable)

    def rich(self) -> RichTable:
        """Return the table as `rich` draws it."""
        table = RichTable(title=Text(self.title) if self.title else None, title_justify="left", header_style="bold")
        for name in self.columns:
            table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(escaped(str(cell))) for cell in row))
        return table


class Output:
    """Standard output and standard error of one run."""

    def __init__(self, *, as_json: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        """Take the streams; the process's own by default."""
        self.as_json = as_json
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self.documents = 0
        for stream in (self.stdout, self.stderr):
            # A name that the terminal's encoding lacks is shown escaped instead of ending the run.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")

    @property
    def is_terminal(self) -> bool:
        """True if a person reads standard output."""
        return self.stdout.isatty()

    @property
    def columns(self) -> int | None:
        """Width of the terminal that standard output is; None if it is not one."""
        return Console(file=self.stdout).width if self.is_terminal else None

    @property
    def can_ask(self) -> bool:
        """True if a person can answer a question."""
        return sys.stdin is not None and sys.stdin.isatty() and self.stderr.isatty()

    @property
    def binary(self) -> BinaryIO:
        """Standard output for content."""
        return self.stdout.buffer

    def document(self, value: Mapping[str, Any]) -> None:
        """Write the run's one JSON document."""
        if self.documents:
            raise AssertionError("a run writes one document")
        self.documents += 1
        self.stdout.write(json.dumps(value, indent=2, default=_encode) + "\n")
        self.stdout.flush()

    def table(self, table: Table) -> None:
        """Write a table for people."""
        if self.is_terminal:
            Console(file=self.stdout).print(table.rich())
            return
        self.stdout.writelines(f"{line}\n" for line in table.plain_lines())

    def line(self, text: str) -> None:
        """Write one line on standard output."""
        self.stdout.write(escaped(text) + "\n")

    def prose(self, text: str) -> None:
        """Write sentences on standard output: a terminal gets them broken between words, everything else whole."""
        width = self.columns
        if width is None:
            self.line(text)
            return
        for line in textwrap.wrap(escaped(text), max(20, width), break_on_hyphens=False) or [""]:
            self.line(line)

    def note(self, text: str) -> None:
        """Write one line on standard error: what a person should know, and no program should have to skip."""
        self.stderr.write(escaped(text) + "\n")
        self.stderr.flush()


def _encode(value: object) -> object:
    """Convert dates to ISO 8601, and bytes never."""
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
