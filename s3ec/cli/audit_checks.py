"""The audit as a check: what must not be there, and the list of all that is."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from s3ec.cli.output import Output
from s3ec.cli.urls import S3Url
from s3ec.migrate.audit.offenders import CONDITIONS, ListWriter, csv_writer, json_writer, matches
from s3ec.migrate.audit.survey_object import SurveyedObject

__all__ = ["Check", "fail_on_option", "list_option", "open_list"]

_STANDARD_OUTPUT = "-"
_LISTED_BY_DEFAULT = ("non-committing",)


def _conditions(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    """Read conditions, given several times or with commas between; nothing is guessed."""
    words = [word.strip().lower() for text in values for word in text.split(",")]
    for word in words:
        if word not in CONDITIONS:
            raise click.BadParameter(f"{word!r} is not one of {', '.join(CONDITIONS)}", ctx, param)
    return tuple(dict.fromkeys(words))


def _list_file(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and str(value) != _STANDARD_OUTPUT and value.suffix not in (".csv", ".jsonl"):
        raise click.BadParameter(f"{str(value)!r} ends neither in .csv nor in .jsonl", ctx, param)
    return value


def fail_on_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--fail-on``; the command receives a tuple of conditions."""
    return click.option(
        "--fail-on",
        multiple=True,
        callback=_conditions,
        metavar="WHAT",
        help=f"End with 1 where any object is {', '.join(list(CONDITIONS)[:-1])} or {list(CONDITIONS)[-1]}. "
        "Repeatable, or with commas.",
    )(function)


def list_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--list``; the command receives ``list_file``."""
    return click.option(
        "--list",
        "list_file",
        type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        callback=_list_file,
        metavar="FILE",
        help="Write every object that --fail-on means (without it: all that is not V3) to FILE.csv, FILE.jsonl or -.",
    )(function)


@contextlib.contextmanager
def open_list(path: Path | None, output: Output) -> Iterator[ListWriter | None]:
    """Open the list's target: a table, JSON lines, standard output; None for nowhere.

    Raises:
        OSError: the file cannot be written.
    """
    if path is None:
        yield None
    elif str(path) == _STANDARD_OUTPUT:
        yield json_writer(output.stdout)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield (csv_writer if path.suffix == ".csv" else json_writer)(file)


@dataclass(slots=True)
class Check:
    """Counts what must not be there, and lists it.

    Attributes:
        fail_on: the conditions; empty if the audit checks nothing.
        write: writes an object of the list, or None.
        offenders: what matched, by condition; an object counts under each of its own.
    """

    fail_on: tuple[str, ...]
    write: ListWriter | None = None
    offenders: collections.Counter[str] = field(default_factory=collections.Counter)
    _doubts: list[str] = field(default_factory=list)

    def look(self, url: S3Url, found: SurveyedObject) -> None:
        """Take one object, or one old version if those are looked at."""
        self.offenders.update(matches(found, self.fail_on))
        if self.write is not None and (matched := matches(found, self.fail_on or _LISTED_BY_DEFAULT)):
            self.write(url.bucket, found, matched)

    def unknown(self, url: S3Url, why: str) -> None:
        """Note that something could not be looked at: a check that ignored it would prove nothing."""
        if self.fail_on:
            self.offenders["unreadable"] += 1
            self._doubts.append(f"s3ec: {url}: {why}")

    def document(self) -> dict[str, Any]:
        """Return the members that a check adds to the document."""
        return {"fail_on": list(self.fail_on), "offenders": dict(self.offenders)} if self.fail_on else {}

    def lines(self, not_audited: int) -> Iterator[str]:
        """Write the check's answer in words on standard error; nothing if nothing was checked.

        Args:
            not_audited: places that could not be looked at: a check that missed one has not passed.
        """
        yield from self._doubts
        if not self.fail_on:
            return
        if not_audited:
            yield f"s3ec: not passed: {not_audited} place{'s' if not_audited > 1 else ''} could not be audited"
        elif not self.offenders:
            yield f"s3ec: passed: nothing is {' or '.join(self.fail_on)}"
        if not self.offenders:
            return
        counts = ", ".join(f"{count:,} {name}" for name, count in self.offenders.items())
        hint = "" if self.write is not None else " (--list FILE.csv names them all)"
        yield f"s3ec: failed: {counts}{hint}"
