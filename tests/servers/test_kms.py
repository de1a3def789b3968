"""The KMS keyrings on two servers that err in different places: LocalStack's KMS and moto's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from s3ec import AesKeyring, EncryptionClient, KmsDiscoveryKeyring, KmsKeyring
from s3ec.errors import EncryptionContextMismatchError, KeyringError, KeyUnwrapError

from support.servers import Server

pytestmark = pytest.mark.server

CONTEXT = {"team": "hr", "größe": "漢"}
CONTENT = b"opened by a key of AWS KMS"

Make = Callable[..., Any]


@pytest.fixture(params=["localstack", "moto"])
def kms_arguments(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Arguments of a KMS client, for each server that has a KMS."""
    if request.param == "moto":
        arguments: dict[str, Any] = request.getfixturevalue("aws")
        return arguments
    server: Server = request.getfixturevalue("localstack")
    return server.arguments()


@pytest.fixture
def keys(kms_arguments: dict[str, Any]) -> Iterator[Any]:
    """A plain KMS client."""
    with contextlib.closing(boto3.client("kms", **kms_arguments)) as client:
        yield client


@pytest.fixture
def place(minio: Server, new_bucket: Make) -> dict[str, str]:
    """Where an object goes: the storage is MinIO, whichever KMS opens it."""
    return {"Bucket": new_bucket(minio), "Key": "k"}


@pytest.fixture
def client_with(minio: Server) -> Iterator[Make]:
    """Makes an encrypting client of MinIO with a keyring."""
    with contextlib.ExitStack() as stack:
        yield lambda keyring: stack.enter_context(
            contextlib.closing(EncryptionClient(keyring=keyring, **minio.arguments()))
        )


def new_key(keys: Any) -> str:
    """ARN of a fresh symmetric key."""
    arn: str = keys.create_key()["KeyMetadata"]["Arn"]
    return arn


def test_a_key_is_named_in_every_form(keys: Any, client_with: Make, place: dict[str, str]) -> None:
    """ARN, ID, alias and alias ARN of one key open what another of them wrote."""
    arn = new_key(keys)
    alias = f"alias/{place['Bucket']}"
    keys.create_alias(AliasName=alias, TargetKeyId=arn)
    alias_arn = arn.partition(":key/")[0] + f":{alias}"
    names = [arn, arn.rpartition("/")[2], alias, alias_arn]
    for writer, reader in zip(names, [*names[1:], names[0]], strict=True):
        client_with(KmsKeyring(writer, client=keys)).put_object(**place, Body=CONTENT, EncryptionContext=CONTEXT)
        answer = client_with(KmsKeyring(reader, client=keys)).get_object(**place, EncryptionContext=CONTEXT)
        assert answer["Body"].read() == CONTENT
    answer = client_with(KmsDiscoveryKeyring(client=keys)).get_object(**place, EncryptionContext=CONTEXT)
    assert answer["Body"].read() == CONTENT


def test_the_context_is_bound(keys: Any, client_with: Make, plain: Make, minio: Server, place: dict[str, str]) -> None:
    """A context that differs is refused before KMS is asked, and one that was altered in storage by KMS itself."""
    client = client_with(KmsKeyring(new_key(keys), client=keys))
    client.put_object(**place, Body=CONTENT, EncryptionContext={"team": "hr"})
    with pytest.raises(EncryptionContextMismatchError):
        client.get_object(**place, EncryptionContext={"team": "it"})
    storage = plain(minio)
    stored = storage.get_object(**place)
    altered = {name: value.replace("hr", "it") for name, value in stored["Metadata"].items()}
    storage.put_object(**place, Body=stored["Body"].read(), Metadata=altered)
    with pytest.raises(KeyUnwrapError):
        client.get_object(**place, EncryptionContext={"team": "it"})


