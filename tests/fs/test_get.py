"""`get`: into files that get their name at the end, and into what is no file."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3ec.errors import SecurityError

CONTENT = bytes(range(256)) * 10_000


class Pipe:
    """A named pipe, and what comes out of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = b""
        os.mkfifo(path)
        # Opened before anything is written: neither side then waits for the other one to open it.
        self._end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self._end, True)
        self._kept = os.open(path, os.O_WRONLY)
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        while piece := os.read(self._end, 65536):
            self.content += piece

    def close(self) -> bytes:
        """What came out, when nobody writes any more."""
        os.close(self._kept)
        self._reading.join(60)
        os.close(self._end)
        return self.content


@pytest.fixture
def pipe(folder: Path) -> Pipe:
    """An empty one."""
    return Pipe(folder / "pipe")


def test_into_a_pipe(fs: Any, bucket: str, pipe: Pipe) -> None:
    """It is written to, as s3fs does, and not replaced by a file."""
    fs.pipe(f"{bucket}/file", CONTENT)
    fs.get_file(f"{bucket}/file", str(pipe.path))
    assert stat.S_ISFIFO(pipe.path.lstat().st_mode)
    assert pipe.close() == CONTENT
    assert [entry.name for entry in pipe.path.parent.iterdir()] == ["pipe"]


def test_tampering_into_a_pipe(fs: Any, bucket: str, pipe: Pipe, change: Callable[..., None]) -> None:
    """Not a byte comes out."""
    fs.pipe(f"{bucket}/file", CONTENT)
    change("file", lambda content: content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SecurityError):
        fs.get_file(f"{bucket}/file", str(pipe.path))
    assert pipe.close() == b""


def test_tampering_leaves_the_file_that_was_there(
    fs: Any, bucket: str, folder: Path, change: Callable[..., None]
) -> None:
    """And nothing beside it."""
    (folder / "file").write_bytes(b"before")
    fs.pipe(f"{bucket}/file", CONTENT)
    change("file", lambda content: content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SecurityError):
        fs.get_file(f"{bucket}/file", str(folder / "file"))
    assert (folder / "file").read_bytes() == b"before"
    assert [entry.name for entry in folder.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="where the system does not tell the umask")
def test_the_umask_stays_as_it_is(fs: Any, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one for all threads: what another one creates meanwhile would be open to everybody."""
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.delattr(os, "umask")
            fs.pipe(f"{bucket}/file", CONTENT)
            fs.get_file(f"{bucket}/file", str(folder / "file"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "file").stat().st_mode) == 0o640
    assert (folder / "file").read_bytes() == CONTENT
