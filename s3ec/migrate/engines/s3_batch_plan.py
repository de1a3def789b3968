"""Everything that an S3 Batch Operations job needs: the function, both roles' policies, the job itself.

Nothing here talks to AWS: it prints what an administrator reviews and runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s3ec.migrate.engines.s3_batch import SETTINGS_VARIABLE
from s3ec.migrate.model import Action
from s3ec.migrate.settings import KeyringSpec, MigrationSettings

__all__ = ["BatchPlan"]

_VERSION = "2012-10-17"
_READ_OBJECT = [
    "GetObject",
    "GetObjectAcl",
    "GetObjectAnnotation",
    "GetObjectLegalHold",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetObjectVersion",
    "GetObjectVersionAcl",
    "GetObjectVersionTagging",
    "ListObjectAnnotations",
]
_READ_BUCKET = [
    "GetBucketAcl",
    "GetBucketNotification",
    "GetBucketObjectLockConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketVersioning",
    "GetLifecycleConfiguration",
    "GetReplicationConfiguration",
    # Without it a missing object answers 403, and could not be told from a forbidden one.
    "ListBucket",
]
_WRITE_OBJECT = [
    "AbortMultipartUpload",
    "PutObject",
    "PutObjectAcl",
    "PutObjectAnnotation",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """A job of S3 Batch Operations, to be reviewed before it is run.

    Attributes:
        settings: what each invocation does.
        account_id: account of the bucket's owner.
        function_arn: ARN of a published version, since ``$LATEST`` may change while the job runs.
        role_arn: what S3 takes on to read the manifest, invoke the function and write the report.
        manifest: bucket and key of the list of objects.
        manifest_etag: its ETag.
        report: bucket and prefix of the completion report.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
    """

    settings: MigrationSettings
    account_id: str
    function_arn: str
    role_arn: str
    manifest: tuple[str, str]
    manifest_etag: str
    report: tuple[str, str]
    partition: str = "aws"

    def document(self) -> dict[str, Any]:
        """All of it in JSON, in the order in which it is set up."""
        return {
            "function": {
                "handler": "s3ec.migrate.engines.s3_batch.lambda_handler",
                "timeout_seconds": 900,
                "memory_mb": 1024,
                "environment": {SETTINGS_VARIABLE: self.settings.to_json()},
                "role": {"trust": _trust("lambda.amazonaws.com"), "policy": self.function_policy()},
            },
            "job_role": {"trust": _trust("batchoperations.s3.amazonaws.com"), "policy": self.job_policy()},
            "job": self.job(),
        }

    def job(self) -> dict[str, Any]:
        """The request of ``CreateJob`` (boto3: ``s3control.create_job(**job)``)."""
        return {
            "AccountId": self.account_id,
            "ConfirmationRequired": True,
            "Description": f"s3ec {self.settings.action.value} of {self.settings.source.bucket}",
            "Operation": {"LambdaInvoke": {"FunctionArn": self.function_arn, "InvocationSchemaVersion": "2.0"}},
            "Manifest": {
                "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
                "Location": {"ObjectArn": self._object_arn(*self.manifest), "ETag": self.manifest_etag},
            },
            "Report": {
                "Bucket": self._bucket_arn(self.report[0]),
                "Prefix": self.report[1],
                "Format": "Report_CSV_20180820",
                "Enabled": True,
                "ReportScope": "AllTasks",
            },
            "Priority": 10,
            "RoleArn": self.role_arn,
            "ClientRequestToken": self.settings.identity[:64],
        }

    def job_policy(self) -> dict[str, Any]:
        """What S3 itself may do: no more than list, call and report."""
        return _policy(
            _allow("InvokeFunction", ["lambda:InvokeFunction"], [self.function_arn]),
            _allow("ReadManifest", ["s3:GetObject", "s3:GetObjectVersion"], [self._object_arn(*self.manifest)]),
            _allow("WriteReport", ["s3:PutObject"], [self._object_arn(self.report[0], f"{self.report[1]}/*")]),
        )

    def function_policy(self) -> dict[str, Any]:
        """What each invocation may do: read the source, write the destination, use the keys."""
        settings = self.settings
        source = settings.source
        target_bucket, target_prefix = settings.target(source.prefix)
        buckets = sorted({source.bucket, target_bucket})
        statements = [
            _allow("ReadObjects", _s3(_READ_OBJECT), [self._object_arn(source.bucket, f"{source.prefix}*")]),
            _allow("ReadBuckets", _s3(_READ_BUCKET), [self._bucket_arn(name) for name in buckets]),
        ]
        if settings.action is not Action.VERIFY:
            written = [self._object_arn(target_bucket, f"{target_prefix}*")]
            statements.append(_allow("WriteObjects", _s3(_WRITE_OBJECT), written))
        if settings.keyring.is_kms:
            statements.append(_allow("WrapDataKeys", _write_actions(settings), [self._key_arn(settings.keyring)]))
        reader = settings.source_keyring or settings.keyring
        if reader.is_kms:
            actions = ["kms:Decrypt", "kms:ReEncryptFrom"] if settings.action is Action.REWRAP else ["kms:Decrypt"]
            statements.append(_allow("OpenDataKeys", actions, [self._key_arn(reader)]))
        server_side_key = (settings.server_side_encryption or {}).get("SSEKMSKeyId")
        if server_side_key:
            spec = KeyringSpec(kind="kms", key_id=str(server_side_key))
            statements.append(_allow("ServerSideKey", ["kms:GenerateDataKey", "kms:Decrypt"], [self._key_arn(spec)]))
        return _policy(*statements)

    def _bucket_arn(self, bucket: str) -> str:
        return bucket if bucket.startswith("arn:") else f"arn:{self.partition}:s3:::{bucket}"

    def _object_arn(self, bucket: str, key: str) -> str:
        return f"{self._bucket_arn(bucket)}/{key}"

    def _key_arn(self, spec: KeyringSpec) -> str:
        """The key's ARN. An alias is not a resource of a policy; its key is for the administrator to fill in."""
        key = spec.key_id or ""
        if key.startswith("arn:") and ":key/" in key:
            return key
        name = "KEY-ID" if "alias/" in key or not key else key
        return f"arn:{self.partition}:kms:{spec.region_name or 'REGION'}:{self.account_id}:key/{name}"


def _write_actions(settings: MigrationSettings) -> list[str]:
    if settings.action is Action.REWRAP:
        return ["kms:Encrypt", "kms:ReEncryptTo", "kms:Decrypt"]
    return ["kms:Decrypt"] if settings.action is Action.VERIFY else ["kms:GenerateDataKey", "kms:Decrypt"]


def _s3(names: list[str]) -> list[str]:
    return [f"s3:{name}" for name in names]


def _allow(sid: str, actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": list(statements)}


def _trust(service: str) -> dict[str, Any]:
    return _policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})
