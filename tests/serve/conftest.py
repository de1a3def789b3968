"""An endpoint of our own in front of moto, and clients that sign for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.core.models import botocore_stubber

from s3ec import EncryptionClient, KmsKeyring
from s3ec.serve import Server, ServeSettings
from s3ec.serve.assembly import make_server
from s3ec.serve.doors import Door, OneDoor

from support.aws import REGION, client_arguments
from support.serving import CREDENTIALS, running


def unmocked(client: Any) -> Any:
    """A client as it is where moto has not been imported, which listens to every request of the process."""
    client.meta.events.unregister("before-send", botocore_stubber)
    return client


@pytest.fixture(scope="session")
def _session() -> boto3.Session:
    """Whose credentials sign what is relayed."""
    return boto3.Session("testing", "testing", region_name=REGION)


@pytest.fixture(scope="session")
def _ordinary(endpoint: str, kms_key: str, _session: boto3.Session) -> Iterator[Server]:
    """The endpoint for whoever asks for nothing special: to start one takes longer than most tests of it."""
    arguments = client_arguments(endpoint)
    settings = ServeSettings(credentials=CREDENTIALS, port=0)
    with contextlib.closing(boto3.client("kms", **arguments)) as kms:
        keyring = KmsKeyring(kms_key, client=kms)
        client = unmocked(
            EncryptionClient(keyring=keyring, session=_session, buffer_size=settings.buffer_size, **arguments)
        )
        with (
            contextlib.closing(client),
            running(make_server(settings, _session, client, OneDoor(Door(client, {}, True)))) as server,
        ):
            yield server


@pytest.fixture
def serve(
    make_client: Callable[..., Any], _session: boto3.Session, _ordinary: Server
) -> Iterator[Callable[..., Server]]:
    """Starts an endpoint, or gives the one that is there; takes settings by keyword."""
    with contextlib.ExitStack() as stack:

        def start(client: Any = None, *, sizes: bool = True, doors: Any = None, **settings: Any) -> Server:
            if client is None and doors is None and sizes and not settings:
                return _ordinary
            chosen = ServeSettings(credentials=CREDENTIALS, port=0, **{"grace": 10.0, **settings})
            client = client or make_client(buffer_size=chosen.buffer_size)
            doors = doors or OneDoor(Door(client, {}, sizes))
            return stack.enter_context(running(make_server(chosen, _session, client, doors)))

        yield start


@pytest.fixture
def through() -> Iterator[Callable[..., Any]]:
    """Makes a plain boto3 client for an endpoint of ours."""
    with contextlib.ExitStack() as stack:

        def make(server: Server, **arguments: Any) -> Any:
            config = {"retries": {"total_max_attempts": 1}, **arguments.pop("config", {})}
            given = {
                "endpoint_url": server.url,
                "aws_access_key_id": CREDENTIALS.access_key,
                "aws_secret_access_key": CREDENTIALS.secret_key,
                "region_name": REGION,
                **arguments,
            }
            return stack.enter_context(contextlib.closing(boto3.client("s3", config=Config(**config), **given)))

        yield make
