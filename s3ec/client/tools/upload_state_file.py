"""A file for the state of an upload: one process at a time, always the newest state, never half of one."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from s3ec.errors import MultipartStateError

__all__ = ["UploadStateFile"]


class UploadStateFile:
    """Keeps what `s3ec.export_upload` and `s3ec.resume_upload` save.

    ::

        with UploadStateFile("big.bin.upload") as state:
            if state.exists():
                upload = resume_upload(s3, state.read(), save=state.save)

    A lock file beside it is held until the end of the ``with``, by the operating system, so it goes with the process.
    It holds on one machine; on a network file system as far as that keeps locks.

    Raises:
        MultipartStateError: on entry, where another process has it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Take the place of the file."""
        self._path = Path(path)
        self._lock: int | None = None
        self._process = os.getpid()

    def __reduce__(self) -> tuple[type[UploadStateFile], tuple[Path]]:
        """Copies and pickles know the place, and must lock it for themselves."""
        return type(self), (self._path,)

    def __enter__(self) -> UploadStateFile:
        """Lock it."""
        descriptor = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, (BlockingIOError, PermissionError)):
                raise  # this file system keeps no locks
            raise MultipartStateError(
                f"another process goes on with the upload of {self._path}; two at once would encrypt different bytes "
                "with one keystream"
            ) from None
        self._lock = descriptor
        self._process = os.getpid()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unlock it; the lock file stays, since removing it would let two processes lock two files of one name."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def exists(self) -> bool:
        """True if an upload was begun and not completed."""
        return self._path.exists()

    def read(self) -> bytes:
        """The newest state.

        Raises:
            MultipartStateError: in a process that was forked inside the ``with``.
        """
        self._check_process()
        return self._path.read_bytes()

    def save(self, state: bytes) -> None:
        """Replace the state; on the disk when this returns.

        Raises:
            MultipartStateError: outside of ``with``, or in a process that was forked inside it.
        """
        self._check_process()
        if self._lock is None:
            raise MultipartStateError("a state is saved under its lock; keep the upload inside the `with`")
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(state)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._sync_folder()

    def _check_process(self) -> None:
        # A forked process shares the parent's lock, so that both would go on with one state.
        if self._lock is not None and os.getpid() != self._process:
            raise MultipartStateError(
                f"the state of {self._path} is locked by the process that forked this one, and belongs to it; open an "
                "UploadStateFile of your own"
            )

    def _sync_folder(self) -> None:
        if sys.platform == "win32":
            return
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self) -> None:
        """The upload is completed or aborted.

        Raises:
            MultipartStateError: in a process that was forked inside the ``with``.
        """
        self._check_process()
        self._path.unlink(missing_ok=True)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