def test_another_key_opens_nothing(keys: Any, client_with: Make, place: dict[str, str]) -> None:
    """A keyring names its own key, so that an object of another one does not open."""
    client_with(KmsKeyring(new_key(keys), client=keys)).put_object(**place, Body=CONTENT)
    with pytest.raises(KeyringError):
        client_with(KmsKeyring(new_key(keys), client=keys)).get_object(**place)
    with pytest.raises(KeyringError):
        client_with(AesKeyring(bytes(32))).get_object(**place)


def test_a_key_that_is_not_there_stores_nothing(
    keys: Any, client_with: Make, plain: Make, minio: Server, place: dict[str, str]
) -> None:
    """Without a data key there is no object."""
    absent = new_key(keys)[:-12] + "000000000000"
    with pytest.raises(KeyringError, match="NotFound"):
        client_with(KmsKeyring(absent, client=keys)).put_object(**place, Body=CONTENT)
    assert "Contents" not in plain(minio).list_objects_v2(Bucket=place["Bucket"])


def test_objects_survive_a_rotation(keys: Any, client_with: Make, place: dict[str, str]) -> None:
    """What was written before the key's material was rotated opens afterwards."""
    arn = new_key(keys)
    client = client_with(KmsKeyring(arn, client=keys))
    client.put_object(**place, Body=CONTENT)
    keys.rotate_key_on_demand(KeyId=arn)
    assert client.get_object(**place)["Body"].read() == CONTENT


@pytest.mark.parametrize("state", ["disabled", "pending-deletion"])
def test_a_key_out_of_service_neither_writes_nor_reads(
    localstack: Server, client_with: Make, plain: Make, minio: Server, place: dict[str, str], state: str
) -> None:
    """A disabled key and one that is to be deleted are refused both ways; moto lets them through."""
    keys = boto3.client("kms", **localstack.arguments())
    arn = new_key(keys)
    client = client_with(KmsKeyring(arn, client=keys))
    client.put_object(**place, Body=CONTENT)
    if state == "disabled":
        keys.disable_key(KeyId=arn)
    else:
        keys.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    with pytest.raises(KeyringError):
        client.get_object(**place)
    with pytest.raises(KeyringError):
        client.put_object(Bucket=place["Bucket"], Key="other", Body=CONTENT)
    assert [entry["Key"] for entry in plain(minio).list_objects_v2(Bucket=place["Bucket"])["Contents"]] == ["k"]


def test_a_replica_of_the_key_opens(localstack: Server, client_with: Make, place: dict[str, str]) -> None:
    """What a multi-Region key wrote opens with its replica in another Region."""
    keys = boto3.client("kms", **localstack.arguments())
    arn = keys.create_key(MultiRegion=True)["KeyMetadata"]["Arn"]
    keys.replicate_key(KeyId=arn, ReplicaRegion="eu-west-1")
    client_with(KmsKeyring(arn, client=keys)).put_object(**place, Body=CONTENT)
    there = boto3.client("kms", **{**localstack.arguments(), "region_name": "eu-west-1"})
    replica = arn.replace("us-east-1", "eu-west-1")
    assert client_with(KmsKeyring(replica, client=there)).get_object(**place)["Body"].read() == CONTENT


def test_localstack_is_storage_as_well(localstack: Server, new_bucket: Make) -> None:
    """S3 and KMS of one server, keyring and client with the same credentials, keys that S3 alone allows."""
    keys = boto3.client("kms", **localstack.arguments())
    bucket = new_bucket(localstack)
    client = EncryptionClient(keyring=KmsKeyring(new_key(keys), client=keys), **localstack.arguments())
    for key in ("a//b", "./a", "a/../b", "p", "p/q", "ü" * 512):
        client.put_object(Bucket=bucket, Key=key, Body=CONTENT, EncryptionContext=CONTEXT)
        assert client.get_object(Bucket=bucket, Key=key, EncryptionContext=CONTEXT)["Body"].read() == CONTENT
    client.close()
