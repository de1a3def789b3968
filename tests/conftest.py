"""Fixtures for every test: real HTTP to moto on loopback, real boto3 clients, a fresh bucket each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import settings

from support import aws as support_aws
from support.read_once import models_read_once
from support.secret_plugin import no_secret_is_left_behind, pytest_addoption  # noqa: F401 - pytest finds them here

# A busy machine is slow, not wrong: no property fails because of the time it took. The suite runs on several Pythons,
# and one of them looks for counter-examples in earnest.
settings.register_profile("everyday", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=20)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "everyday"))


@pytest.fixture(autouse=True, scope="session")
def _aws_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the settings, credentials or proxies of the person who runs it."""
    with support_aws.clean_aws_environment(str(tmp_path_factory.mktemp("aws"))), models_read_once():
        yield


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    """No test connects to anything but loopback."""
    with support_aws.loopback_only():
        yield


@pytest.fixture(scope="session")
def endpoint(_aws_environment: None) -> Iterator[str]:
    """URL of moto's server (S3 and KMS), one per test process."""
    with support_aws.moto_endpoint() as url:
        yield url


@pytest.fixture
def aws(endpoint: str) -> dict[str, Any]:
    """Arguments for ``boto3.client`` or ``EncryptionClient``; a copy of one's own to change."""
    return support_aws.client_arguments(endpoint)


@pytest.fixture(scope="session")
def kms_key(endpoint: str) -> str:
    """ARN of a symmetric KMS key."""
    return support_aws.create_kms_key(support_aws.client_arguments(endpoint))


@pytest.fixture
def plain_s3(aws: dict[str, Any]) -> Iterator[Any]:
    """A plain boto3 S3 client: what S3 itself stores and answers."""
    with contextlib.closing(boto3.client("s3", **aws)) as client:
        yield client


@pytest.fixture
def kms(aws: dict[str, Any]) -> Iterator[Any]:
    """A plain boto3 KMS client of one's own, so that a test may count its calls."""
    with contextlib.closing(boto3.client("kms", **aws)) as client:
        yield client


@pytest.fixture
def bucket(aws: dict[str, Any]) -> Iterator[str]:
    """Name of a fresh bucket, deleted with all its content afterwards."""
    name = support_aws.new_bucket_name()
    with contextlib.closing(boto3.client("s3", **aws)) as client:
        client.create_bucket(Bucket=name)
        yield name
        # A test may have deleted the bucket, or have locked objects in it.
        with contextlib.suppress(ClientError):
            support_aws.empty_bucket(client, name)


@pytest.fixture(scope="session")
def _shared_session(_aws_environment: None) -> boto3.Session:
    """One session for all clients of `make_client`: a new one parses S3's whole model again, 0.1 s for every client."""
    return boto3.Session()


@pytest.fixture
def make_client(
    aws: dict[str, Any], kms_key: str, kms: Any, _shared_session: boto3.Session
) -> Iterator[Callable[..., Any]]:
    """Makes an ``EncryptionClient`` for moto; its default keyring is ``KmsKeyring(kms_key, client=kms)``."""
    from s3ec import EncryptionClient, KmsKeyring

    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> EncryptionClient:
            if "keyring" not in options and "materials_manager" not in options:
                options["keyring"] = KmsKeyring(kms_key, client=kms)
            options.setdefault("session", _shared_session)
            return stack.enter_context(contextlib.closing(EncryptionClient(**{**aws, **options})))

        yield make
