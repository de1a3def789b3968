"""Programs as they are installed: `tox -e injection` has them, and fails without one."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

READY_SECONDS = 120


@pytest.fixture
def tool() -> Callable[[str], str]:
    """Path of a program of this environment."""

    def find(name: str) -> str:
        found = shutil.which(name, path=str(Path(sys.executable).parent))
        if found is None:
            pytest.fail(f"{name} IS NOT INSTALLED, NOTHING WAS TESTED WITH IT: tox -e injection")
        return found

    return find


class _OverFile(http.client.HTTPConnection):
    """HTTP over a socket that is a file: no two test runs meet at a port."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=READY_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(READY_SECONDS)
        self.sock.connect(str(self._path))


@pytest.fixture
def ask() -> Callable[[Path, str], str]:
    """Asks a server that listens at a file for a path."""

    def get(file: Path, path: str) -> str:
        with contextlib.closing(_OverFile(file)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, text
            return text

    return get


@pytest.fixture
def serving(running: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Runs a server, until the block ends; it listens at the file that comes out."""

    @contextlib.contextmanager
    def run(*command: str) -> Iterator[Path]:
        # Paths of sockets are short; that of a test's folder may not be.
        file, log = tmp_path / "s", tmp_path / "log"
        with running(*(word.replace("SOCKET", str(file)) for word in command), log=log) as process:
            deadline = time.monotonic() + READY_SECONDS
            while not _listens(file):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-4000:]}")
                time.sleep(0.05)
            yield file

    return run


@pytest.fixture
def running(started: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """Runs a program beside the test, and ends it with the block."""

    @contextlib.contextmanager
    def run(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        with (
            log.open("wb") as output,
            subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **started()) as process,
        ):
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()

    return run


def _listens(file: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(file))
        return True
    return False
