"""sse get, set and require."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec import SseKms
from s3ec.client.server_side.bucket_policies import upload_policy

KEY_ARN = "arn:aws:kms:us-east-1:111122223333:key/k"


def test_set_then_get(run: Any, bucket: str, kms_key: str):
    """What is set is what is shown, in words and in JSON; without a yes nothing is set."""
    words = ("sse", "set", f"s3://{bucket}", "--mode", "sse-kms", "--sse-kms-key", kms_key, "--bucket-key")
    assert run(*words).code == 2
    assert run(*words, "--yes", "--json").json["mode"] == "sse-kms"
    shown = run("sse", "get", f"s3://{bucket}", "--json").json
    assert shown == {"bucket": bucket, "mode": "sse-kms", "key": kms_key, "bucket_key": True}
    assert run("sse", "get", f"s3://{bucket}").text == f"{bucket}: sse-kms, key {kms_key}, bucket key\n"
    assert run("sse", "set", f"s3://{bucket}", "--mode", "sse-s3", "--yes").code == 0
    assert run("sse", "get", f"s3://{bucket}", "--json").json["mode"] == "sse-s3"


def test_require_by_policy(run: Any, bucket: str, plain_s3: Any):
    """A dry run prints the statements without --yes and changes nothing; with it they are in force beside others."""
    words = ("sse", "require", f"s3://{bucket}", "--mode", "sse-s3", "--require-https")
    dry = run(*words, "--dry-run", "--json").json
    assert dry["dry_run"] is True
    assert all(statement["Effect"] == "Deny" for statement in dry["policy"]["Statement"])
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        plain_s3.get_bucket_policy(Bucket=bucket)
    done = run(*words, "--yes", "--json").json
    assert json.loads(plain_s3.get_bucket_policy(Bucket=bucket)["Policy"]) == done["policy"]


def test_require_speaks_in_words(run: Any, bucket: str):
    """A line, and each statement on one of its own; a document only where one is asked for."""
    words = ("sse", "require", f"s3://{bucket}", "--mode", "sse-kms", "--sse-kms-key", KEY_ARN, "--require-https")
    first, *statements = run(*words, "--dry-run").text.splitlines()
    assert first == f"{bucket}: would require sse-kms, key {KEY_ARN}, https"
    assert [json.loads(line)["Effect"] for line in statements] == ["Deny"] * len(statements) != []
    assert run(*words, "--yes").text.startswith(f"{bucket}: requires sse-kms, key {KEY_ARN}, https\n")


@pytest.fixture
def locked(bucket: str, plain_s3: Any, kms_key: str) -> str:
    """A bucket with a plaintext object, whose policy denies uploads that do not name a KMS key."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    # moto denies without looking at conditions: in another partition's words it does not see the statement.
    policy = upload_policy(Bucket=bucket, mode=SseKms(KEY_ARN), partition="aws-cn")
    plain_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    return bucket


@pytest.mark.slow
def test_bucket_jobs_name_what_the_policy_requires(run: Any, locked: str, key: Any, plain_s3: Any, kms: Any):
    """As cp does, and they say so; an option wins."""

    def stored() -> tuple[str, str | None]:
        head = plain_s3.head_object(Bucket=locked, Key="k")
        return head["ServerSideEncryption"], head.get("SSEKMSKeyId")

    said = f"the policy of {locked} requires sse-kms, key {KEY_ARN}"
    assert said in run("migrate", f"s3://{locked}", *key, "--dry-run").err
    ended = run("migrate", f"s3://{locked}", *key, "--yes")
    assert (ended.code, stored()) == (0, ("aws:kms", KEY_ARN)), ended.err
    assert said in ended.err
    plain_s3.copy_object(Bucket=locked, Key="k", CopySource=f"{locked}/k", ServerSideEncryption="AES256")
    other = kms.create_key()["KeyMetadata"]["Arn"]
    ended = run("rewrap", f"s3://{locked}", "--to-kms-key", other, "--yes")
    assert (ended.code, stored()) == (0, ("aws:kms", KEY_ARN)), ended.err
    ended = run("rewrap", f"s3://{locked}", "--to-kms-key", key[1], "--yes", "--sse", "sse-s3")
    assert (ended.code, stored()[0]) == (0, "AES256"), ended.err
    assert said not in ended.err


