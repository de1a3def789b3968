"""What ``s3ec demo`` shows and prints: tables for people, one document for programs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from s3ec.cli.output import Output, Table

__all__ = ["CODE", "DemoReport", "StoredFile", "Summary", "Tampering", "document", "write_report"]

CODE = """\
from s3ec import EncryptionClient, KmsKeyring

s3 = EncryptionClient(keyring=KmsKeyring("alias/my-key"))
with open("report.pdf", "rb") as body:
    s3.put_object(Bucket="my-bucket", Key="report.pdf", Body=body)
content = s3.get_object(Bucket="my-bucket", Key="report.pdf")["Body"].read()
"""
"""What a program writes to do the same; it names its own key, bucket and file."""

_SHOWN_FILES = 5
_SHOWN_CHARACTERS = 36
_SHOWN_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file as S3 stores it and as ``get_object`` returns it; lengths in bytes.

    Attributes:
        key: the object's key, the file's path below PATH.
        plaintext_bytes: length that the encrypting client returns.
        plaintext_head: its first bytes.
        plaintext_metadata: names of the user metadata that the encrypting client returns.
        stored_bytes: length that S3 stores.
        stored_head: first bytes that S3 stores.
        stored_metadata: names of the metadata that S3 stores.
        identical: True if what came back equals the file.
    """

    key: str
    plaintext_bytes: int
    plaintext_head: bytes
    plaintext_metadata: tuple[str, ...]
    stored_bytes: int
    stored_head: bytes
    stored_metadata: tuple[str, ...]
    identical: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """What a reader is told after one bit of a stored byte was flipped.

    Attributes:
        key: the object.
        offset: which stored byte was flipped, from 0.
        error: class of the refusal.
        message: its text.
    """

    key: str
    offset: int
    error: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers of a run; ``seconds`` counts uploads and downloads, not the start of the servers."""

    files: int
    bytes: int
    stored_bytes: int
    kms_calls: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """Everything that a run showed."""

    endpoint: str
    bucket: str
    kms_key: str
    files: tuple[StoredFile, ...]
    tampering: Tampering
    summary: Summary


def document(report: DemoReport) -> dict[str, Any]:
    """Return the report as data for JSON; the first bytes of content are hexadecimal."""
    return {**_jsonable(dataclasses.asdict(report)), "code": CODE.splitlines()}


def write_report(report: DemoReport, output: Output) -> None:
    """Write the report for people: per file both sides, the refusal, the sums, the code."""
    output.line(f"An S3 and a KMS answered on {report.endpoint}, on this machine; both are gone again.")
    for file in report.files[:_SHOWN_FILES]:
        output.line("")
        output.line(file.key)
        output.table(_side_by_side(file))
    if len(report.files) > _SHOWN_FILES:
        output.line("")
        output.line(f"… and {len(report.files) - _SHOWN_FILES:,} more files (--json lists all)")
    output.line("")
    output.line("The metadata hold the encrypted data key (x-amz-3), how it is wrapped (-w) and with which encryption")
    output.line(
        "context (-t), how the content is encrypted (-c), which key it commits to (-d), and its message ID (-i)."
    )
    tampering = report.tampering
    output.line("")
    output.line(f"One bit of stored byte {tampering.offset:,} of {tampering.key} was flipped. get_object now says:")
    output.line(f"  {tampering.error}: {tampering.message}")
    output.line("")
    output.table(_sums(report))
    output.line("")
    output.line("In Python:")
    output.line("")
    for line in CODE.splitlines():
        output.line(f"  {line}" if line else "")


def _side_by_side(file: StoredFile) -> Table:
    table = Table(columns=["", "what S3 stores", "what get_object returns"])
    table.add("size", f"{file.stored_bytes:,} bytes", f"{file.plaintext_bytes:,} bytes")
    table.add("content", _shown(file.stored_head), _shown(file.plaintext_head))
    table.add("metadata", _names(file.stored_metadata), _names(file.plaintext_metadata))
    table.add("", "", "the file, byte for byte" if file.identical else "NOT the bytes of the file")
    return table


def _sums(report: DemoReport) -> Table:
    summary = report.summary
    table = Table(columns=[">files", ">bytes", ">bytes stored", ">KMS calls", ">seconds"])
    table.add(
        f"{summary.files:,}",
        f"{summary.bytes:,}",
        f"{summary.stored_bytes:,}",
        f"{summary.kms_calls:,}",
        f"{summary.seconds:.2f}",
    )
    return table


def _names(names: tuple[str, ...]) -> str:
    return " ".join(names) or "none"


def _shown(head: bytes) -> str:
    """Return the first line if the content is text, else its first bytes in hexadecimal."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The head may end inside a character; any other fault means that it is not text.
        text = head[: error.start].decode("utf-8") if error.reason == "unexpected end of data" else ""
    line, _, rest = text.partition("\n")
    line = line.rstrip("\r")
    if line and line.isprintable():
        shown = line[:_SHOWN_CHARACTERS]
        return shown if shown == line and not rest else f"{shown}…"
    return head[:_SHOWN_BYTES].hex(" ") or "empty"


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _jsonable(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(member) for member in value]
    return value.hex() if isinstance(value, bytes) else value
