"""sse get, set and require."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError


def test_set_then_get(run: Any, bucket: str, kms_key: str):
    """What is set is what is shown, in words and in JSON; without leave nothing is set."""
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
    dry = run(*words, "--dry-run").json
    assert dry["dry_run"] is True
    assert all(statement["Effect"] == "Deny" for statement in dry["policy"]["Statement"])
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        plain_s3.get_bucket_policy(Bucket=bucket)
    done = run(*words, "--yes").json
    assert json.loads(plain_s3.get_bucket_policy(Bucket=bucket)["Policy"]) == done["policy"]


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
