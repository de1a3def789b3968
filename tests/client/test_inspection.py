"""s3ec.inspect: what an object is, with no key touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import s3ec
from s3ec.formats import MetadataLocation

from support.counting import CountingManager
from support.lying_s3 import LyingS3, Stored
from support.vectors import Vector, all_vectors


@pytest.fixture(scope="module")
def shelf(_aws_environment: None) -> Any:
    """A server that holds every vector, and a plain client of it."""
    from support.lying_s3 import lying_s3

    with lying_s3() as server:
        client = boto3.client("s3", **server.arguments())
        yield server, client
        client.close()


def store(server: LyingS3, stored: Vector) -> None:
    """Puts a vector and its instruction file as their writer left them."""

    def headers(metadata: Any) -> dict[str, str]:
        return {f"x-amz-meta-{name}": value for name, value in metadata.items()}

    server.state.objects[f"b/{stored.object_key}"] = Stored(
        stored.body, headers({**stored.metadata, **stored.user_metadata})
    )
    if file := stored.instruction_file:
        server.state.objects[f"b/{file.key}"] = Stored(file.body, headers(file.metadata))


@pytest.mark.parametrize("stored", all_vectors(), ids=lambda stored: stored.name)
def test_every_vector(shelf: Any, stored: Vector) -> None:
    """What is said is what was stored, for every object of every client, with a plain client and no key."""
    server, client = shelf
    store(server, stored)
    named = {}
    if stored.instruction_file and stored.instruction_file.suffix != ".instruction":
        named["InstructionFileSuffix"] = stored.instruction_file.suffix
    found = s3ec.inspect(client, Bucket="b", Key=stored.object_key, **named)
    metadata = stored.content_metadata()
    assert found.problem is None
    assert found.format == metadata.format.value
    assert found.algorithm_suite == metadata.algorithm_suite.name
    assert found.wrapping_algorithm == metadata.encrypted_data_key.wrapping_algorithm.label
    assert found.description == dict(metadata.description)
    assert found.metadata_location == ("instruction_file" if stored.instruction_file else "metadata")
    assert found.stored_length == len(stored.body)
    assert found.plaintext_length in (len(stored.plaintext), None)
    assert (found.plaintext_length is None) <= stored.has_legacy_content
    assert (found.encryption_context is not None) == (stored.kms is not None)
    assert found.server_side_encryption.name is None
    if stored.kms and stored.wrap == "kms":
        assert found.kms_key_id == metadata.description["kms_cmk_id"]


@pytest.mark.slow
def test_with_an_encrypting_client(http_liar: LyingS3, lied_to: Callable[..., Any], counting: CountingManager) -> None:
    """An encrypting client sees the same, and asks no key."""
    client = lied_to(http_liar)
    client.put_object(Bucket="b", Key="k", Body=b"hello")
    before = counting.calls
    found = s3ec.inspect(client, Bucket="b", Key="k")
    assert (found.bucket, found.key, found.format) == ("b", "k", "V3")
    assert (found.stored_length, found.plaintext_length) == (21, 5)
    assert found.metadata_location == MetadataLocation.OBJECT_METADATA.value
    assert found.encryption_context is None
    assert counting.calls == before


def test_unencrypted(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """An object that no client wrote is nothing of it, without a problem."""
    http_liar.state.objects["b/k"] = Stored(b"hello", {})
    found = s3ec.inspect(lied_to(http_liar), Bucket="b", Key="k")
    assert (found.format, found.algorithm_suite, found.description, found.problem) == (None, None, None, None)
    assert (found.stored_length, found.plaintext_length) == (5, 5)


def test_forgery(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """What cannot be understood is described, with the reason."""
    client = lied_to(http_liar)
    client.put_object(Bucket="b", Key="k", Body=b"hello")
    http_liar.state.objects["b/k"].metadata["x-amz-meta-x-amz-key-v2"] = "AAAA"
    found = s3ec.inspect(client, Bucket="b", Key="k")
    assert found.problem is not None
    assert "V3" in found.problem
    assert found.plaintext_length is None


def test_missing_instruction_file(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """An object whose instruction file is gone is still known as V3."""
    client = lied_to(http_liar, instruction_file_writes=True)
    client.put_object(Bucket="b", Key="k", Body=b"hello")
    assert s3ec.inspect(client, Bucket="b", Key="k").plaintext_length == 5
    del http_liar.state.objects["b/k.instruction"]
    found = s3ec.inspect(client, Bucket="b", Key="k")
    assert found.format == "V3"
    assert "instruction file" in str(found.problem)
    assert found.plaintext_length is None


def test_absent_object(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """S3's own error."""
    with pytest.raises(ClientError, match="404"):
        s3ec.inspect(lied_to(http_liar), Bucket="b", Key="k")


def test_context_and_server_side_mode(make_client: Callable[..., Any], bucket: str) -> None:
    """The context is told with the pairs that s3ec adds, and S3's own layer beside it."""
    client = make_client(server_side_encryption=s3ec.SseS3())
    client.put_object(Bucket=bucket, Key="k", Body=b"hello", EncryptionContext={"team": "hr"})
    found = s3ec.inspect(client, Bucket=bucket, Key="k")
    assert found.encryption_context is not None
    assert found.encryption_context["team"] == "hr"
    assert found.server_side_encryption.name is not None
