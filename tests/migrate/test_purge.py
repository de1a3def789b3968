"""Plaintext versions go only where an encrypted version has just proved itself, and only when told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from s3ec.errors import ConfigurationError
from s3ec.migrate import Action, MigrationSettings, Outcome, Purge, purge_plaintext_versions

Settings = Callable[..., MigrationSettings]
Step = Callable[..., Outcome]


@pytest.fixture
def versioned(bucket: str, plain_s3: Any) -> str:
    """A bucket that keeps versions."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def _purge(settings: Settings, *, dry_run: bool = False) -> list[Purge]:
    return list(purge_plaintext_versions(settings(action=Action.VERIFY), dry_run=dry_run))


def _versions(plain_s3: Any, bucket: str) -> int:
    return len(plain_s3.list_object_versions(Bucket=bucket).get("Versions", []))


def test_old_plaintext_goes_after_the_migration(
    settings: Settings, step: Step, versioned: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """A dry run, which is the default, only names them; then they are removed, and the object reads as before."""
    for body in (b"one", b"two"):
        plain_s3.put_object(Bucket=versioned, Key="k", Body=body)
    step("k")
    named = list(purge_plaintext_versions(settings(action=Action.VERIFY)))
    assert [entry.action for entry in named] == ["would-remove", "would-remove"]
    assert _versions(plain_s3, versioned) == 3
    assert [entry.action for entry in _purge(settings)] == ["removed", "removed"]
    assert _versions(plain_s3, versioned) == 1
    assert make_client().get_object(Bucket=versioned, Key="k")["Body"].read() == b"two"


def test_plaintext_without_an_encrypted_successor_stays(
    settings: Settings, step: Step, versioned: str, plain_s3: Any
) -> None:
    """Neither a plaintext successor nor an encrypted predecessor is a reason to remove a version."""
    plain_s3.put_object(Bucket=versioned, Key="plain", Body=b"one")
    plain_s3.put_object(Bucket=versioned, Key="plain", Body=b"two")
    plain_s3.put_object(Bucket=versioned, Key="relapsed", Body=b"one")
    step("relapsed")
    plain_s3.put_object(Bucket=versioned, Key="relapsed", Body=b"plaintext again")
    entries = {(entry.key, entry.action, entry.leaves_undone) for entry in _purge(settings)}
    assert entries == {("plain", "kept", True), ("relapsed", "kept", False), ("relapsed", "removed", False)}
    assert _versions(plain_s3, versioned) == 4


def test_a_successor_that_does_not_verify_protects_the_plaintext(
    settings: Settings, step: Step, versioned: str, plain_s3: Any
) -> None:
    """A damaged encrypted version is no reason to remove the last good copy."""
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"precious")
    step("k")
    stored = plain_s3.get_object(Bucket=versioned, Key="k")
    body = bytearray(stored["Body"].read())
    body[0] ^= 1
    plain_s3.delete_object(Bucket=versioned, Key="k", VersionId=stored["VersionId"])
    plain_s3.put_object(Bucket=versioned, Key="k", Body=bytes(body), Metadata=stored["Metadata"])
    (entry,) = _purge(settings)
    assert (entry.action, entry.leaves_undone) == ("kept", True)
    assert "does not verify" in entry.because
    assert _versions(plain_s3, versioned) == 2


def test_versions_that_may_be_encrypted_by_an_instruction_file_stay(
    settings: Settings, step: Step, versioned: str, plain_s3: Any
) -> None:
    """A version whose instruction file was deleted looks like plaintext; it is not taken for it."""
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"ciphertext of long ago")
    plain_s3.put_object(Bucket=versioned, Key="k.instruction", Body=b"{}")
    plain_s3.delete_object(Bucket=versioned, Key="k.instruction")
    step("k")
    entries = [entry for entry in _purge(settings) if entry.key == "k"]
    assert [(entry.action, entry.leaves_undone) for entry in entries] == [("kept", True)]


def test_a_delete_marker_does_not_stop_the_purge(settings: Settings, step: Step, versioned: str, plain_s3: Any) -> None:
    """An object deleted after its migration still has plaintext versions to be removed."""
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    step("k")
    plain_s3.delete_object(Bucket=versioned, Key="k")
    assert sorted(entry.action for entry in _purge(settings)) == ["kept", "removed"]


def test_only_settings_that_write_nothing_are_taken(settings: Settings) -> None:
    """The purge reads versions; settings of another action would pin nothing."""
    with pytest.raises(ConfigurationError, match="VERIFY"):
        list(purge_plaintext_versions(settings()))
