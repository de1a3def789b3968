"""What ends a run over many objects early: the next object would meet the same, and so would every other."""

from __future__ import annotations

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)

from s3ec.errors import KeyringError
from s3ec.migrate.work.ending import ended_by

__all__ = ["ALIKE", "meets_all"]

ALIKE = 50
"""Failures for one reason, without a single success before them, that end a run."""

_ACCESS = (
    CredentialRetrievalError, NoCredentialsError, NoRegionError, PartialCredentialsError, SSOError, TokenRetrievalError,
)  # fmt: skip


def meets_all(error: BaseException) -> bool:
    """True if an error of one object is about the bucket, the credentials, the Region or the key of all of them.

    A denial of S3 is not: policies speak of prefixes and names. Nor is a data key that KMS does not open: the next
    object may have been written with another key.
    """
    cause = error.__cause__ or error.__context__
    if isinstance(error, Boto3Error) and isinstance(cause, Exception):
        # boto3's transfer errors wrap the one that says what happened.
        return meets_all(cause)
    if isinstance(error, _ACCESS):
        return True
    return isinstance(error, (ClientError, KeyringError)) and ended_by(error) is None
