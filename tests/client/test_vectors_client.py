"""Every object of every other client through the client's own doors: whole, in ranges, as a file, downloaded."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

import s3ec
from s3ec import STORED_CONTEXT, EncryptionClient
from s3ec.errors import KeyUnwrapError, SecurityError, UnauthenticatedRangeError, UnsupportedOperationError

from support.aws import client_arguments
from support.lying_s3 import LyingS3, Stored, lying_s3
from support.vectors import RecordedKms, Vector, all_vectors, recorded_kms

# The gate reads every vector in the everyday suite; here each goes through everything that stands around it.
pytestmark = pytest.mark.slow

every = pytest.mark.parametrize("stored", all_vectors(), ids=lambda stored: stored.name)


@pytest.fixture(scope="module")
def recorded(_aws_environment: None) -> Iterator[tuple[RecordedKms, Any]]:
    """A KMS that opens the vectors and nothing else, and a client of it."""
    with (
        recorded_kms(all_vectors()) as endpoint,
        contextlib.closing(boto3.client("kms", **client_arguments(endpoint.url))) as client,
    ):
        yield endpoint, client


@pytest.fixture(scope="module")
def shelf() -> Iterator[LyingS3]:
    """A server that holds what the writers left."""
    with lying_s3() as server:
        yield server


class Door:
    """One vector on the server, and clients that read it with the fewest switches."""

    def __init__(self, server: LyingS3, session: boto3.Session, kms: Any, stored: Vector, stack: Any) -> None:
        self._server, self._session, self._kms, self._stored, self._stack = server, session, kms, stored, stack
        self.place = {"Bucket": "b", "Key": stored.object_key}
        self.request: dict[str, Any] = {}
        if stored.encryption_context:
            self.request["EncryptionContext"] = stored.encryption_context
        objects = server.state.objects
        objects[f"b/{stored.object_key}"] = self.object = Stored(
            stored.body, _headers({**stored.metadata, **stored.user_metadata})
        )
        if file := stored.instruction_file:
            objects[f"b/{file.key}"] = Stored(file.body, _headers(file.metadata))
            if file.suffix != ".instruction":
                self.request["InstructionFileSuffix"] = file.suffix

    def client(self, **options: Any) -> EncryptionClient:
        """A client with the keyring that the vector needs."""
        keyring = self._stored.keyring(self._kms)
        arguments = self._server.arguments(
            keyring=keyring, session=self._session, **{**self._stored.read_options, **options}
        )
        client: EncryptionClient = self._stack.enter_context(contextlib.closing(EncryptionClient(**arguments)))
        return client

    def get(self, client: Any, **more: Any) -> Any:
        """The answer of a read."""
        return client.get_object(**self.place, **{**self.request, **more})


@pytest.fixture
def door(shelf: LyingS3, recorded: Any, stored: Vector, _shared_session: boto3.Session) -> Iterator[Door]:
    """The vector of this test on the server."""
    with contextlib.ExitStack() as stack:
        yield Door(shelf, _shared_session, recorded[1], stored, stack)


def _headers(metadata: Any) -> dict[str, str]:
    return {f"x-amz-meta-{name}": value for name, value in metadata.items()}


@every
def test_whole(door: Door, stored: Vector) -> None:
    """The plaintext comes out, with the writer's own metadata and what the object was."""
    client = door.client()
    answer = door.get(client)
    assert answer["Body"].read() == stored.plaintext
    assert answer["Metadata"] == dict(stored.user_metadata)
    told = answer["ResponseMetadata"]["ClientSideEncryption"]
    assert told["format"] == stored.content_metadata().format.value
    assert told["metadata_location"] == ("instruction_file" if stored.instruction_file else "metadata")
    assert told["authenticated"] is not stored.has_legacy_content
    if not stored.has_legacy_content:
        assert answer["ContentLength"] == len(stored.plaintext)
    if stored.kms:
        again = door.get(client, EncryptionContext=STORED_CONTEXT)
        assert again["Body"].read() == stored.plaintext


@every
def test_range(door: Door, stored: Vector) -> None:
    """A range is that slice, verified; of CBC it needs its own opt-in."""
    first, last = len(stored.plaintext) // 3, len(stored.plaintext) // 2
    if len(stored.plaintext) < 3:
        pytest.skip("too small to have a part")
    client = door.client()
    header = f"bytes={first}-{last}"
    if stored.has_legacy_content:
        with pytest.raises(UnauthenticatedRangeError):
            door.get(client, Range=header)
        client = door.client(enable_unauthenticated_ranges=True)
    answer = door.get(client, Range=header)
    assert answer["Body"].read() == stored.plaintext[first : last + 1]
    assert answer["ContentRange"] == f"bytes {first}-{last}/{len(stored.plaintext)}"


@every
def test_file_and_download(door: Door, stored: Vector) -> None:
    """As a file that seeks, and by a managed download."""
    client = door.client(buffer_size=5)
    if stored.has_legacy_content:
        with pytest.raises(UnsupportedOperationError):
            s3ec.open(client, **door.place, **door.request)
    else:
        with s3ec.open(client, **door.place, **door.request) as file:
            assert file.read() == stored.plaintext
    target = io.BytesIO()
    client.download_fileobj(**door.place, Fileobj=target, ExtraArgs=door.request)
    assert target.getvalue() == stored.plaintext


@pytest.mark.parametrize(
    "stored", [stored for stored in all_vectors() if not stored.has_legacy_content], ids=lambda stored: stored.name
)
def test_a_changed_object_releases_nothing(door: Door, stored: Vector) -> None:
    """A bit turned over in authenticated content is an error; under PKCS #1 v1.5 the one that tells no oracle."""
    door.object.body = door.object.body[:-1] + bytes([door.object.body[-1] ^ 1])
    body = door.get(door.client())["Body"]
    for _ in range(2):
        with pytest.raises((SecurityError, KeyUnwrapError)):
            body.read(1)
