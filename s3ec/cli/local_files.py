"""Local folders: what lies in them, in the order of S3's keys, and where an object may go."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from s3ec.cli.comparison import name_order
from s3ec.cli.failures import ExitCode, Failure, FailureError, describe

__all__ = ["LocalFile", "Unreadable", "local_target", "walk"]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file.

    Attributes:
        name: relative to the folder, with slashes.
        path: to open it.
        size: bytes.
        modified: seconds since the epoch.
    """

    name: str
    path: Path
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that cannot be read or sent: reported, never ignored, and never taken for absent.

    Attributes:
        name: relative to the folder; the name of a folder ends in a slash.
        failure: why.
        may_be_folder: True if nobody can say what it is: a link to a volume that is not mounted, for one.
    """

    name: str
    failure: Failure
    may_be_folder: bool = False

    @property
    def folder(self) -> str | None:
        """What the names begin with that may be there unseen besides its own; None if there are none."""
        if not self.name or self.name.endswith("/"):
            return self.name
        return self.name + "/" if self.may_be_folder else None

    def hides(self, name: str) -> bool:
        """True if a name may be there for all that is known."""
        return name == self.name or (self.folder is not None and name.startswith(self.folder))


def walk(folder: Path, *, follow: bool = True, links_to_folders: bool = True) -> Iterator[LocalFile | Unreadable]:
    """Yield all files under a folder, in the order in which S3 lists their keys.

    Args:
        folder: where to begin.
        follow: take links for what they lead to, as `aws s3` does; else they are passed over.
        links_to_folders: False keeps to files that lie in the folder itself, which is what may be deleted.
    """
    yield from _walk(folder, "", follow, links_to_folders, ())


def _walk(
    folder: Path, prefix: str, follow: bool, links_to_folders: bool, above: tuple[tuple[int, int], ...]
) -> Iterator[LocalFile | Unreadable]:
    try:
        here = folder.stat()
        with os.scandir(folder) as entries:
            found = [(entry.name + "/" * _is_folder(entry), entry.name, entry.is_symlink()) for entry in entries]
    except OSError as error:
        yield Unreadable(prefix, describe(error, str(folder)))
        return
    identity = (here.st_dev, here.st_ino)
    if identity in above:
        # A link back into its own path would go on forever; two links to one folder are two folders.
        return
    for ordered, name, is_link in sorted(found, key=lambda each: name_order(each[0])):
        if is_link and (not follow or (ordered.endswith("/") and not links_to_folders)):
            continue
        if ordered.endswith("/"):
            yield from _walk(folder / name, prefix + ordered, follow, links_to_folders, (*above, identity))
        else:
            yield _file(folder / name, prefix + name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself, a lost mount: `_file` says what is wrong with it.
        return False


def _file(path: Path, name: str) -> LocalFile | Unreadable:
    try:
        status = path.stat()
    except OSError as error:
        is_dangling = error.errno == errno.ENOENT and path.is_symlink()
        failure = describe(error, str(path))
        text = f"{path}: a link that leads nowhere" if is_dangling else failure.message
        return Unreadable(name, Failure(code=failure.code, error=failure.error, message=text), may_be_folder=True)
    if not stat.S_ISREG(status.st_mode):
        # Opening a pipe would wait for a writer, perhaps forever.
        return Unreadable(name, _failure("SpecialFile", f"{path}: not a regular file (a pipe, a socket, a device)"))
    try:
        name.encode()
    except UnicodeEncodeError:
        return Unreadable(name, _failure("UnsafeKey", f"{path}: its name is not UTF-8, which S3's keys are"))
    return LocalFile(name, path, status.st_size, status.st_mtime)


def _failure(error: str, message: str) -> Failure:
    return Failure(code=ExitCode.NOT_FOUND, error=error, message=message)


def local_target(folder: Path, relative: str) -> Path:
    """Return where an object goes under a local folder.

    Keys are chosen by anyone who may write to the bucket: ``../`` in one must not lead out of the folder, nor may a
    link that lies there already.

    Raises:
        FailureError: the key leads out of the folder, or names no file that this system can have.
    """
    parts = relative.rstrip("/").split("/")
    path = folder.joinpath(*parts)
    bad = {"", ".", ".."} & set(parts) or "\0" in relative or (os.sep != "/" and os.sep in relative)
    if bad or not path.resolve().is_relative_to(folder.resolve()):
        raise FailureError(
            Failure(
                code=ExitCode.CONFIGURATION,
                error="UnsafeKey",
                message=f"the key {relative!r} cannot become a file under {folder}: copy it on its own, under a name",
            )
        )
    return path
