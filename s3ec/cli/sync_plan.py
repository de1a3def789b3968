"""What one `sync` consists of: what differs is copied; ``--delete`` deletes what the source does not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3ec.cli.batch import Deletion, Step
from s3ec.cli.comparison import Comparison, Direction, Item, Look, name_order, pair
from s3ec.cli.copy_plan import stored_plaintext
from s3ec.cli.failures import ERRORS, ExitCode, Failure, FailureError, describe
from s3ec.cli.filters import Filters
from s3ec.cli.listing import is_instruction_file, rows, under
from s3ec.cli.local_files import LocalFile, Unreadable, local_target, walk
from s3ec.cli.transfers import Copy
from s3ec.cli.urls import S3Url
from s3ec.migrate.audit.survey_object import PLAINTEXT, UNREADABLE, look

__all__ = ["SyncPlan", "direction_of"]


def direction_of(source: S3Url | Path, target: S3Url | Path) -> Direction:
    """Which side is local and which is S3."""
    if isinstance(target, S3Url):
        return Direction.ACROSS if isinstance(source, S3Url) else Direction.UP
    return Direction.DOWN


@dataclass(slots=True, kw_only=True)
class SyncPlan:
    """Two folders that are to become equal.

    Both are listed in the order of their names and gone through side by side, so that memory does not grow with them.

    Attributes:
        plain: a client that shows what S3 stores.
        source: a folder.
        target: a folder.
        filters: over names; what they leave out is neither copied nor deleted.
        delete: delete what the target has and the source does not.
        follow: take local links for what they lead to.
        size_only: let times decide nothing.
        exact_timestamps: see `Comparison`.
        allow_unencrypted: objects may be plaintext.
        unchanged: pairs that were found equal, so far.
        looks: objects whose headers had to be asked for, so far.
    """

    plain: Any
    source: S3Url | Path
    target: S3Url | Path
    filters: Filters
    delete: bool = False
    follow: bool = True
    size_only: bool = False
    exact_timestamps: bool = False
    allow_unencrypted: bool = False
    unchanged: int = 0
    looks: int = 0
    _problems: list[Unreadable] = field(default_factory=list)
    _said: int = 0

    def steps(self) -> Iterator[Step]:
        """Yield what is to be done as it is found.

        Raises:
            FailureError: the source is not there, or a listing is not in order.
            botocore.exceptions.ClientError: S3 does not list one of the two.
        """
        comparison = Comparison(
            direction=direction_of(self.source, self.target),
            look=self._look,
            size_only=self.size_only,
            exact_timestamps=self.exact_timestamps,
            allow_unencrypted=self.allow_unencrypted,
        )
        for source, target in pair(self._sources(), self._targets()):
            yield from self._new_problems()
            if source is not None:
                yield from self._transfer(comparison, source, target)
            elif target is not None and self.delete:
                yield from self._delete(target)
        yield from self._new_problems()

    def _new_problems(self) -> Iterator[Failure]:
        """Yield what could not be read once, in its turn."""
        for problem in self._problems[self._said :]:
            if self._is_of_interest(problem):
                yield problem.failure
        self._said = len(self._problems)

    def _is_of_interest(self, problem: Unreadable) -> bool:
        """True if the filters do not leave it out; they are over files, and know nothing of what is in a folder."""
        if problem.folder == problem.name:
            return True
        return self.filters.wants(problem.name) or (problem.folder is not None and self.filters.wants(problem.folder))

    def _transfer(self, comparison: Comparison, source: Item, target: Item | None) -> Iterator[Step]:
        try:
            place = self._place(source.name)
            if target is None and isinstance(place, Path):
                # Behind a link in the target folder, which the walk does not enter.
                target = _file(source.name, place)
            if target is not None and not comparison.differs(source, target):
                self.unchanged += 1
                return
        except FailureError as error:
            yield error.failure
            return
        except ERRORS as error:
            yield describe(error, str(source.place))
            return
        is_object = isinstance(source.place, S3Url)
        size = stored_plaintext(source.size) if is_object else source.size
        yield Copy(source.place, place, size, source.modified if is_object else None)

    def _place(self, name: str) -> S3Url | Path:
        if isinstance(self.target, S3Url):
            return self.target.with_key(self.target.folder + name)
        return local_target(self.target, name)

    def _delete(self, target: Item) -> Iterator[Step]:
        # What cannot be read is not absent.
        if any(problem.hides(target.name) for problem in self._problems):
            return
        if isinstance(target.place, S3Url):
            try:
                if is_instruction_file(self.plain, target.place.bucket, target.place.key):
                    # It belongs to an object and goes with it.
                    return
            except ERRORS as error:
                yield describe(error, str(target.place))
                return
        yield Deletion(target.place)

    def _sources(self) -> Iterator[Item]:
        if isinstance(self.source, S3Url):
            for item in self._objects(self.source, is_source=True):
                if isinstance(item.place, S3Url) and is_instruction_file(self.plain, item.place.bucket, item.place.key):
                    continue
                yield item
            return
        if not self.source.is_dir():
            message = f"{self.source} is not a folder"
            raise FailureError(Failure(code=ExitCode.NOT_FOUND, error="NotADirectoryError", message=message))
        for found in walk(self.source, follow=self.follow):
            if isinstance(found, LocalFile):
                if self.filters.wants(found.name):
                    yield Item(found.name, found.path, found.size, found.modified)
            else:
                self._problems.append(found)

    def _targets(self) -> Iterator[Item]:
        if isinstance(self.target, S3Url):
            yield from self._objects(self.target, is_source=False)
        elif self.target.is_dir():
            # Links to folders are not entered: nothing is deleted that lies elsewhere.
            for found in walk(self.target, links_to_folders=False):
                if isinstance(found, LocalFile) and self.filters.wants(found.name):
                    yield Item(found.name, found.path, found.size, found.modified)

    def _objects(self, folder: S3Url, *, is_source: bool) -> Iterator[Item]:
        own = self._own_prefix(is_source=is_source)
        listed = under(self.plain, folder) if is_source else rows(self.plain, folder)
        items = (
            Item(
                row["Key"][len(folder.folder) :],
                folder.with_key(row["Key"]),
                row["Size"],
                row["LastModified"].timestamp(),
            )
            for row in listed
            # As in `aws s3 sync`, placeholders of folders are not content; nor is a target that lies in the source.
            if not row["Key"].endswith("/") and not (own is not None and row["Key"].startswith(own))
        )
        yield from self._in_order(folder, (item for item in items if self.filters.wants(item.name)))

    def _own_prefix(self, *, is_source: bool) -> str | None:
        """Return the other end's folder if it lies inside the listed one, in the same bucket."""
        if not isinstance(self.source, S3Url) or not isinstance(self.target, S3Url):
            return None
        here, there = (self.source, self.target) if is_source else (self.target, self.source)
        if here.bucket != there.bucket or here.folder == there.folder:
            return None
        return there.folder if there.folder.startswith(here.folder) else None

    @staticmethod
    def _in_order(folder: S3Url, items: Iterator[Item]) -> Iterator[Item]:
        """The items in the order of their names, which all but directory buckets list them in."""
        if folder.bucket.endswith("--x-s3"):
            yield from sorted(items, key=lambda item: name_order(item.name))
            return
        last = b""
        for item in items:
            if name_order(item.name) < last:
                message = f"{folder}: the server lists keys out of order, so that nothing can be compared"
                raise FailureError(Failure(code=ExitCode.SERVICE, error="UnorderedListing", message=message))
            last = name_order(item.name)
            yield item

    def _look(self, url: S3Url) -> Look:
        self.looks += 1
        found = look(self.plain, url.bucket, url.key)
        return Look(found.format not in (PLAINTEXT, UNREADABLE), found.plaintext_size)


def _file(name: str, path: Path) -> Item | None:
    if not path.is_file():
        return None
    status = path.stat()
    return Item(name, path, status.st_size, status.st_mtime)
