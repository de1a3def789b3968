"""Migrations on MinIO, whose conditions, checksums and versions hold: moto lets several of them through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3ec import AesKeyring, CommitmentPolicy
from s3ec.migrate import (
    Action,
    Connection,
    Journal,
    KeyringSpec,
    Location,
    MigrationContext,
    MigrationSettings,
    Result,
    Summary,
    Task,
    migrate_one,
    run,
)

from support.aws import REGION
from support.servers import ACCESS_KEY, MINIO_KMS_KEY, SECRET_KEY, Server

pytestmark = pytest.mark.server

MIB = 1024 * 1024
SMALL = b"plaintext of a small object " * 100
LARGE = bytes(range(256)) * (12 * MIB // 256) + b"end"
KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": MINIO_KMS_KEY}

Make = Callable[..., Any]


@pytest.fixture
def settings(minio: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes settings for a bucket on MinIO, with a raw key in a file and credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(minio.certificate))
    (tmp_path / "key").write_bytes(b"k" * 32)
    (tmp_path / "new-key").write_bytes(b"n" * 32)

    def make(bucket: str, **changes: Any) -> MigrationSettings:
        plain = MigrationSettings(
            action=Action.MIGRATE,
            source=Location(bucket=bucket),
            keyring=KeyringSpec(kind="aes-file", path=str(tmp_path / "key")),
            connection=Connection(endpoint_url=minio.url, region_name=REGION),
            part_size=5 * MIB,
            single_request_limit=5 * MIB,
        )
        return replace(plain, **changes)

    return make


def migrate(job: MigrationSettings, path: Path) -> Summary:
    """One run with a journal of its own."""
    with contextlib.closing(Journal.open(path, job)) as journal:
        return run(job, journal, workers=4)


def fill(client: Any, bucket: str) -> dict[str, bytes]:
    """Plaintext objects of several sizes and kinds."""
    bodies = {"small": SMALL, "empty": b"", "dir/large": LARGE, "kms": SMALL * 2, "tagged": SMALL * 3}
    for key, body in bodies.items():
        extra = KMS if key == "kms" else {}
        client.put_object(
            Bucket=bucket, Key=key, Body=body, Metadata={"own": key}, ContentType="text/x-test",
            **({"Tagging": "a=b&c=d%20e"} if key == "tagged" else {}), **extra,
        )  # fmt: skip
    return bodies


@pytest.mark.parametrize("versioned", [False, True], ids=["plain-bucket", "versioned"])
def test_a_bucket_becomes_encrypted(
    minio: Server, plain: Make, client_for: Make, new_bucket: Make, settings: Make, tmp_path: Path, versioned: bool
) -> None:
    """Every object is encrypted in place and opens as before, with its metadata, tags and server-side mode."""
    storage, bucket = plain(minio), new_bucket(minio)
    if versioned:
        storage.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    bodies = fill(storage, bucket)
    job = settings(bucket)
    summary = migrate(job, tmp_path / "journal")
    assert (summary.counts, summary.undone) == ({"done": len(bodies)}, 0)
    client = client_for(minio)
    for key, body in bodies.items():
        answer = client.get_object(Bucket=bucket, Key=key)
        assert answer["Body"].read() == body
        assert (answer["Metadata"], answer["ContentType"]) == ({"own": key}, "text/x-test")
        assert answer.get("ServerSideEncryption") == ("aws:kms" if key == "kms" else None)
        assert storage.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(body) + 16
    tags = storage.get_object_tagging(Bucket=bucket, Key="tagged")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "b", "c": "d e"}
    again = migrate(job, tmp_path / "again")
    assert again.counts == {"already": len(bodies)}
    verified = migrate(replace(job, action=Action.VERIFY), tmp_path / "verify")
    assert verified.undone == 0


def test_keys_are_rotated_and_formats_upgraded(
    minio: Server, plain: Make, client_for: Make, new_bucket: Make, settings: Make, tmp_path: Path
) -> None:
    """Older objects become committing ones, then all data keys are wrapped again; the content is never another one."""
    storage, bucket = plain(minio), new_bucket(minio)
    older = client_for(minio, commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    for key, body in {"small": SMALL, "large": LARGE}.items():
        older.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"own": key})
    upgraded = migrate(settings(bucket, action=Action.UPGRADE), tmp_path / "upgrade")
    assert upgraded.counts == {"done": 2}, upgraded.reasons
    before = {key: storage.get_object(Bucket=bucket, Key=key)["Body"].read() for key in ("small", "large")}
    job = settings(
        bucket,
        action=Action.REWRAP,
        keyring=KeyringSpec(kind="aes-file", path=str(tmp_path / "new-key")),
        source_keyring=KeyringSpec(kind="aes-file", path=str(tmp_path / "key")),
        copy_limit=5 * MIB,
    )
    assert migrate(job, tmp_path / "rewrap").counts == {"done": 2}
    client = client_for(minio, keyring=AesKeyring(b"n" * 32))
    for key, body in {"small": SMALL, "large": LARGE}.items():
        assert storage.get_object(Bucket=bucket, Key=key)["Body"].read() == before[key]
        answer = client.get_object(Bucket=bucket, Key=key)
        assert (answer["Body"].read(), answer["Metadata"]) == (body, {"own": key})
        assert answer["ResponseMetadata"]["ClientSideEncryption"]["format"] == "V3"


@pytest.mark.parametrize(
    ("operation", "body"),
    [("PutObject", SMALL), ("CompleteMultipartUpload", LARGE)],
    ids=["one-request", "in-parts"],
)
def test_a_writer_in_the_last_moment_wins(
    minio: Server, plain: Make, new_bucket: Make, settings: Make, operation: str, body: bytes
) -> None:
    """What somebody writes between the look and the commit stands: the server's own condition stops the commit."""
    writer, bucket = plain(minio), new_bucket(minio)
    writer.put_object(Bucket=bucket, Key="k", Body=body)
    with contextlib.closing(MigrationContext.open(settings(bucket))) as context:
        context.s3.meta.events.register_last(
            f"before-send.s3.{operation}", lambda **_: writer.put_object(Bucket=bucket, Key="k", Body=b"newer") and None
        )
        outcome = migrate_one(Task(bucket=bucket, key="k"), context=context)
    assert outcome.result is Result.CHANGED
    assert writer.get_object(Bucket=bucket, Key="k")["Body"].read() == b"newer"
    assert "Uploads" not in writer.list_multipart_uploads(Bucket=bucket, Prefix="k")


