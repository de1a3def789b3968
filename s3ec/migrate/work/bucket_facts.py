"""What is true of a whole bucket, and so is asked for once and not for each object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from s3ec.migrate.work.ending import code_of

__all__ = ["BucketFacts", "bucket_facts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketFacts:
    """What is true of a whole bucket, asked for once.

    Attributes:
        keeps_versions: True if each write makes a version (versioning on).
        has_acls: False if the bucket's owner owns every object and ACLs are off.
        owner_id: canonical user, or None where it may not be read.
        has_lock: True if Object Lock is on.
        has_replication: True if a replication rule is set.
        has_lifecycle: True if a lifecycle rule is set.
        has_notifications: True if writes raise events.
    """

    keeps_versions: bool
    has_acls: bool
    owner_id: str | None
    has_lock: bool
    has_replication: bool = False
    has_lifecycle: bool = False
    has_notifications: bool = False


def bucket_facts(client: Any, bucket: str) -> BucketFacts:
    """Ask for all of them; what may not be read counts as the stricter case.

    Raises:
        botocore.exceptions.ClientError: the bucket does not exist.
    """
    versioning = _answer(client.get_bucket_versioning, bucket)
    ownership = _answer(client.get_bucket_ownership_controls, bucket)
    lock = _answer(client.get_object_lock_configuration, bucket)
    rules = ownership.get("OwnershipControls", {}).get("Rules", [])
    acl = _answer(client.get_bucket_acl, bucket)
    notifications = _answer(client.get_bucket_notification_configuration, bucket)
    return BucketFacts(
        keeps_versions=versioning.get("Status") == "Enabled",
        has_acls=not _knows_no_acls(acl)
        and not any(rule.get("ObjectOwnership") == "BucketOwnerEnforced" for rule in rules),
        owner_id=acl.get("Owner", {}).get("ID"),
        has_lock=lock.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled",
        has_replication=bool(_answer(client.get_bucket_replication, bucket).get("ReplicationConfiguration")),
        has_lifecycle=bool(_answer(client.get_bucket_lifecycle_configuration, bucket).get("Rules")),
        has_notifications=any(name.endswith(("Configurations", "Configuration")) for name in notifications),
    )


def _knows_no_acls(acl: dict[str, Any]) -> bool:
    """True for a server that has no ACLs (MinIO): it names no owner, and all is granted to nobody. AWS names both."""
    grants = [(grant.get("Permission"), grant.get("Grantee")) for grant in acl.get("Grants", [])]
    return not acl.get("Owner", {"ID": "?"}).get("ID") and grants == [("FULL_CONTROL", {"Type": "CanonicalUser"})]


def _answer(request: Callable[..., dict[str, Any]], bucket: str) -> dict[str, Any]:
    """Return the answer, or nothing if the bucket has no such setting or it may not be read."""
    try:
        return request(Bucket=bucket)
    except ClientError as error:
        if code_of(error) == "NoSuchBucket":
            raise
        return {}
