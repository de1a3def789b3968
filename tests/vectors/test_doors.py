"""Every vector goes through every door of the client: read, head, range, inspect and rewrap."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import s3ec
from s3ec import EncryptionClient
from s3ec.errors import UnauthenticatedRangeError
from s3ec.migrate import (
    Action,
    Connection,
    KeyringSpec,
    Location,
    MigrationContext,
    MigrationSettings,
    Result,
    SkipReason,
    Task,
    migrate_one,
)

from support import aws as support_aws
from support.vectors import RecordedKms, Vector, all_vectors, recorded_kms

# The gate reads every vector in the everyday suite; here each goes through everything that stands around it.
pytestmark = pytest.mark.slow

BUCKET = "vectors"
NEW_KEY = bytes(range(32))

every = pytest.mark.parametrize("vector", all_vectors(), ids=lambda vector: vector.name)


class Doors:
    """All vectors in one bucket, and one client for each way of reading them."""

    def __init__(self, endpoint: str, kms: RecordedKms, folder: Path, open_ones: contextlib.ExitStack) -> None:
        self._aws = support_aws.client_arguments(endpoint)
        self._folder = folder
        self._open = open_ones
        self._contexts: dict[str, MigrationContext] = {}
        environment = open_ones.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("AWS_ENDPOINT_URL_KMS", kms.url)
        environment.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        environment.setenv("AWS_ACCESS_KEY_ID", self._aws["aws_access_key_id"])
        environment.setenv("AWS_SECRET_ACCESS_KEY", self._aws["aws_secret_access_key"])
        (folder / "new.key").write_bytes(NEW_KEY)
        self.plain_s3 = open_ones.enter_context(contextlib.closing(boto3.client("s3", **self._aws)))
        arguments = support_aws.client_arguments(kms.url)
        self._kms = open_ones.enter_context(contextlib.closing(boto3.client("kms", **arguments)))
        self._clients: dict[str, EncryptionClient] = {}
        self.plain_s3.create_bucket(Bucket=BUCKET)
        for vector in all_vectors():
            self.store(vector, vector.object_key)

    def store(self, vector: Vector, key: str) -> None:
        """Puts an object and its instruction file."""
        metadata = {**vector.metadata, **vector.user_metadata}
        self.plain_s3.put_object(Bucket=BUCKET, Key=key, Body=vector.body, Metadata=metadata)
        if file := vector.instruction_file:
            where = {"Bucket": BUCKET, "Key": key + file.suffix}
            self.plain_s3.put_object(**where, Body=file.body, Metadata=dict(file.metadata))

    def client(self, vector: Vector, **options: Any) -> EncryptionClient:
        """The client with the fewest switches that a vector needs."""
        wanted = repr((sorted(vector.key.items()), vector.has_legacy_wrapping))
        return self._client(wanted, vector.keyring(self._kms), **vector.read_options, **options)

    def rewrapped_client(self, vector: Vector) -> EncryptionClient:
        """The client that reads a vector whose data key was wrapped again."""
        return self._client("new", s3ec.AesKeyring(NEW_KEY), **vector.read_options)

    def _client(self, wanted: str, keyring: Any, **options: Any) -> EncryptionClient:
        wanted += repr(sorted(options.items(), key=str))
        if wanted not in self._clients:
            client = EncryptionClient(keyring=keyring, **options, **self._aws)
            self._clients[wanted] = self._open.enter_context(contextlib.closing(client))
        return self._clients[wanted]

    def rewrapping(self, vector: Vector) -> MigrationContext:
        """What wraps data keys of a vector's key for the new one; one for each old key."""
        old = old_keyring(vector, self._folder)
        wanted = repr(old)
        if wanted not in self._contexts:
            settings = MigrationSettings(
                action=Action.REWRAP,
                source=Location(bucket=BUCKET, prefix="rewrapped/"),
                keyring=KeyringSpec(kind="aes-file", path=str(self._folder / "new.key")),
                source_keyring=old,
                allow_legacy=True,
                connection=Connection(region_name=support_aws.REGION),
            )
            context = MigrationContext.open(settings)
            self._contexts[wanted] = self._open.enter_context(contextlib.closing(context))
        return self._contexts[wanted]


def request(vector: Vector, **more: Any) -> dict[str, Any]:
    """The arguments of a read."""
    arguments = {"Bucket": BUCKET, "Key": vector.object_key, **more}
    if vector.encryption_context:
        arguments["EncryptionContext"] = vector.encryption_context
    return with_suffix(vector, arguments)


