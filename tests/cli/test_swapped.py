"""A swapped object behind every command that rewrites, blesses, removes or hands it on: exit code 9."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3ec import CommitmentPolicy

COMMANDS = {
    "migrate": ("migrate", "{prefix}", "--kms-key", "{key}", "--yes"),
    "upgrade": ("migrate", "{prefix}", "--upgrade", "--kms-key", "{key}", "--yes"),
    "elsewhere": ("migrate", "{prefix}", "s3://{bucket}/new/", "--kms-key", "{key}", "--yes"),
    "rewrap": ("rewrap", "{prefix}", "--kms-key", "{key}", "--to-kms-key", "{key}", "--yes"),
    "verify": ("verify", "{prefix}", "--kms-key", "{key}"),
    "cat": ("cat", "{prefix}alice", "--kms-key", "{key}"),
    "cp down": ("cp", "{prefix}alice", "{folder}/alice", "--kms-key", "{key}"),
    "cp": ("cp", "{prefix}alice", "s3://{bucket}/copy"),
    "mv": ("mv", "{prefix}alice", "s3://{bucket}/copy"),
    "purge": ("purge-plaintext-versions", "{prefix}", "--kms-key", "{key}", "--execute", "--yes"),
}


@pytest.fixture
def command(bucket: str, kms_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """The words of a command."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def words(name: str) -> list[str]:
        places = {"bucket": bucket, "prefix": f"s3://{bucket}/p/", "key": kms_key, "folder": tmp_path}
        return [word.format(**places) for word in COMMANDS[name]]

    return words


def _swap(client: Any, plain_s3: Any, bucket: str, **contexts: Any) -> None:
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    plain_s3.put_object(Bucket=bucket, Key="p/alice", Body=b"alice's only copy")
    client.put_object(Bucket=bucket, Key="mallory", Body=b"mallory's", **contexts)
    plain_s3.copy_object(Bucket=bucket, Key="p/alice", CopySource={"Bucket": bucket, "Key": "mallory"})


def _stored(plain_s3: Any, bucket: str) -> list[tuple[str, str]]:
    return [(each["Key"], each["VersionId"]) for each in plain_s3.list_object_versions(Bucket=bucket)["Versions"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_bound_to_another_place(
    name: str,
    command: Callable[[str], list[str]],
    run: Callable[..., Any],
    make_client: Callable[..., Any],
    bucket: str,
    plain_s3: Any,
) -> None:
    """Nothing is written, removed or shown."""
    policy = {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT} if name == "upgrade" else {}
    _swap(make_client(bind_object=True, **policy), plain_s3, bucket)
    before = _stored(plain_s3, bucket)
    result = run(*command(name))
    assert result.code == 9, result
    assert _stored(plain_s3, bucket) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_another_context_than_the_one_asserted(
    name: str,
    command: Callable[[str], list[str]],
    run: Callable[..., Any],
    make_client: Callable[..., Any],
    bucket: str,
    plain_s3: Any,
) -> None:
    """``--context`` is asserted of what is read, also where another one is to be written."""
    policy = {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT} if name == "upgrade" else {}
    _swap(make_client(**policy), plain_s3, bucket, EncryptionContext={"tenant": "B"})
    before = _stored(plain_s3, bucket)
    result = run(*command(name), "--context", "tenant=A")
    assert result.code == 9, result
    assert _stored(plain_s3, bucket) == before
