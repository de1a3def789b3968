"""``s3ec sync``: make one folder equal to another, by copying what differs."""

from __future__ import annotations

import os
from pathlib import Path

import click

from s3ec.cli.batch import Batch, Deletion
from s3ec.cli.commands.copy import Talk, copier, key_check, talk_options, watched
from s3ec.cli.copy_plan import End
from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, located
from s3ec.cli.filters import Filters, filter_options
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output
from s3ec.cli.sync_plan import SyncPlan
from s3ec.cli.transfers import STANDARD_STREAM, Copy, Report
from s3ec.cli.urls import S3Url
from s3ec.cli.writing import Writing, write_settings

__all__ = ["sync"]


@click.command(
    cls=Command,
    short_help="Copy what differs between two folders.",
    examples=(
        "s3ec sync ./scans s3://payroll/scans --kms-key alias/payroll",
        "s3ec sync s3://payroll/scans ./scans --kms-key alias/payroll --delete",
        "s3ec sync s3://payroll s3://backup/payroll --exclude 'tmp/*' --dryrun",
    ),
)
@click.argument("source")
@click.argument("target")
@click.option("--delete", is_flag=True, help="Delete what the target has and the source does not.")
@click.option("--size-only", is_flag=True, help="Compare only sizes, not times.")
@click.option(
    "--exact-timestamps", is_flag=True, help="Downloads: also replace files that are older than their object."
)
@click.option("--dry-run", "--dryrun", is_flag=True, help="Show the plan; do nothing.")
@click.option("--allow-unencrypted", is_flag=True, help="Also read objects that are not encrypted.")
@click.option("--follow-symlinks/--no-follow-symlinks", default=True, help="Upload what links point to (the default).")
@filter_options
@write_settings
@talk_options
@shared_options("key", "context", "legacy", "connection", "workers", "json")
@click.pass_obj
def sync(
    output: Output,
    options: Options,
    source: str,
    target: str,
    delete: bool,
    size_only: bool,
    exact_timestamps: bool,
    dry_run: bool,
    allow_unencrypted: bool,
    follow_symlinks: bool,
    filters: Filters,
    writing: Writing,
    talk: Talk,
) -> ExitCode:
    """Copy what differs between two folders, by plaintext size and time; a second run finds nothing to do.

    From file to object, from object to file, or within S3, where ciphertext moves as it is and no key is needed.
    """
    ends = _ends(source, target)
    _check(ends, size_only, exact_timestamps, writing)
    environment = Environment(options, output)
    allow_unencrypted = environment.allows_unencrypted(allow_unencrypted)
    do_copy = copier(environment, ends[:1], ends[1], writing, allow_unencrypted, many=True, dry_run=dry_run)
    plan = SyncPlan(
        plain=environment.s3,
        source=_folder(ends[0]),
        target=_folder(ends[1]),
        filters=filters,
        delete=delete,
        follow=follow_symlinks,
        size_only=size_only,
        exact_timestamps=exact_timestamps,
        allow_unencrypted=allow_unencrypted,
    )

    def perform(step: Copy | Deletion, report: Report) -> None:
        if isinstance(step, Copy):
            do_copy(step, report)
        elif isinstance(step.target, S3Url):
            do_copy.client.delete_object(Bucket=step.target.bucket, Key=step.target.key)
        else:
            Path(step.target).unlink(missing_ok=True)

    batch = Batch(
        output=output,
        perform=perform,
        workers=options.workers,
        dry_run=dry_run,
        uploads=watched(environment, do_copy),
        check=key_check(environment, ends[:1], ends[1]),
        quiet=talk.quiet,
        show_progress=talk.progress,
        again="The same command goes on from here.",
    )
    with located(source):
        return batch.run(plan.steps(), more=lambda: {"unchanged": plan.unchanged})


def _ends(source: str, target: str) -> tuple[End, End]:
    try:
        return End.parse(source), End.parse(target)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error


def _folder(end: End) -> S3Url | Path:
    return end.place if isinstance(end.place, S3Url) else Path(end.place)


def _check(ends: tuple[End, End], size_only: bool, exact_timestamps: bool, writing: Writing) -> None:
    """Refuse what has no meaning."""
    source, target = (end.place for end in ends)
    uploads = isinstance(target, S3Url)
    problem = ""
    if STANDARD_STREAM in (source, target):
        problem = "folders are compared, not standard streams: use `s3ec cp`"
    elif not uploads and not isinstance(source, S3Url):
        problem = "one end must be an S3 URL: s3://bucket/folder"
    elif source == target:
        problem = f"{source} is both ends"
    elif exact_timestamps and (uploads or size_only):
        problem = "--exact-timestamps is for downloads, and excludes --size-only"
    elif writing.given and not uploads:
        problem = f"{writing.given[0]} is for what is written to S3"
    elif isinstance(source, S3Url) and "--no-guess-mime-type" in writing.given:
        problem = "--no-guess-mime-type is for files: a copy within S3 keeps the type"
    elif not uploads and os.path.exists(str(target)) and not os.path.isdir(str(target)):
        problem = f"{target} is a file; a folder is wanted"
    if problem:
        raise click.UsageError(problem, click.get_current_context())
