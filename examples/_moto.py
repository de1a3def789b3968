"""Local servers, so that every example runs without an AWS account: an S3 and a KMS on loopback, made for one run.

With real AWS none of this is needed: without ``endpoint_url`` and credentials boto3 finds its own.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import ThreadedMotoServer


@dataclass(frozen=True)
class Account:
    """What an example works with.

    Attributes:
        aws: arguments for ``boto3.client`` and ``EncryptionClient`` alike.
        bucket: an empty bucket.
        kms_key: ARN of a symmetric KMS key.
    """

    aws: dict[str, Any]
    bucket: str
    kms_key: str

    @property
    def kms(self) -> Any:
        """Make a KMS client for the keyrings."""
        return boto3.client("kms", **self.aws)


@contextlib.contextmanager
def local_account() -> Iterator[Account]:
    """Run the servers and prepare a bucket and a key."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no log of requests between an example's lines
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    aws = {
        "endpoint_url": f"http://{host}:{port}",
        "region_name": "us-east-1",
        "aws_access_key_id": "example",
        "aws_secret_access_key": "example",
    }
    try:
        boto3.client("s3", **aws).create_bucket(Bucket="example-bucket")
        key = boto3.client("kms", **aws).create_key()["KeyMetadata"]["Arn"]
        yield Account(aws=aws, bucket="example-bucket", kms_key=key)
    finally:
        server.stop()
