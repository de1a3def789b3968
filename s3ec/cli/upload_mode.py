"""The server-side mode that uploads to a bucket have to name, found out if no option says it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, Failure, FailureError
from s3ec.cli.server_side import describe, words
from s3ec.client.server_side.modes import ServerSideMode
from s3ec.client.tools import buckets
from s3ec.errors import UnsupportedOperationError

__all__ = ["job_mode", "upload_mode"]


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
        raise _wants_own_key(bucket, "--sse-c --sse-c-key FILE")
    return None if required is None else required.mode


def job_mode(environment: Environment, bucket: str) -> dict[str, Any] | None:
    """Return the arguments that a job over many objects has to write with, as the bucket's policy requires them.

    Without such a policy each object keeps its own mode, and so it does where the policy may not be read. A line says
    what was found, since objects get another mode by it.

    Raises:
        FailureError: the policy wants a key of the caller's own, which jobs do not take.
    """
    if bucket.startswith("arn:"):
        return None
    try:
        required = buckets.required_encryption(environment.s3, Bucket=bucket)
    except (ClientError, BotoCoreError):
        # The job's own first request says what is wrong, if anything is.
        return None
    if required is not None and required.sse_c:
        raise _wants_own_key(bucket, "`s3ec cp` writes with one, a bucket job does not")
    if required is None or required.mode is None:
        return None
    found = describe(required.mode)
    environment.output.note(
        f"s3ec: the policy of {bucket} requires {words(found['mode'], found['key'])}: what is written names it"
    )
    return dict(required.mode.parameters())


def _wants_own_key(bucket: str, advice: str) -> FailureError:
    message = f"s3://{bucket}: its policy requires a server-side key of your own: {advice}"
    return FailureError(Failure(code=ExitCode.CONFIGURATION, error="ConfigurationError", message=message))


def _default(client: Any, bucket: str) -> ServerSideMode | None:
    try:
        return buckets.get_default_encryption(client, Bucket=bucket)
    except (ClientError, BotoCoreError, UnsupportedOperationError):
        return None
