"""The KMS client is made as the S3 client is: what leaves for KMS goes the same way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.httpsession import URLLib3Session

import s3ec
from s3ec import EncryptionClient, KmsDiscoveryKeyring, KmsKeyring
from s3ec.errors import KeyringError

CREDENTIALS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
REGION = "us-gov-west-1"
FIPS = Config(
    use_fips_endpoint=True,
    proxies={"https": "http://proxy.example:3128"},
    connect_timeout=3,
    user_agent_extra="payroll/1",
    retries={"total_max_attempts": 1},
    s3={"addressing_style": "path"},
    signature_version="s3v4",
)


class NoNetworkError(Exception):
    """In place of an answer."""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[AWSPreparedRequest, Any]]]:
    """What leaves, and the connections by which it would."""
    requests: list[tuple[AWSPreparedRequest, Any]] = []

    def send(connections: Any, request: AWSPreparedRequest) -> None:
        requests.append((request, connections))
        raise NoNetworkError

    monkeypatch.setattr(URLLib3Session, "send", send)
    return requests


def directly(**arguments: Any) -> BaseClient:
    """A client of its own."""
    keyring = arguments.pop("keyring", None) or KmsKeyring("alias/x")
    return EncryptionClient(keyring=keyring, region_name=REGION, **CREDENTIALS, **arguments)


def of_session(**arguments: Any) -> BaseClient:
    """A client of a session that encrypts."""
    keyring = arguments.pop("keyring", None) or KmsKeyring("alias/x")
    return s3ec.Session(keyring=keyring, region_name=REGION, **CREDENTIALS).client("s3", **arguments)


def of_installed(**arguments: Any) -> BaseClient:
    """A client of somebody's session."""
    session = boto3.Session(region_name=REGION, **CREDENTIALS)
    s3ec.install(session, keyring=arguments.pop("keyring", None) or KmsKeyring("alias/x"))
    return session.client("s3", **arguments)


def of_default_config(*, config: Config, **arguments: Any) -> BaseClient:
    """A client of a session with a configuration for all its clients."""
    session = boto3.Session(region_name=REGION, **CREDENTIALS)
    session._session.set_default_client_config(config)
    return EncryptionClient(
        keyring=arguments.pop("keyring", None) or KmsKeyring("alias/x"), session=session, **arguments
    )


MAKERS = [directly, of_session, of_installed, of_default_config]


def ask(client: BaseClient, sent: list[tuple[AWSPreparedRequest, Any]]) -> tuple[AWSPreparedRequest, Any]:
    """The request to KMS that a put makes, before anything to S3."""
    with contextlib.closing(client), contextlib.suppress(NoNetworkError, KeyringError):
        client.put_object(Bucket="bucket-name", Key="k", Body=b"x")
    return sent[0]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_the_configuration(make: Callable[..., BaseClient], sent: list[tuple[AWSPreparedRequest, Any]]) -> None:
    """FIPS, the proxy, timeouts and the user agent hold for the call that brings the plaintext data key."""
    request, connections = ask(make(config=FIPS), sent)
    assert request.url == f"https://kms-fips.{REGION}.amazonaws.com/"
    assert connections._proxy_config.proxy_url_for(request.url) == "http://proxy.example:3128"
    assert connections._timeout.connect_timeout == 3
    assert b"payroll/1" in request.headers["User-Agent"]
    assert len(sent) == 1  # one attempt


@pytest.mark.parametrize("make", MAKERS[:3], ids=lambda make: make.__name__)
def test_certificates(
    make: Callable[..., BaseClient], sent: list[tuple[AWSPreparedRequest, Any]], tmp_path: Any
) -> None:
    """A bundle of certificates, as a proxy that looks into connections needs it, is taken for both."""
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    _, connections = ask(make(verify=str(bundle)), sent)
    assert connections._verify == str(bundle)


def test_the_default(sent: list[tuple[AWSPreparedRequest, Any]]) -> None:
    """Nothing is carried over that nobody configured."""
    request, connections = ask(directly(), sent)
    assert request.url == f"https://kms.{REGION}.amazonaws.com/"
    assert connections._timeout.connect_timeout == 60
    assert request.headers["Authorization"].startswith(b"AWS4-HMAC-SHA256")


def test_the_endpoint_of_s3_is_not_that_of_kms(sent: list[tuple[AWSPreparedRequest, Any]]) -> None:
    """Neither it nor anonymous requests."""
    from botocore import UNSIGNED

    client = directly(endpoint_url="https://minio.example", config=Config(signature_version=UNSIGNED))
    request, _ = ask(client, sent)
    assert request.url == f"https://kms.{REGION}.amazonaws.com/"
    assert "Authorization" in request.headers


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_what_the_keyring_was_told_stays(
    make: Callable[..., BaseClient], sent: list[tuple[AWSPreparedRequest, Any]]
) -> None:
    """A configuration or a client of its own wins."""
    own = Config(connect_timeout=7, use_fips_endpoint=False)
    request, connections = ask(make(config=FIPS, keyring=KmsKeyring("alias/x", config=own)), sent)
    assert (request.url, connections._timeout.connect_timeout) == (f"https://kms.{REGION}.amazonaws.com/", 7)
    sent.clear()
    kms = boto3.client("kms", region_name="eu-west-1", **CREDENTIALS)
    request, _ = ask(make(config=FIPS, keyring=KmsKeyring("alias/x", client=kms)), sent)
    assert request.url == "https://kms.eu-west-1.amazonaws.com/"
    sent.clear()
    other = boto3.Session(region_name="eu-west-1", **CREDENTIALS)
    request, _ = ask(make(config=FIPS, keyring=KmsKeyring("alias/x", session=other)), sent)
    assert request.url == "https://kms.eu-west-1.amazonaws.com/"


def test_credentials_of_its_own(sent: list[tuple[AWSPreparedRequest, Any]]) -> None:
    """Whose call it is and how it gets there are two things."""
    keyring = KmsKeyring(f"arn:aws-us-gov:kms:{REGION}:1:key/k", aws_access_key_id="other", aws_secret_access_key="o")
    request, connections = ask(directly(config=FIPS, keyring=keyring), sent)
    assert b"Credential=other/" in request.headers["Authorization"]
    assert connections._proxy_config.proxy_url_for(request.url) == "http://proxy.example:3128"


def test_discovery() -> None:
    """The keyring that reads only is made in the same way, and clients of a session that are alike share one."""
    session = s3ec.Session(keyring=KmsDiscoveryKeyring(), region_name=REGION, **CREDENTIALS)
    keyrings = [session.client("s3", config=FIPS)._s3ec_wire.options.keyring for _ in range(2)]
    assert keyrings[0] is keyrings[1]
    assert keyrings[0]._kms()._client.meta.endpoint_url == f"https://kms-fips.{REGION}.amazonaws.com"


def test_the_default_session(sent: list[tuple[AWSPreparedRequest, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who set up boto3's default session meant it for KMS, too."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session("mine", "secret", region_name=REGION))
    request, _ = ask(EncryptionClient(keyring=KmsKeyring("alias/x")), sent)
    assert b"Credential=mine/" in request.headers["Authorization"]
