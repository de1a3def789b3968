"""An audit as tables and lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3ec.cli.output import Output, Table, human_bytes

__all__ = ["show"]

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
_ABOUT = {"account": "account", "identity": "seen as"}


def show(output: Output, document: Mapping[str, Any]) -> None:
    """Write one audit: its subject, the totals, the facts, and what to do."""
    output.line(f"s3://{document['bucket']}/{document['prefix']}")
    objects = document["objects"]
    output.line(f"{objects:,} object{'s' if objects != 1 else ''}, {human_bytes(document['bytes'])}")
    output.prose(" ".join(text for text in (document["verdict"]["text"], document["verdict"]["more"]) if text))
    output.table(_facts(document))
    for name, label in _ABOUT.items():
        if document.get(name):
            output.line(f"{label}: {document[name]}")
    for name, value in document["bucket_settings"].items():
        if value != "none":
            output.line(f"bucket {name.replace('_', ' ')}: {value}")
    _findings(output, "Would block a migration", document["blocks_migration"])
    _findings(output, "Still stops REQUIRE_ENCRYPT_REQUIRE_DECRYPT", document["blocks_require_decrypt"])
    if document["blocks_require_decrypt"]:
        output.prose("(the policy of readers that take only what commits to its key, which is the default in Python)")


def _facts(document: Mapping[str, Any]) -> Table:
    facts = Table(("What", "Which", ">Objects"))
    for name, title in _FACTS.items():
        counts = {**document[name], **({"unreadable": document["unreadable"]} if name == "formats" else {})}
        _add(facts, title, counts)
    facts.add("Instruction files", "", document["instruction_files"])
    versions = document["versions"]
    facts.add("Old versions", human_bytes(versions["noncurrent_bytes"]), versions["noncurrent"])
    _add(facts, "Formats of old versions", versions["noncurrent_formats"])
    facts.add("Delete markers", "", versions["delete_markers"])
    _add(facts, "Locks", document["locks"])
    return facts


def _add(facts: Table, title: str, counts: Mapping[str, int]) -> None:
    for value, count in counts.items():
        if count:
            facts.add(title, value, count)
            title = ""  # a heading stands once


def _findings(output: Output, title: str, findings: list[dict[str, Any]]) -> None:
    if not findings:
        output.line(f"{title}: nothing")
        return
    table = Table(("Reason", ">Objects", ">Bytes", "For example"), title=title, expendable=("Bytes", "For example"))
    for finding in findings:
        named = ", ".join(finding["examples"][:_NAMED])
        more = ", …" if finding["objects"] > _NAMED else ""
        table.add(finding["reason"], finding["objects"], human_bytes(finding["bytes"]), named + more)
    output.table(table.fitting(output.columns))
    # Outside the table, where no column breaks what is to be pasted.
    for finding in findings:
        output.prose(f"{finding['reason']}: {finding['advice']}")
        if finding["command"]:
            output.line(f"    {finding['command']}")
