"""What a bucket's own settings say that matters to a migration."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from s3ec.migrate.work.ending import code_of

__all__ = ["bucket_settings"]

_ABSENT = frozenset(
    {
        "NoSuchLifecycleConfiguration",
        "ReplicationConfigurationNotFoundError",
        "ObjectLockConfigurationNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
        "OwnershipControlsNotFoundError",
        "NoSuchOwnershipControls",
        "NoSuchBucketPolicy",
    }
)
_SETTINGS: dict[str, tuple[str, str]] = {
    "versioning": ("get_bucket_versioning", "Status"),
    "default_encryption": ("get_bucket_encryption", "ServerSideEncryptionConfiguration"),
    "object_lock": ("get_object_lock_configuration", "ObjectLockConfiguration"),
    "object_ownership": ("get_bucket_ownership_controls", "OwnershipControls"),
    "replication": ("get_bucket_replication", "ReplicationConfiguration"),
    "lifecycle": ("get_bucket_lifecycle_configuration", "Rules"),
}


def bucket_settings(client: Any, bucket: str) -> dict[str, str]:
    """What the bucket's own settings say that matters to a migration; one word each.

    A setting that may not be read is ``"unknown"``; one that is not there ``"none"``.

    Raises:
        botocore.exceptions.ClientError: there is no such bucket.
    """
    answer = client.head_bucket(Bucket=bucket)
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or client.meta.region_name
    settings = {name: _setting(client, bucket, name, *where) for name, where in _SETTINGS.items()}
    return {**settings, "region": region or "unknown"}


def _setting(client: Any, bucket: str, name: str, operation: str, member: str) -> str:
    try:
        value = getattr(client, operation)(Bucket=bucket).get(member)
    except ClientError as error:
        return "none" if code_of(error) in _ABSENT else "unknown"
    return _WORDS.get(name, str)(value) if value else "none"


def _default_encryption(value: dict[str, Any]) -> str:
    rules = value.get("Rules") or [{}]
    return str(rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", "none"))


def _count(noun: str) -> Any:
    return lambda rules: f"{len(rules)} {noun}{'s' if len(rules) != 1 else ''}"


_WORDS: dict[str, Any] = {
    "default_encryption": _default_encryption,
    "object_lock": lambda value: str(value.get("ObjectLockEnabled", "none")),
    "object_ownership": lambda value: str((value.get("Rules") or [{}])[0].get("ObjectOwnership", "none")),
    "replication": lambda value: _count("rule")(value.get("Rules", [])),
    "lifecycle": _count("rule"),
}
