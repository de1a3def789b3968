"""Where downloads go: a file that gets its name when all of it verified, or an object of the caller's."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable
from functools import partial
from typing import IO

from botocore.exceptions import ClientError
from s3transfer import exceptions as s3transfer_exceptions
from s3transfer.compat import seekable
from s3transfer.utils import OSUtils

from s3ec.s3.managed_download import Download
from s3ec.s3.pinning import ReplacedError

__all__ = ["DownloadFailed", "FileTarget", "download_failed", "write_all", "writing_to"]

# s3transfer before 0.13 pinned nothing, and had no such error.
DownloadFailed: type[Exception] = getattr(s3transfer_exceptions, "S3DownloadFailedError", ClientError)

_LONGEST_NAME = 255  # bytes, on the file systems of our time
_UMASK = re.compile(r"^Umask:\s*([0-7]+)$", re.MULTILINE)


def download_failed(replaced: ReplacedError, bucket: str, key: str) -> Exception:
    """The error of boto3's own downloads for an object that was replaced on its way, again or too late."""
    if DownloadFailed is ClientError:
        return replaced.error
    return DownloadFailed(f'Contents of stored object "{key}" in bucket "{bucket}" did not match expected ETag.')


class FileTarget:
    """A file by its name; see `s3ec.s3.managed_download.Target`."""

    def __init__(self, filename: str) -> None:
        """Take the name; nothing is done yet."""
        self._filename = filename
        self._temporary = ""

    def is_special(self) -> bool:
        """True for what is no file, such as a pipe or a device."""
        return bool(OSUtils().is_special_file(self._filename))

    def open_special(self) -> IO[bytes]:
        """Open it to be written; every byte leaves at once."""
        return open(self._filename, "wb", buffering=0)

    def create(self) -> IO[bytes]:
        """Create a file under a random name beside it, that only its owner may open."""
        self._temporary = _temporary_name(self._filename)
        return open(_create_private(self._temporary, self._filename), "wb", buffering=0)

    def give_name(self) -> None:
        """Give the created file its name, and the mode that the caller's umask gives to files."""
        _open_up(self._temporary)
        os.replace(self._temporary, self._filename)

    def discard(self) -> None:
        """Remove the created file, if it is still there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)


def _create_private(temporary: str, filename: str) -> int:
    """Create a file that only its owner may open, and return its descriptor.

    Args:
        temporary: its name.
        filename: the name that the caller knows, for the error.
    """
    try:
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        error.filename = filename
        raise


def _open_up(path: str) -> None:
    """Give a file that was born 0600 the mode that the caller's umask gives to files."""
    # Some file systems (mounted buckets, SMB shares) refuse every change of a mode; theirs is as good.
    with contextlib.suppress(OSError):
        mode = 0o666 & ~_umask()
        if stat.S_IMODE(os.stat(path).st_mode) != mode:
            os.chmod(path, mode)


def _umask() -> int:
    """The process's umask, which the system only tells by changing it, for all threads at once."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as status:
        if match := _UMASK.search(status.read()):
            return int(match.group(1), 8)
    with tempfile.TemporaryDirectory() as folder:
        descriptor = os.open(os.path.join(folder, "empty"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            return 0o666 & ~os.fstat(descriptor).st_mode
        finally:
            os.close(descriptor)


def _temporary_name(filename: str) -> str:
    """A name beside the file's, no longer than names may be."""
    folder, name = os.path.split(filename)
    ending = f".{secrets.token_hex(4)}"
    kept = os.fsencode(name)[: _LONGEST_NAME - len(ending)]
    return os.path.join(folder, os.fsdecode(kept) + ending)


def writing_to(download: Download) -> Callable[[bytes | memoryview], object]:
    """Return what writes all of a piece of plaintext to where it goes.

    An object of the caller's that can seek is written from its start, as s3transfer does.
    """
    into = download.into
    if download.is_file:
        return partial(write_all, into.write)
    if seekable(into):
        into.seek(0)
    return partial(write_all, lambda piece: into.write(bytes(piece)))


def write_all(write: Callable[[bytes | memoryview], object], piece: bytes | memoryview) -> None:
    """Write all of a piece; a raw file may take less than it is given."""
    view = memoryview(piece)
    while view:
        count = write(view)
        # Other objects than raw files answer with anything or nothing.
        view = view[count:] if isinstance(count, int) and 0 < count < len(view) else memoryview(b"")
