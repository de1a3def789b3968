"""An endpoint of settings and a session: the clients, the relay and the server, wired together."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.client import BaseClient

from s3ec.client.server_side.copying import speaks_to_aws
from s3ec.serve.doors import Doors
from s3ec.serve.gateway import Gateway
from s3ec.serve.metrics import Metrics
from s3ec.serve.relay import Relay
from s3ec.serve.server import Server
from s3ec.serve.settings import ServeSettings

__all__ = ["count_kms", "make_server"]


def make_server(
    settings: ServeSettings,
    session: boto3.Session,
    client: BaseClient,
    doors: Doors,
    metrics: Metrics | None = None,
) -> Server:
    """Make a server that listens already.

    Args:
        settings: how it listens, and whom it believes.
        session: whose credentials sign what is relayed.
        client: any S3 client of that session: where S3 is, and how one gets there.
        doors: which way the requests to a bucket go.
        metrics: where to count.

    Raises:
        OSError: the address is in use, or is not this machine's.
    """
    relay = Relay(session, client, connections=settings.max_requests)
    gateway = Gateway(settings, doors, relay, on_aws=speaks_to_aws(client), metrics=metrics)
    return Server(settings, gateway)


def count_kms(session: boto3.Session, metrics: Metrics) -> None:
    """Count the requests to KMS of all clients that the session makes from now on."""

    def count(event_name: str = "", **_: Any) -> None:
        metrics.count("s3ec_kms_calls_total", operation=event_name.rpartition(".")[2])

    session.events.register("before-send.kms", count)
