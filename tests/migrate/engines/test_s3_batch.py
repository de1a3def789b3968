"""The Lambda function of S3 Batch Operations, fed with events in both schemas."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus

import boto3
import pytest

from s3ec.algorithms import CommitmentPolicy
from s3ec.errors import ConfigurationError
from s3ec.migrate import Action, KeyringSpec, Location, Task
from s3ec.migrate.engines import s3_batch
from s3ec.migrate.engines.s3_batch_plan import BatchPlan

from support.aws import create_kms_key, keep_versions


class LambdaContext:
    """What Lambda gives beside the event."""

    def __init__(self, seconds: float = 900) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        """Time left."""
        return int(self.seconds * 1000)


def event(version: str, bucket: str, key: str, **more: Any) -> dict[str, Any]:
    """An invocation for one object."""
    place = {"s3BucketArn": f"arn:aws:s3:us-east-1:1:{bucket}"} if version == "1.0" else {"s3Bucket": bucket}
    task = {"taskId": "task", "s3Key": key, "s3VersionId": None, **place, **more}
    return {"invocationSchemaVersion": version, "invocationId": "call", "job": {"id": "job"}, "tasks": [task]}


@pytest.fixture
def invoke(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the function as Lambda does; settings come from its environment."""

    def call(invocation: dict[str, Any], seconds: float = 900, **changes: Any) -> dict[str, Any]:
        monkeypatch.setenv(s3_batch.SETTINGS_VARIABLE, settings(**changes).to_json())
        answer = s3_batch.lambda_handler(json.loads(json.dumps(invocation)), LambdaContext(seconds))
        assert {name: answer[name] for name in ("invocationSchemaVersion", "invocationId")} == {
            name: invocation[name] for name in ("invocationSchemaVersion", "invocationId")
        }
        assert answer["treatMissingKeysAs"] == "PermanentFailure"
        (result,) = json.loads(json.dumps(answer))["results"]
        assert result["taskId"] == "task"
        assert len(result["resultString"]) <= 1024
        return result

    return call


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_an_object_is_encrypted_and_its_outcome_reported(
    invoke: Any, bucket: str, plain_s3: Any, make_client: Any, version: str
):
    """Done once, found done the second time; the report's line is JSON with the evidence."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"content")
    first = invoke(event(version, bucket, "k"))
    assert first["resultCode"] == "Succeeded"
    outcome = json.loads(first["resultString"])
    assert (outcome["result"], outcome["etag_out"]) == ("done", plain_s3.head_object(Bucket=bucket, Key="k")["ETag"])
    assert make_client().get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"
    assert json.loads(invoke(event(version, bucket, "k"))["resultString"])["result"] == "already"


@pytest.mark.slow
@pytest.mark.parametrize("encode", [quote, quote_plus])
@pytest.mark.parametrize("key", ["a b+c%20d.txt", "é/漢 +", "plus+plus"])
def test_keys_are_decoded_in_either_way(invoke: Any, bucket: str, plain_s3: Any, encode: Any, key: str):
    """A blank may have been written as %20 or as a plus sign."""
    plain_s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    assert json.loads(invoke(event("2.0", bucket, encode(key)))["resultString"])["result"] == "done"


def test_a_raw_plus_is_looked_for_too(invoke: Any, bucket: str, plain_s3: Any):
    """A manifest that left the plus sign as it is means the key with it, where no key with a blank exists."""
    plain_s3.put_object(Bucket=bucket, Key="a+b", Body=b"1")
    assert json.loads(invoke(event("1.0", bucket, "a+b"))["resultString"])["result"] == "done"


def test_a_version_is_taken_by_its_id(invoke: Any, bucket: str, plain_s3: Any):
    """An old version is not encrypted over the current one."""
    keep_versions(plain_s3, bucket)
    old = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    result = invoke(event("2.0", bucket, "k", s3VersionId=old))
    assert json.loads(result["resultString"])["result"] != "done"
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"


@pytest.mark.slow
def test_skips_succeed_and_failures_do_not(invoke: Any, bucket: str, plain_s3: Any, make_client: Any):
    """A job is ended by S3 when half of it fails: what is left alone succeeds with the reason, tampering does not."""
    plain_s3.put_object(Bucket=bucket, Key="fat", Body=b"1", Metadata={"x": "y" * 1900})
    skipped = invoke(event("1.0", bucket, "fat"))
    assert skipped["resultCode"] == "Succeeded"
    assert json.loads(skipped["resultString"])["reason"] == "metadata-too-large"
    gone = invoke(event("1.0", bucket, "nope"))
    assert (gone["resultCode"], json.loads(gone["resultString"])["result"]) == ("Succeeded", "gone")
    make_client().put_object(Bucket=bucket, Key="t", Body=b"content")
    stored = plain_s3.get_object(Bucket=bucket, Key="t")
    plain_s3.put_object(Bucket=bucket, Key="t", Body=stored["Body"].read()[::-1], Metadata=stored["Metadata"])
    bad = invoke(event("1.0", bucket, "t"), action=Action.VERIFY)
    assert (bad["resultCode"], json.loads(bad["resultString"])["error"]) == ("PermanentFailure", "AuthenticationError")


def test_time_is_watched(invoke: Any, bucket: str, plain_s3: Any):
    """What cannot end in time is not begun, or given back; a time-out would count as a permanent failure."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 1000)
    too_large = invoke(event("2.0", bucket, "k"), seconds=15.00001)
    assert too_large["resultCode"] == "PermanentFailure"
    assert "another engine" in too_large["resultString"]
    plain_s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    late = invoke(event("2.0", bucket, "empty"), seconds=15)
    assert late["resultCode"] == "TemporaryFailure"


