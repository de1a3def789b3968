"""``s3ec verify``: reads and authenticates."""

from __future__ import annotations

import click

from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, located
from s3ec.cli.jobs import Job
from s3ec.cli.options import Command, FiniteRange, Options, accept_moved_option, shared_options
from s3ec.cli.output import Output
from s3ec.cli.sources import Sources, source_options
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.migrate import Action, Location, MigrationSettings

__all__ = ["verify"]


@click.command(
    cls=Command,
    short_help="Read and authenticate everything, or a sample.",
    examples=(
        "s3ec verify s3://payroll --kms-key alias/payroll",
        "s3ec verify s3://payroll --kms-key alias/payroll --sample 0.01",
    ),
)
@click.argument("url", type=S3_URL)
@click.option(
    "--sample",
    type=FiniteRange(0, 1, min_open=True),
    default=1.0,
    metavar="SHARE",
    help="Share of the objects, above 0 and up to 1; the same ones each time.",
)
@accept_moved_option
@click.option("--allow-unencrypted", is_flag=True, help="Skip objects that are not encrypted.")
@source_options
@shared_options("key", "context", "legacy", "connection", "journal", "workers", "json", "events")
@click.pass_obj
def verify(
    output: Output,
    options: Options,
    url: S3Url,
    sample: float,
    accept_moved: bool,
    allow_unencrypted: bool,
    sources: Sources,
) -> ExitCode:
    """Read and authenticate everything (or a sample); write nothing. If one object fails, the exit code is not zero.

    Looks at everything each time; with --journal it goes on where an earlier run ended.
    """
    environment = Environment(options, output)
    settings = MigrationSettings(
        action=Action.VERIFY,
        source=Location(bucket=url.bucket, prefix=url.key),
        keyring=environment.keyring_spec,
        encryption_context=dict(environment.settings.context) or None,
        accept_moved=accept_moved,
        allow_legacy=environment.settings.allow_legacy,
        sample=sample,
        connection=environment.connection,
    )
    with located(str(url)):
        return Job(
            environment=environment,
            settings=settings,
            url=url,
            verb="verified",
            objects=sources.open(environment, url),
            keep_journal=False,
            refuse_unencrypted=not environment.allows_unencrypted(allow_unencrypted),
        ).run()
