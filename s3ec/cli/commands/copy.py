"""``s3ec cp`` and ``mv``: files in, objects out, ciphertext from bucket to bucket."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from boto3.s3.transfer import TransferConfig

from s3ec.cli.batch import Batch, Deletion
from s3ec.cli.commands.content import unencrypted
from s3ec.cli.copy_plan import CopyPlan, End, file_version
from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, Failure, FailureError, located
from s3ec.cli.filters import Filters, filter_options
from s3ec.cli.open_uploads import OpenUploads
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output
from s3ec.cli.transfers import STANDARD_STREAM, Copier, Copy, Report
from s3ec.cli.upload_mode import upload_mode
from s3ec.cli.urls import S3Url
from s3ec.cli.writing import Writing, write_settings
from s3ec.migrate.work.key_check import check_key

__all__ = ["Talk", "copier", "cp", "key_check", "mv", "talk_options", "watched"]


@dataclass(frozen=True, slots=True)
class Talk:
    """How much is written.

    Attributes:
        quiet: no line for what is done.
        progress: a display on a terminal.
    """

    quiet: bool
    progress: bool


def talk_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command receives a `Talk` as ``talk``."""

    @click.option("--quiet", "--only-show-errors", "quiet", is_flag=True, help="Write errors only.")
    @click.option("--no-progress", is_flag=True, help="Show no progress on a terminal.")
    @functools.wraps(function)
    def wrapper(*args: Any, quiet: bool, no_progress: bool, **kwargs: Any) -> Any:
        return function(*args, talk=Talk(quiet, not (quiet or no_progress)), **kwargs)

    return wrapper


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `cp` and `mv` share."""
    function = click.pass_obj(function)
    function = shared_options("key", "context", "legacy", "connection", "workers", "json")(function)
    function = talk_options(write_settings(filter_options(function)))
    function = click.option(
        "--follow-symlinks/--no-follow-symlinks", default=True, help="Upload what links point to (the default)."
    )(function)
    function = click.option("--allow-unencrypted", is_flag=True, help="Also read objects that are not encrypted.")(
        function
    )
    function = click.option("--dry-run", "--dryrun", is_flag=True, help="Show the plan; do nothing.")(function)
    function = click.option("--recursive", is_flag=True, help="Take everything under the source folder.")(function)
    return click.argument("paths", nargs=-1, required=True, metavar="SOURCE... TARGET")(function)


@click.command(
    cls=Command,
    short_help="Copy to, from or within S3.",
    examples=(
        "s3ec cp report.pdf s3://payroll/2025/ --kms-key alias/payroll --context team=hr",
        "s3ec cp s3://payroll/2025/report.pdf . --kms-key alias/payroll",
        "s3ec cp --recursive ./scans s3://payroll/scans --exclude '*' --include '*.pdf' --kms-key alias/payroll",
        "s3ec cp a.csv b.csv s3://payroll/in/ --storage-class STANDARD_IA --metadata by=erp --kms-key alias/payroll",
        "pg_dump app | s3ec cp - s3://backups/app.sql --kms-key alias/backups",
    ),
)
@_options
def cp(output: Output, options: Options, **arguments: Any) -> ExitCode:
    """Copy to, from or within S3. Uploads are encrypted, downloads verified; `-` is a standard stream.

    From bucket to bucket ciphertext moves as it is, and no key is needed. Several sources go into one folder.
    """
    return _run(Environment(options, output), is_move=False, **arguments)


@click.command(
    cls=Command,
    short_help="Move to, from or within S3.",
    examples=(
        "s3ec mv report.pdf s3://payroll/2025/ --kms-key alias/payroll",
        "s3ec mv s3://payroll/in/ s3://payroll/done/ --recursive",
    ),
)
@_options
def mv(output: Output, options: Options, **arguments: Any) -> ExitCode:
    """Move to, from or within S3: copy, and then remove the source if it is still the one that was copied."""
    return _run(Environment(options, output), is_move=True, **arguments)


def _run(
    environment: Environment,
    *,
    is_move: bool,
    paths: tuple[str, ...],
    recursive: bool,
    dry_run: bool,
    allow_unencrypted: bool,
    follow_symlinks: bool,
    filters: Filters,
    writing: Writing,
    talk: Talk,
) -> ExitCode:
    ends = _ends(paths)
    _check(ends, recursive, bool(filters), environment.options, is_move)
    _check_writing(ends, writing, is_move)
    allow_unencrypted = environment.allows_unencrypted(allow_unencrypted)
    do_copy = copier(
        environment, ends[:-1], ends[-1], writing, allow_unencrypted, many=recursive or len(ends) > 2, dry_run=dry_run
    )
    plan = CopyPlan(
        client=do_copy.client,
        plain=environment.s3,
        sources=ends[:-1],
        target=ends[-1],
        recursive=recursive,
        filters=filters,
        follow=follow_symlinks,
    )

    def perform(step: Copy | Deletion, report: Report) -> None:
        if isinstance(step, Copy):
            do_copy(step, report)
            if is_move:
                _remove_source(do_copy.client, step)

    batch = Batch(
        output=environment.output,
        perform=perform,
        verbs=("moved", "would move") if is_move else ("copied", "would copy"),
        workers=environment.options.workers,
        dry_run=dry_run,
        uploads=watched(environment, do_copy),
        check=key_check(environment, ends[:-1], ends[-1]),
        quiet=talk.quiet,
        show_progress=talk.progress,
        again="The same command moves what is left."
        if is_move
        else "The same command copies everything again, `s3ec sync` what is missing.",
    )
    with located(paths[0] if len(paths) == 2 else ""):
        return batch.run_one(plan.single()) if plan.is_single else batch.run(plan.steps())


def copier(
    environment: Environment,
    sources: tuple[End, ...],
    target: End,
    writing: Writing,
    allow_unencrypted: bool,
    *,
    many: bool,
    dry_run: bool,
) -> Copier:
    """Return what copies between these ends, with the key and the server-side mode that it takes."""
    between = is_between(sources, target)
    mode = writing.mode
    if mode is None and isinstance(target.place, S3Url) and not dry_run:
        mode = upload_mode(environment.s3, target.place.bucket)
    more = {} if mode is None else {"server_side_encryption": mode}
    return Copier(
        client=environment.client(with_key=not between, **unencrypted(allow_unencrypted), **more),
        plain=environment.s3,
        read_context=environment.read_context,
        write_context=environment.write_context,
        writing=writing,
        allow_unencrypted=allow_unencrypted,
        # Many objects at a time need few requests each, or threads and buffers would multiply.
        config=TransferConfig(max_concurrency=3) if many else None,
    )


def is_between(sources: tuple[End, ...], target: End) -> bool:
    """True if ciphertext goes from bucket to bucket, and no key is needed."""
    return isinstance(target.place, S3Url) and all(isinstance(end.place, S3Url) for end in sources)


def key_check(environment: Environment, sources: tuple[End, ...], target: End) -> Callable[[], object]:
    """Return what refuses a key that is not there or is switched off: without it no object can succeed."""
    if is_between(sources, target):
        return lambda: None
    return lambda: check_key(environment.keyring_spec, environment.connection, session=environment.session)


def watched(environment: Environment, do_copy: Copier) -> OpenUploads:
    """Return the uploads that the copier has open at any moment."""
    uploads = OpenUploads(environment.s3)
    uploads.watch(do_copy.client)
    return uploads


def _remove_source(client: Any, step: Copy) -> None:
    """Remove what was moved, unless it has changed meanwhile.

    Raises:
        FailureError: it has changed.
    """
    if isinstance(step.source, S3Url):
        head = client.head_object(Bucket=step.source.bucket, Key=step.source.key)
        if step.version is not None and head["ETag"] != step.version:
            raise _changed(step)
        client.delete_object(Bucket=step.source.bucket, Key=step.source.key)
        return
    path = Path(step.source)
    if step.version is not None and file_version(path) != step.version:
        raise _changed(step)
    path.unlink()


def _changed(step: Copy) -> FailureError:
    message = f"{step.source} changed while it was moved: it stays, and so does the copy {step.target}"
    return FailureError(Failure(code=ExitCode.CONTENT, error="SourceChangedError", message=message))


def _ends(paths: tuple[str, ...]) -> tuple[End, ...]:
    if len(paths) < 2:
        raise click.UsageError("Missing argument 'TARGET'.", click.get_current_context())
    try:
        return tuple(End.parse(text) for text in paths)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error


def _check(ends: tuple[End, ...], recursive: bool, has_filters: bool, options: Options, is_move: bool) -> None:
    """Refuse what has no meaning, or two."""
    *sources, target = ends
    problem = _problem_of_streams(ends, recursive, options, is_move)
    if problem:
        pass
    elif not isinstance(target.place, S3Url) and not all(isinstance(end.place, S3Url) for end in sources):
        problem = "one end must be an S3 URL: s3://bucket/key"
    elif len(sources) > 1 and not target.is_folder:
        problem = f"several sources need a folder: {target.place}/"
    elif has_filters and not recursive:
        problem = "--include and --exclude need --recursive"
    else:
        problem = next(filter(None, (_problem_of(end, target, recursive, is_move) for end in sources)), "")
    if problem:
        raise click.UsageError(problem, click.get_current_context())


def _problem_of_streams(ends: tuple[End, ...], recursive: bool, options: Options, is_move: bool) -> str:
    places = [end.place for end in ends]
    if STANDARD_STREAM not in places:
        return ""
    if is_move:
        return "a standard stream cannot be moved: use `s3ec cp`"
    if recursive or len(ends) > 2:
        return "--recursive and several sources need a folder, not a standard stream"
    if places[1] == STANDARD_STREAM and options.json:
        return "standard output carries the content here: --json cannot"
    if places[0] == STANDARD_STREAM and ends[1].is_folder:
        return f"{places[1]} is a folder: standard input has no name to put there"
    return ""


def _problem_of(source: End, target: End, recursive: bool, is_move: bool) -> str:
    if isinstance(source.place, S3Url) and not source.place.key and not recursive:
        return f"{source.place} names a bucket; name an object, or use --recursive"
    if not (isinstance(source.place, S3Url) and isinstance(target.place, S3Url) and is_move):
        return ""
    if source.place.bucket != target.place.bucket:
        return ""
    if recursive and target.place.folder.startswith(source.place.folder):
        return f"{target.place} lies in {source.place}: what is moved there would be moved again"
    goes_to = target.place.key + source.place.key.rpartition("/")[2] if target.is_folder else target.place.key
    return f"{source.place} cannot be moved onto itself" if goes_to == source.place.key and not recursive else ""


def _check_writing(ends: tuple[End, ...], writing: Writing, is_move: bool) -> None:
    *sources, target = ends
    given = writing.given
    if not isinstance(target.place, S3Url) and given:
        raise click.UsageError(f"{given[0]} is for what is written to S3", click.get_current_context())
    if all(isinstance(end.place, S3Url) for end in sources) and "--no-guess-mime-type" in given:
        raise click.UsageError(
            "--no-guess-mime-type is for files: a copy within S3 keeps the type", click.get_current_context()
        )
    for source in sources:
        if not (isinstance(source.place, S3Url) and isinstance(target.place, S3Url)) or is_move or given:
            continue
        if source.place == target.place:
            raise click.UsageError(
                f"{source.place} is copied onto itself, and nothing about it changes", click.get_current_context()
            )
