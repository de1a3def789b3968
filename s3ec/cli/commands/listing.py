"""``s3ec ls``: what is there, and how each object is encrypted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, located
from s3ec.cli.listing import nothing_there
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output, Table, human_bytes
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.migrate.audit.survey import SurveyedObject, bounded_map
from s3ec.migrate.audit.survey_object import INSTRUCTION_FILE, SUFFIXES, UNREADABLE, Entry, look_at_entry
from s3ec.migrate.work.pages import pages

__all__ = ["ls"]


@click.command(
    cls=Command,
    short_help="List objects, and how each is encrypted.",
    examples=(
        "s3ec ls",
        "s3ec ls s3://payroll/2025/ --human-readable",
        "s3ec ls s3://payroll --recursive --json",
        "s3ec ls s3://payroll --recursive --fast",
    ),
)
@click.argument("url", type=S3_URL, required=False)
@click.option("--recursive", is_flag=True, help="List everything under the prefix, not one level.")
@click.option("--human-readable", is_flag=True, help="Show sizes with units.")
@click.option("--summarize", is_flag=True, help="Add totals.")
@click.option(
    "--fast", "--no-head", "fast", is_flag=True, help="Show the listing only: stored sizes, no HEAD for each object."
)
@shared_options("connection", "workers", "json")
@click.pass_obj
def ls(
    output: Output,
    options: Options,
    url: S3Url | None,
    recursive: bool,
    human_readable: bool,
    summarize: bool,
    fast: bool,
) -> ExitCode:
    """List objects with sizes, format, wrapping and server-side mode; without a URL, list buckets.

    Size is the plaintext's, Stored what S3 keeps. One HEAD for each object, or none with --fast.
    """
    client = Environment(options, output).s3
    if url is None:
        _buckets(client, output)
        return ExitCode.DONE
    with located(str(url)):
        prefixes, entries = _list(client, url, recursive)
        keys = {entry.key for entry in entries if entry.key.endswith(SUFFIXES)}

        def look(entry: Entry) -> SurveyedObject:
            return listed(entry) if fast else look_at_entry(client, url.bucket, entry, keys)

        found = list(bounded_map(look, entries, workers=options.workers))
    if not found and not prefixes and url.key:
        raise nothing_there(url)
    if output.as_json:
        output.document(_document(url, prefixes, found, fast))
    else:
        # One level is shown by the names within it, everything by whole keys: as `aws s3 ls` does.
        cut = 0 if recursive else url.key.rfind("/") + 1
        output.table(_table(prefixes, found, cut, human_readable, fast).fitting(output.columns))
        if summarize:
            _totals(output, found, human_readable)
    unreadable = [each for each in found if each.format == UNREADABLE]
    for each in unreadable:
        output.note(f"s3ec: {url.with_key(each.key)}: {each.problem}")
    return ExitCode.LEFT_UNDONE if unreadable else ExitCode.DONE


def listed(entry: Entry) -> SurveyedObject:
    """Return a row of the listing as it is; its format is not known."""
    modified = entry.last_modified.isoformat() if entry.last_modified else None
    return SurveyedObject(
        key=entry.key,
        size=entry.size,
        etag=entry.etag,
        last_modified=modified,
        storage_class=entry.storage_class or "STANDARD",
    )


def _totals(output: Output, found: list[SurveyedObject], human: bool) -> None:
    def size(number: int) -> object:
        return human_bytes(number) if human else number

    plaintext = [each.plaintext_size for each in found]
    if found and None not in plaintext:
        output.line(f"Total Plaintext: {size(sum(number or 0 for number in plaintext))}")
    # Last, as `aws s3 ls --summarize` has them: scripts read the end.
    output.line(f"Total Objects: {len(found)}")
    output.line(f"Total Size: {size(sum(each.size for each in found))}")


def _buckets(client: Any, output: Output) -> None:
    rows = client.list_buckets()["Buckets"]
    if output.as_json:
        output.document({"buckets": [{"bucket": row["Name"], "created": row["CreationDate"]} for row in rows]})
        return
    for row in rows:
        output.line(f"{row['CreationDate']:%Y-%m-%d %H:%M:%S} {row['Name']}")


def _list(client: Any, url: S3Url, recursive: bool) -> tuple[list[str], list[Entry]]:
    arguments = {"Bucket": url.bucket, "Prefix": url.key}
    if not recursive:
        arguments["Delimiter"] = "/"
    prefixes: list[str] = []
    entries: list[Entry] = []
    for page in pages(client, "list_objects_v2", **arguments):
        prefixes += [row["Prefix"] for row in page.get("CommonPrefixes", ())]
        entries += [
            Entry(row["Key"], row["Size"], row.get("ETag"), row.get("LastModified"), row.get("StorageClass"))
            for row in page.get("Contents", ())
        ]
    return prefixes, entries


_KNOWN_FAST = ("key", "size", "etag", "last_modified", "storage_class")


def _document(url: S3Url, prefixes: list[str], found: list[SurveyedObject], fast: bool) -> dict[str, Any]:
    objects = [each.to_dict() for each in found]
    if fast:
        objects = [{name: each[name] for name in _KNOWN_FAST if name in each} for each in objects]
    return {"bucket": url.bucket, "prefix": url.key, "prefixes": prefixes, "objects": objects}


def _table(prefixes: list[str], found: list[SurveyedObject], cut: int, human: bool, fast: bool) -> Table:
    def size(number: int | None) -> object:
        return "-" if number is None else human_bytes(number) if human else number

    columns: tuple[str, ...] = ("Modified", ">Stored", "Class", "Name")
    if not fast:
        columns = ("Modified", ">Size", ">Stored", "Format", "Wrapping", "Server side", "Name")
    table = Table(
        columns, expendable=("Wrapping", "Server side", "Stored" if not fast else "Class", "Modified", "Format")
    )
    for prefix in prefixes:
        table.add(*[""] * (len(columns) - 1), prefix[cut:])
    for each in found:
        modified = (each.last_modified or "")[:19].replace("T", " ")
        about = [size(each.size), each.storage_class]
        if not fast:
            about = [size(each.plaintext_size), size(each.size), *_encryption(each)]
        table.add(modified, *about, each.key[cut:])
    return table


def _encryption(found: SurveyedObject) -> Iterator[str]:
    where = " (file)" if found.metadata_location == "instruction_file" else ""
    yield {INSTRUCTION_FILE: "instruction file"}.get(found.format, found.format) + where
    yield found.wrapping_algorithm or "-"
    yield found.server_side_encryption
