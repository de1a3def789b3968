"""Fixtures for the file system ``s3ec://``: one on moto, with a key in a file, and what S3 itself holds beside it."""

from __future__ import annotations

import importlib.util
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# `tox -e fs` runs these; where the extra is not installed, pytest's header says that they are left out.
HAS_S3FS = importlib.util.find_spec("s3fs") is not None
collect_ignore_glob = [] if HAS_S3FS else ["test_*.py"]


def pytest_report_header() -> str | None:
    """Says aloud that nothing of the file system is tested here."""
    return None if HAS_S3FS else "tests/fs IS NOT RUN: s3fs is not installed (tox -e fs)"


@pytest.fixture(autouse=True, scope="session")
def _protocol() -> None:
    """In a checkout that is not installed there is no entry point for fsspec to find."""
    import fsspec

    if "s3ec" not in fsspec.available_protocols():
        fsspec.register_implementation("s3ec", "s3ec.fs.S3ECFileSystem", clobber=True)


@pytest.fixture(autouse=True)
def _no_file_system_is_left() -> Iterator[None]:
    """fsspec keeps file systems; each test makes its own."""
    from fsspec.asyn import sync

    from s3ec.fs import S3ECFileSystem

    S3ECFileSystem.clear_instance_cache()
    yield
    for fs in list(S3ECFileSystem._cache.values()):
        if not fs.asynchronous and fs._s3 is not None:
            sync(fs.loop, fs._s3.__aexit__, None, None, None, timeout=60)
    S3ECFileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a raw AES key."""
    path = tmp_path_factory.mktemp("keys") / "wrapping.key"
    path.write_bytes(secrets.token_bytes(32))
    return str(path)


@pytest.fixture
def account(endpoint: str) -> dict[str, Any]:
    """What reaches moto, by s3fs' names."""
    return {
        "endpoint_url": endpoint,
        "key": "testing",
        "secret": "testing",
        "client_kwargs": {"region_name": "us-east-1"},
    }


@pytest.fixture
def storage_options(account: dict[str, Any], key_file: str) -> dict[str, Any]:
    """Options as a user has them: a key, and where S3 is."""
    return {**account, "aes_key_file": key_file}


@pytest.fixture
def make_fs(account: dict[str, Any], key_file: str) -> Callable[..., Any]:
    """Makes a file system; its default key is that of `key_file`."""
    from s3ec.fs import S3ECFileSystem
    from s3ec.fs.settings import KEY_NAMES

    def make(**options: Any) -> Any:
        if not options.keys() & set(KEY_NAMES):
            options["aes_key_file"] = key_file
        return S3ECFileSystem(**{**account, **options})

    return make


@pytest.fixture
def fs(make_fs: Callable[..., Any]) -> Any:
    """A file system with no option turned on."""
    return make_fs()


@pytest.fixture
def change(plain_s3: Any, bucket: str) -> Callable[[str, Callable[[bytes], bytes]], None]:
    """Changes what S3 holds under a key, with the object's metadata as it is."""

    def apply(key: str, changed: Callable[[bytes], bytes]) -> None:
        response = plain_s3.get_object(Bucket=bucket, Key=key)
        with response["Body"] as body:
            content = body.read()
        plain_s3.put_object(Bucket=bucket, Key=key, Body=changed(content), Metadata=response["Metadata"])

    return apply


@pytest.fixture
def open_uploads(plain_s3: Any, bucket: str) -> Callable[[], int]:
    """Counts the uploads that were begun and neither completed nor aborted."""

    def count() -> int:
        return len(plain_s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))

    return count


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for downloads."""
    path = tmp_path / "downloads"
    path.mkdir()
    return path