def _succeeded(result: dict[str, Any]) -> dict[str, Any]:
    assert result["resultCode"] == "Succeeded", result
    return dict(json.loads(result["resultString"]))


def test_a_bucket_that_is_not_there_is_a_failure(invoke: Any):
    """HEAD answers as for a missing object; that is not a success, whatever the object."""
    job = {"source": Location(bucket="bucket-that-is-not-there")}
    for key in ("k", "a+b"):
        result = invoke(event("2.0", "bucket-that-is-not-there", key), **job)
        assert result["resultCode"] == "TemporaryFailure"
        assert "NoSuchBucket" in result["resultString"]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_task_of_another_bucket_is_refused(invoke: Any, bucket: str, plain_s3: Any, version: str):
    """The same bytes under the same key have the same ETag: the condition of the write would not see it."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"same")
    plain_s3.create_bucket(Bucket=f"{bucket}-other")
    for key in ("k", "only"):
        plain_s3.put_object(Bucket=f"{bucket}-other", Key=key, Body=b"same", Metadata={"of": "the other"})
        result = invoke(event(version, f"{bucket}-other", key))
        assert result["resultCode"] == "PermanentFailure"
        assert "refused" in result["resultString"]
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"same"
    assert plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {}


def test_a_key_outside_the_settings_is_refused(invoke: Any, bucket: str, plain_s3: Any):
    """So is one that lies where the job itself writes."""
    for key in ("in/k", "out/k", "in/done/k"):
        plain_s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    job = {"source": Location(bucket=bucket, prefix="in/"), "destination": Location(bucket=bucket, prefix="in/done/")}
    codes = {key: invoke(event("2.0", bucket, key), **job)["resultCode"] for key in ("in/k", "out/k", "in/done/k")}
    assert codes == {"in/k": "Succeeded", "out/k": "PermanentFailure", "in/done/k": "PermanentFailure"}


@pytest.mark.slow
@pytest.mark.parametrize("action", [Action.MIGRATE, Action.UPGRADE, Action.REWRAP])
def test_a_versioned_job_may_run_again(
    invoke: Any, bucket: str, plain_s3: Any, make_client: Any, aws: dict[str, Any], action: Action
):
    """The line names the version that was current: the second time that one is old, and the task is done."""
    keep_versions(plain_s3, bucket)
    client = plain_s3 if action is Action.MIGRATE else make_client(**_older(action))
    listed = client.put_object(Bucket=bucket, Key="k", Body=b"content")["VersionId"]
    keyring = {"keyring": KeyringSpec(kind="kms", key_id=create_kms_key(aws))} if action is Action.REWRAP else {}
    job = {"action": action, **keyring}
    assert _succeeded(invoke(event("2.0", bucket, "k", s3VersionId=listed), **job))["result"] == "done"
    for _ in range(2):
        assert _succeeded(invoke(event("2.0", bucket, "k", s3VersionId=listed), **job))["result"] == "already"
    assert len(plain_s3.list_object_versions(Bucket=bucket)["Versions"]) == 2


def _older(action: Action) -> dict[str, Any]:
    policy = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    return {"commitment_policy": policy} if action is Action.UPGRADE else {}


@pytest.mark.slow
def test_lines_of_all_versions(invoke: Any, bucket: str, plain_s3: Any):
    """An old version is left alone and succeeds; a delete marker holds nothing; the current one is done."""
    keep_versions(plain_s3, bucket)
    old = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    marker = plain_s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    deleted = _succeeded(invoke(event("2.0", bucket, "k", s3VersionId=old)))
    assert (deleted["result"], deleted["reason"]) == ("skipped", "old-version")
    new = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"new")["VersionId"]
    skipped = _succeeded(invoke(event("2.0", bucket, "k", s3VersionId=old)))
    assert (skipped["result"], skipped["reason"]) == ("skipped", "old-version")
    assert _succeeded(invoke(event("2.0", bucket, "k", s3VersionId=marker)))["result"] == "gone"
    assert _succeeded(invoke(event("2.0", bucket, "k", s3VersionId="null")))["result"] == "gone"
    assert _succeeded(invoke(event("2.0", bucket, "k", s3VersionId=new)))["result"] == "done"
    assert plain_s3.get_object(Bucket=bucket, Key="k", VersionId=old)["Body"].read() == b"old"


@pytest.mark.slow
def test_a_null_version_is_the_object_where_none_are_kept(invoke: Any, bucket: str, plain_s3: Any):
    """A manifest with versions says null for objects of a bucket without them."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert _succeeded(invoke(event("2.0", bucket, "k", s3VersionId="null")))["result"] == "done"


