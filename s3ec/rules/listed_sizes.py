"""Listings in plaintext's terms, for buckets that hold nothing but encrypted objects.

What compares sizes (``aws s3 sync``) would otherwise transfer every object again each time: ciphertext is a tag longer
than its plaintext. Instruction files, which are no objects of the user's, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.client.calls.wire import Wire
from s3ec.formats import INSTRUCTION_FILE_SUFFIX
from s3ec.s3 import instruction_files

__all__ = ["speak_of_plaintext"]

_LISTS = {"ListObjects": "Contents", "ListObjectsV2": "Contents", "ListObjectVersions": "Versions"}


def speak_of_plaintext(
    operation_name: str, parameters: Mapping[str, Any], response: dict[str, Any], wire: Callable[[], Wire]
) -> None:
    """Put the lengths of plaintext into S3's answer.

    Args:
        operation_name: as botocore spells it; one that gives no sizes is left as it is.
        parameters: those of the request.
        response: S3's answer, which is changed.
        wire: gives plain calls to the bucket, for a look at what is called like an instruction file.
    """
    if operation_name == "GetObjectAttributes" and "ObjectSize" in response:
        response["ObjectSize"] = _plaintext(response["ObjectSize"])
        return
    name = _LISTS.get(operation_name)
    if name is None or name not in response:
        return
    kept = [row for row in response[name] if not _is_instruction_file(row, parameters, wire)]
    if "KeyCount" in response:
        response["KeyCount"] -= len(response[name]) - len(kept)
    for row in kept:
        if "Size" in row:
            row["Size"] = _plaintext(row["Size"])
    response[name] = kept


def _plaintext(size: int) -> int:
    # What is shorter than a tag is not encrypted, a marker of a folder for instance.
    return size - GCM_TAG_LENGTH if size >= GCM_TAG_LENGTH else size


def _is_instruction_file(row: Mapping[str, Any], parameters: Mapping[str, Any], wire: Callable[[], Wire]) -> bool:
    key = row.get("Key", "")
    if not key.endswith(INSTRUCTION_FILE_SUFFIX):
        return False
    # By a look at it: an object of the user's may have such a name, and must not be lost from a listing.
    calls = wire()
    try:
        return calls.run(instruction_files.is_ours(calls, {"Bucket": parameters["Bucket"], "Key": key}))
    except ClientError:
        # One who may list and not read sees every name.
        return False
