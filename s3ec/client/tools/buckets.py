"""Server-side encryption of whole buckets: their default; `bucket_policies` has what they require.

Every function takes any boto3 S3 client first; nothing here touches content.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from s3ec.client.server_side.bucket_policies import (
    RequiredEncryption,
    require_encryption,
    required_encryption,
    unrequire_encryption,
    upload_policy,
)
from s3ec.client.server_side.change import (
    ServerSideChange,
    ServerSideState,
    change_server_side_encryption,
    server_side_state,
)
from s3ec.client.server_side.modes import DsseKms, ServerSideMode, SseC, SseKms, SseS3
from s3ec.errors import ConfigurationError, UnsupportedOperationError
from s3ec.s3.answers import code_of

__all__ = [
    "RequiredEncryption",
    "ServerSideChange",
    "ServerSideState",
    "change_server_side_encryption",
    "get_default_encryption",
    "require_encryption",
    "required_encryption",
    "server_side_state",
    "set_default_encryption",
    "unrequire_encryption",
    "upload_policy",
]


def get_default_encryption(
    client: Any,
    *,
    Bucket: str,  # noqa: N803 - boto3's spelling, as in every call beside it
) -> ServerSideMode | None:
    """Return the mode that S3 uses for objects that come without one.

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
        if code_of(error.response) == "ServerSideEncryptionConfigurationNotFoundError":
            return {}
        raise
    rules: list[dict[str, Any]] = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return rules[0] if rules else {}
