"""``--include`` and ``--exclude`` as in ``aws s3``: all is included, and the last pattern that matches decides."""

from __future__ import annotations

import fnmatch
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

__all__ = ["ARGUMENTS", "Filters", "filter_options", "merge"]

ARGUMENTS = "s3ec.arguments"
"""Where a command's context keeps the raw command line: click groups options by name and forgets their order."""


class Filters:
    """Ordered patterns over keys or paths relative to the source."""

    def __init__(self, patterns: Sequence[tuple[bool, str]]) -> None:
        """Take ``(is_include, pattern)`` pairs in the order of the command line."""
        self._patterns = tuple(patterns)

    def __bool__(self) -> bool:
        """True if any pattern was given."""
        return bool(self._patterns)

    def wants(self, relative: str) -> bool:
        """True if the patterns include this one."""
        wanted = True
        for is_include, pattern in self._patterns:
            if fnmatch.fnmatchcase(relative, pattern):
                wanted = is_include
        return wanted


def _order(arguments: Sequence[str]) -> Iterator[bool]:
    """Return for each filter option of a command line, in order, whether it is an include."""
    for argument in itertools.takewhile(lambda text: text != "--", arguments):
        name = argument.partition("=")[0]
        if name in {"--include", "--exclude"}:
            yield name == "--include"


def merge(arguments: Sequence[str], includes: Sequence[str], excludes: Sequence[str]) -> Filters:
    """Put the values of both options back into the order in which ``arguments`` gave them."""
    left = {True: list(includes), False: list(excludes)}
    pairs = [(kind, left[kind].pop(0)) for kind in _order(arguments) if left[kind]]
    return Filters(pairs)


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add both options; the command receives a `Filters` as ``filters``."""

    @click.option("--include", multiple=True, metavar="PATTERN", help="Take in what matches; the last match decides.")
    @click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out what matches (*, ?, [set]).")
    @functools.wraps(function)
    def wrapper(*args: Any, include: tuple[str, ...], exclude: tuple[str, ...], **kwargs: Any) -> Any:
        arguments = click.get_current_context().meta.get(ARGUMENTS, ())
        return function(*args, filters=merge(arguments, include, exclude), **kwargs)

    return wrapper
