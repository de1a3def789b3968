"""fsspec's own suite for file systems, as s3fs runs it for itself: with the same outcome, and no test left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import fsspec.tests.abstract as abstract
import pytest

from s3ec.fs import S3ECFileSystem

from support import aws


@pytest.fixture(scope="module")
def shared_bucket(endpoint: str) -> Iterator[str]:
    """A bucket for all tests."""
    client = boto3.client("s3", **aws.client_arguments(endpoint))
    name = aws.new_bucket_name()
    client.create_bucket(Bucket=name)
    yield name
    aws.empty_bucket(client, name)
    client.close()


@pytest.fixture(scope="module")
def shared_fs(endpoint: str, key_file: str) -> Any:
    """The file system with no option turned on."""
    return S3ECFileSystem(
        aes_key_file=key_file,
        endpoint_url=endpoint,
        key="testing",
        secret="testing",
        client_kwargs={"region_name": "us-east-1"},
        skip_instance_cache=True,
    )


class Fixtures(abstract.AbstractFixtures):
    """What the suite wants to know of a file system."""

    @pytest.fixture
    def fs(self, shared_fs: Any) -> Any:
        """The file system."""
        return shared_fs

    @pytest.fixture
    def fs_path(self, shared_bucket: str) -> str:
        """Where the tests write."""
        return shared_bucket

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        """S3 has none."""
        return False


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    """Copies within the file system."""


class TestGet(abstract.AbstractGetTests, Fixtures):
    """Downloads."""


class TestPut(abstract.AbstractPutTests, Fixtures):
    """Uploads."""


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    """Bytes in memory."""


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    """Open files."""

    # As s3fs marks it for itself.
    test_open_exclusive = pytest.mark.xfail(
        reason="moto completes uploads whatever their condition says", strict=False
    )(abstract.AbstractOpenTests.test_open_exclusive)
