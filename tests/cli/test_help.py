"""Help pages, and what is said to whoever mistyped something: whole sentences, the right page, what was meant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest

from s3ec.cli.main import cli
from s3ec.cli.options import shared_options
from s3ec.cli.pages import Command, Group


def commands(group: click.Group = cli, path: str = "s3ec") -> Iterator[tuple[str, click.Command]]:
    """Every command by its whole name, subcommands and groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


COMMANDS = dict(commands())


@pytest.mark.parametrize("words", [(), ("sse",)])
def test_without_a_word_the_help_page_is_printed_as_it_is(run: Any, words: tuple[str, ...]):
    """The first thing that anybody types shows a page, not one line."""
    ended = run(*words)
    assert (ended.code, ended.out) == (2, b"")
    assert len(ended.err.splitlines()) > 10
    assert "\\n" not in ended.err
    assert ended.err.strip() == run(*words, "--help").text.strip()


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_no_summary_is_cut_off(run: Any, monkeypatch: pytest.MonkeyPatch, columns: str):
    """Each command's summary stands there whole, however wide the terminal."""
    monkeypatch.setenv("COLUMNS", columns)
    text = run("--help").text
    assert "..." not in text.replace("[ARGS]...", "")
    flat = " ".join(text.split())
    for name, command in COMMANDS.items():
        if name.count(" ") == 1:
            assert command.short_help, name
            assert command.short_help in flat


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_page_has_examples_that_parse(run: Any, name: str):
    """An example is a command line that this very command takes."""
    command = COMMANDS[name]
    assert isinstance(command, (Command, Group))
    assert command.examples, name
    text = run(*name.split()[1:], "--help").text
    for line in command.examples:
        assert f"\n  {line}\n" in text
        words = shlex.split(line.rpartition(" | ")[2].partition(" > ")[0])
        assert words[0] == "s3ec"
        parts = (
            name.split()
            if isinstance(command, Command)
            else next(
                each.split()
                for each in sorted(COMMANDS, key=len, reverse=True)
                if line.removeprefix("s3ec ").startswith(each.removeprefix("s3ec "))
            )
        )
        assert words[: len(parts)] == parts
        COMMANDS[" ".join(parts)].make_context(" ".join(parts), words[len(parts) :])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("migrat",), "No such command 'migrat'. Did you mean migrate? (s3ec --help)"),
        (("sse", "gett"), "No such command 'gett'. Did you mean get? (s3ec sse --help)"),
        (("frobnicate",), "No such command 'frobnicate'. (s3ec --help)"),
        (("--kms-key", "X", "cat", "s3://b/k"), "options stand after the command: s3ec cat … --kms-key (s3ec --help)"),
        (("--profile", "p", "ls"), "options stand after the command: s3ec ls … --profile (s3ec --help)"),
        (("sse", "--mode", "sse-s3", "set", "s3://b"), "options stand after the command: s3ec sse set … --mode"),
        (("--frobnicate",), "No such option '--frobnicate'. (s3ec --help)"),
        (("sse", "set", "s3://b", "--mode", "bad"), "(s3ec sse set --help)"),
        (("sse", "get"), "(s3ec sse get --help)"),
        (("ls", "s3://b", "--recursiv"), "'--recursiv'. Did you mean '--recursive'? (s3ec ls --help)"),
        (("audit", "s3://b", "--hmtl", "x"), "--html"),
    ],
)
def test_hints_name_the_page_and_what_was_meant(run: Any, words: tuple[str, ...], said: str):
    """One line; the page that it names exists."""
    ended = run(*words)
    assert ended.code == 2
    assert said in ended.line
    page = re.search(r"\((s3ec[^)]*) --help\)$", ended.line)
    assert page is not None
    assert run(*page[1].split()[1:], "--help").code == 0


def test_a_bad_suggestion_is_none(run: Any):
    """Two dashes make no two words alike."""
    assert "--yes" not in run("migrate", "s3://b", "--sso", "x").line


TAKEN = {
    "ls": {"connection", "workers", "json"},
    "audit": {"connection", "workers", "json"},
    "head": {"connection", "json"},
    "inspect": {"connection", "json"},
    "cat": {"key", "context", "legacy", "connection"},
    "verify": {"key", "context", "legacy", "connection", "journal", "workers", "json", "events"},
    "purge-plaintext-versions": {"key", "context", "connection", "json", "events", "yes"},
    "sse get": {"connection", "json"},
}
NAMES = {
    "key": "--kms-key=k",
    "context": "--context=a=b",
    "legacy": "--allow-legacy",
    "connection": "--region=eu-west-1",
    "journal": "--journal=j",
    "workers": "--workers=1",
    "json": "--json",
    "events": "--events=e",
    "yes": "--yes",
}


@pytest.mark.parametrize("group", NAMES)
@pytest.mark.parametrize("command", TAKEN)
def test_an_option_that_would_do_nothing_is_refused_with_the_reason(run: Any, command: str, group: str):
    """`ls --kms-key` would look like a filter; an option that is taken is one that has an effect."""
    taken = COMMANDS[f"s3ec {command}"]
    option = NAMES[group].partition("=")[0]
    has = any(option in parameter.opts for parameter in taken.params)
    assert has is (group in TAKEN[command])
    assert (option in taken.get_help(click.Context(taken))) is has
    if not has:
        ended = run(*command.split(), "s3://bucket/key", NAMES[group])
        assert ended.code == 2
        assert f"{option} has no use here: " in ended.err


def test_a_group_of_options_that_there_is_not():
    """A command that asks for one is wrong itself."""
    with pytest.raises(TypeError, match="keys"):
        shared_options("keys")
