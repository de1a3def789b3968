"""``s3ec rewrap``: data keys under another key or context; no content byte moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from s3ec.cli.environment import Environment, keyring_spec
from s3ec.cli.failures import ExitCode, located
from s3ec.cli.jobs import Job
from s3ec.cli.options import Command, Options, accept_moved_option, pairs, shared_options
from s3ec.cli.output import Output
from s3ec.cli.plans import preview
from s3ec.cli.server_side import write_options
from s3ec.cli.sources import Sources, source_options
from s3ec.cli.upload_mode import job_mode
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.migrate import Action, KeyringSpec, Location, MigrationSettings

__all__ = ["rewrap"]

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    cls=Command,
    short_help="Wrap data keys under another key or context.",
    examples=(
        "s3ec rewrap s3://payroll --to-kms-key alias/payroll-2027",
        "s3ec rewrap s3://payroll --kms-key alias/old --to-kms-key alias/new --to-context team=hr",
        "s3ec rewrap s3://payroll --aes-key-file raw.key --to-kms-key alias/payroll",
    ),
)
@click.argument("url", type=S3_URL)
@click.option("--to-kms-key", metavar="KEY", help="KMS key to wrap under.")
@click.option("--to-aes-key-file", type=_FILE, metavar="FILE", help="AES key to wrap under: 16, 24 or 32 raw bytes.")
@click.option("--to-rsa-public-key", type=_FILE, metavar="FILE", help="RSA key (PEM) to wrap under.")
@click.option("--to-context", multiple=True, callback=pairs, metavar="NAME=VALUE", help="New encryption context.")
@accept_moved_option
@click.option("--read-back", is_flag=True, help="Open and authenticate each object with the new key afterwards.")
@click.option("--dry-run", is_flag=True, help="Print the plan; write nothing.")
@write_options
@source_options
@shared_options("key", "context", "legacy", "connection", "journal", "workers", "json", "events", "yes")
@click.pass_obj
def rewrap(
    output: Output,
    options: Options,
    url: S3Url,
    to_kms_key: str | None,
    to_aes_key_file: Path | None,
    to_rsa_public_key: Path | None,
    to_context: dict[str, str],
    accept_moved: bool,
    read_back: bool,
    dry_run: bool,
    server_side_encryption: dict[str, Any] | None,
    sources: Sources,
) -> ExitCode:
    """Wrap data keys again: another KMS key, another context, or a raw key on either side.

    The key options name the key that opens them now; between KMS keys none is needed, since the data key stays in KMS.
    """
    environment = Environment(options, output)
    kinds = {"kms": to_kms_key, "aes-file": to_aes_key_file, "rsa-file": to_rsa_public_key}
    given = [kind for kind, value in kinds.items() if value is not None]
    source = environment.keyring_spec if environment.has_key else None
    if len(given) > 1 or not (given or (to_context and source)):
        raise click.UsageError(
            "give one of --to-kms-key, --to-aes-key-file and --to-rsa-public-key", click.get_current_context()
        )
    target = _target(given, to_kms_key, to_aes_key_file, to_rsa_public_key) or source
    if source is not None and source.is_kms and source.key_id == to_kms_key and not environment.names_key:
        # The default key may have been changed to the new one already: it does not tell which key opens them now.
        source = None
    if target is None:
        raise AssertionError("checked above")
    settings = MigrationSettings(
        action=Action.REWRAP,
        source=Location(bucket=url.bucket, prefix=url.key),
        keyring=target,
        source_keyring=source or (KeyringSpec(kind="kms-discovery") if target.is_kms else None),
        encryption_context=dict(to_context) or None,
        source_context=dict(environment.settings.context) or None,
        accept_moved=accept_moved,
        allow_legacy=environment.settings.allow_legacy,
        read_back=read_back,
        server_side_encryption=server_side_encryption or job_mode(environment, url.bucket),
        connection=environment.connection,
    )
    environment.confirm(f"Wrap the data keys under {url} again, for {target.label}?", dry_run=dry_run)
    objects = sources.open(environment, url)
    with located(str(url)):
        if dry_run:
            return preview(environment, settings, url, objects)
        return Job(environment=environment, settings=settings, url=url, verb="rewrapped", objects=objects).run()


def _target(given: list[str], kms_key: str | None, aes: Path | None, rsa: Path | None) -> KeyringSpec | None:
    return keyring_spec(given[0], key_id=kms_key, path=aes, public_key=rsa) if given else None
