"""``s3ec cp``: files in, objects out, ciphertext from bucket to bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from boto3.s3.transfer import TransferConfig

from s3ec.cli.commands.content import unencrypted
from s3ec.cli.environment import Environment
from s3ec.cli.failures import ERRORS, ExitCode, Failure, FailureError, combined, describe, located
from s3ec.cli.filters import Filters, filter_options
from s3ec.cli.listing import under
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output
from s3ec.cli.transfers import STANDARD_STREAM, Copier, Copy, Place, files_under, local_target
from s3ec.cli.urls import S3Url, is_s3_url
from s3ec.migrate.survey import bounded_map
from s3ec.migrate.survey_object import INSTRUCTION_FILE, SUFFIXES, look

__all__ = ["cp"]


def _place(text: str) -> Place:
    """Read one end of a copy."""
    if not is_s3_url(text):
        return text if text == STANDARD_STREAM else Path(text)
    try:
        return S3Url.parse(text)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error


@click.command(
    cls=Command,
    short_help="Copy to, from or within S3.",
    examples=(
        "s3ec cp report.pdf s3://payroll/2025/ --kms-key alias/payroll --context team=hr",
        "s3ec cp s3://payroll/2025/report.pdf . --kms-key alias/payroll",
        "s3ec cp --recursive ./scans s3://payroll/scans --exclude '*' --include '*.pdf' --kms-key alias/payroll",
        "pg_dump app | s3ec cp - s3://backups/app.sql --kms-key alias/backups",
    ),
)
@click.argument("source")
@click.argument("target")
@click.option("--recursive", is_flag=True, help="Everything under the source folder.")
@click.option("--dry-run", is_flag=True, help="Say what would be copied; copy nothing.")
@click.option("--allow-unencrypted", is_flag=True, help="Also read objects that are not encrypted.")
@click.option("--content-type", metavar="TYPE", help="Content-Type of what is uploaded.")
@filter_options
@shared_options("key", "context", "legacy", "connection", "workers", "json")
@click.pass_obj
def cp(
    output: Output,
    options: Options,
    source: str,
    target: str,
    recursive: bool,
    dry_run: bool,
    allow_unencrypted: bool,
    content_type: str | None,
    filters: Filters,
) -> ExitCode:
    """Copy to, from or within S3. Uploads are encrypted, downloads verified; `-` is a standard stream.

    From bucket to bucket ciphertext moves as it is, and no key is needed.
    """
    ends = _place(source), _place(target)
    _check(ends, recursive, bool(filters), options)
    environment = Environment(options, output)
    both = all(isinstance(end, S3Url) for end in ends)
    client = environment.client(with_key=not both, **unencrypted(allow_unencrypted))
    extra = {"ContentType": content_type} if content_type else {}
    copier = Copier(
        client=client,
        read_context=environment.read_context,
        write_arguments={**environment.write_context, **extra},
        allow_unencrypted=allow_unencrypted,
        # Many objects at a time need few requests each, or threads and buffers would multiply.
        config=TransferConfig(max_concurrency=3) if recursive else None,
    )

    def copy(one: Copy | Failure) -> Copy | Failure:
        if isinstance(one, Failure) or dry_run:
            return one
        try:
            copier(one)
        except BrokenPipeError:
            raise
        except FailureError as error:
            return error.failure
        except ERRORS as error:
            return describe(error, str(one.source if isinstance(one.source, S3Url) else one.target))
        return one

    copies = _many(environment.s3, *ends, filters) if recursive else iter([_one(*ends)])
    # One stream is read or written by one thread; a recursive copy has no standard stream.
    return _report(output, bounded_map(copy, copies, workers=options.workers), source, dry_run)


def _report(output: Output, results: Iterator[Copy | Failure], source: str, dry_run: bool) -> ExitCode:
    copied: list[Copy] = []
    failures: list[Failure] = []
    with located(source):
        for result in results:
            if isinstance(result, Failure):
                failures.append(result)
                output.note(f"s3ec: {result.message}")
                continue
            copied.append(result)
            if not output.as_json and result.target != STANDARD_STREAM:
                output.line(f"{'would copy' if dry_run else 'copied'} {result}")
    if output.as_json:
        pairs = [{"source": str(each.source), "target": str(each.target)} for each in copied]
        output.document({"dry_run": dry_run, "copied": pairs, "failed": [each.document() for each in failures]})
    return combined(failure.code for failure in failures)


def _check(ends: tuple[Place, Place], recursive: bool, has_filters: bool, options: Options) -> None:
    """Refuse what can mean nothing, or two things."""
    streams = STANDARD_STREAM in ends
    problem = ""
    if not any(isinstance(end, S3Url) for end in ends):
        problem = "one end must be an S3 URL: s3://bucket/key"
    elif streams and recursive:
        problem = "--recursive needs a folder, not a standard stream"
    elif ends[1] == STANDARD_STREAM and options.json:
        problem = "standard output carries the content here: --json cannot"
    elif has_filters and not recursive:
        problem = "--include and --exclude need --recursive"
    elif not recursive and isinstance(ends[0], S3Url) and not ends[0].key:
        problem = f"{ends[0]} names a bucket; name an object, or use --recursive"
    elif ends[0] == STANDARD_STREAM and isinstance(ends[1], S3Url) and ends[1].key == ends[1].folder:
        problem = f"{ends[1]} is a folder: standard input has no name to put there"
    if problem:
        raise click.UsageError(problem, click.get_current_context())


def _one(source: Place, target: Place) -> Copy:
    """A single copy; into a folder it keeps its name."""
    if isinstance(source, Path) and source.is_dir():
        raise FailureError(
            Failure(
                code=ExitCode.NOT_FOUND, error="IsADirectoryError", message=f"{source} is a folder: use --recursive"
            )
        )
    name = source.key.rstrip("/").rpartition("/")[2] if isinstance(source, S3Url) else Path(source).name
    if isinstance(target, S3Url) and target.key == target.folder:
        return Copy(source, target.with_key(target.key + name))
    if isinstance(target, Path) and (target.is_dir() or str(target).endswith("/")):
        return Copy(source, local_target(target, name))
    return Copy(source, target)


def _many(client: Any, source: Place, target: Place, filters: Filters) -> Iterator[Copy | Failure]:
    """Everything under a folder, each with its place under the target folder."""
    for each, relative in _sources(client, source):
        if not filters.wants(relative):
            continue
        try:
            if isinstance(target, S3Url):
                yield Copy(each, target.with_key(target.folder + relative))
            else:
                yield Copy(each, local_target(Path(target), relative))
        except FailureError as error:
            yield error.failure


def _sources(client: Any, source: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(source, S3Url):
        for row in under(client, source):
            key = row["Key"]
            # The folder's own placeholder is no content, and an instruction file travels with its object.
            if key != source.folder and not _is_instruction_file(client, source.bucket, key):
                yield source.with_key(key), key[len(source.folder) :]
        return
    folder = Path(source)
    if not folder.is_dir():
        raise FailureError(
            Failure(code=ExitCode.NOT_FOUND, error="NotADirectoryError", message=f"{folder} is no folder")
        )
    for path in files_under(folder):
        yield path, path.relative_to(folder).as_posix()


def _is_instruction_file(client: Any, bucket: str, key: str) -> bool:
    return key.endswith(SUFFIXES) and look(client, bucket, key).format == INSTRUCTION_FILE
