"""Instruction files as answers of S3, for those who ask for them themselves."""

from __future__ import annotations

from botocore.exceptions import ClientError

from s3ec.s3.instruction_files import NOT_FOUND

__all__ = ["not_found"]


def not_found(error: ClientError) -> bool:
    """True if S3 says that the instruction file is not there, or never can be; a 403 never says so."""
    return error.response.get("Error", {}).get("Code") in NOT_FOUND
