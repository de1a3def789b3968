"""``s3ec sse``: the bucket's default server-side encryption, and the policy that requires it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import click
from botocore.exceptions import ClientError

from s3ec.cli.environment import Environment
from s3ec.cli.failures import located
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output
from s3ec.cli.pages import Group
from s3ec.cli.server_side import MODES, describe, describe_required, key_options, words
from s3ec.cli.server_side import mode as mode_of
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.client.server_side.bucket_policies import RequiredEncryption
from s3ec.client.tools import buckets
from s3ec.s3.answers import code_of

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
    """Server-side encryption of whole buckets: read it, set the default, require it by policy, or no longer."""


@sse.command(
    "get",
    cls=Command,
    short_help="Show which mode is the default, and which is required.",
    examples=("s3ec sse get s3://payroll",),
)
@click.argument("url", type=S3_URL)
@shared_options("connection", "json")
@click.pass_obj
def get(output: Output, options: Options, url: S3Url) -> None:
    """Show which mode S3 uses for objects that come without one, and which one the bucket's policy requires."""
    client = Environment(options, output).s3
    with located(str(url)):
        found = {"bucket": url.bucket, **describe(buckets.get_default_encryption(client, Bucket=url.bucket))}
        required = _required(output, client, url)
    if output.as_json:
        # Left out where nothing is required, as every name without a value.
        output.document({**found, **({"required": describe_required(required)} if required else {})})
        return
    _show(output, found)
    if required is not None:
        output.line(_in_words(required))


def _required(output: Output, client: Any, url: S3Url) -> RequiredEncryption | None:
    try:
        return buckets.required_encryption(client, Bucket=url.bucket)
    except ClientError as error:
        reason = code_of(error.response) or "Unknown"
        output.note(f"s3ec: {url}: whether a policy requires a mode is unknown: it may not be read ({reason})")
        return None


def _in_words(required: RequiredEncryption) -> str:
    found = describe_required(required)
    wants = []
    if required.mode is not None or required.sse_c:
        wants.append(f"uploads must name {words(found['mode'], found['key'])}")
    elif not required.secure_transport:
        wants.append("uploads must name modes that contradict each other: none can succeed")
    if required.secure_transport:
        wants.append("plain http is denied")
    way_back = "; `s3ec sse unrequire` takes it back" if required.ours else ""
    return f"by the bucket's policy: {', '.join(wants)}{way_back}"


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
    """Deny uploads that do not name the mode, by the bucket's policy; statements of others stay.

    Clients that rely on the bucket's default are denied from then on. s3ec's own cp, mv, sync, migrate and
    rewrap name the mode by themselves; `s3ec sse unrequire` takes it back.
    """
    wanted = mode_of(mode, sse_kms_key, bucket_key)
    environment = Environment(options, output)
    with located(str(url)):
        # Reports what is wrong with the mode before asking for confirmation.
        buckets.upload_policy(Bucket=url.bucket, mode=wanted, require_secure_transport=require_https)
    output.note(
        f"s3ec: every upload to {url.bucket} must name {words(mode, sse_kms_key)} from then on; clients that rely on "
        f"the bucket's default fail with 403. s3ec cp, mv, sync, migrate and rewrap name it by "
        f"themselves; `s3ec sse unrequire {url}` takes it back"
    )
    environment.confirm(f"Change the policy of {url.bucket} to require {mode}?", dry_run=dry_run)
    with located(str(url)):
        client = environment.s3
        change = buckets.upload_policy if dry_run else functools.partial(buckets.require_encryption, client)
        policy = change(Bucket=url.bucket, mode=wanted, require_secure_transport=require_https)
    if output.as_json:
        output.document({"bucket": url.bucket, **describe(wanted), "dry_run": dry_run, "policy": policy})
        return
    rules = ", ".join([words(mode, sse_kms_key), *(["https"] if require_https else [])])
    output.line(f"{url.bucket}: {'would require' if dry_run else 'requires'} {rules}")
    for statement in policy["Statement"]:
        # The whole of each, to paste or to compare: it is what S3 acts on.
        output.line(f"  {json.dumps(statement)}")


@sse.command(
    "unrequire",
    cls=Command,
    short_help="Take back what `require` wrote.",
    examples=("s3ec sse unrequire s3://payroll --dry-run", "s3ec sse unrequire s3://payroll --yes"),
)
@click.argument("url", type=S3_URL)
@click.option("--dry-run", "--dryrun", is_flag=True, help="Show which statements would be removed; change nothing.")
@shared_options("connection", "json", "yes")
@click.pass_obj
def unrequire(output: Output, options: Options, url: S3Url, dry_run: bool) -> None:
    """Take back what `require` put into the bucket's policy; statements of others stay."""
    environment = Environment(options, output)
    environment.confirm(f"Take back what s3ec requires of uploads to {url.bucket}?", dry_run=dry_run)
    client = environment.s3
    with located(str(url)):
        removed = buckets.unrequire_encryption(client, Bucket=url.bucket, dry_run=dry_run)
        left = None if dry_run else buckets.required_encryption(client, Bucket=url.bucket)
    if output.as_json:
        document = {"bucket": url.bucket, "dry_run": dry_run, "removed": removed}
        output.document({**document, **({"required": describe_required(left)} if left else {})})
        return
    names = ", ".join(str(statement["Sid"]) for statement in removed)
    output.line(
        f"{url.bucket}: {'would remove' if dry_run else 'removed'} {names}"
        if removed
        else f"{url.bucket}: s3ec requires nothing here, nothing was changed"
    )
    if left is not None:
        output.line(_in_words(left))


def _show(output: Output, found: dict[str, Any]) -> None:
    if output.as_json:
        output.document(found)
        return
    output.line(f"{found['bucket']}: {words(found['mode'], found['key'], found['bucket_key'])}")
