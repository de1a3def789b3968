"""Programs that know nothing of encryption, started as `s3ec run` starts them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from s3ec.run import launching

from support import aws as support_aws

# `tox -e aio` and `tox -e fs` run these; without aiobotocore pytest's header says that they are left out.
HAS_AIOBOTOCORE = importlib.util.find_spec("aiobotocore") is not None
collect_ignore = [] if HAS_AIOBOTOCORE else ["test_asynchronous.py"]

ROOT = Path(__file__).resolve().parents[2]
SECRET = b"what only its owner should read"


def pytest_report_header() -> str | None:
    """Says aloud what is not tested here."""
    missing = "tests/run/test_asynchronous.py IS NOT RUN: aiobotocore is not installed (tox -e aio)"
    return None if HAS_AIOBOTOCORE else missing


@dataclass
class Ended:
    """A program that has ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def bucket_names(endpoint: str) -> Iterator[dict[str, str]]:
    """Buckets by what becomes of them, for all programs."""
    client = boto3.client("s3", **support_aws.client_arguments(endpoint))
    named = {role: support_aws.new_bucket_name() for role in ("encrypted", "plain", "unnamed")}
    for name in named.values():
        client.create_bucket(Bucket=name)
    yield named
    for name in named.values():
        support_aws.empty_bucket(client, name)
    client.close()


@pytest.fixture
def environment(
    endpoint: str, kms_key: str, bucket_names: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The environment of a user who has rules for buckets, and whose package is that of this tree or installed."""
    file = tmp_path / "s3ec.toml"
    file.write_text(
        f'[[bucket]]\nmatch = "{bucket_names["encrypted"]}"\nkms_key = "{kms_key}"\n'
        f'[[bucket]]\nmatch = "{bucket_names["plain"]}"\nmode = "plain"\n',
        "utf-8",
    )
    found = {
        **os.environ,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "S3EC_CONFIG": str(file),
        # The bucket that programs write to; they are started with as few words as possible.
        "BUCKET": bucket_names["encrypted"],
        "PYTHONWARNINGS": "ignore",
    }
    import s3ec

    source = str(Path(s3ec.__file__).resolve().parents[1])
    if "site-packages" not in source:
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [found.get("PYTHONPATH"), source]))
    # Coverage starts in children by a file of its own, whose sitecustomize is not the subject here; and programs write
    # through buffers, as most users' do, wherever the suite runs.
    for name in ("COVERAGE_PROCESS_START", "PYTHONUNBUFFERED"):
        found.pop(name, None)
    return found


@pytest.fixture
def started(environment: dict[str, str], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """How `s3ec run` starts a command, without the launcher's own second: arguments for `subprocess`."""

    def arguments(
        changes: Mapping[str, str | None] | None = None, later: Mapping[str, str | None] | None = None
    ) -> dict[str, Any]:
        given = launching.child_environment(_changed(environment, changes), {})
        given["S3EC_RUN"] = launching.mark(given)
        return {"env": _changed(given, later), "cwd": tmp_path}

    return arguments


@pytest.fixture
def start(started: Callable[..., dict[str, Any]]) -> Callable[..., Ended]:
    """Starts a command in the environment that `s3ec run` makes, and waits for its end."""

    def run(*command: str, **more: Any) -> Ended:
        return _ended(command, **started(**more))

    return run


@pytest.fixture
def plain_start(environment: dict[str, str], tmp_path: Path) -> Callable[..., Ended]:
    """Starts a command as a user does, whatever it is, and waits for its end."""

    def run(*command: str, changes: Mapping[str, str | None] | None = None) -> Ended:
        return _ended(command, env=_changed(environment, changes), cwd=tmp_path)

    return run


@pytest.fixture
def program(start: Callable[..., Ended]) -> Callable[..., Ended]:
    """Runs Python code as such a program."""

    def run(code: str, *flags: str, **more: Any) -> Ended:
        return start(sys.executable, *flags, "-c", code, **more)

    return run


@pytest.fixture
def launch(plain_start: Callable[..., Ended]) -> Callable[..., Ended]:
    """Types a whole line of `s3ec run`."""

    def run(*words: str, changes: Mapping[str, str | None] | None = None) -> Ended:
        return plain_start(sys.executable, "-m", "s3ec", "run", *words, changes=changes)

    return run


@pytest.fixture
def stored(plain_s3: Any, bucket_names: dict[str, str]) -> Callable[[str], bool]:
    """Says whether an object that must be there is encrypted."""

    def is_encrypted(key: str, role: str = "encrypted") -> bool:
        answer = plain_s3.get_object(Bucket=bucket_names[role], Key=key)
        content: bytes = answer["Body"].read()
        assert (content == SECRET) is ("x-amz-3" not in answer["Metadata"])
        return content != SECRET

    return is_encrypted


def _ended(command: tuple[str, ...], **more: Any) -> Ended:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **more)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def _changed(environment: Mapping[str, str], changes: Mapping[str, str | None] | None) -> dict[str, str]:
    merged: dict[str, str | None] = {**environment, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}
