"""Instruction files as answers of S3, for those who ask for them themselves."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from botocore.exceptions import ClientError

from s3ec import formats
from s3ec.client.ciphertext_reader import CiphertextReader
from s3ec.s3.instruction_files import NOT_FOUND

__all__ = ["not_found", "read_whole"]


def not_found(error: ClientError) -> bool:
    """True if S3 says that the instruction file is not there, or never can be; a 403 never says so."""
    return error.response.get("Error", {}).get("Code") in NOT_FOUND


def read_whole(body: Any, at_most: int = formats.INSTRUCTION_FILE_MAX_LENGTH) -> bytes:
    """Read a small body to its verified end, and close it; one byte more than allowed where it is larger.

    Half a file would be no instruction file at all, and the object beside it would pass for one that is not encrypted.

    Raises:
        botocore.exceptions.BotoCoreError: the connection was cut.
    """
    with closing(body):
        return CiphertextReader(body, has_tag=False).read(at_most + 1)
