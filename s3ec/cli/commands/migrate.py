"""``s3ec migrate``: plaintext to encrypted, and old formats to the committing one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from s3ec.cli.engines import ENGINES, BatchOptions, batch_options, batch_plan, open_engine
from s3ec.cli.environment import Environment, keyring_spec
from s3ec.cli.failures import ExitCode, located
from s3ec.cli.jobs import Job
from s3ec.cli.options import Command, FiniteRange, Options, accept_moved_option, pairs, shared_options
from s3ec.cli.output import Output
from s3ec.cli.plans import preview
from s3ec.cli.server_side import write_options
from s3ec.cli.sources import Sources, source_options
from s3ec.cli.upload_mode import job_mode
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.migrate import Action, KeyringSpec, Location, MigrationSettings

__all__ = ["migrate"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_DIRECT = (
    "instruction_file",
    "ignore_tags",
    "trust_tag_count",
    "ignore_acl",
    "skip_young",
    "keep_last_modified",
    "read_back",
    "reuse_data_keys",
    "kms_requests_per_second",
    "bind_object",
    "server_side_encryption",
    "accept_moved",
)


def _source_key_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name the key of what is encrypted now; the command receives them as ``source_key``."""

    @click.option("--from-kms-key", metavar="KEY", help="Key that opens what is encrypted now, if it is another one.")
    @click.option("--from-aes-key-file", type=_FILE, metavar="FILE", help="The same, for AES.")
    @click.option("--from-rsa-private-key", type=_FILE, metavar="FILE", help="The same, for RSA.")
    @functools.wraps(function)
    def wrapper(
        *args: Any,
        from_kms_key: str | None,
        from_aes_key_file: Path | None,
        from_rsa_private_key: Path | None,
        **kwargs: Any,
    ) -> Any:
        keys = {"kms": from_kms_key, "aes_file": from_aes_key_file, "rsa_file": from_rsa_private_key}
        return function(*args, source_key=keys, **kwargs)

    return wrapper


