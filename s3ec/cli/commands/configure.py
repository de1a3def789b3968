"""``s3ec configure``: which settings are in force, and where each comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import click

from s3ec.cli.environment import Environment
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output, Table
from s3ec.cli.pages import Group
from s3ec.rules.configuration import NAMES, PASSPHRASE_VARIABLE

__all__ = ["configure"]

_ALWAYS = ("profile", "region", "kms_key")


@click.group(cls=Group, short_help="Show the settings in force.", examples=("s3ec configure list",))
def configure() -> None:
    """Show which settings are in force. They are set in the environment, or by `aws configure set`.

    An option of a command wins over a variable (S3EC_KMS_KEY), which wins over the AWS profile (s3ec_kms_key).
    """


@configure.command(
    "list",
    cls=Command,
    short_help="Each setting, and where it comes from.",
    examples=("s3ec configure list", "s3ec configure list --profile payroll --json"),
)
@shared_options("key", "context", "legacy", "connection", "json")
@click.pass_obj
def list_settings(output: Output, options: Options) -> None:
    """Show each setting with its value and its place; no key is read and no passphrase shown."""
    environment = Environment(options, output)
    rows = list(_rows(environment))
    if output.as_json:
        found = {name: {"value": value, "from": origin} for name, value, origin in rows}
        output.document(found)
        return
    table = Table(("Setting", "Value", "From"))
    for name, value, origin in rows:
        # What is not set would fill a page; the document has it.
        if value is not None or name in _ALWAYS:
            table.add(name, _text(value), origin or "-")
    output.table(table)


def _rows(environment: Environment) -> Iterator[tuple[str, object, str | None]]:
    options, settings = environment.options, environment.settings
    profile = "--profile" if options.profile else "AWS_PROFILE" if os.environ.get("AWS_PROFILE") else None
    yield "profile", environment.session.profile_name, profile
    yield "region", environment.session.region_name, _region_from(options)
    for name in NAMES:
        yield name, getattr(settings, name) or None, settings.origins.get(name)
    secret = bool(os.environ.get(PASSPHRASE_VARIABLE))
    yield "rsa_passphrase", "(set)" if secret else None, PASSPHRASE_VARIABLE if secret else None


def _region_from(options: Options) -> str | None:
    if options.region:
        return "--region"
    return next((name for name in ("AWS_REGION", "AWS_DEFAULT_REGION") if os.environ.get(name)), None)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={text}" for name, text in value.items())
    if value is None or value == "":
        return "-"
    return "true" if value is True else str(value)