def test_a_writer_during_a_rewrap_wins(
    minio: Server, plain: Make, client_for: Make, new_bucket: Make, settings: Make, tmp_path: Path
) -> None:
    """A copy that would bring an older content back is refused by the source's ETag."""
    writer, bucket = plain(minio), new_bucket(minio)
    client_for(minio).put_object(Bucket=bucket, Key="k", Body=SMALL)
    job = settings(
        bucket,
        action=Action.REWRAP,
        keyring=KeyringSpec(kind="aes-file", path=str(tmp_path / "new-key")),
        source_keyring=KeyringSpec(kind="aes-file", path=str(tmp_path / "key")),
    )
    with contextlib.closing(MigrationContext.open(job)) as context:
        context.s3.meta.events.register_last(
            "before-send.s3.CopyObject", lambda **_: writer.put_object(Bucket=bucket, Key="k", Body=b"newer") and None
        )
        outcome = migrate_one(Task(bucket=bucket, key="k"), context=context)
    assert outcome.result is Result.CHANGED
    assert writer.get_object(Bucket=bucket, Key="k")["Body"].read() == b"newer"


def test_objects_move_to_another_bucket(
    minio: Server, plain: Make, client_for: Make, new_bucket: Make, settings: Make, tmp_path: Path
) -> None:
    """Encrypted copies arrive under another prefix of another bucket; originals stay and nothing is overwritten."""
    storage, bucket, other = plain(minio), new_bucket(minio), new_bucket(minio)
    bodies = fill(storage, bucket)
    storage.put_object(Bucket=other, Key="to/small", Body=b"there before")
    summary = migrate(settings(bucket, destination=Location(bucket=other, prefix="to/")), tmp_path / "journal")
    assert summary.counts["done"] == len(bodies) - 1
    assert summary.undone == 1
    assert storage.get_object(Bucket=other, Key="to/small")["Body"].read() == b"there before"
    client = client_for(minio)
    for key in bodies.keys() - {"small"}:
        assert client.get_object(Bucket=other, Key=f"to/{key}")["Body"].read() == bodies[key]
        assert storage.get_object(Bucket=bucket, Key=key)["Body"].read() == bodies[key]


def test_customer_keys_are_left_alone_or_served(
    minio: Server, plain: Make, new_bucket: Make, settings: Make, tmp_path: Path
) -> None:
    """An object under an SSE-C key that the job does not have stands as it was, and the run says that it does."""
    from s3ec import SseC

    storage, bucket = plain(minio), new_bucket(minio)
    key = SseC(bytes(32)).parameters()
    storage.put_object(Bucket=bucket, Key="k", Body=SMALL, **key)
    summary = migrate(settings(bucket), tmp_path / "journal")
    assert "done" not in summary.counts
    assert summary.undone == 1
    assert storage.get_object(Bucket=bucket, Key="k", **key)["Body"].read() == SMALL
