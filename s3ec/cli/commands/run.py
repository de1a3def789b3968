"""``s3ec run``: a command whose S3 clients encrypt, though it knows nothing of encryption."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from s3ec.cli.failures import ExitCode
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output, Table
from s3ec.rules.bucket_rules import BucketRules

__all__ = ["run"]


@click.command(
    cls=Command,
    short_help="Run a command whose S3 clients encrypt.",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    examples=(
        "s3ec run --kms-key alias/payroll -- python report.py",
        "s3ec run --config s3ec.toml -- aws s3 sync build s3://payroll/build",
        "s3ec run --check --config s3ec.toml -- gunicorn app:app",
    ),
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="TOML file that says for each bucket: a key, plain, or refused (S3EC_CONFIG).",
)
@click.option("--check", is_flag=True, help="Do not run it: say what its S3 clients would be, for each bucket.")
@click.option("--bucket", "buckets", multiple=True, metavar="NAME", help="With --check: a bucket to say it of.")
@shared_options("key", "context", "legacy", "connection", "json")
@click.pass_obj
def run(
    output: Output,
    options: Options,
    command: tuple[str, ...],
    config: Path | None,
    check: bool,
    buckets: tuple[str, ...],
) -> int:
    """Run a command with encryption in every boto-based S3 client that it and its children make.

    A bucket that no rule names is refused before anything is sent. Whatever is wrong ends the command before it begins.
    """
    from s3ec.run import checking, launching

    if buckets and not check:
        raise click.UsageError("--bucket is for --check", click.get_current_context(silent=True))
    settings: dict[str, Any] = {
        "kms_key": options.kms_key,
        "aes_key_file": options.aes_key_file,
        "rsa_private_key_file": options.rsa_private_key,
        "rsa_public_key_file": options.rsa_public_key,
        "rsa_passphrase_file": options.rsa_passphrase_file,
        "context": options.context,
        "allow_legacy": "true" if options.allow_legacy else None,
        "profile": options.profile,
        "region": options.region,
        "endpoint_url": options.endpoint_url,
    }
    made = launching.child_environment(os.environ, settings, config=config)
    os.environ.clear()
    os.environ.update(made)
    launching.refuse_command(command)
    rules = checking.check()
    if not check:
        launching.start(command)
    client = launching.describe_client(command)
    _say(output, command, rules, client, buckets)
    return ExitCode.DONE


def _say(
    output: Output,
    command: tuple[str, ...],
    rules: BucketRules | None,
    client: dict[str, Any] | None,
    buckets: tuple[str, ...],
) -> None:
    said = list(_rows(rules, buckets))
    if output.as_json:
        found = [{"bucket": bucket, "becomes": becomes, "from": origin} for bucket, becomes, origin in said]
        output.document({"client": client, "buckets": found})
        return
    if client is None:
        output.line(f"{command[0]} is not Python itself: every Python that it starts is checked when it starts")
    else:
        how = "encrypts" if client["encrypts"] else "DOES NOT ENCRYPT"
        output.line(f"a client of {client['python']} with botocore {client['botocore']} {how}")
    table = Table(("Bucket", "What becomes of it", "From"))
    for row in said:
        table.add(*row)
    output.table(table)


def _rows(rules: BucketRules | None, buckets: tuple[str, ...]) -> list[tuple[str, str, str]]:
    if rules is None:
        return [("*", "as the profile says that the command chooses", "AWS configuration")]
    if buckets:
        return [(name, rules.of(name).describe(), rules.of(name).origin) for name in buckets]
    rows = [(", ".join(rule.patterns), rule.describe(), rule.origin) for rule in rules.rules]
    return [*rows, ("*" if not rows else "every other", rules.default.describe(), rules.default.origin)]
