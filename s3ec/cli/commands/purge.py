"""``s3ec purge-plaintext-versions``: the last step, on its own."""

from __future__ import annotations

import click

from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, combined, family_of, located
from s3ec.cli.listing import nothing_there
from s3ec.cli.options import Command, Options, accept_moved_option, shared_options
from s3ec.cli.output import Output, Table, human_bytes
from s3ec.cli.progress import Progress
from s3ec.cli.repeats import Repeats
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.migrate import Action, Location, MigrationSettings
from s3ec.migrate.jobs.purge import Purge, purge_plaintext_versions
from s3ec.migrate.work.key_check import check_keys

__all__ = ["purge"]

_FATES = {"would-remove": "removed", "kept": "kept"}


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
    help="Only show what would be removed, or (--execute) remove it.",
)
@click.option(
    "--history",
    is_flag=True,
    help="Also remove contents that no encrypted version holds: what was overwritten before it was encrypted.",
)
@accept_moved_option
@shared_options("key", "context", "connection", "json", "events", "yes")
@click.pass_obj
def purge(output: Output, options: Options, url: S3Url, dry_run: bool, history: bool, accept_moved: bool) -> ExitCode:
    """Remove old plaintext versions whose content a later, encrypted version holds; both are read and compared.

    Nothing is removed unless --execute is given. If any plaintext stays, the exit code is not zero.
    """
    environment = Environment(options, output)
    settings = MigrationSettings(
        action=Action.VERIFY,
        source=Location(bucket=url.bucket, prefix=url.key),
        keyring=environment.keyring_spec,
        encryption_context=dict(environment.settings.context) or None,
        accept_moved=accept_moved,
        allow_legacy=environment.settings.allow_legacy,
        connection=environment.connection,
    )
    environment.confirm(f"Remove old plaintext versions under {url} forever?", dry_run=dry_run)
    # Nothing can be compared without the key: say so once, before the first version.
    check_keys(settings, session=environment.session)
    entries: list[Purge] = []
    with located(str(url)), Progress.of(output, options, "examined") as progress:
        repeats = Repeats(progress.say)
        for entry in purge_plaintext_versions(settings, dry_run=dry_run, history=history):
            entries.append(entry)
            progress.advance(entry.size, failed=entry.leaves_undone)
            place = f"{url.with_key(entry.key)}?versionId={entry.version_id}"
            lines = repeats.lines(place, f"s3ec: {place} is kept: {entry.because}") if entry.leaves_undone else []
            progress.event(entry.to_dict(), "\n".join(lines))
        repeats.close()
        if (
            not entries
            and url.key
            and not environment.s3.list_object_versions(Bucket=url.bucket, Prefix=url.key, MaxKeys=1).get("Versions")
        ):
            raise nothing_there(url)
    _show(output, entries, dry_run)
    undone = [entry.error for entry in entries if entry.leaves_undone]
    return combined(family_of(error) if error else ExitCode.LEFT_UNDONE for error in undone)


def _show(output: Output, entries: list[Purge], dry_run: bool) -> None:
    if output.as_json:
        counts = {name: sum(entry.action == name for entry in entries) for name in ("removed", "would-remove", "kept")}
        versions = [entry.to_dict() for entry in entries]
        output.document({"dry_run": dry_run, "counts": counts, "versions": versions})
        return
    if dry_run:
        each = Table(("Key", "Version", ">Bytes", "Would be", "Reason"))
        for entry in entries:
            each.add(entry.key, entry.version_id, entry.size, _FATES[entry.action], entry.because)
        output.table(each)
    table = Table(("Old versions", ">Number", ">Bytes"))
    for name in ("removed", "would-remove", "kept"):
        found = [entry.size for entry in entries if entry.action == name]
        if found:
            table.add(name.replace("-", " "), len(found), human_bytes(sum(found)))
    output.table(table)
    if dry_run:
        output.line("nothing was removed: --execute removes")
