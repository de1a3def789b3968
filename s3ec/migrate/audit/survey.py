"""What lies in a bucket and how each object is encrypted.

LIST and HEAD alone: no key, nothing decrypted, nothing written.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from s3ec.formats import MetadataLocation
from s3ec.migrate.audit.survey_object import INSTRUCTION_FILE, SUFFIXES, Entry, SurveyedObject, look_at_entry
from s3ec.migrate.work.ending import code_of
from s3ec.migrate.work.pages import pages

__all__ = ["Survey", "SurveyedObject", "bounded_map"]

_NO_VERSIONING = frozenset({"AccessDenied", "AllAccessDisabled", "MethodNotAllowed", "NotImplemented"})

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class Survey:
    """Goes through a bucket once; the totals that need no HEAD are filled in on the way.

    Args:
        client: any boto3 S3 client that shows what S3 stores (not an encrypting one).
        bucket: the bucket.
        prefix: literal beginning of the keys.
        workers: requests under way at a time.
        all_versions: also look at versions that are not current.

    Attributes:
        delete_markers: met so far.
        noncurrent: versions met so far that are not current.
        noncurrent_bytes: their stored bytes.
        keeps_versions: True if the bucket has or had versioning.
        versions_unreadable: True if the listing of versions was refused, so that only current ones are known.
        orphans: instruction files that belong to no object; known when the survey is over.
    """

    client: Any
    bucket: str
    prefix: str = ""
    workers: int = 16
    all_versions: bool = False
    delete_markers: int = 0
    noncurrent: int = 0
    noncurrent_bytes: int = 0
    keeps_versions: bool = False
    versions_unreadable: bool = False
    orphans: tuple[str, ...] = ()
    _claimed: set[str] = field(default_factory=set)
    _instruction_files: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[SurveyedObject]:
        """Look at every object, in the order of the listing.

        Raises:
            botocore.exceptions.ClientError: the bucket cannot be listed.
        """
        status = _versioning(self.client, self.bucket)
        self.keeps_versions = status is not None
        self._instruction_files = {entry.key for entry in self._current() if entry.key.endswith(SUFFIXES)}
        unclaimed: set[str] = set()
        for found in bounded_map(self._look, self._entries(), workers=self.workers):
            if found.format == INSTRUCTION_FILE and found.is_current:
                unclaimed.add(found.key)
            elif found.metadata_location == MetadataLocation.INSTRUCTION_FILE.value:
                self._claimed.update(found.key + suffix for suffix in SUFFIXES)
            yield found
        self.orphans = tuple(sorted(unclaimed - self._claimed))

    def _look(self, entry: Entry) -> SurveyedObject:
        return look_at_entry(self.client, self.bucket, entry, self._instruction_files)

    def _entries(self) -> Iterator[Entry]:
        if not self.keeps_versions:
            yield from self._current()
            return
        try:
            for entry in self._versions():
                if entry.is_current or self.all_versions:
                    yield entry
        except ClientError as error:
            if code_of(error) not in _NO_VERSIONING or self.noncurrent or self.delete_markers:
                raise
            self.versions_unreadable = True
            yield from self._current()

    def _current(self) -> Iterator[Entry]:
        for page in pages(self.client, "list_objects_v2", Bucket=self.bucket, Prefix=self.prefix):
            for row in page.get("Contents", ()):
                yield Entry(row["Key"], row["Size"], row.get("ETag"), row.get("LastModified"), row.get("StorageClass"))

    def _versions(self) -> Iterator[Entry]:
        for page in pages(self.client, "list_object_versions", Bucket=self.bucket, Prefix=self.prefix):
            self.delete_markers += len(page.get("DeleteMarkers", ()))
            for row in page.get("Versions", ()):
                if not row["IsLatest"]:
                    self.noncurrent += 1
                    self.noncurrent_bytes += row["Size"]
                yield Entry(
                    row["Key"],
                    row["Size"],
                    row.get("ETag"),
                    row.get("LastModified"),
                    row.get("StorageClass"),
                    row["VersionId"],
                    row["IsLatest"],
                )


def _versioning(client: Any, bucket: str) -> str | None:
    try:
        status: str | None = client.get_bucket_versioning(Bucket=bucket).get("Status")
    except ClientError as error:
        if code_of(error) not in _NO_VERSIONING:
            raise
        return None
    return status


def bounded_map(function: Callable[[T], R], items: Iterable[T], *, workers: int) -> Iterator[R]:
    """`map` over threads that keeps the order and reads no more than a few items ahead: listings may be endless."""
    waiting: collections.deque[Future[R]] = collections.deque()
    with ThreadPoolExecutor(max_workers=workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
