"""What a command and a group are: help pages in sections and with examples, and a hint for what is mistyped."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import click

from s3ec.cli.filters import ARGUMENTS

__all__ = ["Command", "Group", "SharedOption", "closest"]

_CUTOFF = 0.6


def closest(word: str, known: Iterable[str]) -> list[str]:
    """Return the known words that look like ``word``; leading dashes do not count as likeness."""
    bare = {name.lstrip("-"): name for name in known}
    return [bare[name] for name in difflib.get_close_matches(word.lstrip("-"), bare, cutoff=_CUTOFF)]


class SharedOption(click.Option):
    """An option of several commands, shown in a named section of the help page."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        """Take the section's heading."""
        super().__init__(*args, **kwargs)
        self.section = section


class _Examples:
    """The section of the help page that shows command lines to copy."""

    examples: tuple[str, ...] = ()

    def write(self, formatter: click.HelpFormatter) -> None:
        """Write the section; lines are never wrapped, so that they can be copied."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Command(_Examples, click.Command):
    """Remembers the raw command line, prints its options in sections, and explains options that it does not take."""

    refused: Mapping[str, str] = {}
    """Options of other commands, by name, with the reason why this command refuses them; see `s3ec.cli.options`."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        """Take the lines of the section Examples."""
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.refused = getattr(self.callback, "refused_options", {})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, keeping the order that click forgets."""
        ctx.meta[ARGUMENTS] = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            self._explain(ctx, error)

    def _explain(self, ctx: click.Context, error: click.NoSuchOption) -> NoReturn:
        if error.option_name in self.refused:
            why = self.refused[error.option_name]
            raise click.UsageError(f"{error.option_name} has no use here: {why}", ctx) from error
        names = [name for each in self.get_params(ctx) for name in (*each.opts, *each.secondary_opts)]
        alike = closest(error.option_name, [name for name in names if name.startswith("--")])
        raise click.NoSuchOption(error.option_name, possibilities=alike or None, ctx=ctx) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then the shared ones by section."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then whatever else belongs at the end."""
        self.write(formatter)
        super().format_epilog(ctx, formatter)


class Group(_Examples, click.Group):
    """A group that shows its help in full, and suggests what was probably meant.

    Args:
        lazy: commands by name as ``module:attribute``, imported when they are asked for: `s3ec ls` need not import what
            migrates buckets.
        examples: lines of the section Examples.
    """

    def __init__(
        self, *args: Any, lazy: Mapping[str, str] | None = None, examples: Sequence[str] = (), **kwargs: Any
    ) -> None:
        """Take the commands that are still to be imported."""
        # Without a word click would raise the help page as an error text, in one line.
        kwargs["no_args_is_help"] = False
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})
        self.examples = tuple(examples)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, in the order in which they were declared."""
        return [*self._lazy, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None for an unknown name."""
        if cmd_name not in self._lazy:
            return self.commands.get(cmd_name)
        module, _, attribute = self._lazy[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self._lazy[cmd_name]} is not a command")
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; without a word the help page is the answer, as bad usage."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        if any("\0" in word for word in args):
            # No shell passes one on, but `main` can be called with any words, and a system's file names have none.
            raise click.UsageError("a word of the command line contains a zero byte", ctx)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if command := next((word for word in args if word in self.list_commands(ctx)), None):
                name = error.option_name
                line = f"{ctx.command_path} {command} … {name}"
                raise click.UsageError(f"options stand after the command: {line}", ctx) from error
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for an unknown word, suggest what was probably meant."""
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            alike = closest(name, self.list_commands(ctx))
            meant = f" Did you mean {' or '.join(alike)}?" if alike else ""
            ctx.fail(f"No such command {name!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write every command with its whole summary."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.short_help or command.get_short_help_str(limit=200)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then whatever else belongs at the end."""
        self.write(formatter)
        super().format_epilog(ctx, formatter)
