"""``s3ec sse``: the bucket's default server-side encryption, and the policy that requires it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from s3ec.cli.environment import Environment
from s3ec.cli.failures import located
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output
from s3ec.cli.pages import Group
from s3ec.cli.server_side import MODES, describe, key_options
from s3ec.cli.server_side import mode as mode_of
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.client import buckets

__all__ = ["sse"]


def _mode_options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = key_options("KMS key of the server side; the ARN for `require`.")(function)
    return click.option("--mode", type=MODES, required=True, help="Server-side mode.")(function)


@click.group(
    cls=Group,
    short_help="Server-side encryption of whole buckets.",
    examples=(
        "s3ec sse get s3://payroll",
        "s3ec sse set s3://payroll --mode sse-kms --sse-kms-key alias/storage --bucket-key",
        "s3ec sse require s3://payroll --mode sse-s3 --require-https --dry-run",
    ),
)
def sse() -> None:
    """Server-side encryption of whole buckets: read it, set the default, require it by policy."""


@sse.command(
    "get",
    cls=Command,
    short_help="Say which mode the bucket's default is.",
    examples=("s3ec sse get s3://payroll",),
)
@click.argument("url", type=S3_URL)
@shared_options("connection", "json")
@click.pass_obj
def get(output: Output, options: Options, url: S3Url) -> None:
    """Say which mode S3 uses for objects that come without one."""
    client = Environment(options, output).s3
    with located(str(url)):
        found = {"bucket": url.bucket, **describe(buckets.get_default_encryption(client, Bucket=url.bucket))}
    _show(output, found)


@sse.command(
    "set",
    cls=Command,
    short_help="Set the bucket's default mode.",
    examples=(
        "s3ec sse set s3://payroll --mode sse-s3",
        "s3ec sse set s3://payroll --mode sse-kms --sse-kms-key alias/storage --bucket-key",
    ),
)
@click.argument("url", type=S3_URL)
@_mode_options
@shared_options("connection", "json", "yes")
@click.pass_obj
def set_default(
    output: Output, options: Options, url: S3Url, mode: str, sse_kms_key: str | None, bucket_key: bool | None
) -> None:
    """Set the mode for objects that come without one; objects that are there keep theirs."""
    wanted = mode_of(mode, sse_kms_key, bucket_key)
    environment = Environment(options, output)
    environment.confirm(f"Set the default encryption of {url.bucket} to {mode}?")
    with located(str(url)):
        buckets.set_default_encryption(environment.s3, Bucket=url.bucket, mode=wanted)
    _show(output, {"bucket": url.bucket, **describe(wanted)})


@sse.command(
    "require",
    cls=Command,
    short_help="Deny uploads that do not name the mode.",
    examples=("s3ec sse require s3://payroll --mode sse-s3 --dry-run",),
)
@click.argument("url", type=S3_URL)
@_mode_options
@click.option("--require-https", is_flag=True, help="Also deny every request over plain http.")
@click.option("--dry-run", is_flag=True, help="Print the policy's statements; change nothing.")
@shared_options("connection", "json", "yes")
@click.pass_obj
def require(
    output: Output,
    options: Options,
    url: S3Url,
    mode: str,
    sse_kms_key: str | None,
    bucket_key: bool | None,
    require_https: bool,
    dry_run: bool,
) -> None:
    """Deny uploads that do not name the mode, by the bucket's policy; statements of others stay."""
    wanted = mode_of(mode, sse_kms_key, bucket_key)
    environment = Environment(options, output)
    environment.confirm(f"Change the policy of {url.bucket} to require {mode}?", dry_run=dry_run)
    with located(str(url)):
        client = environment.s3
        change = buckets.upload_policy if dry_run else _require(client)
        policy = change(Bucket=url.bucket, mode=wanted, require_secure_transport=require_https)
    output.document({"bucket": url.bucket, **describe(wanted), "dry_run": dry_run, "policy": policy})


def _require(client: Any) -> Callable[..., dict[str, Any]]:
    def change(**arguments: Any) -> dict[str, Any]:
        return buckets.require_encryption(client, **arguments)

    return change


def _show(output: Output, found: dict[str, Any]) -> None:
    if output.as_json:
        output.document(found)
        return
    key = f", key {found['key']}" if found["key"] else ""
    bucket_key = {True: ", bucket key", False: "", None: ""}[found["bucket_key"]]
    output.line(f"{found['bucket']}: {found['mode']}{key}{bucket_key}")
