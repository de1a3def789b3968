"""Which objects a pipeline is not to let pass, and the whole list of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TextIO
from urllib.parse import quote

from s3ec.algorithms import AlgorithmSuite, WrappingAlgorithm
from s3ec.migrate.audit.survey_object import INSTRUCTION_FILE, PLAINTEXT, UNREADABLE, SurveyedObject

__all__ = ["CONDITIONS", "ListWriter", "csv_writer", "json_writer", "matches"]

_LEGACY_WRAPPINGS = frozenset(each.label for each in WrappingAlgorithm if each.is_legacy)
_LEGACY_SUITES = frozenset(each.name for each in AlgorithmSuite if each.is_legacy)

CONDITIONS: Mapping[str, Callable[[SurveyedObject], bool]] = {
    "plaintext": lambda found: found.format == PLAINTEXT,
    "v1": lambda found: found.format == "V1",
    "v2": lambda found: found.format == "V2",
    "legacy": lambda found: (
        found.format == "V1" or found.algorithm_suite in _LEGACY_SUITES or found.wrapping_algorithm in _LEGACY_WRAPPINGS
    ),
    "cbc": lambda found: "CBC" in (found.algorithm_suite or ""),
    "non-committing": lambda found: found.format != "V3",
    "forged": lambda found: found.error == "ConflictingMetadataError",
    "unreadable": lambda found: found.format == UNREADABLE,
}
"""What can be told from headers, by the word that stands for it. An instruction file is not an object of its own."""

COLUMNS = (
    "bucket", "key", "version_id", "is_current", "matched", "format", "size", "last_modified", "etag",
    "algorithm_suite", "wrapping_algorithm", "metadata_location", "server_side_encryption", "storage_class", "problem",
)  # fmt: skip


def matches(found: SurveyedObject, conditions: Collection[str]) -> list[str]:
    """Return the conditions that are true of one object.

    An object that cannot be read matches ``"unreadable"`` whatever was asked for: it may be the very thing that was
    looked for, and a check that passes over it would prove nothing.
    """
    if found.format == INSTRUCTION_FILE or not conditions:
        return []
    matched = [name for name in CONDITIONS if name in conditions and CONDITIONS[name](found)]
    return matched or ([UNREADABLE] if found.format == UNREADABLE else [])


class ListWriter(Protocol):
    """Writes one object of the list."""

    def __call__(self, bucket: str, found: SurveyedObject, matched: Collection[str]) -> None:
        """Write it."""


def json_writer(stream: TextIO) -> ListWriter:
    """One JSON document a line; ``migrate --keys FILE.jsonl`` takes such a list of current objects."""

    def write(bucket: str, found: SurveyedObject, matched: Collection[str]) -> None:
        row = {name: value for name, value in _row(bucket, found, matched).items() if value is not None}
        stream.write(json.dumps(row) + "\n")

    return write


def csv_writer(stream: TextIO) -> ListWriter:
    """A table with a heading; keys are percent-encoded as in S3 Inventory: spreadsheets run what begins with ``=``."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)

    def write(bucket: str, found: SurveyedObject, matched: Collection[str]) -> None:
        row = _row(bucket, found, matched)
        texts = {**row, "key": quote(found.key, safe="/"), "matched": " ".join(matched)}
        writer.writerow(_cell(texts[name]) for name in COLUMNS)

    return write


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _row(bucket: str, found: SurveyedObject, matched: Collection[str]) -> dict[str, Any]:
    known = {name: getattr(found, name) for name in COLUMNS if name not in ("bucket", "matched")}
    if found.format in (PLAINTEXT, UNREADABLE):
        known["etag"] = None  # of plaintext it is the MD5, and lists are kept and passed on
    return {"bucket": bucket, **known, "matched": list(matched)}
