"""An S3 and a KMS that answer over HTTP on loopback, and a guard that keeps every test there."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import boto3
import pytest

from support.read_once import moto_knows_its_services

REGION = "us-east-1"
LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


class NetworkBlockedError(RuntimeError):
    """A test tried to reach something that is not on this machine."""


def is_loopback(host: object) -> bool:
    """Says whether ``host`` (a name, an address, or None for the wildcard) stays on this machine."""
    if host is None or host == "":
        return True
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name.split("%")[0]).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """Refuses every connection and name look-up that would leave this machine."""
    real_connect, real_connect_ex, real_getaddrinfo = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def check(host: object) -> None:
        if not is_loopback(host):
            raise NetworkBlockedError(f"tests may only talk to loopback, not to {host!r}")

    def check_address(address: Any) -> None:
        if isinstance(address, tuple):
            check(address[0])

    def connect(self: socket.socket, address: Any) -> None:
        check_address(address)
        real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        check_address(address)
        return real_connect_ex(self, address)

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        check(host)
        return real_getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield


@contextlib.contextmanager
def clean_aws_environment(home: str) -> Iterator[None]:
    """Hides the AWS settings and proxies of whoever runs the tests; ``home`` is an empty directory."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        patch.setenv("AWS_CONFIG_FILE", f"{home}/config")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{home}/credentials")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        yield


@contextlib.contextmanager
def moto_endpoint() -> Iterator[str]:
    """Runs moto's server on a free loopback port; yields its URL."""
    # Imported here alone: moto listens to every client of the process that imports it.
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # its log of requests would drown what a failing test prints
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with moto_knows_its_services():
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield f"http://{host}:{port}"
        finally:
            server.stop()


def client_arguments(endpoint: str) -> dict[str, Any]:
    """The ``boto3.client`` arguments that reach ``endpoint`` with credentials that mean nothing elsewhere."""
    return {
        "endpoint_url": endpoint,
        "region_name": REGION,
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }


def create_kms_key(aws: dict[str, Any]) -> str:
    """Creates a symmetric KMS key over HTTP; returns its ARN."""
    client = boto3.client("kms", **aws)
    try:
        arn: str = client.create_key(Description="s3ec tests")["KeyMetadata"]["Arn"]
    finally:
        client.close()
    return arn


def new_bucket_name() -> str:
    """A bucket name that no other test uses."""
    return f"test-{uuid.uuid4().hex}"


def empty_bucket(client: Any, bucket: str) -> None:
    """Deletes every version, delete marker and unfinished upload of ``bucket``, then the bucket."""
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            client.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])
    client.delete_bucket(Bucket=bucket)


def date_uploads(client: Any) -> None:
    """Let a client see multipart uploads as begun just now; moto dates every one of them to a day in 2010."""

    def date(parsed: dict[str, Any], **_: Any) -> None:
        for upload in parsed.get("Uploads", []):
            upload["Initiated"] = datetime.now(timezone.utc)

    client.meta.events.register("after-call.s3.ListMultipartUploads", date)


def keep_versions(s3: Any, bucket: str) -> None:
    """Let a bucket keep versions from now on."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
