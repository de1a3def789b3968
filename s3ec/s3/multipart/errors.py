"""Errors of multipart uploads that S3 has a code for: S3's own, also where they are noticed here first.

Each is one of the client's ``exceptions``, for code that was written for boto3, and a `MultipartStateError` as well,
for code that asks what went wrong here.
Source: Amazon S3 API reference, "Error responses", "List of error codes".
"""

from __future__ import annotations

from typing import Any

from s3ec.errors import MultipartStateError
from s3ec.s3.surroundings import Surroundings

__all__ = ["multipart_refusal"]

_STATUS = {"NoSuchUpload": 404}


def multipart_refusal(
    s3: Surroundings, operation_name: str, code: str, message: str, **details: str
) -> MultipartStateError:
    """S3's error for a request that is not sent.

    Args:
        s3: the client whose ``exceptions`` has the error.
        operation_name: the caller's.
        code: S3's.
        message: what is wrong, and the next step.
        **details: more members of ``error.response["Error"]``.
    """
    theirs: Any = s3.refusal(operation_name, _STATUS.get(code, 400), code, message, **details)
    kind: Any = type(type(theirs).__name__, (MultipartStateError, type(theirs)), {})
    error: MultipartStateError = kind(theirs.response, operation_name)
    return error
