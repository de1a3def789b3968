"""``s3ec purge-plaintext-versions``: the last step, on its own."""

from __future__ import annotations

import click

from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, located
from s3ec.cli.listing import nothing_there
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output, Table, human_bytes
from s3ec.cli.progress import Progress
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.migrate import Action, Location, MigrationSettings
from s3ec.migrate.purge import Purge, purge_plaintext_versions

__all__ = ["purge"]


@click.command(
    cls=Command,
    short_help="Remove old plaintext versions that an encrypted one replaced.",
    examples=(
        "s3ec purge-plaintext-versions s3://payroll --kms-key alias/payroll",
        "s3ec purge-plaintext-versions s3://payroll --kms-key alias/payroll --execute",
    ),
)
@click.argument("url", type=S3_URL)
@click.option(
    "--dry-run/--no-dry-run",
    " /--execute",
    default=True,
    show_default=True,
    help="Only say what would be removed, or (--execute) remove it.",
)
@shared_options("key", "connection", "json", "events", "yes")
@click.pass_obj
def purge(output: Output, options: Options, url: S3Url, dry_run: bool) -> ExitCode:
    """Remove old plaintext versions of objects whose later version is encrypted and has just been verified.

    Nothing is removed unless --execute is given. Old versions that stay although they are plaintext end it non-zero.
    """
    environment = Environment(options, output)
    settings = MigrationSettings(
        action=Action.VERIFY,
        source=Location(bucket=url.bucket, prefix=url.key),
        keyring=environment.keyring_spec,
        allow_legacy=environment.settings.allow_legacy,
        connection=environment.connection,
    )
    environment.confirm(f"Remove old plaintext versions under {url} for ever?", dry_run=dry_run)
    entries: list[Purge] = []
    with located(str(url)), Progress.of(output, options, "examined") as progress:
        for entry in purge_plaintext_versions(settings, dry_run=dry_run):
            entries.append(entry)
            progress.advance(entry.size, failed=entry.leaves_undone)
            line = f"s3ec: {url.with_key(entry.key)}?versionId={entry.version_id} is kept: {entry.because}"
            progress.event(entry.to_dict(), line if entry.leaves_undone else "")
        if (
            not entries
            and url.key
            and not environment.s3.list_object_versions(Bucket=url.bucket, Prefix=url.key, MaxKeys=1).get("Versions")
        ):
            raise nothing_there(url)
    _show(output, entries, dry_run)
    return ExitCode.LEFT_UNDONE if any(entry.leaves_undone for entry in entries) else ExitCode.DONE


def _show(output: Output, entries: list[Purge], dry_run: bool) -> None:
    if output.as_json:
        counts = {name: sum(entry.action == name for entry in entries) for name in ("removed", "would-remove", "kept")}
        versions = [entry.to_dict() for entry in entries]
        output.document({"dry_run": dry_run, "counts": counts, "versions": versions})
        return
    table = Table(("Old versions", ">Number", ">Bytes"))
    for name in ("removed", "would-remove", "kept"):
        found = [entry.size for entry in entries if entry.action == name]
        if found:
            table.add(name.replace("-", " "), len(found), human_bytes(sum(found)))
    output.table(table)
    if dry_run:
        output.line("nothing was removed: --execute removes")
