"""What becomes of each S3 operation: encrypted, passed or refused. Not listed means refused.

A new operation of AWS fails a test of ours until it stands here; at run time it is refused, so that no customer's
plaintext leaves by a door that was never looked at.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from s3ec.errors import UnsupportedOperationError

__all__ = ["DESTRUCTIVE_ELSEWHERE", "OPERATIONS", "Treatment", "refuse_unless_supported", "treatment"]


class Treatment(enum.Enum):
    """What becomes of an operation."""

    ENCRYPTED = "encrypted"
    PASSED = "passed"
    REFUSED = "refused"


ENCRYPTED = frozenset(
    {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateMultipartUpload",
        "DeleteObject",
        "DeleteObjects",
        "GetObject",
        "HeadObject",
        "PutObject",
        "RenameObject",
        "UploadPart",
        "UploadPartCopy",
    }
)
"""Operations that carry content, or that would break or orphan content metadata: each has a handler."""

REFUSED = {
    "SelectObjectContent": "S3 would parse ciphertext; read the object through get_object and filter it here",
    "PutObjectAnnotation": (
        "annotations carry a payload that is not encrypted on the client side; use a plain boto3 client for those "
        "that may be read by anyone who can read the bucket"
    ),
    "WriteGetObjectResponse": (
        "it answers an Object Lambda caller with bytes that this client would not encrypt; use a plain boto3 client"
    ),
    "GetObjectTorrent": "a torrent distributes ciphertext without its content metadata; read through get_object",
}
"""Operations that store or expose content in a way that no client can encrypt, with the way out."""

DESTRUCTIVE_ELSEWHERE = {
    "DeleteObjectAnnotation": "takes it for DeleteObject and deletes the object",
    "RenameObject": "takes it for PutObject and writes an empty object under the new name",
    "UpdateObjectEncryption": "takes it for PutObject and overwrites the object with the request's own text",
}
"""Operations of AWS that another server, where it does not know them, mistakes for one that destroys the object."""

PASSED = frozenset(
    [
        "CreateBucket",
        "CreateBucketMetadataConfiguration",
        "CreateBucketMetadataTableConfiguration",
        "CreateSession",
        "DeleteBucket",
        "DeleteBucketAnalyticsConfiguration",
        "DeleteBucketCors",
        "DeleteBucketEncryption",
        "DeleteBucketIntelligentTieringConfiguration",
        "DeleteBucketInventoryConfiguration",
        "DeleteBucketLifecycle",
        "DeleteBucketMetadataConfiguration",
        "DeleteBucketMetadataTableConfiguration",
        "DeleteBucketMetricsConfiguration",
        "DeleteBucketOwnershipControls",
        "DeleteBucketPolicy",
        "DeleteBucketReplication",
        "DeleteBucketTagging",
        "DeleteBucketWebsite",
        "DeleteObjectAnnotation",
        "DeleteObjectTagging",
        "DeletePublicAccessBlock",
        "GetBucketAbac",
        "GetBucketAccelerateConfiguration",
        "GetBucketAcl",
        "GetBucketAnalyticsConfiguration",
        "GetBucketCors",
        "GetBucketEncryption",
        "GetBucketIntelligentTieringConfiguration",
        "GetBucketInventoryConfiguration",
        "GetBucketLifecycle",
        "GetBucketLifecycleConfiguration",
        "GetBucketLocation",
        "GetBucketLogging",
        "GetBucketMetadataConfiguration",
        "GetBucketMetadataTableConfiguration",
        "GetBucketMetricsConfiguration",
        "GetBucketNotification",
        "GetBucketNotificationConfiguration",
        "GetBucketOwnershipControls",
        "GetBucketPolicy",
        "GetBucketPolicyStatus",
        "GetBucketReplication",
        "GetBucketRequestPayment",
        "GetBucketTagging",
        "GetBucketVersioning",
        "GetBucketWebsite",
        "GetObjectAcl",
        "GetObjectAnnotation",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectLockConfiguration",
        "GetObjectRetention",
        "GetObjectTagging",
        "GetPublicAccessBlock",
        "HeadBucket",
        "ListBucketAnalyticsConfigurations",
        "ListBucketIntelligentTieringConfigurations",
        "ListBucketInventoryConfigurations",
        "ListBucketMetricsConfigurations",
        "ListBuckets",
        "ListDirectoryBuckets",
        "ListMultipartUploads",
        "ListObjectAnnotations",
        "ListObjectVersions",
        "ListObjects",
        "ListObjectsV2",
        "ListParts",
        "PutBucketAbac",
        "PutBucketAccelerateConfiguration",
        "PutBucketAcl",
        "PutBucketAnalyticsConfiguration",
        "PutBucketCors",
        "PutBucketEncryption",
        "PutBucketIntelligentTieringConfiguration",
        "PutBucketInventoryConfiguration",
        "PutBucketLifecycle",
        "PutBucketLifecycleConfiguration",
        "PutBucketLogging",
        "PutBucketMetricsConfiguration",
        "PutBucketNotification",
        "PutBucketNotificationConfiguration",
        "PutBucketOwnershipControls",
        "PutBucketPolicy",
        "PutBucketReplication",
        "PutBucketRequestPayment",
        "PutBucketTagging",
        "PutBucketVersioning",
        "PutBucketWebsite",
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectLockConfiguration",
        "PutObjectRetention",
        "PutObjectTagging",
        "PutPublicAccessBlock",
        "RestoreObject",
        "UpdateBucketMetadataAnnotationTableConfiguration",
        "UpdateBucketMetadataInventoryTableConfiguration",
        "UpdateBucketMetadataJournalTableConfiguration",
        "UpdateObjectEncryption",
    ]
)
"""Operations that carry no content of objects: they go to S3 as they are."""

OPERATIONS: dict[str, Treatment] = {
    **dict.fromkeys(ENCRYPTED, Treatment.ENCRYPTED),
    **dict.fromkeys(PASSED, Treatment.PASSED),
    **dict.fromkeys(REFUSED, Treatment.REFUSED),
}
"""The whole table, by botocore's operation names."""


def treatment(operation_name: str) -> Treatment:
    """What becomes of the operation; unknown ones are refused."""
    return OPERATIONS.get(operation_name, Treatment.REFUSED)


def refuse_unless_supported(operation_name: str, *, on_aws: Callable[[], bool]) -> None:
    """Stop an operation that would leak or corrupt.

    Args:
        operation_name: as botocore spells it.
        on_aws: says whether the client's endpoint is one of AWS's own; asked for few operations only.

    Raises:
        UnsupportedOperationError: with the reason and the way out.
    """
    if operation_name in DESTRUCTIVE_ELSEWHERE and not on_aws():
        raise UnsupportedOperationError(
            f"{operation_name} is refused on endpoints that are not AWS's: a server that does not know it "
            f"{DESTRUCTIVE_ELSEWHERE[operation_name]}; where yours knows it, use a plain boto3 client"
        )
    if treatment(operation_name) is not Treatment.REFUSED:
        return
    reason = REFUSED.get(
        operation_name,
        "this version of s3ec does not know the operation, so it cannot say whether it carries plaintext; "
        "upgrade s3ec, or use a plain boto3 client",
    )
    raise UnsupportedOperationError(f"{operation_name} is refused: {reason}")