def test_a_verification_reads_the_version_that_is_named(invoke: Any, bucket: str, plain_s3: Any, make_client: Any):
    """Old versions are verified as well; nothing is written."""
    keep_versions(plain_s3, bucket)
    old = make_client().put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert _succeeded(invoke(event("2.0", bucket, "k", s3VersionId=old), action=Action.VERIFY))["result"] == "done"


@pytest.mark.slow
def test_a_rewrap_of_a_large_object_needs_no_time(invoke: Any, bucket: str, make_client: Any, aws: dict[str, Any]):
    """It moves no byte: 64 MiB within the seconds that reading them would not fit into."""
    make_client().put_object(Bucket=bucket, Key="k", Body=bytes(64 * 2**20))
    other = KeyringSpec(kind="kms", key_id=create_kms_key(aws))
    too_large = invoke(event("2.0", bucket, "k"), seconds=17, action=Action.VERIFY)
    assert too_large["resultCode"] == "PermanentFailure"
    # More seconds than the loaded machine of a test needs, and fewer than 64 MiB would.
    rewrapped = invoke(event("2.0", bucket, "k"), seconds=18, action=Action.REWRAP, keyring=other)
    assert rewrapped["resultCode"] in ("Succeeded", "TemporaryFailure")
    assert "too many" not in rewrapped["resultString"]


