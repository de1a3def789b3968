"""S3 Inventory reports: CSV, ORC and Parquet, read by the columns that the manifest names, checksums verified.

An Inventory is a day or a week old. It says which objects to look at; each task then looks at the object itself.
Source: Amazon S3 user guide, "Amazon S3 Inventory list" and "Locating your inventory list".
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import unquote, unquote_plus

from botocore.exceptions import ClientError

from s3ec.errors import MigrationError
from s3ec.migrate.model import Task
from s3ec.migrate.work.ending import code_of
from s3ec.s3.answers import NO_SUCH_OBJECT

__all__ = ["InventoryReport"]

_BLOCK = 2**20
# The three formats name one column in two ways.
_COLUMNS = {
    "bucket": "bucket",
    "key": "key",
    "versionid": "version_id",
    "islatest": "is_latest",
    "isdeletemarker": "is_delete_marker",
    "size": "size",
    "lastmodifieddate": "last_modified",
    "etag": "etag",
    "storageclass": "storage_class",
}
_FORMATS = ("CSV", "ORC", "PARQUET")


@dataclass(slots=True)
class InventoryReport:
    """One report, found by its manifest.

    Attributes:
        client: a plain boto3 S3 client that may read the report, and for CSV the source bucket's HEAD.
        manifest_bucket: where the report lies.
        manifest_key: key of its ``manifest.json``.
        bucket: the source bucket that the job is for; a report of another bucket is refused.
        prefix: literal beginning of the keys to take.
    """

    client: Any
    manifest_bucket: str
    manifest_key: str
    bucket: str
    prefix: str = ""
    is_complete: bool = False
    is_live: bool = False

    def __iter__(self) -> Iterator[Task]:
        """One task for every current object that the report names.

        Raises:
            s3ec.errors.MigrationError: the report is of another bucket, damaged, or in a format that cannot be read.
            botocore.exceptions.ClientError: a file of it is missing.
        """
        manifest = self._manifest()
        file_format = str(manifest["fileFormat"]).upper()
        columns = _columns(str(manifest.get("fileSchema", "")), file_format)
        for entry in manifest.get("files", []):
            with tempfile.TemporaryFile() as file:
                self._fetch(entry, file)
                for row in _rows(file, file_format, columns):
                    task = self._task(row, encoded=file_format == "CSV")
                    if task is not None:
                        yield task

    def _manifest(self) -> Mapping[str, Any]:
        body: bytes = self.client.get_object(Bucket=self.manifest_bucket, Key=self.manifest_key)["Body"].read()
        checksum_key = re.sub(r"manifest\.json$", "manifest.checksum", self.manifest_key)
        expected = self.client.get_object(Bucket=self.manifest_bucket, Key=checksum_key)["Body"].read().decode().strip()
        if hashlib.md5(body, usedforsecurity=False).hexdigest() != expected:
            raise MigrationError(f"{self.manifest_key} does not have the MD5 that manifest.checksum names")
        manifest: dict[str, Any] = json.loads(body)
        if manifest.get("sourceBucket") != self.bucket:
            raise MigrationError(
                f"the inventory is of {manifest.get('sourceBucket')}, but the job is for {self.bucket}"
            )
        if str(manifest.get("fileFormat")).upper() not in _FORMATS:
            raise MigrationError(f"inventories in {manifest.get('fileFormat')} cannot be read")
        return manifest

    def _fetch(self, entry: Mapping[str, Any], file: IO[bytes]) -> None:
        checksum = hashlib.md5(usedforsecurity=False)
        with closing(self.client.get_object(Bucket=self.manifest_bucket, Key=entry["key"])["Body"]) as body:
            while block := body.read(_BLOCK):
                checksum.update(block)
                file.write(block)
        if checksum.hexdigest() != entry["MD5checksum"]:
            raise MigrationError(f"{entry['key']} does not have the MD5 that its manifest names")
        file.seek(0)

    def _task(self, row: Mapping[str, Any], *, encoded: bool) -> Task | None:
        if _truth(row.get("is_delete_marker")) or not _truth(row.get("is_latest", True)):
            return None
        key = self._decoded(str(row["key"])) if encoded else str(row["key"])
        if not key.startswith(self.prefix):
            return None
        # A report of all versions shows the null version by an empty id.
        has_versions = "version_id" in row
        return Task(
            bucket=self.bucket,
            key=key,
            version_id=(row["version_id"] or "null") if has_versions else None,
            etag=f'"{row["etag"]}"' if row.get("etag") else None,
            size=int(row["size"]) if row.get("size") not in (None, "") else None,
            last_modified=_moment(row.get("last_modified")),
            storage_class=row.get("storage_class") or None,
        )

    def _decoded(self, text: str) -> str:
        """Undo the URL encoding; where a plus sign may be meant, S3 says which key exists."""
        form = unquote_plus(text)
        if "+" not in text:
            return form
        for key in (form, unquote(text)):
            try:
                self.client.head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if code_of(error) not in NO_SUCH_OBJECT:
                    return form
            else:
                return key
        return form


def _columns(schema: str, file_format: str) -> list[str]:
    """Our names of the columns that a ``fileSchema`` lists, in its order; others keep theirs."""
    if file_format == "CSV":
        names = [name.strip() for name in schema.split(",")]
    elif file_format == "ORC":
        names = re.findall(r"[<,]\s*(\w+)\s*:", schema)
    else:
        names = re.findall(r"(?:required|optional)\s+\w+\s+(\w+)", schema)
    columns = [_COLUMNS.get(name.replace("_", "").lower(), name) for name in names]
    if "key" not in columns:
        raise MigrationError(f"the inventory's fileSchema names no key: {schema!a}")
    return columns


def _rows(file: IO[bytes], file_format: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    if file_format == "CSV":
        with gzip.open(file) as plain, io.TextIOWrapper(plain, encoding="utf-8", newline="") as text:
            for row in csv.reader(text):
                if len(row) != len(columns):
                    raise MigrationError(
                        f"a row of the inventory has {len(row)} columns; its schema has {len(columns)}"
                    )
                yield dict(zip(columns, row, strict=True))
        return
    for batch in _batches(file, file_format):
        names = [_COLUMNS.get(name.replace("_", "").lower(), name) for name in batch.schema.names]
        if missing := sorted(set(columns) - set(names)):
            raise MigrationError(f"the inventory's file lacks columns of its schema: {', '.join(missing)}")
        for row in batch.rename_columns(names).to_pylist():
            yield row


def _batches(file: IO[bytes], file_format: str) -> Iterator[Any]:
    """Record batches, one row group or stripe at a time."""
    try:
        from pyarrow import orc, parquet
    except ImportError as error:
        raise MigrationError(
            f"reading an inventory in {file_format} takes pyarrow: pip install 's3ec[inventory]'"
        ) from error
    if file_format == "PARQUET":
        yield from parquet.ParquetFile(file).iter_batches()
        return
    report = orc.ORCFile(file)
    yield from (report.read_stripe(number) for number in range(report.nstripes))


def _truth(value: object) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _moment(value: Any) -> str | None:
    if value in (None, ""):
        return None
    return value if isinstance(value, str) else str(value.isoformat())
