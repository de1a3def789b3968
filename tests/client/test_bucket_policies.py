"""What a bucket's policy requires of uploads: read whoever wrote it, and taken back where it is ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec import (
    DsseKms,
    RequiredEncryption,
    SseC,
    SseKms,
    SseS3,
    require_encryption,
    required_encryption,
    unrequire_encryption,
)

ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd"
MODE = "s3:x-amz-server-side-encryption"


def deny(bucket: str, condition: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A statement of somebody else."""
    statement = {
        "Sid": "Theirs",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": condition,
    }
    return {**statement, **more}


def put(client: Any, bucket: str, *statements: dict[str, Any]) -> None:
    """Make these the bucket's policy."""
    client.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Id": "I", "Statement": list(statements)})
    )


@pytest.mark.parametrize("mode", [SseS3(), SseKms(), SseKms(ARN), DsseKms(), DsseKms(ARN)], ids=repr)
@pytest.mark.parametrize("transport", [False, True])
def test_what_was_required_is_read_back(plain_s3: Any, bucket: str, mode: Any, transport: bool):
    """Reading is the inverse of writing, for each mode."""
    require_encryption(plain_s3, Bucket=bucket, mode=mode, require_secure_transport=transport)
    found = required_encryption(plain_s3, Bucket=bucket)
    assert found == RequiredEncryption(mode, secure_transport=transport, ours=True)


def test_a_required_key_of_the_callers_has_no_mode(plain_s3: Any, bucket: str):
    """SSE-C needs a key that no policy names."""
    require_encryption(plain_s3, Bucket=bucket, mode=SseC(bytes(32)))
    assert required_encryption(plain_s3, Bucket=bucket) == RequiredEncryption(None, sse_c=True, ours=True)


@pytest.mark.parametrize(
    ("conditions", "mode"),
    [
        ([{"StringNotEquals": {MODE: "aws:kms"}}, {"Null": {MODE: "true"}}], SseKms()),
        ([{"stringnotequals": {"S3:X-AMZ-Server-Side-Encryption": ["AES256", "aws:kms"]}}], SseKms()),
        ([{"Null": {MODE: True}}], SseS3()),
        ([{"ArnNotEquals": {f"{MODE}-aws-kms-key-id": ARN}}], SseKms(ARN)),
        ([{"StringNotEquals": {MODE: "AES256"}}, {"StringNotEquals": {MODE: "aws:kms"}}], None),
    ],
)
def test_statements_of_others_count(plain_s3: Any, bucket: str, conditions: list[Any], mode: Any):
    """IAM compares operators and keys without regard to case, and takes lists; one mode must satisfy all statements."""
    put(plain_s3, bucket, *(deny(bucket, condition) for condition in conditions))
    assert required_encryption(plain_s3, Bucket=bucket) == RequiredEncryption(mode)


@pytest.mark.parametrize(
    "more",
    [
        {"Effect": "Allow"},
        {"Action": "s3:GetObject"},
        {"Principal": {"AWS": "arn:aws:iam::111122223333:role/one"}},
        {"Resource": "arn:aws:s3:::another/*"},
    ],
)
def test_statements_about_something_else_do_not_count(plain_s3: Any, bucket: str, more: dict[str, Any]):
    """What does not deny everybody's uploads to this bucket requires nothing."""
    put(plain_s3, bucket, deny(bucket, {"StringNotEquals": {MODE: "aws:kms"}}, **more))
    assert required_encryption(plain_s3, Bucket=bucket) is None


def test_no_policy_requires_nothing(plain_s3: Any, bucket: str):
    """A bucket has none at first."""
    assert required_encryption(plain_s3, Bucket=bucket) is None
    assert unrequire_encryption(plain_s3, Bucket=bucket) == []


def test_only_our_statements_are_taken_back(plain_s3: Any, bucket: str):
    """Foreign statements stay as they are, the policy's own members too; a second call finds nothing."""
    theirs = deny(bucket, {"StringNotEquals": {MODE: "AES256"}}, Sid="S3ecLookalike")
    put(plain_s3, bucket, theirs)
    require_encryption(plain_s3, Bucket=bucket, mode=SseKms(ARN), require_secure_transport=True)
    before = plain_s3.get_bucket_policy(Bucket=bucket)["Policy"]
    dry = unrequire_encryption(plain_s3, Bucket=bucket, dry_run=True)
    assert plain_s3.get_bucket_policy(Bucket=bucket)["Policy"] == before
    assert unrequire_encryption(plain_s3, Bucket=bucket) == dry
    assert len(dry) == 3
    left = json.loads(plain_s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert left == {"Version": "2012-10-17", "Id": "I", "Statement": [theirs]}
    assert unrequire_encryption(plain_s3, Bucket=bucket) == []


def test_a_policy_of_ours_alone_is_deleted(plain_s3: Any, bucket: str):
    """S3 takes no policy without statements."""
    require_encryption(plain_s3, Bucket=bucket, mode=SseS3())
    unrequire_encryption(plain_s3, Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        plain_s3.get_bucket_policy(Bucket=bucket)