def test_no_time_left_is_no_fault_of_the_object(invoke: Any, bucket: str, plain_s3: Any):
    """S3 invokes again, with all the time there is."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 1016)
    for seconds in (3, 0, -1):
        assert invoke(event("2.0", bucket, "k"), seconds=seconds)["resultCode"] == "TemporaryFailure"


def test_settings_by_user_argument(bucket: str, plain_s3: Any, settings: Any, monkeypatch: pytest.MonkeyPatch):
    """Schema 2.0 may carry the settings; without any, the function refuses to guess."""
    monkeypatch.delenv(s3_batch.SETTINGS_VARIABLE, raising=False)
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    invocation = event("2.0", bucket, "k")
    with pytest.raises(ConfigurationError, match=s3_batch.SETTINGS_VARIABLE):
        s3_batch.lambda_handler(invocation, LambdaContext())
    invocation["job"]["userArguments"] = {"settings": settings().to_json()}
    assert s3_batch.lambda_handler(invocation, LambdaContext())["results"][0]["resultCode"] == "Succeeded"


@pytest.mark.parametrize(
    "broken", [{}, {"invocationSchemaVersion": "3.0", "tasks": [{}]}, {"invocationSchemaVersion": "1.0"}]
)
def test_other_events_are_refused(settings: Any, open_context: Any, broken: dict[str, Any]):
    """An event of S3 notifications, say, is not answered as if it were a task."""
    with pytest.raises(ConfigurationError, match="not an invocation"):
        s3_batch.handle(broken, context=open_context(settings()), remaining_seconds=lambda: 900.0)


def test_manifest_lines_are_encoded_and_uniform():
    """Keys are URL-encoded; all rows have a version, or none."""
    tasks = [Task(bucket="b", key='a b,"c"\n+é'), Task(bucket="b", key="d", version_id="v")]
    assert list(s3_batch.manifest_lines(tasks)) == ["b,a%20b%2C%22c%22%0A%2B%C3%A9\n", "b,d\n"]
    assert list(s3_batch.manifest_lines(tasks, with_versions=True))[0].endswith(",null\n")


def batch_plan(settings: Any, **changes: Any) -> BatchPlan:
    """A plan whose names are all given."""
    return BatchPlan(
        settings=settings(**changes),
        account_id="123456789012",
        function_arn="arn:aws:lambda:us-east-1:123456789012:function:s3ec:7",
        role_arn="arn:aws:iam::123456789012:role/batch",
        manifest=("lists", "m.csv"),
        manifest_etag="abc",
        report=("reports", "s3ec"),
    )


def test_the_job_is_what_the_service_takes(settings: Any):
    """botocore's own model of CreateJob accepts the request."""
    client = boto3.client("s3control", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    model = client.meta.service_model.operation_model("CreateJob")
    client._serializer.serialize_to_request(batch_plan(settings).job(), model)
    client.close()


def test_roles_grow_with_what_is_done(settings: Any, kms_key: str, bucket: str):
    """A verification may not write; a rewrap may re-encrypt; a raw key needs no KMS."""

    def actions(plan: BatchPlan) -> set[str]:
        return {action for one in plan.function_policy()["Statement"] for action in one["Action"]}

    verify = actions(batch_plan(settings, action=Action.VERIFY))
    assert not any(name.startswith(("s3:Put", "s3:Delete", "s3:Abort")) for name in verify)
    assert {name for name in verify if name.startswith("kms:")} == {"kms:Decrypt"}
    rewrap = actions(batch_plan(settings, action=Action.REWRAP))
    assert {"kms:ReEncryptFrom", "kms:ReEncryptTo"} <= rewrap
    raw = actions(batch_plan(settings, keyring=KeyringSpec(kind="aes-file", path="/k")))
    assert not any(name.startswith("kms:") for name in raw)
    alias = batch_plan(settings, keyring=KeyringSpec(kind="kms", key_id="alias/a"), source=Location(bucket=bucket))
    assert "arn:aws:kms:REGION:123456789012:key/KEY-ID" in json.dumps(alias.document())
