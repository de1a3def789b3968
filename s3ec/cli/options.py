"""The options that several commands take, each where it has an effect, and the checks that they share."""

from __future__ import annotations

import functools
import math
import re
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import click

from s3ec.cli.logs import LEVELS, logging_to
from s3ec.cli.pages import Command, SharedOption

__all__ = ["Command", "FiniteRange", "Options", "accept_moved_option", "pairs", "shared_options"]

DEFAULT_WORKERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Values of the options that several commands share; ``docs/cli.md`` says what each does.

    A command that does not take an option sees its default.

    Attributes:
        profile: named profile of the AWS configuration.
        region: AWS region.
        endpoint_url: for both S3 and KMS; if they differ, set AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL_KMS.
        kms_key: key ID, ARN or alias.
        aes_key_file: file of 16, 24 or 32 raw bytes.
        rsa_private_key: PEM file.
        rsa_public_key: PEM file.
        rsa_passphrase_file: file whose first line opens the private key's PEM.
        context: encryption context.
        allow_legacy: opt-in to reading unauthenticated content and legacy wrapping.
        journal: SQLite file.
        workers: threads.
        json: one JSON document on standard output.
        events: file for one JSON document per line and event.
        yes: do not ask.
        log_level: what to log on standard error.
    """

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    kms_key: str | None = None
    aes_key_file: Path | None = None
    rsa_private_key: Path | None = None
    rsa_public_key: Path | None = None
    rsa_passphrase_file: Path | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    allow_legacy: bool = False
    journal: Path | None = None
    workers: int = DEFAULT_WORKERS
    json: bool = False
    events: Path | None = None
    yes: bool = False
    log_level: str | None = None


def pairs(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` options; a name given twice is bad usage: the last one does not win."""
    found: dict[str, str] = {}
    for text in values:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", ctx, param)
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice", ctx, param)
        found[name] = value
    return found


class FiniteRange(click.FloatRange):
    """A number between bounds; ``nan`` passes every comparison, and ``inf`` is neither a rate nor a share."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse, or fail as bad usage."""
        number: float = super().convert(value, param, ctx)  # type: ignore[arg-type]  # click takes any text
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def _named(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse an empty name, as an unset variable of a shell leaves it."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty", ctx, param)
    return value


