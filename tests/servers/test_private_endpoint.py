"""`s3ec run --serve` beside a server that checks who signs: what goes past the endpoint is refused, stores nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.servers import Server

CONTENT = b"what only its owner should read"
# As a program of another language is: no path of Python's leads to the package, and it has its own idea of an address.
PROGRAM = """
import sys, boto3
from botocore.exceptions import ClientError
bucket, *address = sys.argv[1:]
client = boto3.client("s3", **({"endpoint_url": address[0]} if address else {}))
try:
    client.put_object(Bucket=bucket, Key="written", Body=b"what only its owner should read")
except ClientError as error:
    print(error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])
else:
    print("stored")
"""


@pytest.fixture
def launch(minio_http: Server, tmp_path: Path) -> Callable[..., str]:
    """Runs that program beside an endpoint of its own; answers with what it printed."""
    (tmp_path / "key").write_bytes(bytes(range(128, 160)))
    arguments = minio_http.arguments()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ENDPOINT_URL_S3": minio_http.url,
        "AWS_ACCESS_KEY_ID": arguments["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": arguments["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": arguments["region_name"],
        "S3EC_AES_KEY_FILE": str(tmp_path / "key"),
    }

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "s3ec", "run", "--serve", "--", sys.executable, "-I", "-c", PROGRAM, *words]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    return run


def test_who_goes_past_the_endpoint_is_refused(
    minio_http: Server, new_bucket: Callable[..., str], plain: Any, launch: Callable[..., str]
) -> None:
    """By the server itself, which does not know the only key that the program has."""
    bucket = new_bucket(minio_http)
    assert launch(bucket) == "stored"
    assert plain(minio_http).head_object(Bucket=bucket, Key="written")["ContentLength"] == len(CONTENT) + 16
    plain(minio_http).delete_object(Bucket=bucket, Key="written")
    assert launch(bucket, minio_http.url) == "403 InvalidAccessKeyId"
    assert plain(minio_http).list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert not minio_http.disk_contains(CONTENT)
