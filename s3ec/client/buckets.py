"""Server-side encryption of whole buckets: their default, and the policy that refuses uploads in another mode.

Every function takes any boto3 S3 client first; nothing here touches content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from s3ec.client.server_side_change import (
    ServerSideChange,
    ServerSideState,
    change_server_side_encryption,
    server_side_state,
)
from s3ec.client.server_side_modes import DsseKms, ServerSideMode, SseC, SseKms, SseS3
from s3ec.errors import ConfigurationError, UnsupportedOperationError

__all__ = [
    "ServerSideChange",
    "ServerSideState",
    "change_server_side_encryption",
    "get_default_encryption",
    "require_encryption",
    "server_side_state",
    "set_default_encryption",
    "upload_policy",
]

_REQUIRE_MODE = "S3ecRequireServerSideEncryption"
_REQUIRE_KEY = "S3ecRequireKmsKey"
_REQUIRE_TRANSPORT = "S3ecRequireSecureTransport"
_MODE_HEADER = "s3:x-amz-server-side-encryption"
_KEY_HEADER = "s3:x-amz-server-side-encryption-aws-kms-key-id"
_SSE_C_HEADER = "s3:x-amz-server-side-encryption-customer-algorithm"


def get_default_encryption(
    client: Any,
    *,
    Bucket: str,  # noqa: N803 - boto3's spelling, as in every call beside it
) -> ServerSideMode | None:
    """The mode that S3 uses for objects that come without one.

    Returns:
        `SseS3`, `SseKms` or `DsseKms`; None where the server reports no default (AWS always has one).

    Raises:
        UnsupportedOperationError: a mode of another AWS service.
        botocore.exceptions.ClientError: S3's own refusals.
    """
    rule = _default_rule(client, Bucket)
    default = rule.get("ApplyServerSideEncryptionByDefault")
    if not default:
        return None
    key_id = default.get("KMSMasterKeyID")
    match default["SSEAlgorithm"]:
        case "AES256":
            return SseS3()
        case "aws:kms":
            return SseKms(key_id, bucket_key=bool(rule.get("BucketKeyEnabled", False)))
        case "aws:kms:dsse":
            return DsseKms(key_id)
        case other:
            raise UnsupportedOperationError(f"the default of bucket {Bucket} is {other}, which another AWS service set")


def set_default_encryption(
    client: Any,
    *,
    Bucket: str,  # noqa: N803 - boto3's spelling
    mode: ServerSideMode,
    block_sse_c: bool | None = None,
) -> None:
    """Set the mode for objects that come without one; objects that are there keep theirs.

    Args:
        client: any boto3 S3 client.
        Bucket: the bucket.
        mode: `SseS3`, `SseKms` or `DsseKms`.
        block_sse_c: True makes S3 refuse uploads in SSE-C, False allows them; None leaves this as it is, provided that
            the installed botocore knows of it.

    Raises:
        ConfigurationError: a mode that cannot be a bucket's default: SSE-C, or an encryption context.
        botocore.exceptions.ClientError: S3's own refusals.
    """
    rule = _rule(mode)
    if block_sse_c is not None:
        rule["BlockedEncryptionTypes"] = {"EncryptionType": ["SSE-C" if block_sse_c else "NONE"]}
    elif blocked := _default_rule(client, Bucket).get("BlockedEncryptionTypes"):
        # The call replaces the whole configuration: without this, setting a default would unblock SSE-C.
        rule["BlockedEncryptionTypes"] = blocked
    client.put_bucket_encryption(Bucket=Bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def upload_policy(
    *,
    Bucket: str,  # noqa: N803 - boto3's spelling
    mode: ServerSideMode,
    require_secure_transport: bool = False,
    partition: str = "aws",
) -> dict[str, Any]:
    """A bucket policy that denies every upload whose request does not name the mode.

    Uploads that rely on the bucket's default are denied too: the policy sees the request, not what becomes of it.
    A bucket key and an encryption context are not visible to policies. For DSSE-KMS and SSE-KMS with a key, only that
    key is accepted.

    Args:
        Bucket: the bucket.
        mode: the mode that uploads must name.
        require_secure_transport: also deny every request over plain http.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.

    Returns:
        The policy document.

    Raises:
        ConfigurationError: a KMS key that is not named by its ARN, which policies compare as text.
    """
    bucket_arn = f"arn:{partition}:s3:::{Bucket}"
    objects = f"{bucket_arn}/*"
    if isinstance(mode, SseC):
        statements = [_deny(_REQUIRE_MODE, objects, {"Null": {_SSE_C_HEADER: "true"}})]
    else:
        # StringNotEquals also holds where the header is absent, so that one statement covers both.
        wanted = mode.parameters()["ServerSideEncryption"]
        statements = [_deny(_REQUIRE_MODE, objects, {"StringNotEquals": {_MODE_HEADER: wanted}})]
    if isinstance(mode, SseKms | DsseKms) and mode.key_id is not None:
        if not mode.key_id.startswith("arn:"):
            raise ConfigurationError(
                "a policy compares the KMS key as text: give the key's ARN, as uploads must then do"
            )
        statements.append(_deny(_REQUIRE_KEY, objects, {"StringNotEquals": {_KEY_HEADER: mode.key_id}}))
    if require_secure_transport:
        everything = [bucket_arn, objects]
        statements.append(
            _deny(_REQUIRE_TRANSPORT, everything, {"Bool": {"aws:SecureTransport": "false"}}, action="s3:*")
        )
    return {"Version": "2012-10-17", "Statement": statements}


def require_encryption(
    client: Any,
    *,
    Bucket: str,  # noqa: N803 - boto3's spelling
    mode: ServerSideMode,
    require_secure_transport: bool = False,
) -> dict[str, Any]:
    """Put `upload_policy` into the bucket's policy, leaving every statement of others as it is.

    Statements are recognised by their Sid; those that an earlier call wrote are replaced. S3 has no conditional write
    for policies, so two people who change one at the same moment can lose a statement.

    Returns:
        The policy document that is in force now.

    Raises:
        ConfigurationError: as `upload_policy`.
        botocore.exceptions.ClientError: S3's own refusals.
    """
    wanted = upload_policy(
        Bucket=Bucket, mode=mode, require_secure_transport=require_secure_transport, partition=client.meta.partition
    )
    policy = _bucket_policy(client, Bucket) or {"Version": wanted["Version"]}
    replaced = {_REQUIRE_MODE, _REQUIRE_KEY, *(statement["Sid"] for statement in wanted["Statement"])}
    present = policy.get("Statement", [])
    others = [one for one in ([present] if isinstance(present, dict) else present) if one.get("Sid") not in replaced]
    merged = {**policy, "Statement": [*others, *wanted["Statement"]]}
    if merged != policy:
        client.put_bucket_policy(Bucket=Bucket, Policy=json.dumps(merged))
    return merged


def _deny(
    sid: str, resource: str | list[str], condition: Mapping[str, Any], action: str = "s3:PutObject"
) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": dict(condition),
    }


def _rule(mode: ServerSideMode) -> dict[str, Any]:
    if isinstance(mode, SseC):
        raise ConfigurationError("SSE-C cannot be a bucket's default: S3 does not have the key")
    if isinstance(mode, SseS3):
        return {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    if mode.context:
        raise ConfigurationError("a bucket's default has no encryption context; give it with each request")
    default = {"SSEAlgorithm": mode.parameters()["ServerSideEncryption"]}
    if mode.key_id is not None:
        default["KMSMasterKeyID"] = mode.key_id
    rule: dict[str, Any] = {"ApplyServerSideEncryptionByDefault": default}
    if isinstance(mode, SseKms) and mode.bucket_key is not None:
        rule["BucketKeyEnabled"] = mode.bucket_key
    return rule


def _default_rule(client: Any, bucket: str) -> dict[str, Any]:
    try:
        answer = client.get_bucket_encryption(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ServerSideEncryptionConfigurationNotFoundError":
            return {}
        raise
    rules: list[dict[str, Any]] = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return rules[0] if rules else {}


def _bucket_policy(client: Any, bucket: str) -> dict[str, Any] | None:
    try:
        policy: dict[str, Any] = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucketPolicy":
            return None
        raise
    return policy
