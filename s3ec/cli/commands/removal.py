"""``s3ec rm``: objects, and the instruction files that are provably theirs."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import click

from s3ec.cli.environment import Environment
from s3ec.cli.failures import ERRORS, ExitCode, Failure, FailureError, combined, describe, located
from s3ec.cli.filters import Filters, filter_options
from s3ec.cli.listing import single_object, under
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output
from s3ec.cli.repeats import Repeats
from s3ec.cli.stopping import meets_all
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.migrate.audit.survey import bounded_map

__all__ = ["rm"]


@click.command(
    cls=Command,
    short_help="Delete objects, with their instruction files.",
    examples=(
        "s3ec rm s3://payroll/2019/old.csv",
        "s3ec rm s3://payroll/scans --recursive --exclude '*' --include '*.tmp' --dry-run",
    ),
)
@click.argument("url", type=S3_URL)
@click.option("--recursive", is_flag=True, help="Delete everything under the folder.")
@click.option("--dry-run", "--dryrun", is_flag=True, help="Show what would be deleted; delete nothing.")
@click.option("--quiet", "--only-show-errors", "quiet", is_flag=True, help="Write errors only.")
@filter_options
@shared_options("connection", "workers", "json")
@click.pass_obj
def rm(
    output: Output, options: Options, url: S3Url, recursive: bool, dry_run: bool, quiet: bool, filters: Filters
) -> ExitCode:
    """Delete objects; in a bucket that keeps versions that adds delete markers."""
    if not recursive and (not url.key or filters):
        problem = f"{url} names a bucket; name an object, or use" if not url.key else "--include and --exclude need"
        raise click.UsageError(f"{problem} --recursive", click.get_current_context())
    environment = Environment(options, output)
    client = environment.client(with_key=False)

    hopeless = threading.Event()

    def delete(target: S3Url) -> tuple[S3Url, Failure | None]:
        try:
            if not recursive:
                # S3 calls the deletion of nothing a success; a user who mistypes a name wants to know.
                with single_object(environment.s3, target, "--recursive deletes what lies in it"):
                    client.head_object(Bucket=target.bucket, Key=target.key)
            if not dry_run:
                client.delete_object(Bucket=target.bucket, Key=target.key)
        except FailureError as error:
            return target, error.failure
        except ERRORS as error:
            if meets_all(error):
                hopeless.set()
            return target, describe(error, str(target))
        return target, None

    rows = (row["Key"] for row in under(client, url)) if recursive else iter([url.key])
    wanted = (url.with_key(key) for key in rows if not recursive or filters.wants(key[len(url.folder) :]))
    # After what every other object would meet as well, the rest is not tried.
    targets = itertools.takewhile(lambda _: not hopeless.is_set(), wanted)
    with located(str(url)):
        code = _report(output, bounded_map(delete, targets, workers=options.workers), dry_run, quiet)
    if recursive and hopeless.is_set():
        output.note("s3ec: stopped: the rest would fail for the same reason")
    return code


def _report(output: Output, results: Iterator[tuple[S3Url, Failure | None]], dry_run: bool, quiet: bool) -> ExitCode:
    failures: list[Failure] = []
    deleted: list[str] = []
    repeats = Repeats(output.note)
    for target, failure in results:
        if failure is not None:
            failures.append(failure)
            repeats.add(str(target), f"s3ec: {failure.message}")
            continue
        deleted.append(str(target))
        if not (output.as_json or quiet):
            output.line(f"{'would delete' if dry_run else 'deleted'} {target}")
    repeats.close()
    if output.as_json:
        output.document({"dry_run": dry_run, "deleted": deleted, "failed": [each.document() for each in failures]})
    return combined(failure.code for failure in failures)