def with_suffix(vector: Vector, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments, with the suffix of an instruction file that is not the default one."""
    if vector.instruction_file and vector.instruction_file.suffix != ".instruction":
        arguments["InstructionFileSuffix"] = vector.instruction_file.suffix
    return arguments


@pytest.fixture(scope="module")
def recorded() -> Iterator[RecordedKms]:
    """A KMS that opens the vectors and nothing else."""
    with recorded_kms(all_vectors()) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def doors(endpoint: str, recorded: RecordedKms, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """The vectors, stored."""
    with contextlib.ExitStack() as stack:
        doors = Doors(endpoint, recorded, tmp_path_factory.mktemp("keys"), stack)
        yield doors
        support_aws.empty_bucket(doors.plain_s3, BUCKET)


@every
def test_read(vector: Vector, doors: Doors) -> None:
    """The whole object: its plaintext, its length, the user's own metadata, and what it was."""
    answer = doors.client(vector).get_object(**request(vector))
    assert answer["Body"].read() == vector.plaintext
    assert answer["ContentLength"] == len(vector.plaintext) or vector.has_legacy_content
    found = {name.lower(): value for name, value in answer["Metadata"].items()}
    assert found == {name.lower(): value for name, value in vector.user_metadata.items()}
    said = answer["ResponseMetadata"]["ClientSideEncryption"]
    assert said["authenticated"] is not vector.has_legacy_content
    assert (said["format"] == "V3") is vector.commits


@every
def test_head(vector: Vector, doors: Doors) -> None:
    """HEAD shows the plaintext's length where headers tell it, and no content metadata."""
    answer = doors.client(vector).head_object(Bucket=BUCKET, Key=vector.object_key)
    if not vector.has_legacy_content and (vector.commits or vector.instruction_file is None):
        assert answer["ContentLength"] == len(vector.plaintext)
    assert not [name for name in answer["Metadata"] if name.lower().startswith("x-amz-")]


@every
def test_range(vector: Vector, doors: Doors) -> None:
    """A part of it: verified where there is a tag, refused where there is none."""
    if len(vector.plaintext) < 2:
        return
    client = doors.client(vector)
    if vector.has_legacy_content:
        with pytest.raises(UnauthenticatedRangeError):
            client.get_object(**request(vector, Range="bytes=1-5"))
        client = doors.client(vector, enable_unauthenticated_ranges=True)
    answer = client.get_object(**request(vector, Range="bytes=1-5"))
    assert answer["Body"].read() == vector.plaintext[1:6]


@every
def test_inspect(vector: Vector, doors: Doors, recorded: RecordedKms) -> None:
    """What it is, without a key: the formats of all vectors are told, and KMS is not asked."""
    calls = len(recorded.requests)
    found = s3ec.inspect(doors.client(vector), **with_suffix(vector, {"Bucket": BUCKET, "Key": vector.object_key}))
    assert found.problem is None
    assert (found.format == "V3") is vector.commits
    assert found.stored_length == len(vector.body)
    if not vector.has_legacy_content:
        assert found.plaintext_length == len(vector.plaintext)
    assert len(recorded.requests) == calls


@every
def test_rewrap(vector: Vector, doors: Doors) -> None:
    """Its data key, wrapped for another key: the same ciphertext opens under that one; CBC is left for an upgrade."""
    if vector.instruction_file and vector.instruction_file.suffix != ".instruction":
        return
    key = f"rewrapped/{vector.name}"
    doors.store(vector, key)
    outcome = migrate_one(Task(bucket=BUCKET, key=key), context=doors.rewrapping(vector))
    stored = doors.plain_s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert stored == vector.body
    if vector.has_legacy_content:
        assert (outcome.result, outcome.reason) == (Result.SKIPPED, SkipReason.NEEDS_UPGRADE)
        return
    assert outcome.result is Result.DONE, outcome
    client = doors.rewrapped_client(vector)
    assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == vector.plaintext


def old_keyring(vector: Vector, folder: Path) -> KeyringSpec:
    """The key that a vector was written with, by description."""
    if vector.key["kind"] == "kms":
        return KeyringSpec(kind="kms", key_id=vector.key["arn"], enable_legacy_wrapping_algorithms=True)
    content = bytes.fromhex(vector.key["hex"]) if vector.key["kind"] == "aes" else vector.key["private_pem"].encode()
    path = folder / hashlib.sha256(content).hexdigest()
    path.write_bytes(content)
    if vector.key["kind"] == "aes":
        return KeyringSpec(kind="aes-file", path=str(path), enable_legacy_wrapping_algorithms=True)
    return KeyringSpec(kind="rsa-file", private_key_path=str(path), enable_legacy_wrapping_algorithms=True)
