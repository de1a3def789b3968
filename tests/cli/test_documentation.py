"""docs/cli.md names every command, option and exit code that there is."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from s3ec.cli import failures
from s3ec.cli.failures import ExitCode
from s3ec.cli.main import cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def commands() -> list[click.Command]:
    """Every command, subcommands included."""
    context = click.Context(cli)
    found: list[click.Command] = []
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        found += list(command.commands.values()) if isinstance(command, click.Group) else [command]
    return found


@pytest.mark.parametrize("command", commands(), ids=lambda command: str(command.name))
def test_every_option_is_documented(command: click.Command):
    """An option that nobody can read about does not exist for them."""
    if command.name == "demo":
        pytest.skip("its own page is the README")
    text = PAGE.read_text("utf-8")
    names = [name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts]
    missing = [name for name in names if name not in text and not name.startswith("--batch-")]
    assert missing == []
    assert command.help


def test_every_exit_code_is_documented_twice():
    """In the page and at the top of the module that decides them."""
    page = re.findall(r"^\| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    module = re.findall(r"^(\d+) ", failures.__doc__ or "", re.MULTILINE)
    assert page == module == [str(int(code)) for code in ExitCode]


def test_every_command_has_its_line():
    """The table at the top is whole."""
    text = PAGE.read_text("utf-8")
    assert all(f"| [`{name}`](#{name}) |" in text for name in cli.list_commands(click.Context(cli)))
