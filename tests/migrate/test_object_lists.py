"""Lists of objects: every source's own way to write a key, a version and a checksum."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from s3ec.errors import MigrationError
from s3ec.migrate import InventoryReport, KeyFile, ListedObjects, ListedVersions

from support.aws import keep_versions

KEYS = ["a b", "a+b", "a%2Bb", "a%20b", "ünï/😀", "line\nfeed", "\x01", "dir/", 'quo"te,comma', "x" * 1024]
STORABLE = [key for key in KEYS if key.isprintable()]  # moto does not list control characters
CSV_SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
ORC_SCHEMA = (
    "struct<bucket:string,key:string,version_id:string,is_latest:boolean,is_delete_marker:boolean,size:bigint,"
    "last_modified_date:timestamp,e_tag:string,storage_class:string>"
)
PARQUET_SCHEMA = (
    "message s3.inventory { required binary bucket (UTF8); required binary key (UTF8);"
    " optional binary version_id (UTF8); optional boolean is_latest; optional boolean is_delete_marker;"
    " optional int64 size; optional int64 last_modified_date (TIMESTAMP_MILLIS); optional binary e_tag (UTF8);"
    " optional binary storage_class (UTF8); }"
)


@pytest.mark.slow
def test_listings_give_keys_as_they_are(bucket: str, plain_s3: Any) -> None:
    """ListObjectsV2 and ListObjectVersions give each key, ETag and size; delete markers are not objects."""
    keep_versions(plain_s3, bucket)
    for key in STORABLE:
        plain_s3.put_object(Bucket=bucket, Key=key, Body=b"old")
        plain_s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    plain_s3.put_object(Bucket=bucket, Key="gone", Body=b"x")
    plain_s3.delete_object(Bucket=bucket, Key="gone")
    listed = list(ListedObjects(plain_s3, bucket))
    assert sorted(task.key for task in listed) == sorted(STORABLE)
    for task in listed:
        assert task.size == len(task.key.encode())
        assert task.etag == f'"{hashlib.md5(task.key.encode(), usedforsecurity=False).hexdigest()}"'
    current = list(ListedVersions(plain_s3, bucket, current_only=True))
    assert {(task.key, task.etag) for task in current} == {(task.key, task.etag) for task in listed}
    assert len(list(ListedVersions(plain_s3, bucket))) == 2 * len(STORABLE) + 1


def test_a_prefix_is_literal(bucket: str, plain_s3: Any) -> None:
    """Only keys that begin with it are listed."""
    for key in ("a/1", "a/2", "ab", "b"):
        plain_s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert [task.key for task in ListedObjects(plain_s3, bucket, "a/")] == ["a/1", "a/2"]


def test_a_null_version_is_named_null(bucket: str, plain_s3: Any) -> None:
    """What was written before versioning has the version ``null``."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"")
    keep_versions(plain_s3, bucket)
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"")
    versions = [task.version_id for task in ListedVersions(plain_s3, bucket)]
    assert len(versions) == 2
    assert versions[1] == "null"


def _rows(bucket: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, key in enumerate(KEYS):
        rows.append(
            {
                "bucket": bucket, "key": key, "version_id": "" if number % 2 else f"v{number}", "is_latest": True,
                "is_delete_marker": False, "size": number, "last_modified_date": None, "e_tag": f"{number:032x}",
                "storage_class": "STANDARD",
            }
        )  # fmt: skip
    return [
        *rows,
        rows[0] | {"key": "old", "is_latest": False},
        rows[0] | {"key": "deleted", "is_delete_marker": True, "size": None},
    ]


def _encoded(rows: list[dict[str, Any]], file_format: str) -> bytes:
    if file_format == "CSV":
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        for row in rows:
            fields = {**row, "key": quote_plus(row["key"], safe="/")}
            writer.writerow(str(v).lower() if isinstance(v, bool) else "" if v is None else v for v in fields.values())
        return gzip.compress(text.getvalue().encode())
    pyarrow = pytest.importorskip("pyarrow", reason="inventories in ORC and Parquet are read by pyarrow")
    from pyarrow import orc, parquet

    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "last_modified_date"}
    table = pyarrow.table({**columns, "last_modified_date": pyarrow.array([None] * len(rows), pyarrow.timestamp("ms"))})
    buffer = io.BytesIO()
    (orc if file_format == "ORC" else parquet).write_table(table, buffer)
    return buffer.getvalue()


def _report(plain_s3: Any, bucket: str, file_format: str, **changes: Any) -> str:
    """Store an inventory of the bucket in itself; returns the manifest's key."""
    data = _encoded(_rows(bucket), file_format)
    schema = {"CSV": CSV_SCHEMA, "ORC": ORC_SCHEMA, "Parquet": PARQUET_SCHEMA}[file_format]
    checksum = hashlib.md5(data, usedforsecurity=False).hexdigest()
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "version": "2016-11-30",
        "fileFormat": file_format,
        "fileSchema": schema,
        "files": [{"key": "inventory/data/1", "size": len(data), "MD5checksum": checksum}],
        **changes,
    }
    body = json.dumps(manifest).encode()
    plain_s3.put_object(Bucket=bucket, Key="inventory/data/1", Body=data)
    plain_s3.put_object(Bucket=bucket, Key="inventory/manifest.json", Body=body)
    plain_s3.put_object(
        Bucket=bucket,
        Key="inventory/manifest.checksum",
        Body=hashlib.md5(body, usedforsecurity=False).hexdigest().encode(),
    )
    return "inventory/manifest.json"


