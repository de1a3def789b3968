"""The policy by which a bucket refuses uploads that do not name a server-side mode: write it, read it, take it back.

Every function that talks to S3 takes any boto3 S3 client first. A policy belongs to the bucket's owner: statements
that others wrote are read, and never changed.

Source: Amazon S3 User Guide, "Examples of Amazon S3 bucket policies"; IAM User Guide, "Policy evaluation logic".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from s3ec.client.server_side.modes import DsseKms, ServerSideMode, SseC, SseKms, SseS3
from s3ec.errors import ConfigurationError
from s3ec.s3.answers import code_of

__all__ = ["RequiredEncryption", "require_encryption", "required_encryption", "unrequire_encryption", "upload_policy"]

_REQUIRE_MODE = "S3ecRequireServerSideEncryption"
_REQUIRE_KEY = "S3ecRequireKmsKey"
_REQUIRE_TRANSPORT = "S3ecRequireSecureTransport"
_MODE_HEADER = "s3:x-amz-server-side-encryption"
_KEY_HEADER = "s3:x-amz-server-side-encryption-aws-kms-key-id"
_SSE_C_HEADER = "s3:x-amz-server-side-encryption-customer-algorithm"
_OURS = frozenset({_REQUIRE_MODE, _REQUIRE_KEY, _REQUIRE_TRANSPORT})
_PUTS = frozenset({"*", "s3:*", "s3:put*", "s3:putobject", "s3:putobject*"})


@dataclass(frozen=True, slots=True)
class RequiredEncryption:
    """What a bucket's policy wants every upload to name.

    Attributes:
        mode: `SseS3`, `SseKms` or `DsseKms`; None if no mode without a key of the caller's would do.
        sse_c: True if uploads must bring an SSE-C key.
        secure_transport: True if plain http is denied.
        ours: True if s3ec wrote at least one of the statements, which `unrequire_encryption` takes back.
    """

    mode: SseS3 | SseKms | DsseKms | None = None
    sse_c: bool = False
    secure_transport: bool = False
    ours: bool = False


def upload_policy(
    *,
    Bucket: str,  # noqa: N803 - boto3's spelling
    mode: ServerSideMode,
    require_secure_transport: bool = False,
    partition: str = "aws",
) -> dict[str, Any]:
    """Return a bucket policy that denies every upload whose request does not name the mode.

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
    others = [one for one in _statements(policy) if one.get("Sid") not in replaced]
    merged = {**policy, "Statement": [*others, *wanted["Statement"]]}
    if merged != policy:
        client.put_bucket_policy(Bucket=Bucket, Policy=json.dumps(merged))
    return merged


def unrequire_encryption(
    client: Any,
    *,
    Bucket: str,  # noqa: N803 - boto3's spelling
    dry_run: bool = False,
) -> list[dict[str, Any]]:
    """Take back what `require_encryption` put into the bucket's policy, leaving every statement of others as it is.

    A policy of which nothing is left is deleted.

    Args:
        client: any boto3 S3 client.
        Bucket: the bucket.
        dry_run: only say what would be removed.

    Returns:
        The statements that are gone; empty where there was none of ours.

    Raises:
        botocore.exceptions.ClientError: S3's own refusals.
    """
    policy = _bucket_policy(client, Bucket) or {}
    present = _statements(policy)
    removed = [statement for statement in present if statement.get("Sid") in _OURS]
    if not removed or dry_run:
        return removed
    others = [statement for statement in present if statement.get("Sid") not in _OURS]
    if others:
        client.put_bucket_policy(Bucket=Bucket, Policy=json.dumps({**policy, "Statement": others}))
    else:
        client.delete_bucket_policy(Bucket=Bucket)
    return removed


def required_encryption(
    client: Any,
    *,
    Bucket: str,  # noqa: N803 - boto3's spelling
) -> RequiredEncryption | None:
    """Read off the bucket's policy what uploads must name, no matter who wrote it.

    Only statements that deny all uploads to the whole bucket count; conditions beside the mode are taken to
    hold, since an upload that names the mode satisfies such a statement either way.

    Returns:
        None where the policy requires nothing, or there is none.

    Raises:
        botocore.exceptions.ClientError: S3's own refusals; ``s3:GetBucketPolicy`` is asked for.
    """
    names: list[list[str]] = []
    keys: list[list[str]] = []
    sse_c = transport = ours = False
    for statement in _statements(_bucket_policy(client, Bucket) or {}):
        if not _denies_everybody(statement, Bucket):
            continue
        conditions = list(_conditions(statement))
        found = [(operator, values) for operator, name, values in conditions if name == _MODE_HEADER]
        names += [values for operator, values in found if operator == "stringnotequals"]
        # Null alone wants any mode at all.
        names += [[] for operator, values in found if operator == "null" and values == ["true"]]
        keys += [v for o, name, v in conditions if name == _KEY_HEADER and o in ("stringnotequals", "arnnotequals")]
        sse_c |= ("null", _SSE_C_HEADER, ["true"]) in conditions
        transport |= ("bool", "aws:securetransport", ["false"]) in conditions
        ours |= statement.get("Sid") in _OURS
    if not (names or keys or sse_c or transport):
        return None
    return RequiredEncryption(_required_mode(names, keys), sse_c, transport, ours)


def _required_mode(names: list[list[str]], keys: list[list[str]]) -> SseS3 | SseKms | DsseKms | None:
    """Return one mode that satisfies all statements, if there is one."""
    exact = [set(each) for each in names if each]
    allowed = set.intersection(*exact) if exact else ({"aws:kms"} if keys else {"AES256"} if names else set())
    key_ids = set.intersection(*map(set, keys)) if keys else set()
    key_id = min(key_ids, default=None)
    if key_id is not None and ("*" in key_id or not key_id.startswith("arn:")):
        key_id = None
    if "aws:kms" in allowed:
        return SseKms(key_id)
    if "aws:kms:dsse" in allowed:
        return DsseKms(key_id)
    return SseS3() if "AES256" in allowed else None


def _statements(policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a policy's statements; a single one may come without a list."""
    present = policy.get("Statement", [])
    return [present] if isinstance(present, dict) else list(present)


def _denies_everybody(statement: Mapping[str, Any], bucket: str) -> bool:
    if statement.get("Effect") != "Deny" or statement.get("Principal") not in ("*", {"AWS": "*"}, {"AWS": ["*"]}):
        return False
    actions = {action.lower() for action in _listed(statement.get("Action"))}
    resources = _listed(statement.get("Resource"))
    return bool(actions & _PUTS) and any(text == "*" or text.endswith(f":::{bucket}/*") for text in resources)


def _conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Operator, key (both in lower case, as IAM compares them) and values of each condition."""
    for operator, tests in (statement.get("Condition") or {}).items():
        for name, values in tests.items():
            texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in _listed(values)]
            yield operator.lower(), name.lower(), texts


def _listed(value: Any) -> list[Any]:
    """Return a list: IAM takes a single value in place of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


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


def _bucket_policy(client: Any, bucket: str) -> dict[str, Any] | None:
    try:
        policy: dict[str, Any] = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])
    except ClientError as error:
        if code_of(error.response) == "NoSuchBucketPolicy":
            return None
        raise
    return policy