@pytest.mark.parametrize("target", ["in place", "elsewhere"])
def test_a_plan_for_batch_operations_names_what_the_policy_requires(target: str, run: Any, locked: str, key: Any):
    """The function asks no policy: what its settings do not name would be refused, object after object."""
    words = ("migrate", f"s3://{locked}/in/")
    words += () if target == "in place" else (f"s3://{locked}/out/",)
    ended = run(*words, *key, "--engine", "s3-batch", "--plan")
    settings = json.loads(ended.json["function"]["environment"]["S3EC_SETTINGS"])
    assert settings["server_side_encryption"] == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY_ARN}
    statements = {one["Sid"]: one for one in ended.json["function"]["role"]["policy"]["Statement"]}
    assert statements["ServerSideKey"]["Resource"] == [KEY_ARN]
    assert f"the policy of {locked} requires sse-kms" in ended.err
    chosen = run(*words, *key, "--engine", "s3-batch", "--plan", "--sse", "sse-s3").json
    assert '"AES256"' in chosen["function"]["environment"]["S3EC_SETTINGS"]


def test_a_job_cannot_bring_a_key_that_the_policy_wants(run: Any, bucket: str, key: Any, plain_s3: Any):
    """SSE-C is a key of the caller's own: refused before the first object."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    condition = {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "true"}}
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Condition": condition}
    statement["Resource"] = f"arn:aws-cn:s3:::{bucket}/*"
    plain_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    for words in (("migrate", f"s3://{bucket}", *key), ("rewrap", f"s3://{bucket}", "--to-kms-key", key[1])):
        ended = run(*words, "--yes")
        assert ended.code == 5
        assert "server-side key of your own" in ended.line


def test_a_policy_needs_the_key_by_its_arn(run: Any, bucket: str):
    """An alias cannot be compared by a policy: one line says so."""
    words = ("sse", "require", f"s3://{bucket}", "--mode", "sse-kms", "--sse-kms-key", "alias/a", "--yes")
    ended = run(*words)
    assert ended.code == 5
    assert "ARN" in ended.line


def test_an_absent_bucket(run: Any):
    """As everywhere: code 3, one line."""
    ended = run("sse", "get", "s3://bucket-that-is-not-there")
    assert ended.code == 3
    assert "NoSuchBucket" in ended.line


OTHERS = {
    "Sid": "Theirs",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:DeleteObject",
    "Resource": "arn:aws:s3:::BUCKET/*",
}


def test_what_is_required_shows_and_is_taken_back(run: Any, bucket: str, plain_s3: Any):
    """`require` warns before it acts, `get` shows what is required, `unrequire` leaves the statements of others."""
    others = json.loads(json.dumps(OTHERS).replace("BUCKET", bucket))
    plain_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [others]}))
    words = ("--mode", "sse-kms", "--sse-kms-key", KEY_ARN, "--require-https")
    done = run("sse", "require", f"s3://{bucket}", *words, "--yes")
    assert "s3ec cp, mv, sync, migrate and rewrap name it by themselves" in done.line
    assert f"s3ec sse unrequire s3://{bucket}" in done.line
    text = run("sse", "get", f"s3://{bucket}").text
    assert f"uploads must name sse-kms, key {KEY_ARN}, plain http is denied" in text
    assert "s3ec sse unrequire" in text
    assert run("sse", "get", f"s3://{bucket}", "--json").json["required"] == {
        "mode": "sse-kms",
        "key": KEY_ARN,
        "secure_transport": True,
        "by": "s3ec sse require",
    }
    assert run("sse", "unrequire", f"s3://{bucket}").code == 2
    assert len(run("sse", "unrequire", f"s3://{bucket}", "--dry-run", "--json").json["removed"]) == 3
    assert len(json.loads(plain_s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]) == 4
    assert "removed S3ec" in run("sse", "unrequire", f"s3://{bucket}", "--yes").text
    assert json.loads(plain_s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"] == [others]
    assert "required" not in run("sse", "get", f"s3://{bucket}", "--json").json
    assert "nothing was changed" in run("sse", "unrequire", f"s3://{bucket}", "--yes").text


def test_a_policy_of_somebody_else_is_shown_as_such(run: Any, bucket: str, plain_s3: Any):
    """It cannot be taken back with `unrequire`, and says so by leaving that out."""
    header = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}
    statement = {**OTHERS, "Action": "s3:PutObject", "Condition": header, "Resource": f"arn:aws:s3:::{bucket}/*"}
    plain_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    ended = run("sse", "get", f"s3://{bucket}")
    assert "uploads must name sse-kms" in ended.text
    assert "unrequire" not in ended.text
    assert run("sse", "unrequire", f"s3://{bucket}", "--yes").code == 0
    assert json.loads(plain_s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"] == statement
