"""``s3ec cat``, ``head`` and ``inspect``: one object."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import enum
import re
from collections.abc import Iterator, Mapping
from typing import Any

import click
from botocore.exceptions import ClientError

from s3ec.cli.environment import Environment
from s3ec.cli.failures import located
from s3ec.cli.listing import single_object
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output
from s3ec.cli.urls import S3_OBJECT, S3Url

__all__ = ["cat", "head", "inspect"]

CHUNK = 1024 * 1024
_LOOK_INSIDE = "`s3ec ls` with a slash at the end shows what lies in it"

_VERSION = click.option("--version-id", metavar="ID", help="Read this version, not the current one.")


def pinned(version_id: str | None) -> dict[str, Any]:
    """Return the request arguments for one version."""
    return {"VersionId": version_id} if version_id else {}


def unencrypted(allow: bool) -> dict[str, Any]:
    """Return the client option for ``--allow-unencrypted``."""
    return {"unencrypted_objects": "allow" if allow else "refuse"}


def _range(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse what S3 would ignore: the whole object in place of its first bytes."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,19})-(\d{1,19})?|-(\d{1,19})", value, re.ASCII)
    first, last, suffix = found.groups() if found else ("", "", "")
    if not found or (last and int(last) < int(first)) or (suffix and not int(suffix)):
        raise click.BadParameter(f"{value!r} is not a range: A-B, A- or -N", ctx, param)
    return value


@click.command(
    cls=Command,
    short_help="Write objects to standard output, decrypted.",
    examples=(
        "s3ec cat s3://payroll/2025/salaries.csv --kms-key alias/payroll",
        "s3ec cat s3://backups/app.sql --range 0-1023 --kms-key alias/backups",
    ),
)
@click.argument("urls", type=S3_OBJECT, nargs=-1, required=True, metavar="S3://BUCKET/KEY...")
@_VERSION
@click.option(
    "--range",
    "byte_range",
    callback=_range,
    metavar="A-B",
    help="Bytes A to B of the plaintext, both included; A- is all from A on, -N the last N.",
)
@click.option("--allow-unencrypted", is_flag=True, help="Also show objects that are not encrypted.")
@shared_options("key", "context", "legacy", "connection")
@click.pass_obj
def cat(
    output: Output,
    options: Options,
    urls: tuple[S3Url, ...],
    version_id: str | None,
    byte_range: str | None,
    allow_unencrypted: bool,
) -> None:
    """Write objects to standard output, decrypted; no byte before it is verified."""
    environment = Environment(options, output)
    client = environment.client(**unencrypted(environment.allows_unencrypted(allow_unencrypted)))
    extra: dict[str, Any] = {"Range": f"bytes={byte_range}"} if byte_range else {}
    for url in urls:
        with located(str(url)), single_object(environment.s3, url, _LOOK_INSIDE), _inside(byte_range):
            answer = client.get_object(
                Bucket=url.bucket,
                Key=url.key,
                EncryptionContext=environment.read_context,
                **pinned(version_id),
                **extra,
            )
            for chunk in answer["Body"].iter_chunks(CHUNK):
                output.binary.write(chunk)
    output.binary.flush()


@click.command(
    cls=Command,
    short_help="Show an object's headers in plaintext terms.",
    examples=("s3ec head s3://payroll/2025/salaries.csv",),
)
@click.argument("url", type=S3_OBJECT)
@_VERSION
@shared_options("connection", "json")
@click.pass_obj
def head(output: Output, options: Options, url: S3Url, version_id: str | None) -> None:
    """Show an object's headers in plaintext terms, and how it is encrypted."""
    environment = Environment(options, output)
    client = environment.client(with_key=False)
    with located(str(url)), single_object(environment.s3, url, _LOOK_INSIDE):
        answer: dict[str, Any] = dict(client.head_object(Bucket=url.bucket, Key=url.key, **pinned(version_id)))
    about = dict(dict(answer.pop("ResponseMetadata", {})).get("ClientSideEncryption") or {})
    if not output.as_json:
        # Nothing was read that could have been authenticated; a "no" would look like a finding.
        about.pop("authenticated", None)
        about["format"] = about.get("format") or "not encrypted by a client"
    show(output, {"bucket": url.bucket, "key": url.key, **answer, "ClientSideEncryption": about})


@click.command(
    cls=Command,
    short_help="Show how an object is encrypted; decrypts nothing.",
    examples=(
        "s3ec inspect s3://payroll/2025/salaries.csv",
        "s3ec inspect s3://payroll/2025/salaries.csv --json",
    ),
)
@click.argument("url", type=S3_OBJECT)
@_VERSION
@shared_options("connection", "json")
@click.pass_obj
def inspect(output: Output, options: Options, url: S3Url, version_id: str | None) -> None:
    """Show what an object is, decrypting nothing: format, suite, wrapping, context, where the metadata lies."""
    import s3ec

    environment = Environment(options, output)
    client = environment.client(with_key=False)
    with located(str(url)), single_object(environment.s3, url, _LOOK_INSIDE):
        found = s3ec.inspect(client, Bucket=url.bucket, Key=url.key, **pinned(version_id))
    shown = {"bucket": url.bucket, "key": url.key, **plain(found)}
    if not output.as_json:
        shown["format"] = shown["format"] or "not encrypted by a client"
        shown["server_side_encryption"]["name"] = shown["server_side_encryption"]["name"] or "none"
    show(output, shown)


def plain(value: Any) -> Any:
    """Convert dataclasses and enums for JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return value


def show(output: Output, found: Mapping[str, Any]) -> None:
    """One JSON document, or one ``name: value`` a line; what is not there is left out."""
    if output.as_json:
        output.document(found)
        return
    for line in lines_of(found):
        output.line(line)


def lines_of(found: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Names and values for people: no braces, no None, no empty heading."""
    for name, value in found.items():
        if isinstance(value, Mapping):
            inner = list(lines_of(value, f"{indent}  "))
            yield from [f"{indent}{name}:", *inner] if inner else []
        elif value is not None:
            yield f"{indent}{name}: {_said(value)}"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime.datetime):
        return f"{value.astimezone(datetime.timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    return str(value)


@contextlib.contextmanager
def _inside(byte_range: str | None) -> Iterator[None]:
    """Report a range past the end as the caller's mistake: S3 refused no permission."""
    try:
        yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        if byte_range is None or answer.get("Code") not in {"InvalidRange", "416"}:
            raise
        length = str(answer.get("ActualObjectSize") or "")
        has = f": it has {int(length):,} bytes" if length.isdigit() else ""
        raise click.UsageError(
            f"--range {byte_range} lies past the end of the object{has}", click.get_current_context()
        ) from error
