"""``s3ec run``: a command whose S3 clients encrypt, though it knows nothing of encryption."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from s3ec.cli.endpoint import make_endpoint, need_extra, rules_of
from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output, Table
from s3ec.rules.bucket_rules import BucketRules

__all__ = ["run"]

_GRACE = 10.0  # seconds, for what children of the command that it has not waited for still have in flight


@click.command(
    cls=Command,
    short_help="Run a command whose S3 clients encrypt.",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    examples=(
        "s3ec run --kms-key alias/payroll -- python report.py",
        "s3ec run --config s3ec.toml -- aws s3 sync build s3://payroll/build",
        "s3ec run --check --config s3ec.toml -- gunicorn app:app",
        "s3ec run --serve --kms-key alias/payroll -- rclone copy data :s3,env_auth=true:payroll",
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
@click.option(
    "--serve",
    "through_endpoint",
    is_flag=True,
    help="For any language: run it with an endpoint of its own (s3ec serve), and credentials for nothing else.",
)
@click.option("--bucket", "buckets", multiple=True, metavar="NAME", help="With --check: a bucket to say it of.")
@shared_options("key", "context", "legacy", "connection", "json")
@click.pass_obj
def run(
    output: Output,
    options: Options,
    command: tuple[str, ...],
    config: Path | None,
    check: bool,
    through_endpoint: bool,
    buckets: tuple[str, ...],
) -> int:
    """Run a command with encryption in every boto-based S3 client that it and its children make.

    With --serve, in every S3 client of any language that takes its endpoint from the environment.

    A bucket that no rule names is refused before anything is sent. Whatever is wrong ends the command before it begins.
    """
    from s3ec.run import checking, launching

    if buckets and not check:
        raise click.UsageError("--bucket is for --check", click.get_current_context(silent=True))
    if through_endpoint:
        return _beside_endpoint(output, Environment(options, output), command, config, buckets if check else None)
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


def _beside_endpoint(
    output: Output,
    environment: Environment,
    command: tuple[str, ...],
    config: Path | None,
    check: tuple[str, ...] | None,
) -> int:
    """Run a command beside an endpoint of its own, or say what its buckets would be.

    Args:
        output: of this command.
        environment: its options, and what they lead to.
        command: its words.
        config: rules that were named on the spot.
        check: buckets to say it of, and all rules if there are none; None to run the command.
    """
    need_extra()
    from s3ec.run.launching import refuse_command
    from s3ec.run.private import private_environment, run_beside
    from s3ec.serve import LocalCredentials, ServeSettings

    refuse_command(command, through_endpoint=True)
    if check is not None:
        rules = rules_of(environment, config)
        rules.check()
        _say(output, command, rules, None, check, through_endpoint=True)
        return ExitCode.DONE
    settings = ServeSettings(credentials=LocalCredentials.generate(), port=0, grace=_GRACE)
    server = make_endpoint(environment, settings, config)
    region = environment.s3.meta.region_name or "us-east-1"
    with tempfile.TemporaryDirectory(prefix="s3ec-run-") as folder:
        made = private_environment(os.environ, server.url, settings.credentials, region=region, folder=Path(folder))
        sys.stdout.flush()
        sys.stderr.flush()
        return run_beside(server, command, made)


def _say(
    output: Output,
    command: tuple[str, ...],
    rules: BucketRules | None,
    client: dict[str, Any] | None,
    buckets: tuple[str, ...],
    *,
    through_endpoint: bool = False,
) -> None:
    said = list(_rows(rules, buckets))
    if output.as_json:
        found = [{"bucket": bucket, "becomes": becomes, "from": origin} for bucket, becomes, origin in said]
        output.document({"client": client, "buckets": found})
        return
    if through_endpoint:
        output.line(f"{command[0]} reaches an endpoint of its own, and gets credentials for nothing else")
    elif client is None:
        output.line(f"{command[0]} is not Python itself: every Python that it starts is checked when it starts")
    else:
        for made, name in ((client, "botocore"), (client["asynchronous"], "aiobotocore")):
            if made is not None:
                how = "encrypts" if made["encrypts"] else "DOES NOT ENCRYPT"
                output.line(f"a client of {client['python']} with {name} {made[name]} {how}")
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