@click.command(
    cls=Command,
    short_help="Encrypt a bucket; with --upgrade, old formats too.",
    examples=(
        "s3ec migrate s3://payroll --kms-key alias/payroll --dry-run",
        "s3ec migrate s3://payroll --kms-key alias/payroll",
        "s3ec migrate s3://payroll/2019 s3://vault/payroll --kms-key alias/vault --context team=hr",
        "s3ec migrate s3://payroll --upgrade --allow-legacy --from-aes-key-file old.key --kms-key alias/payroll",
    ),
)
@click.argument("source", type=S3_URL)
@click.argument("destination", type=S3_URL, required=False)
@click.option("--upgrade", is_flag=True, help="Also re-encrypt V1 and V2 as V3.")
@click.option("--dry-run", is_flag=True, help="Print the plan and its cost; write nothing.")
@_source_key_options
@click.option("--read-back", is_flag=True, help="Read every written object again, decrypt and compare it.")
@click.option("--reuse-data-keys", is_flag=True, help="Let one KMS data key serve many V3 objects.")
@click.option("--kms-requests-per-second", type=FiniteRange(0, min_open=True), metavar="N", help="KMS rate limit.")
@click.option(
    "--instruction-file",
    type=click.Choice(["never", "when-needed", "always"]),
    default="never",
    show_default=True,
    help="Keep the content metadata in a file beside the object.",
)
@click.option("--ignore-tags", is_flag=True, help="Leave tags behind if they cannot be read.")
@click.option(
    "--trust-tag-count/--no-trust-tag-count",
    default=None,
    help="Ask for tags only where GET counts some, or always; by default once in each folder.",
)
@click.option("--ignore-acl", is_flag=True, help="Leave ACLs behind if they cannot be read or set.")
@click.option("--skip-young", is_flag=True, help="Leave alone what its storage class would charge for.")
@click.option(
    "--to-context",
    multiple=True,
    callback=pairs,
    metavar="NAME=VALUE",
    help="Encryption context of what is written, if it is not that of --context. Repeatable.",
)
@accept_moved_option
@click.option("--etag-not-md5", is_flag=True, help="The server's ETags hold no MD5: do not compare what is read.")
@click.option("--bind-object", is_flag=True, help="Put each object's ARN into its encryption context.")
@click.option("--keep-last-modified", metavar="NAME", help="Keep the original time under this metadata name.")
@write_options
@click.option("--processes", type=click.IntRange(1, 256), default=1, metavar="N", help="Processes on this machine.")
@click.option(
    "--engine", type=click.Choice(ENGINES), default="local", show_default=True, help="Where the work is done."
)
@click.option("--engine-address", metavar="ADDRESS", help="Scheduler of dask or ray; without one, workers start here.")
@click.option("--plan", "plan_only", is_flag=True, help="Print what s3-batch needs: function, roles, job.")
@batch_options
@source_options
@shared_options("key", "context", "legacy", "connection", "journal", "workers", "json", "events", "yes")
@click.pass_obj
def migrate(
    output: Output,
    /,
    options: Options,
    source: S3Url,
    destination: S3Url | None,
    upgrade: bool,
    dry_run: bool,
    source_key: dict[str, Any],
    processes: int,
    engine: str,
    engine_address: str | None,
    plan_only: bool,
    batch: BatchOptions,
    sources: Sources,
    **direct: Any,
) -> ExitCode:
    """Encrypt a bucket or prefix, in place or to another place. What is encrypted as wanted is left alone.

    A DESTINATION is a folder: its prefix, a slash, and the key relative to the source folder.
    """
    if (engine == "s3-batch") != plan_only:
        problem = (
            "--plan is for s3-batch" if plan_only else "--engine s3-batch runs in AWS: --plan prints what it needs"
        )
        raise click.UsageError(problem, click.get_current_context())
    environment = Environment(options, output)
    if direct["server_side_encryption"] is None:
        # For a plan as well: the function writes with the settings that stand in it, and asks no policy itself.
        direct["server_side_encryption"] = job_mode(environment, (destination or source).bucket)
    settings = _settings(environment, source, destination, upgrade, source_key, direct)
    if plan_only:
        output.document(batch_plan(settings, batch))
        return ExitCode.DONE
    objects = sources.open(environment, source)
    environment.confirm(_question(source, destination, upgrade), dry_run=dry_run)
    with located(str(source)):
        if dry_run:
            return preview(environment, settings, source, objects)
        return Job(
            environment=environment,
            settings=settings,
            url=source,
            verb="migrated",
            objects=objects,
            engine=open_engine(engine, engine_address),
            processes=processes,
        ).run()


def _question(source: S3Url, destination: S3Url | None, upgrade: bool) -> str:
    what = "Encrypt and upgrade" if upgrade else "Encrypt"
    return f"{what} everything under {source} {'to ' + str(destination) if destination else 'in place'}?"


def _settings(
    environment: Environment,
    source: S3Url,
    destination: S3Url | None,
    upgrade: bool,
    source_key: dict[str, Any],
    direct: dict[str, Any],
) -> MigrationSettings:
    return MigrationSettings(
        action=Action.UPGRADE if upgrade else Action.MIGRATE,
        # Relative keys are only defined for a folder; in place, any beginning of a key will do.
        source=Location(bucket=source.bucket, prefix=source.key if destination is None else source.folder),
        destination=Location(bucket=destination.bucket, prefix=destination.folder) if destination else None,
        keyring=environment.keyring_spec,
        source_keyring=_source_keyring(environment, **source_key),
        encryption_context=dict(direct["to_context"] or environment.settings.context) or None,
        source_context=dict(environment.settings.context) or None,
        etag_is_md5=not direct["etag_not_md5"],
        allow_legacy=environment.settings.allow_legacy,
        connection=environment.connection,
        **{name: direct[name] for name in _DIRECT},
    )


def _source_keyring(
    environment: Environment, *, kms: str | None, aes_file: Path | None, rsa_file: Path | None
) -> KeyringSpec | None:
    kinds = {"kms": kms, "aes-file": aes_file, "rsa-file": rsa_file}
    given = [kind for kind, value in kinds.items() if value is not None]
    if len(given) > 1:
        raise click.UsageError("give one --from key", click.get_current_context())
    if not given:
        return None
    return keyring_spec(
        given[0],
        key_id=kms,
        path=aes_file,
        private_key=rsa_file,
        passphrase=environment.passphrase,
        allow_legacy=environment.settings.allow_legacy,
    )
