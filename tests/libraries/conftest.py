"""Fixtures for third-party libraries: a session of ours to hand to them, and a look at what they left in the bucket."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from s3ec import EncryptionClient, KmsKeyring, Session

TAG_LENGTH = 16
PROBE_LENGTH = 32


@pytest.fixture
def session(aws: dict[str, Any], kms_key: str, kms: Any) -> Session:
    """A session as a user makes it: a keyring and boto3's own arguments, no option turned on."""
    credentials = {name: value for name, value in aws.items() if name != "endpoint_url"}
    return Session(keyring=KmsKeyring(kms_key, client=kms), **credentials)


@pytest.fixture
def client(make_client: Callable[..., EncryptionClient]) -> EncryptionClient:
    """An encrypting client with no option turned on."""
    return make_client()


@pytest.fixture
def resource(session: Session, endpoint: str) -> Iterator[Any]:
    """boto3's own S3 resource, made by the session."""
    resource = session.resource("s3", endpoint_url=endpoint)
    with contextlib.closing(resource.meta.client):
        yield resource


@pytest.fixture
def stored(plain_s3: Any, bucket: str) -> Callable[[str], bytes]:
    """Reads what S3 itself holds under a key, and shows that it is an encrypted object."""

    def read(key: str) -> bytes:
        response = plain_s3.get_object(Bucket=bucket, Key=key)
        assert {"x-amz-3", "x-amz-c", "x-amz-d", "x-amz-i"} <= response["Metadata"].keys()
        with response["Body"] as body:
            content: bytes = body.read()
        return content

    return read


@pytest.fixture
def assert_ciphertext(stored: Callable[[str], bytes]) -> Callable[[str, bytes], None]:
    """Asserts that a key holds the encryption of these bytes: their length and a tag, and nothing of themselves."""

    def check(key: str, plaintext: bytes) -> None:
        content = stored(key)
        assert len(content) == len(plaintext) + TAG_LENGTH
        for start in (0, len(plaintext) // 2, max(0, len(plaintext) - PROBE_LENGTH)):
            probe = plaintext[start : start + PROBE_LENGTH]
            assert len(probe) < PROBE_LENGTH // 4 or probe not in content

    return check
