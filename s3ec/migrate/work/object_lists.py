"""Where tasks come from: listings, S3 Inventory, a file of keys. Each source has its own way to write a key.

ListObjectsV2 and ListObjectVersions come through boto3, which asks S3 to URL-encode keys and decodes them again. An
Inventory in CSV is URL-encoded as forms are (a blank is ``+``); in ORC and Parquet keys stand as they are. A file of
keys says itself what it holds.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote_plus

from s3ec.errors import MigrationError
from s3ec.migrate.model import Task
from s3ec.migrate.work.pages import pages

__all__ = ["KeyFile", "ListedObjects", "ListedVersions", "ObjectList", "task_from"]


class ObjectList(Protocol):
    """Objects to be dealt with. It may be gone through again, and then shows the objects as they are by then.

    Attributes:
        is_complete: True if every object under the prefix is in it, so that an instruction file that is not in it
            does not exist.
        is_live: True if going through it again shows what has been written since.
    """

    is_complete: bool
    is_live: bool

    def __iter__(self) -> Iterator[Task]:
        """One task for every current object; delete markers are none."""
        ...


@dataclass(slots=True)
class ListedObjects:
    """ListObjectsV2: every current object.

    Attributes:
        client: a plain boto3 S3 client.
        bucket: the bucket.
        prefix: literal beginning of the keys.
    """

    client: Any
    bucket: str
    prefix: str = ""
    is_complete: bool = True
    is_live: bool = True

    def __iter__(self) -> Iterator[Task]:
        """One task per object."""
        for page in pages(self.client, "list_objects_v2", Bucket=self.bucket, Prefix=self.prefix):
            for entry in page.get("Contents", []):
                yield task_from(self.bucket, entry)


@dataclass(slots=True)
class ListedVersions:
    """ListObjectVersions: every version that holds content, with its version id.

    Attributes:
        client: a plain boto3 S3 client.
        bucket: the bucket.
        prefix: literal beginning of the keys.
        current_only: leave out versions that a plain GET does not see.
    """

    client: Any
    bucket: str
    prefix: str = ""
    current_only: bool = False
    is_complete: bool = True
    is_live: bool = True

    def __iter__(self) -> Iterator[Task]:
        """One task per version; its null version is ``"null"``."""
        for page in pages(self.client, "list_object_versions", Bucket=self.bucket, Prefix=self.prefix):
            for entry in page.get("Versions", []):
                if entry["IsLatest"] or not self.current_only:
                    yield task_from(self.bucket, entry)


def task_from(bucket: str, entry: Mapping[str, Any]) -> Task:
    """The task for an entry of ListObjectsV2 or ListObjectVersions."""
    modified = entry.get("LastModified")
    return Task(
        bucket=bucket,
        key=entry["Key"],
        version_id=entry.get("VersionId"),
        etag=entry.get("ETag"),
        size=entry.get("Size"),
        last_modified=modified.isoformat() if modified is not None else None,
        storage_class=entry.get("StorageClass"),
    )


_OF_AN_AUDIT = frozenset(
    {
        "is_current", "matched", "format", "algorithm_suite", "wrapping_algorithm", "metadata_location",
        "server_side_encryption", "problem",
    }
)  # fmt: skip
"""What an audit's list says beside the task; any other unknown name is still a mistake."""


@dataclass(slots=True)
class KeyFile:
    """A file of keys, in one of three shapes that its name tells.

    ``.csv``: the manifest of S3 Batch Operations, ``Bucket,Key[,VersionId]``, keys URL-encoded. ``.jsonl``: one JSON
    object a line with ``key`` and, if wanted, ``bucket``, ``version_id``, ``etag``. Anything else: one key a line as it
    is; keys that hold line feeds are parted by NUL instead.

    Attributes:
        path: path of the file, which is UTF-8.
        bucket: for lines that name none; a line that names another one is refused.
    """

    path: str
    bucket: str
    is_complete: bool = False
    is_live: bool = False

    def __iter__(self) -> Iterator[Task]:
        """One task per line.

        Raises:
            s3ec.errors.MigrationError: the file cannot be read, or a line is not what its shape has.
        """
        try:
            with Path(self.path).open(encoding="utf-8", newline="") as file:
                yield from self._tasks(file)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise MigrationError(f"cannot read {self.path}: {error}") from error

    def _tasks(self, file: Any) -> Iterator[Task]:
        if self.path.endswith(".csv"):
            yield from (self._from_row(number, row) for number, row in enumerate(csv.reader(file), 1) if row)
        elif self.path.endswith(".jsonl"):
            for number, line in enumerate(file, 1):
                if line.strip() and (task := self._from_json(number, line)) is not None:
                    yield task
        else:
            yield from (Task(bucket=self.bucket, key=key) for key in _lines(file))

    def _from_row(self, number: int, row: list[str]) -> Task:
        if not 2 <= len(row) <= 3:
            raise MigrationError(f"{self.path}:{number}: Bucket,Key or Bucket,Key,VersionId is expected")
        version = row[2] if len(row) == 3 else ""
        return self._checked(number, Task(bucket=row[0], key=unquote_plus(row[1]), version_id=version or None))

    def _from_json(self, number: int, line: str) -> Task | None:
        """The task of a line; None for an old version that an audit has listed, which nothing can replace."""
        try:
            values = {"bucket": self.bucket, **json.loads(line)}
            if values.get("is_current") is False:
                return None
            task = Task.from_dict({name: value for name, value in values.items() if name not in _OF_AN_AUDIT})
        except (ValueError, TypeError, RecursionError) as error:
            raise MigrationError(f"{self.path}:{number}: not a task: {error}") from error
        return self._checked(number, task)

    def _checked(self, number: int, task: Task) -> Task:
        if task.bucket != self.bucket:
            raise MigrationError(f"{self.path}:{number}: names bucket {task.bucket}, but the job is for {self.bucket}")
        return task


def _lines(file: Any) -> Iterable[str]:
    text = file.read(2**16)
    separator = "\0" if "\0" in text else "\n"
    rest = ""
    while text:
        *whole, rest = (rest + text).split(separator)
        yield from (key.removesuffix("\r") if separator == "\n" else key for key in whole if key)
        text = file.read(2**16)
    if rest:
        yield rest
