"""Listings in plaintext's terms, for buckets that hold nothing but encrypted objects.

What compares sizes (``aws s3 sync``) would otherwise transfer every object again each time: ciphertext is a tag longer
than its plaintext. Instruction files, which are no objects of the user's, are left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from botocore.exceptions import ClientError

from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.client.calls.wire import Wire
from s3ec.formats import INSTRUCTION_FILE_SUFFIX
from s3ec.s3 import instruction_files

__all__ = ["called_like_instruction_files", "restate", "speak_of_plaintext"]

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
    hidden = set()
    for key in called_like_instruction_files(operation_name, response):
        calls = wire()
        # One who may list and not read sees every name.
        with contextlib.suppress(ClientError):
            if calls.run(instruction_files.is_ours(calls, {"Bucket": parameters["Bucket"], "Key": key})):
                hidden.add(key)
    restate(operation_name, response, hidden)


def called_like_instruction_files(operation_name: str, response: Mapping[str, Any]) -> list[str]:
    """The keys in a listing that have to be looked at.

    An object of the user's may have such a name, and must not be lost from a listing.

    Args:
        operation_name: as botocore spells it.
        response: S3's answer.
    """
    rows = response.get(_LISTS.get(operation_name, ""), [])
    keys = dict.fromkeys(row.get("Key", "") for row in rows)
    return [key for key in keys if key.endswith(INSTRUCTION_FILE_SUFFIX)]


def restate(operation_name: str, response: dict[str, Any], hidden: Collection[str]) -> None:
    """Put the lengths of plaintext into S3's answer.

    Args:
        operation_name: as botocore spells it; one that gives no sizes is left as it is.
        response: S3's answer, which is changed.
        hidden: the keys of instruction files, which are left out.
    """
    if operation_name == "GetObjectAttributes" and "ObjectSize" in response:
        response["ObjectSize"] = _plaintext(response["ObjectSize"])
        return
    name = _LISTS.get(operation_name)
    if name is None or name not in response:
        return
    kept = [row for row in response[name] if row.get("Key") not in hidden]
    if "KeyCount" in response:
        response["KeyCount"] -= len(response[name]) - len(kept)
    for row in kept:
        if "Size" in row:
            row["Size"] = _plaintext(row["Size"])
    response[name] = kept


def _plaintext(size: int) -> int:
    # What is shorter than a tag is not encrypted, a marker of a folder for instance.
    return size - GCM_TAG_LENGTH if size >= GCM_TAG_LENGTH else size
