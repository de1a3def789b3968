"""The server-side mode that uploads to a bucket have to name, found out if no option says it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec.cli.failures import ExitCode, Failure, FailureError
from s3ec.client import buckets
from s3ec.client.server_side_modes import ServerSideMode
from s3ec.errors import UnsupportedOperationError

__all__ = ["upload_mode"]


def upload_mode(client: Any, bucket: str) -> ServerSideMode | None:
    """Return what the bucket's policy requires, or the bucket's own default if the policy may not be read.

    One request (GetBucketPolicy), two where the first is refused. Naming the default changes nothing about what is
    stored, and satisfies a policy that wants it named.

    Args:
        client: any boto3 S3 client.
        bucket: name or ARN.

    Returns:
        None if nothing needs to be named.

    Raises:
        FailureError: the policy wants a key of the caller's own.
    """
    if bucket.startswith("arn:"):
        # An access point has a policy of its own, which is about who, not about how.
        return None
    try:
        required = buckets.required_encryption(client, Bucket=bucket)
    except ClientError:
        return _default(client, bucket)
    except BotoCoreError:
        # The upload itself says what is wrong with the connection.
        return None
    if required is not None and required.sse_c:
        message = f"s3://{bucket}: its policy requires a server-side key of your own: --sse-c --sse-c-key FILE"
        raise FailureError(Failure(code=ExitCode.CONFIGURATION, error="ConfigurationError", message=message))
    return None if required is None else required.mode


def _default(client: Any, bucket: str) -> ServerSideMode | None:
    try:
        return buckets.get_default_encryption(client, Bucket=bucket)
    except (ClientError, BotoCoreError, UnsupportedOperationError):
        return None
