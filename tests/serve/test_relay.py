"""What is relayed takes the way to S3 that the encrypting client takes."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from s3ec import AesKeyring, EncryptionClient
from s3ec.serve import Server, ServeSettings
from s3ec.serve.assembly import make_server
from s3ec.serve.doors import Door, OneDoor

from support.aws import REGION
from support.servers import write_certificate
from support.serving import CREDENTIALS, running

DEAF = "http://127.0.0.1:9"


@pytest.fixture
def before() -> Iterator[Callable[..., Server]]:
    """Starts an endpoint in front of another URL; takes arguments of its client by keyword."""
    session = boto3.Session(CREDENTIALS.access_key, CREDENTIALS.secret_key, region_name=REGION)
    with contextlib.ExitStack() as stack:

        def start(url: str, **arguments: Any) -> Server:
            keyring = AesKeyring(bytes(range(32)))
            client = EncryptionClient(keyring=keyring, session=session, endpoint_url=url, **arguments)
            stack.enter_context(contextlib.closing(client))
            settings = ServeSettings(credentials=CREDENTIALS, port=0)
            return stack.enter_context(running(make_server(settings, session, client, OneDoor(Door(client)))))

        yield start


def test_it_trusts_whom_the_client_trusts(
    serve: Callable[..., Server], before: Callable[..., Server], through: Any, bucket: str, tmp_path: Path
):
    """An S3 whose certificate an authority of one's own signed: another endpoint of ours."""
    certificate = write_certificate(tmp_path, "certificate.pem", "key.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    far = serve(tls=context, doors=OneDoor(Door(None)))
    s3 = through(before(far.url, verify=str(certificate)))
    s3.put_object(Bucket=bucket, Key="k", Body=b"content")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    with pytest.raises(ClientError) as refused:
        through(before(far.url)).list_objects_v2(Bucket=bucket)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500


def test_it_goes_by_the_proxy_of_the_client(
    serve: Callable[..., Server], before: Callable[..., Server], through: Any, bucket: str
):
    """Where a proxy is the only way out, going past it would fail, or be noticed."""
    s3 = through(before(serve().url, config=Config(proxies={"http": DEAF}, connect_timeout=1)))
    with pytest.raises(ClientError) as refused:
        s3.list_objects_v2(Bucket=bucket)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
