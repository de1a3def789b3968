"""What one `cp` or `mv` consists of: each source with its place at the target."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from s3ec.cli.failures import ExitCode, Failure, FailureError
from s3ec.cli.filters import Filters
from s3ec.cli.listing import is_instruction_file, single_object, under
from s3ec.cli.local_files import LocalFile, local_target, walk
from s3ec.cli.transfers import STANDARD_STREAM, Copy, Place
from s3ec.cli.urls import S3Url, is_s3_url

__all__ = ["CopyPlan", "End", "file_version", "stored_plaintext"]

_TAG = 16


@dataclass(frozen=True, slots=True)
class End:
    """One end of a copy as it was typed.

    Attributes:
        place: what it names.
        is_folder: True if the text says so: a slash at its end, or a folder that is there.
    """

    place: Place
    is_folder: bool

    @classmethod
    def parse(cls, text: str) -> End:
        """Read what was typed.

        Raises:
            ValueError: it looks like an S3 URL but is not one.
        """
        if text == STANDARD_STREAM:
            return cls(text, is_folder=False)
        if is_s3_url(text):
            url = S3Url.parse(text)
            return cls(url, is_folder=url.key == url.folder)
        separators = tuple(filter(None, ("/", os.sep, os.altsep)))
        # `pathlib` drops the slash that marks a folder which is still to be made.
        return cls(Path(text), is_folder=text.endswith(separators) or Path(text).is_dir())


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """Sources and a target.

    Attributes:
        client: the encrypting client, whose HEAD speaks of plaintext.
        plain: a client that shows what S3 stores.
        sources: one or more.
        target: a folder if there are several.
        recursive: everything under a source that is a folder.
        filters: over names relative to their source.
        follow: take links for what they lead to.
    """

    client: Any
    plain: Any
    sources: tuple[End, ...]
    target: End
    recursive: bool = False
    filters: Filters
    follow: bool = True

    @property
    def is_single(self) -> bool:
        """True if one object or file is copied."""
        return len(self.sources) == 1 and not self.recursive

    def single(self) -> Copy:
        """Return the one copy.

        Raises:
            FailureError: the source is not there, or is a folder.
            botocore.exceptions.ClientError: S3 does not show it.
        """
        return self._one(self.sources[0].place)

    def steps(self) -> Iterator[Copy | Failure]:
        """Yield all copies as they are found; none over what an earlier source put there, which a move would lose.

        Raises:
            FailureError: a source is not there.
            botocore.exceptions.ClientError: a source cannot be listed.
        """
        if not self._may_meet():
            yield from self._all()
            return
        taken: dict[str, Place] = {}
        for step in self._all():
            first = taken.setdefault(_text(step.target), step.source) if isinstance(step, Copy) else None
            if isinstance(step, Failure) or first is step.source:
                yield step
            elif first != step.source:
                message = f"{step.source} would overwrite {step.target}, which {first} goes to"
                yield Failure(code=ExitCode.CONFIGURATION, error="SameTarget", message=message)

    def _all(self) -> Iterator[Copy | Failure]:
        for source in self.sources:
            if self._is_walked(source):
                several = len(self.sources) > 1
                yield from self._many(source.place, self._inside(source.place) if several else self.target.place)
                continue
            try:
                yield self._one(source.place)
            except FailureError as error:
                yield error.failure

    def _is_walked(self, source: End) -> bool:
        return self.recursive and (isinstance(source.place, S3Url) or source.is_folder or len(self.sources) == 1)

    def _may_meet(self) -> bool:
        """True if two of several sources go to one place, or one of them into the folder of another."""
        if len(self.sources) == 1:
            return False
        names = [_name(source.place) for source in self.sources]
        # Whole buckets go into the target folder itself.
        return "" in names or len(set(map(os.path.normcase, names))) < len(names)

    def _inside(self, source: Place) -> Place:
        """Return where one folder of several goes: under its own name, as with `cp -r a b target` on Unix."""
        name = _name(source)
        if isinstance(self.target.place, S3Url):
            return self.target.place.with_key(f"{self.target.place.folder}{name}/" if name else self.target.place.key)
        return local_target(Path(self.target.place), name) if name else self.target.place

    def _one(self, source: Place) -> Copy:
        """Return one copy; into a folder it keeps its name."""
        target = self.target.place
        if source == STANDARD_STREAM:
            return Copy(source, target)
        found = self._object(source) if isinstance(source, S3Url) else _file(Path(source))
        if self.target.is_folder:
            name = _name(source)
            target = (
                target.with_key(target.key + name) if isinstance(target, S3Url) else local_target(Path(target), name)
            )
        return replace(found, target=target)

    def _object(self, url: S3Url) -> Copy:
        if self.target.place == STANDARD_STREAM:
            return Copy(url, url)
        with single_object(self.plain, url, "--recursive takes what lies in it"):
            head = self.client.head_object(Bucket=url.bucket, Key=url.key)
        return Copy(url, url, head["ContentLength"], head["LastModified"].timestamp(), head["ETag"])

    def _many(self, source: Place, target: Place) -> Iterator[Copy | Failure]:
        """Yield everything under a folder, each with its place under the target folder."""
        for found, relative in self._found(source, target):
            if not self.filters.wants(relative):
                continue
            if isinstance(found, Failure):
                yield found
                continue
            try:
                yield replace(found, target=self._below(target, relative))
            except FailureError as error:
                yield error.failure

    @staticmethod
    def _below(target: Place, relative: str) -> Place:
        if isinstance(target, S3Url):
            return target.with_key(target.folder + relative)
        return local_target(Path(target), relative)

    def _found(self, source: Place, target: Place) -> Iterator[tuple[Copy | Failure, str]]:
        if not isinstance(source, S3Url):
            yield from self._files(Path(source))
            return
        # What this very copy writes into its own source is not to be copied again.
        own = target.folder if isinstance(target, S3Url) and target.bucket == source.bucket else None
        is_inside = own is not None and own != source.folder and own.startswith(source.folder)
        for row in under(self.plain, source):
            key = row["Key"]
            if is_inside and own is not None and key.startswith(own):
                continue
            # The folder's own placeholder is not content, and an instruction file travels with its object.
            if key != source.folder and not is_instruction_file(self.plain, source.bucket, key):
                url = source.with_key(key)
                size, moment = stored_plaintext(row["Size"]), row["LastModified"].timestamp()
                yield Copy(url, url, size, moment, row.get("ETag")), key[len(source.folder) :]

    def _files(self, folder: Path) -> Iterator[tuple[Copy | Failure, str]]:
        if not folder.is_dir():
            raise FailureError(_failure("NotADirectoryError", f"{folder} is not a folder"))
        for found in walk(folder, follow=self.follow):
            if isinstance(found, LocalFile):
                yield Copy(found.path, found.path, found.size, version=file_version(found.path)), found.name
            else:
                yield found.failure, found.name


def stored_plaintext(size: int) -> int:
    """Estimate the plaintext bytes of an object of this many stored bytes, before it is looked at: most are AES-GCM."""
    return max(size - _TAG, 0)


def file_version(path: Path) -> tuple[int, int]:
    """Return what shows whether a file is still the one that was looked at.

    Raises:
        OSError: it is not there.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _file(path: Path) -> Copy:
    if path.is_dir():
        raise FailureError(_failure("IsADirectoryError", f"{path} is a folder: use --recursive"))
    try:
        version = file_version(path)
    except OSError:
        # The copy itself says what is wrong with it.
        return Copy(path, path)
    return Copy(path, path, version[0], version=version)


def _name(place: Place) -> str:
    """Return the last part of a name; empty for a whole bucket."""
    if isinstance(place, S3Url):
        return place.key.rstrip("/").rpartition("/")[2]
    return Path(place).name or Path(place).resolve().name


def _text(place: Place) -> str:
    """A place to be compared; local names as the system compares them."""
    return os.path.normcase(place) if isinstance(place, Path) else str(place)


def _failure(error: str, message: str) -> Failure:
    return Failure(code=ExitCode.NOT_FOUND, error=error, message=message)