def _region(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse what cannot be part of a host name, before a client is made of it."""
    if value is not None and not re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", value):
        raise click.BadParameter(f"{value!r} is not a Region: eu-west-1", ctx, param)
    return value


def _endpoint(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is not the URL of a server; botocore would end in a ValueError."""
    if value is None:
        return None
    try:
        parts = urllib.parse.urlsplit(value)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if is_url and not re.search(r"[\s<>\"{}|\\^`]", value):
        return value
    meant = (
        f": http://{value}?" if re.fullmatch(r"[A-Za-z0-9.-]+(:\d{1,5})?(/\S*)?", value) else ": https://host[:port]"
    )
    raise click.BadParameter(f"{value!r} is not a URL{meant}", ctx, param)


_FILE = click.Path(path_type=Path, dir_okay=False)
_KEYS, _CONNECTION, _RUN = "Keys", "Connection", "Run and output"

_GROUPS: dict[str, tuple[str, str, tuple[tuple[str, dict[str, Any]], ...]]] = {
    "key": (
        _KEYS,
        "no key is used",
        (
            ("--kms-key", {"callback": _named, "metavar": "KEY", "help": "KMS key: ID, ARN or alias."}),
            ("--aes-key-file", {"type": _FILE, "metavar": "FILE", "help": "AES wrapping key: 16, 24 or 32 raw bytes."}),
            ("--rsa-private-key", {"type": _FILE, "metavar": "FILE", "help": "RSA key (PEM) that opens data keys."}),
            ("--rsa-public-key", {"type": _FILE, "metavar": "FILE", "help": "RSA key (PEM) that wraps data keys."}),
            (
                "--rsa-passphrase-file",
                {"type": _FILE, "metavar": "FILE", "help": "File whose first line opens an encrypted RSA key."},
            ),
        ),
    ),
    "context": (
        _KEYS,
        "no encryption context is given or asserted",
        (
            (
                "--context",
                {
                    "multiple": True,
                    "callback": pairs,
                    "metavar": "NAME=VALUE",
                    "help": "Encryption context: given to what is written, asserted of what is read. Repeatable.",
                },
            ),
        ),
    ),
    "legacy": (
        _KEYS,
        "it makes no difference which format an object has",
        (("--allow-legacy", {"is_flag": True, "help": "Read V1 objects: legacy content and key wrapping."}),),
    ),
    "connection": (
        _CONNECTION,
        "nothing is asked of AWS",
        (
            ("--profile", {"metavar": "NAME", "help": "Profile of the AWS configuration."}),
            ("--region", {"callback": _region, "metavar": "NAME", "help": "AWS Region."}),
            ("--endpoint-url", {"callback": _endpoint, "metavar": "URL", "help": "Address of S3 and KMS alike."}),
        ),
    ),
    "journal": (
        _RUN,
        "no journal is kept",
        (("--journal", {"type": _FILE, "metavar": "FILE", "help": "Journal of a bucket job (SQLite)."}),),
    ),
    "workers": (
        _RUN,
        "one thing is done at a time",
        (
            (
                "--workers",
                {
                    "type": click.IntRange(1, 1024),
                    "default": DEFAULT_WORKERS,
                    "show_default": True,
                    "metavar": "N",
                    "help": "Threads.",
                },
            ),
        ),
    ),
    "json": (
        _RUN,
        "standard output carries the content",
        (("--json", {"is_flag": True, "help": "Write exactly one JSON document on standard output."}),),
    ),
    "events": (
        _RUN,
        "no events are told",
        (("--events", {"type": _FILE, "metavar": "FILE", "help": "Write events here, one JSON a line."}),),
    ),
    "yes": (
        _RUN,
        "nothing is asked",
        (("--yes", {"is_flag": True, "help": "Do not ask before objects are changed."}),),
    ),
    "log": (
        _RUN,
        "",
        (
            ("--log-level", {"type": click.Choice(LEVELS), "help": "Log on standard error; never a secret."}),
            ("--debug", {"is_flag": True, "help": "The same as --log-level debug: every request and its status."}),
        ),
    ),
}
"""For each group: heading, why a command without it refuses its options, and the options."""


accept_moved_option = click.option(
    "--accept-moved",
    is_flag=True,
    help="Accept objects that are bound to another place (aws:s3:arn): they were moved on purpose.",
)


def shared_options(*groups: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the shared options of these groups, and those of the log; the function receives one `Options` in front.

    A command takes only the options that have an effect on it. The others are refused by name and with a reason: an
    option that is taken and ignored would look like a filter, or like an opt-in.

    Args:
        groups: of ``"key"``, ``"context"``, ``"legacy"``, ``"connection"``, ``"journal"``, ``"workers"``, ``"json"``,
            ``"events"`` and ``"yes"``, in any order.
    """
    groups = (*groups, "log")
    unknown = set(groups) - _GROUPS.keys()
    if unknown:
        raise TypeError(f"no such options: {', '.join(sorted(unknown))}")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if kwargs.pop("debug"):
                kwargs["log_level"] = "debug"
            shared = {each.name: kwargs.pop(each.name) for each in fields(Options) if each.name in kwargs}
            with logging_to(sys.stderr, shared["log_level"]):
                return function(Options(**shared), *args, **kwargs)

        refused = {
            name: why for group, (_, why, options) in _GROUPS.items() if group not in groups for name, _ in options
        }
        vars(wrapper)["refused_options"] = refused
        for section, name, attributes in reversed(list(_chosen(groups))):
            wrapper = click.option(name, cls=SharedOption, section=section, **attributes)(wrapper)
        return wrapper

    return decorate


def _chosen(groups: Sequence[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for group, (section, _, options) in _GROUPS.items():
        if group in groups:
            yield from ((section, name, attributes) for name, attributes in options)
