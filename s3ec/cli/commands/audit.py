"""``s3ec audit``: what is in a bucket, for people, programs and auditors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from s3ec.cli.environment import Environment
from s3ec.cli.failures import located
from s3ec.cli.listing import nothing_there
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output, Table, human_bytes
from s3ec.cli.progress import Progress
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.migrate.report import Audit
from s3ec.migrate.survey import Survey

__all__ = ["audit"]

_NAMED = 3
_FACTS = {
    "formats": "Formats",
    "wrapping_algorithms": "Wrapping algorithms",
    "kms_keys": "KMS keys named by the metadata",
    "server_side_encryption": "Server-side encryption",
    "server_side_kms_keys": "Server-side KMS keys",
    "storage_classes": "Storage classes",
    "sizes": "Sizes",
}


@click.command(
    cls=Command,
    short_help="Say what is in a bucket, and what would block a migration.",
    examples=(
        "s3ec audit s3://payroll",
        "s3ec audit s3://payroll --html audit.html --json > audit.json",
    ),
)
@click.argument("url", type=S3_URL)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the page, too.")
@click.option("--all-versions", is_flag=True, help="Look at old versions one by one, too.")
@shared_options("connection", "workers", "json")
@click.pass_obj
def audit(output: Output, options: Options, url: S3Url, html: Path | None, all_versions: bool) -> None:
    """Survey a bucket: formats, keys, server-side modes, versions, locks; what would block a migration.

    Needs no key, decrypts nothing and writes nothing.
    """
    client = Environment(options, output).s3
    survey = Survey(client, url.bucket, url.key, workers=options.workers, all_versions=all_versions)
    with located(str(url)), Progress.of(output, options, "audited") as progress:
        result = Audit.begin(survey)
        for found in survey:
            result.add(found)
            progress.advance(found.size)
        result.close(survey)
    if url.key and not result.objects and not result.instruction_files and not survey.noncurrent:
        raise nothing_there(url)
    document = result.document()
    if html is not None:
        from s3ec.migrate.report_page import page

        html.write_text(page(document), encoding="utf-8")
        output.note(f"s3ec: the page is in {html}")
    if output.as_json:
        output.document(document)
    else:
        _show(output, document)


def _show(output: Output, document: Mapping[str, Any]) -> None:
    output.line(f"s3://{document['bucket']}/{document['prefix']}")
    output.line(f"{document['objects']} objects, {human_bytes(document['bytes'])}")
    facts = Table(("What", "Which", ">Objects"))
    for name, title in _FACTS.items():
        counts = {**document[name], **({"unreadable": document["unreadable"]} if name == "formats" else {})}
        for value, count in counts.items():
            if count:
                facts.add(title, value, count)
                title = ""  # noqa: PLW2901 - a heading stands once
    facts.add("Instruction files", "", document["instruction_files"])
    versions = document["versions"]
    facts.add("Old versions", human_bytes(versions["noncurrent_bytes"]), versions["noncurrent"])
    facts.add("Delete markers", "", versions["delete_markers"])
    for value, count in document["locks"].items():
        facts.add("Locks", value, count)
    output.table(facts)
    for name, value in document["bucket_settings"].items():
        if value != "none":
            output.line(f"bucket {name.replace('_', ' ')}: {value}")
    _findings(output, "Would block a migration", document["blocks_migration"])
    _findings(output, "Still stops REQUIRE_ENCRYPT_REQUIRE_DECRYPT", document["blocks_require_decrypt"])


def _findings(output: Output, title: str, findings: list[dict[str, Any]]) -> None:
    if not findings:
        output.line(f"{title}: nothing")
        return
    table = Table(("Reason", ">Objects", ">Bytes", "For example", "What to do"), title=title)
    for finding in findings:
        named = ", ".join(finding["examples"][:_NAMED])
        more = ", …" if finding["objects"] > _NAMED else ""
        table.add(finding["reason"], finding["objects"], human_bytes(finding["bytes"]), named + more, finding["advice"])
    output.table(table)
