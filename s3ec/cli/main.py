"""The group ``s3ec``, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from s3ec.cli.failures import ERRORS, ExitCode, Failure, FailureError, describe
from s3ec.cli.output import Output
from s3ec.cli.pages import Group

__all__ = ["cli", "main"]

# Loaded when they are asked for: `s3ec ls` need not import what migrates buckets.
_COMMANDS = {
    "audit": "s3ec.cli.commands.audit:audit",
    "migrate": "s3ec.cli.commands.migrate:migrate",
    "rewrap": "s3ec.cli.commands.rewrap:rewrap",
    "verify": "s3ec.cli.commands.verify:verify",
    "purge-plaintext-versions": "s3ec.cli.commands.purge:purge",
    "cp": "s3ec.cli.commands.copy:cp",
    "cat": "s3ec.cli.commands.content:cat",
    "ls": "s3ec.cli.commands.listing:ls",
    "mv": "s3ec.cli.commands.copy:mv",
    "sync": "s3ec.cli.commands.sync:sync",
    "rm": "s3ec.cli.commands.removal:rm",
    "presign": "s3ec.cli.commands.presign:presign",
    "mb": "s3ec.cli.commands.buckets:mb",
    "rb": "s3ec.cli.commands.buckets:rb",
    "head": "s3ec.cli.commands.content:head",
    "inspect": "s3ec.cli.commands.content:inspect",
    "sse": "s3ec.cli.commands.sse:sse",
    "serve": "s3ec.cli.commands.serve:serve",
    "run": "s3ec.cli.commands.run:run",
    "journal": "s3ec.cli.commands.journal:journal",
    "configure": "s3ec.cli.commands.configure:configure",
    "completion": "s3ec.cli.commands.completion:completion",
    "demo": "s3ec.cli.demo:demo",
}


class _Root(Group):
    """The group ``s3ec`` itself."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a reader that goes away is handled here, before click turns it into a code of its own."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error


class _ReaderGoneError(Exception):
    """Standard output is not read any more."""


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Print the version of the installed package."""
    if not value or ctx.resilient_parsing:
        return
    try:
        version = importlib.metadata.version("s3ec")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed)"
    ctx.obj.line(f"s3ec {version}")
    ctx.exit()


@click.group(
    cls=_Root,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    examples=(
        "s3ec demo",
        "s3ec audit s3://payroll",
        "s3ec cp report.pdf s3://payroll/2025/ --kms-key alias/payroll",
        "s3ec cat s3://payroll/2025/report.pdf --kms-key alias/payroll",
    ),
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version and exit."
)
def cli() -> None:
    """Client-side encryption for Amazon S3: move whole buckets, and the everyday verbs.

    AWS settings come from boto3's own environment (AWS_PROFILE, AWS_ENDPOINT_URL_S3, …) and from options, which stand
    after the command. `s3ec COMMAND --help` has examples of each.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; no error leaves as a traceback.

    Args:
        arguments: the words after ``s3ec``; the process's own by default.

    Returns:
        The exit code; `s3ec.cli.failures` has the table.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    output = Output(as_json="--json" in words)
    try:
        code = _run(words, output)
        sys.stdout.flush()
    except (_ReaderGoneError, BrokenPipeError):
        # The reader has what it wanted. Python would flush again at its end, and complain: give it somewhere to write.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    return code


def _run(words: list[str], output: Output) -> int:
    try:
        result = cli.main(args=words, prog_name="s3ec", standalone_mode=False, obj=output)
    except FailureError as error:
        return _fail(error.failure, output)
    except click.UsageError as error:
        failure = Failure(code=ExitCode.USAGE, error="UsageError", message=_lines_joined(error.format_message()))
        where = f" ({error.ctx.command_path if error.ctx else 's3ec'} --help)"
        return _fail(failure, output, where)
    except click.ClickException as error:
        return _fail(
            Failure(code=ExitCode.NOT_FOUND, error=type(error).__name__, message=error.format_message()), output
        )
    except (click.Abort, KeyboardInterrupt):
        return _fail(Failure(code=ExitCode.INTERRUPTED, error="Interrupted", message="interrupted"), output)
    except ERRORS as error:
        return _fail(describe(error), output)
    return result if isinstance(result, int) else ExitCode.DONE


def _lines_joined(text: str) -> str:
    """One line of a message that click lays out on several: a list of choices."""
    return re.sub(r"\s*\n\s*", " ", text)


def _fail(failure: Failure, output: Output, hint: str = "") -> int:
    """Report a failure once: a line on standard error, and with ``--json`` the one document if none was written yet."""
    output.note(f"s3ec: {failure.message}{hint}")
    if output.as_json and not output.documents:
        output.document({"error": failure.document()})
    return failure.code
