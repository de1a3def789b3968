"""Where a client of the endpoint is sent, and clients as they are installed: beside the plain backend, each of them.

What is not installed is skipped with its name, or fails where ``S3EC_CLIENTS=required`` says that all should be there
(``tox -e clients``).
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["HTTPS", "OPERATIONS", "Place", "absent", "package", "program"]

OPERATIONS = (
    "put", "get", "range", "list", "parts", "stream", "copy", "copy in parts", "move", "sync", "condition",
    "presigned URL", "delete",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a client is sent, and what it did there."""

    name: str
    """That of the backend, and ``plain`` or ``serve``: ``moto-plain``."""
    url: str
    access_key: str
    secret_key: str
    bucket: str
    home: Path
    """A folder for whatever the client keeps: never that of who runs the tests."""
    certificate: Path | None = None
    """The one to trust, where the place speaks https."""
    done: list[str] = field(default_factory=list)

    def did(self, *operations: str) -> None:
        """Note what a client did, right after it was seen to have worked."""
        for operation in operations:
            assert operation in OPERATIONS, f"{operation} has no column in the matrix"
            self.done.append(operation)

    @property
    def host(self) -> str:
        """Host and port."""
        return self.url.partition("//")[2]

    @property
    def environment(self) -> dict[str, str]:
        """What the SDKs read."""
        trust = {} if self.certificate is None else {"AWS_CA_BUNDLE": str(self.certificate)}
        kept = {name: os.environ[name] for name in ("JAVA_HOME", "LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            **trust,
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


HTTPS = pytest.mark.parametrize("place", ["tls-plain", "tls-serve"], indirect=True)
"""Marks a client that is asked over https."""


def absent(name: str) -> Any:
    """Skip, or fail where everything was to be installed."""
    stop = pytest.fail if os.environ.get("S3EC_CLIENTS") == "required" else pytest.skip
    return stop(f"{name} is not installed")


def program(name: str | Sequence[str], place: Place) -> Callable[..., str]:
    """Runs a command, found by its name or given as its first words; answers with what it printed."""
    command = [name] if isinstance(name, str) else list(name)
    path = shutil.which(command[0])
    if path is None:
        absent(command[0])

    def run(*words: str | Path, stdin: bytes | None = None) -> str:
        ended = subprocess.run(
            [str(path), *command[1:], *map(str, words)],
            env=place.environment, cwd=place.home, input=stdin, capture_output=True, timeout=300,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout.decode() + ended.stderr.decode()

    return run


def package(name: str) -> Any:
    """Import a package."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return absent(name)
