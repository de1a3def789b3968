"""Headers and metadata are the bytes that they were, after a migration, a rewrap and every copy of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from s3ec import AesKeyring, EncryptionClient
from s3ec.migrate import (
    Action,
    Connection,
    KeyringSpec,
    Location,
    MigrationContext,
    MigrationSettings,
    Outcome,
    Result,
    SkipReason,
    Task,
    migrate_one,
)

from support.raw_s3 import RawObject, RawS3, raw_s3

HEADERS = {
    "cache-control": 'max-age=60, note="für immer"'.encode(),
    "content-disposition": 'attachment; filename="Übersicht 日本.pdf"'.encode(),
    "content-language": "de,日本語".encode(),
    "content-type": "text/plain; title=naïve".encode(),
    "content-encoding": b"x-own",
    "expires": b"Thursday, 01-Jan-26 00:00:00 GMT",
    "x-amz-meta-raw": "Grüße, 日本".encode(),
    "x-amz-meta-rfc2047": b"=?UTF-8?B?R3LDvMOfZQ==?=",
    "x-amz-meta-quoted": b"=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=",
    "x-amz-meta-spaces": b"a  b",
    "x-amz-meta-empty": b"",
}
BODY = b"some text that is no ciphertext. " * 20
OLD, NEW = bytes(range(32)), bytes(range(1, 33))


@pytest.fixture(scope="module")
def server() -> Iterator[RawS3]:
    """One server for all."""
    with raw_s3() as state:
        yield state


@pytest.fixture
def client(server: RawS3) -> Iterator[EncryptionClient]:
    """An encrypting client of it."""
    arguments = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    with contextlib.closing(
        EncryptionClient(keyring=AesKeyring(OLD), endpoint_url=server.url, **arguments)  # type: ignore[arg-type]
    ) as made:
        yield made


@pytest.fixture
def run(server: RawS3, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs one task on ``/b/k``."""
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "new").write_bytes(NEW)

    def one(**changes: Any) -> Outcome:
        plain: dict[str, Any] = {
            "action": Action.MIGRATE,
            "source": Location(bucket="b"),
            "keyring": KeyringSpec(kind="aes-file", path=str(tmp_path / "old")),
            "connection": Connection(endpoint_url=server.url, region_name="us-east-1"),
            "ignore_acl": True,
        }
        job = MigrationSettings(**{**plain, **changes})
        with contextlib.closing(MigrationContext.open(job)) as context:
            return migrate_one(Task(bucket="b", key="k"), context=context)

    return one


def _own(stored: RawObject) -> dict[str, bytes]:
    return {name: value for name, value in stored.headers.items() if not name.startswith("x-amz-meta-x-amz-")}


REDIRECT = {"x-amz-website-redirect-location": "/ziel/größe".encode()}


@pytest.mark.parametrize("changes", [{}, {"single_request_limit": 10}], ids=["whole", "in parts"])
def test_migrate(changes: dict[str, Any], run: Callable[..., Outcome], server: RawS3) -> None:
    """PutObject and CreateMultipartUpload say every header as it was read."""
    server.objects["/b/k"] = RawObject(BODY, {**HEADERS, **REDIRECT})
    assert run(**changes).result is Result.DONE
    assert _own(server.objects["/b/k"]) == {**HEADERS, **REDIRECT}
    assert server.objects["/b/k"].body != BODY


@pytest.mark.parametrize("copy_limit", [2**30, 100], ids=["whole", "in parts"])
def test_rewrap(
    copy_limit: int, run: Callable[..., Outcome], server: RawS3, client: EncryptionClient, tmp_path: Path
) -> None:
    """A copy that replaces metadata says them all again."""
    client.put_object(Bucket="b", Key="k", Body=BODY)
    stored = server.objects["/b/k"]
    stored.headers = {**stored.headers, **HEADERS, **REDIRECT}
    spec = KeyringSpec(kind="aes-file", path=str(tmp_path / "old"))
    new = KeyringSpec(kind="aes-file", path=str(tmp_path / "new"))
    outcome = run(action=Action.REWRAP, source_keyring=spec, keyring=new, copy_limit=copy_limit)
    assert outcome.result is Result.DONE
    assert _own(server.objects["/b/k"]) == {**HEADERS, **REDIRECT}


@pytest.mark.parametrize("threshold", [2**20, 10], ids=["whole", "in parts"])
def test_managed_copies(threshold: int, server: RawS3, client: EncryptionClient) -> None:
    """`client.copy`, which `cp` from bucket to bucket uses, in one request and in parts."""
    client.put_object(Bucket="b", Key="k", Body=BODY)
    server.objects["/b/k"].headers |= HEADERS
    config = TransferConfig(multipart_threshold=threshold)
    client.copy({"Bucket": "b", "Key": "k"}, "b", "copy", Config=config)
    assert server.objects["/b/copy"].headers == server.objects["/b/k"].headers
    assert server.objects["/b/copy"].body == server.objects["/b/k"].body


def test_a_copy_that_replaces_metadata_keeps_its_own(server: RawS3, client: EncryptionClient) -> None:
    """Content metadata is merged as it stands, also where another writer has put more than ASCII there."""
    client.put_object(Bucket="b", Key="k", Body=BODY)
    server.objects["/b/k"].headers["x-amz-meta-x-amz-m"] = '{"größe":"日本"}'.encode()
    source = {"Bucket": "b", "Key": "k"}
    client.copy_object(
        Bucket="b", Key="copy", CopySource=source, MetadataDirective="REPLACE", Metadata={"mine": "ASCII"}
    )
    copied = server.objects["/b/copy"].headers
    assert copied["x-amz-meta-x-amz-m"] == server.objects["/b/k"].headers["x-amz-meta-x-amz-m"]
    assert copied["x-amz-meta-mine"] == b"ASCII"


@pytest.mark.parametrize("name", ["content-disposition", "x-amz-meta-raw"])
def test_bytes_that_no_sdk_sends(name: str, run: Callable[..., Outcome], server: RawS3) -> None:
    """What is not UTF-8 is left as it is, and listed."""
    server.objects["/b/k"] = RawObject(BODY, {name: b"caf\xe9"})
    outcome = run()
    assert (outcome.result, outcome.reason) == (Result.SKIPPED, SkipReason.METADATA_UNWRITABLE)
    assert server.objects["/b/k"].body == BODY
