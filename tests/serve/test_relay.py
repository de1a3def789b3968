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
from s3ec.errors import ConfigurationError
from s3ec.serve import Server, ServeSettings
from s3ec.serve.assembly import make_server
from s3ec.serve.doors import Door, OneDoor

from support.aws import REGION
from support.servers import write_certificate
from support.serving import CREDENTIALS, Raw, converse, running, status_and_code

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


class ByName:
    """One bucket is plain, and every other name is, too, but for one that is refused."""

    def __init__(self, refused: str) -> None:
        self._refused = refused

    def of(self, bucket: str) -> Door:
        """Like rules whose default is plain."""
        if bucket == self._refused:
            raise ConfigurationError("no rule names this bucket")
        return Door(None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "target",
    ["//{}/k", "//{}", "///{}/k", "//", "/./{}/k", "/../{}/k", "/%2E%2e/{}/k", "/{}%2Fk", "/%2f{}/k", "/.%2f{}/k"],
)
def test_a_bucket_is_the_one_that_every_server_finds(
    serve: Callable[..., Server], plain_s3: Any, bucket: str, method: str, target: str
):
    """What is relayed goes on as it came: a server that tidies paths would find another bucket, past its rule."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"what nobody named")
    server = serve(doors=ByName(bucket))
    body = b"plaintext" if method == "PUT" else b""
    raw = Raw(server.url, method, target.format(bucket))
    answer = converse(server.url, raw.head(f"Content-Length: {len(body)}", "Connection: close") + body)
    assert status_and_code(answer) == (400, "" if method == "HEAD" else "InvalidBucketName")
    assert b"nobody named" not in answer
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"what nobody named"


@pytest.mark.parametrize(
    ("key", "status"),
    [("../{}/k", 400), ("%2e%2e/{}/k", 400), ("..%2F{}%2Fk", 400), ("a/../../{}/k", 400), ("..", 400),
     ("a//../../{}/k", 400), ("a/./../../{}/k", 400), ("a/b/../../../{}/k", 400), ("%2f../{}/k", 400),
     ("a/../{}/k", 200), ("./{}/k", 200), ("..a/{}/k", 200), ("a//../k", 200), ("a/b/../../{}/k", 200)],
)  # fmt: skip
def test_a_key_does_not_lead_out_of_its_bucket(
    serve: Callable[..., Server], plain_s3: Any, bucket: str, key: str, status: int
):
    """S3 refuses such keys; a server that tidies paths would store plaintext in an encrypted bucket."""
    server = serve(doors=ByName("encrypted"))
    raw = Raw(server.url, "PUT", f"/{bucket}/{key.format('encrypted')}")
    answer = converse(server.url, raw.head("Content-Length: 9", "Connection: close") + b"plaintext")
    assert status_and_code(answer) == (status, "InvalidURI" if status == 400 else "")
