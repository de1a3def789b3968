"""An object that was put in another one's place is not made good: refused, named, nothing written or removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from s3ec import CommitmentPolicy, KmsKeyring
from s3ec.migrate import Action, KeyringSpec, Location, Outcome, Result, Task
from s3ec.migrate.engines import s3_batch
from s3ec.migrate.jobs.purge import purge_plaintext_versions

from .conftest import Open, Settings, Step
from support.aws import create_kms_key, keep_versions

OLD = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT


@pytest.fixture
def other_key(aws: dict[str, Any]) -> str:
    """A second KMS key."""
    return create_kms_key(aws)


def _swap(client: Any, plain_s3: Any, bucket: str, **contexts: Any) -> None:
    """All that the attacker does: copy an object of their own over another one."""
    client.put_object(Bucket=bucket, Key="alice", Body=b"alice: 1", **contexts.get("alice", {}))
    client.put_object(Bucket=bucket, Key="mallory", Body=b"mallory: 1000000", **contexts.get("mallory", {}))
    plain_s3.copy_object(Bucket=bucket, Key="alice", CopySource={"Bucket": bucket, "Key": "mallory"})


def _actions(other_key: str, bucket: str) -> dict[str, dict[str, Any]]:
    return {
        "migrate": {},
        "upgrade": {"action": Action.UPGRADE},
        "rewrap": {"action": Action.REWRAP, "keyring": KeyringSpec(kind="kms", key_id=other_key)},
        "verify": {"action": Action.VERIFY},
        "elsewhere": {"destination": Location(bucket=bucket, prefix="new/")},
    }


@pytest.mark.slow
@pytest.mark.parametrize("in_file", [False, True], ids=["metadata", "instruction file"])
@pytest.mark.parametrize("action", ["migrate", "upgrade", "rewrap", "verify", "elsewhere"])
def test_an_object_that_is_bound_elsewhere(
    action: str,
    in_file: bool,
    step: Step,
    make_client: Callable[..., Any],
    other_key: str,
    bucket: str,
    plain_s3: Any,
) -> None:
    """Its ARN is not that of the place: evidence of tampering, before KMS is asked; by name it is accepted."""
    policy = {"commitment_policy": OLD} if action == "upgrade" else {}
    client = make_client(bind_object=True, instruction_file_writes=in_file, **policy)
    _swap(client, plain_s3, bucket)
    if in_file:
        place = {"Bucket": bucket, "Key": "mallory.instruction"}
        plain_s3.copy_object(Bucket=bucket, Key="alice.instruction", CopySource=place)
    changes = _actions(other_key, bucket)[action]
    before = plain_s3.list_objects_v2(Bucket=bucket)["Contents"]
    outcome = step("alice", **changes)
    assert (outcome.result, outcome.error, outcome.kms_calls) == (Result.FAILED, "MisplacedObjectError", 0)
    assert "tampering" in outcome.message
    assert [(e["Key"], e["ETag"]) for e in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]] == [
        (e["Key"], e["ETag"]) for e in before
    ]
    accepted = step("alice", accept_moved=True, **changes)
    assert accepted.result in (Result.DONE, Result.ALREADY)
    assert step("mallory", **changes).result in (Result.DONE, Result.ALREADY)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["migrate", "upgrade", "rewrap", "verify", "elsewhere"])
def test_an_object_of_another_context(
    action: str, step: Step, make_client: Callable[..., Any], other_key: str, bucket: str, plain_s3: Any
) -> None:
    """The context that is asserted of what is read is compared with the stored one, whatever is to be written."""
    policy = {"commitment_policy": OLD} if action == "upgrade" else {}
    contexts = {name: {"EncryptionContext": {"tenant": name}} for name in ("alice", "mallory")}
    _swap(make_client(**policy), plain_s3, bucket, **contexts)
    changes = _actions(other_key, bucket)[action]
    outcome = step("alice", source_context={"tenant": "alice"}, **changes)
    assert (outcome.result, outcome.error, outcome.kms_calls) == (Result.FAILED, "MisplacedObjectError", 0)
    assert "mallory" not in outcome.message, "values may be private"
    right = {"source_context": {"tenant": "mallory"}}
    if action != "verify":
        right["encryption_context"] = {"tenant": "both"}
    done = step("alice", **right, **changes)
    assert done.result in (Result.DONE, Result.ALREADY)
    # A run that was killed finds what it has written, and goes on.
    assert step("alice", **right, **changes).result in (Result.DONE, Result.ALREADY)


def test_a_rewrap_binds_an_access_points_object_as_the_client_does(
    make_client: Callable[..., Any], settings: Settings
) -> None:
    """One spelling of an object's ARN for all: that of its access point, where it is reached through one."""
    from s3ec.migrate.steps.sealing import context_for
    from s3ec.migrate.steps.source import Source
    from s3ec.s3.names import object_arn

    point = "arn:aws:s3:eu-west-1:111122223333:accesspoint/pay"
    job = settings(source=Location(bucket=point), bind_object=True)
    source = Source(task=Task(bucket=point, key="k"), response={})
    assert context_for(job, source) == {"aws:s3:arn": f"{point}/object/k"} == {"aws:s3:arn": object_arn(point, "k")}


def test_a_purge_spares_what_lies_below_a_swapped_object(
    settings: Settings, make_client: Callable[..., Any], bucket: str, plain_s3: Any
) -> None:
    """The only copy of somebody's content is not replaced by an encrypted object that belongs elsewhere."""
    keep_versions(plain_s3, bucket)
    plain_s3.put_object(Bucket=bucket, Key="alice", Body=b"alice's only copy")
    make_client(bind_object=True).put_object(Bucket=bucket, Key="mallory", Body=b"m")
    plain_s3.copy_object(Bucket=bucket, Key="alice", CopySource={"Bucket": bucket, "Key": "mallory"})
    entries = list(purge_plaintext_versions(settings(action=Action.VERIFY), dry_run=False))
    assert {entry.action for entry in entries} == {"kept"}
    assert "MisplacedObjectError" in {entry.error for entry in entries}
    versions = plain_s3.list_object_versions(Bucket=bucket, Prefix="alice")["Versions"]
    assert len(versions) == 2


@pytest.mark.slow
def test_a_batch_job_is_for_one_bucket(settings: Settings, open_context: Open, bucket: str, plain_s3: Any) -> None:
    """A manifest line of another bucket does nothing to the object of that name in this one."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"ours")
    event = {
        "invocationSchemaVersion": "2.0",
        "invocationId": "i",
        "tasks": [{"taskId": "t", "s3Bucket": "another-bucket", "s3Key": "k"}],
    }
    answer = s3_batch.handle(event, context=open_context(settings()), remaining_seconds=lambda: 300.0)
    assert answer["results"][0]["resultCode"] == "PermanentFailure"
    assert "another-bucket" in answer["results"][0]["resultString"]
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"ours"


@pytest.mark.slow
def test_what_was_made_good_before_reads_as_ever(
    step: Step, make_client: Callable[..., Any], other_key: str, kms: Any, bucket: str
) -> None:
    """A bound object in its own place is rewrapped and still bound to it."""
    make_client(bind_object=True).put_object(Bucket=bucket, Key="k", Body=b"mine")
    outcome: Outcome = step("k", action=Action.REWRAP, keyring=KeyringSpec(kind="kms", key_id=other_key))
    assert outcome.result is Result.DONE
    reader = make_client(keyring=KmsKeyring(other_key, client=kms), bind_object=True)
    assert reader.get_object(Bucket=bucket, Key="k")["Body"].read() == b"mine"
