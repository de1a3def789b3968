"""Real servers, each started once for the test run, and plain boto3 clients for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from s3ec import AesKeyring, EncryptionClient

from support import servers
from support.aws import empty_bucket, new_bucket_name
from support.servers import Server


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MinIO over https."""
    with servers.minio(tmp_path_factory.mktemp("minio-https") / "home", tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def minio_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MinIO over plain http."""
    with servers.minio(tmp_path_factory.mktemp("minio-http") / "home", tls=False) as server:
        yield server


@pytest.fixture(scope="session")
def localstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """LocalStack over https, with S3 and KMS."""
    with servers.localstack(tmp_path_factory.mktemp("localstack")) as server:
        yield server


@pytest.fixture(scope="session")
def liar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Versitygw, which accepts every server-side mode and stores objects as they came."""
    with servers.versitygw(tmp_path_factory.mktemp("versitygw") / "home") as server:
        yield server


@pytest.fixture
def plain() -> Iterator[Callable[[Server], Any]]:
    """Makes a plain boto3 S3 client for a server."""
    with contextlib.ExitStack() as stack:
        yield lambda server: stack.enter_context(contextlib.closing(boto3.client("s3", **server.arguments())))


@pytest.fixture
def new_bucket(plain: Callable[[Server], Any]) -> Iterator[Callable[..., str]]:
    """Makes a fresh bucket on a server, deleted with its content afterwards."""
    with contextlib.ExitStack() as stack:

        def make(server: Server, **options: Any) -> str:
            client, name = plain(server), new_bucket_name()
            client.create_bucket(Bucket=name, **options)
            stack.callback(_delete_bucket, client, name)
            return name

        yield make


@pytest.fixture
def client_for() -> Iterator[Callable[..., Any]]:
    """Makes an encrypting client with a raw keyring for a server; every client has the same wrapping key."""
    with contextlib.ExitStack() as stack:

        def make(server: Server, **options: Any) -> EncryptionClient:
            options = {"keyring": AesKeyring(b"k" * 32), **server.arguments(), **options}
            return stack.enter_context(contextlib.closing(EncryptionClient(**options)))

        yield make


def _delete_bucket(client: Any, name: str) -> None:
    # Locked objects stay until the server's directory goes.
    with contextlib.suppress(ClientError):
        empty_bucket(client, name)
