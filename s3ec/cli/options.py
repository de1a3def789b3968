"""The options that every command takes, and what makes a function a command."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import click

from s3ec.cli.filters import ARGUMENTS

__all__ = ["Command", "Options", "pairs", "shared_options"]

DEFAULT_WORKERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Values of the options that all commands share; ``docs/cli.md`` says what each does.

    Attributes:
        profile: named profile of the AWS configuration.
        region: AWS region.
        endpoint_url: of S3 and KMS alike; where they differ, AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL_KMS say so.
        kms_key: key ID, ARN or alias.
        aes_key_file: file of 16, 24 or 32 raw bytes.
        rsa_private_key: PEM file.
        rsa_public_key: PEM file.
        context: encryption context.
        allow_legacy: leave to read unauthenticated content and legacy wrapping.
        journal: SQLite file.
        workers: threads.
        json: one JSON document on standard output.
        events: file for one JSON document per line and event.
        yes: do not ask.
    """

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    kms_key: str | None = None
    aes_key_file: Path | None = None
    rsa_private_key: Path | None = None
    rsa_public_key: Path | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    allow_legacy: bool = False
    journal: Path | None = None
    workers: int = DEFAULT_WORKERS
    json: bool = False
    events: Path | None = None
    yes: bool = False


class _Option(click.Option):
    """An option that stands in a named section of the help page."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        """Take the section's heading."""
        super().__init__(*args, **kwargs)
        self.section = section


class Command(click.Command):
    """Remembers the raw command line, and prints its options in sections."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, keeping the order that click forgets."""
        ctx.meta[ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options first, then the shared ones by section."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def pairs(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` options; a name given twice is bad usage, not a last word."""
    found: dict[str, str] = {}
    for text in values:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", ctx, param)
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice", ctx, param)
        found[name] = value
    return found


_FILE = click.Path(path_type=Path, dir_okay=False)

_SHARED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Keys", "--kms-key", {"metavar": "KEY", "help": "KMS key: ID, ARN or alias."}),
    ("Keys", "--aes-key-file", {"type": _FILE, "metavar": "FILE", "help": "AES wrapping key: 16, 24 or 32 raw bytes."}),
    ("Keys", "--rsa-private-key", {"type": _FILE, "metavar": "FILE", "help": "RSA key (PEM) that opens data keys."}),
    ("Keys", "--rsa-public-key", {"type": _FILE, "metavar": "FILE", "help": "RSA key (PEM) that wraps data keys."}),
    (
        "Keys",
        "--context",
        {
            "multiple": True,
            "callback": pairs,
            "metavar": "NAME=VALUE",
            "help": "Encryption context: given to what is written, asserted of what is read. Repeatable.",
        },
    ),
    ("Keys", "--allow-legacy", {"is_flag": True, "help": "Read V1 objects: legacy content and key wrapping."}),
    ("Connection", "--profile", {"metavar": "NAME", "help": "Profile of the AWS configuration."}),
    ("Connection", "--region", {"metavar": "NAME", "help": "AWS region."}),
    ("Connection", "--endpoint-url", {"metavar": "URL", "help": "Address of S3 and KMS alike."}),
    ("Run and output", "--journal", {"type": _FILE, "metavar": "FILE", "help": "Journal of a bucket job (SQLite)."}),
    (
        "Run and output",
        "--workers",
        {
            "type": click.IntRange(1, 1024),
            "default": DEFAULT_WORKERS,
            "show_default": True,
            "metavar": "N",
            "help": "Threads.",
        },
    ),
    ("Run and output", "--json", {"is_flag": True, "help": "Write exactly one JSON document on standard output."}),
    ("Run and output", "--events", {"type": _FILE, "metavar": "FILE", "help": "Write events here, one JSON a line."}),
    ("Run and output", "--yes", {"is_flag": True, "help": "Do not ask before objects are changed."}),
)


def shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options; the function receives them as one `Options` in front."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        shared = {each.name: kwargs.pop(each.name) for each in fields(Options)}
        return function(Options(**shared), *args, **kwargs)

    for section, name, attributes in reversed(_SHARED):
        wrapper = click.option(name, cls=_Option, section=section, **attributes)(wrapper)
    return wrapper