@pytest.mark.parametrize("file_format", ["CSV", "ORC", "Parquet"])
def test_an_inventory_is_read_by_its_schema(file_format: str, bucket: str, plain_s3: Any) -> None:
    """Keys, null versions, ETags and sizes come out alike from every format; old versions and markers do not."""
    for key in STORABLE:
        plain_s3.put_object(Bucket=bucket, Key=key, Body=b"")
    tasks = list(InventoryReport(plain_s3, bucket, _report(plain_s3, bucket, file_format), bucket))
    assert [task.key for task in tasks] == KEYS
    assert [task.version_id for task in tasks[:2]] == ["v0", "null"]
    assert [(task.size, task.etag) for task in tasks[:2]] == [(0, f'"{0:032x}"'), (1, f'"{1:032x}"')]
    only = InventoryReport(plain_s3, bucket, "inventory/manifest.json", bucket, prefix="dir/")
    assert [task.key for task in only] == ["dir/"]


def test_s3_decides_what_a_plus_sign_means(bucket: str, plain_s3: Any) -> None:
    """Where the decoder of forms gives a key that does not exist, the other reading is taken."""
    plain_s3.put_object(Bucket=bucket, Key="plus+sign", Body=b"")
    rows = [_rows(bucket)[0] | {"key": "plus+sign"}]
    text = io.StringIO()
    csv.writer(text).writerow(str(value) for value in rows[0].values())
    data = gzip.compress(text.getvalue().encode())
    plain_s3.put_object(Bucket=bucket, Key="plus.csv.gz", Body=data)
    files = [{"key": "plus.csv.gz", "MD5checksum": hashlib.md5(data, usedforsecurity=False).hexdigest()}]
    manifest = _report(plain_s3, bucket, "CSV", files=files)
    assert [task.key for task in InventoryReport(plain_s3, bucket, manifest, bucket)] == ["plus+sign"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"sourceBucket": "another"}, "inventory is of another"),
        ({"fileFormat": "XML"}, "cannot be read"),
        ({"fileSchema": "Bucket, Size"}, "names no key"),
        ({"fileSchema": "Bucket, Key"}, "columns"),
        ({"files": [{"key": "inventory/data/1", "MD5checksum": "0" * 32}]}, "does not have the MD5"),
    ],
)
def test_a_report_that_is_not_what_it_says_is_refused(
    broken: dict[str, Any], message: str, bucket: str, plain_s3: Any
) -> None:
    """Another bucket's report, a damaged one, or one that nobody can read is an error, never half a list."""
    manifest = _report(plain_s3, bucket, "CSV", **broken)
    with pytest.raises(MigrationError, match=message):
        list(InventoryReport(plain_s3, bucket, manifest, bucket))


def test_a_damaged_manifest_is_refused(bucket: str, plain_s3: Any) -> None:
    """The manifest itself has a checksum beside it."""
    manifest = _report(plain_s3, bucket, "CSV")
    plain_s3.put_object(Bucket=bucket, Key="inventory/manifest.checksum", Body=b"0" * 32)
    with pytest.raises(MigrationError, match=r"manifest\.checksum"):
        list(InventoryReport(plain_s3, bucket, manifest, bucket))


def test_a_file_of_keys_is_taken_literally(tmp_path: Path) -> None:
    """One key a line as it is; keys with line feeds are parted by NUL."""
    plain = [key for key in KEYS if "\n" not in key]
    path = tmp_path / "keys.txt"
    path.write_bytes("\n".join(plain).encode() + b"\n")
    assert [task.key for task in KeyFile(str(path), "b")] == plain
    path.write_bytes("\0".join(KEYS).encode())
    assert [task.key for task in KeyFile(str(path), "b")] == KEYS
    path.write_bytes(b"a\r\nb\r\n")
    assert [task.key for task in KeyFile(str(path), "b")] == ["a", "b"]


def test_a_manifest_of_batch_operations_is_decoded(tmp_path: Path) -> None:
    """Its CSV has URL-encoded keys and, for all or none, versions."""
    path = tmp_path / "manifest.csv"
    path.write_text("".join(f'"b","{quote(key)}","v1"\n' for key in KEYS))
    tasks = list(KeyFile(str(path), "b"))
    assert [task.key for task in tasks] == KEYS
    assert {task.version_id for task in tasks} == {"v1"}


def test_json_lines_may_name_etags(tmp_path: Path) -> None:
    """One JSON object a line, with whatever of a task is known."""
    path = tmp_path / "keys.jsonl"
    path.write_text("".join(json.dumps({"key": key, "etag": '"1"'}) + "\n" for key in KEYS))
    assert [(task.key, task.etag) for task in KeyFile(str(path), "b")] == [(key, '"1"') for key in KEYS]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "other,key\n"), ("a.csv", "lonely\n"), ("a.jsonl", "not json\n"), ("a.jsonl", '{"kye": "x"}\n')],
)
def test_a_bad_line_is_named(name: str, text: str, tmp_path: Path) -> None:
    """A line that is not what its file's shape has stops the job and is named."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(MigrationError, match=f"{name}:1"):
        list(KeyFile(str(path), "b"))


def test_an_absent_file_is_an_error(tmp_path: Path) -> None:
    """It is never taken for an empty list."""
    with pytest.raises(MigrationError, match="cannot read"):
        list(KeyFile(str(tmp_path / "absent"), "b"))
