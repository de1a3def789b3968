"""Where downloads go: a file that gets its name when all of it verified, or an object of the caller's."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from s3transfer import exceptions as s3transfer_exceptions
from s3transfer.compat import seekable
from s3transfer.utils import OSUtils

from s3ec.client.transfers.downloads import Download
from s3ec.s3.pinning import ReplacedError

__all__ = [
    "DownloadFailed",
    "create_private",
    "deliver",
    "download_failed",
    "give_name",
    "temporary_name",
    "to_file",
    "to_fileobj",
]

# s3transfer before 0.13 pinned nothing, and had no such error.
DownloadFailed: type[Exception] = getattr(s3transfer_exceptions, "S3DownloadFailedError", ClientError)

_LONGEST_NAME = 255  # bytes, on the file systems of our time
_UMASK = re.compile(r"^Umask:\s*([0-7]+)$", re.MULTILINE)


def deliver(begin: Callable[[], Download | str], write: Callable[[Download], None], what: str) -> str | None:
    """Download an object, and begin again once where it was replaced meanwhile and nothing was handed out.

    Args:
        begin: looks at the object, and starts to fetch it.
        write: writes it to where it goes.
        what: the object, for the text of the error.

    Returns:
        None when it is delivered; the ETag of an object that is not encrypted, of which nothing was fetched.

    Raises:
        s3transfer.exceptions.S3DownloadFailedError: it was replaced again; the error of boto3's own downloads.
    """
    for is_last in (False, True):
        download = begin()
        if isinstance(download, str):
            return download
        try:
            with download:
                write(download)
        except ReplacedError as replaced:
            if is_last or download.handed_out:
                raise download_failed(replaced, what) from replaced.error
        else:
            return None
        download.take_back_progress()
    raise AssertionError("unreachable: the last round returns or raises")  # pragma: no cover - for the type checker


def download_failed(replaced: ReplacedError, what: str) -> Exception:
    """The error of boto3's own downloads for an object that was replaced on its way."""
    if DownloadFailed is ClientError:
        return replaced.error
    return DownloadFailed(f"Contents of stored object {what} did not match expected ETag.")


def to_file(download: Download, filename: str) -> None:
    """Write into a temporary file beside the target, and rename it once the tag has verified.

    The temporary file holds plaintext that is not verified yet, under a random name, and only its owner may open
    it from its first moment on; it is removed on every failure. Special files (a pipe, a device) get verified plaintext
    only.
    """
    if OSUtils().is_special_file(filename):
        with open(filename, "wb", buffering=0) as special:
            download.write_to(_noted(download, special.write), delayed=download.delayed_by_option)
        return
    temporary = temporary_name(filename)
    descriptor = create_private(temporary, filename)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            download.write_to(file.write, delayed=True)
        give_name(temporary, filename)
    except BaseException:
        os.unlink(temporary)
        raise


def create_private(temporary: str, filename: str) -> int:
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


def give_name(temporary: str, filename: str) -> None:
    """Give a file that is complete its name, and the mode that the caller's umask gives to files."""
    _open_up(temporary)
    os.replace(temporary, filename)


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


def temporary_name(filename: str) -> str:
    """A name beside the file's, no longer than names may be."""
    folder, name = os.path.split(filename)
    ending = f".{secrets.token_hex(4)}"
    kept = os.fsencode(name)[: _LONGEST_NAME - len(ending)]
    return os.path.join(folder, os.fsdecode(kept) + ending)


def to_fileobj(download: Download, fileobj: Any) -> None:
    """Write into a file-like object: nothing before it is verified, unless the client delays authentication.

    One that can seek is written from its start, as s3transfer does.
    """
    if seekable(fileobj):
        fileobj.seek(0)
    write = _noted(download, lambda view: fileobj.write(bytes(view)))
    download.write_to(write, delayed=download.delayed_by_option)


def _noted(download: Download, write: Callable[[bytes | memoryview], object]) -> Callable[[bytes | memoryview], object]:
    def noting(piece: bytes | memoryview) -> object:
        download.handed_out = True
        return write(piece)

    return noting
