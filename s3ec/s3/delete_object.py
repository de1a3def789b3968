"""delete_object and delete_objects: the default instruction file is deleted too if it is provably ours."""

from __future__ import annotations

from typing import Any

from s3ec import formats
from s3ec.s3.flow import Flow, call, together
from s3ec.s3.instruction_files import delete_with_object
from s3ec.s3.surroundings import Surroundings

__all__ = ["delete_object", "delete_objects"]

_AT_ONCE = 10


def delete_object(s3: Surroundings, parameters: dict[str, Any]) -> Flow[dict[str, Any]]:
    """Delete an object; without ``VersionId`` its default instruction file too.

    A version's deletion leaves the file: it is one key for all versions.
    """
    response = yield from call("DeleteObject", parameters)
    if "VersionId" not in parameters:
        yield from delete_with_object(s3, parameters)
    return response


def delete_objects(s3: Surroundings, parameters: dict[str, Any]) -> Flow[dict[str, Any]]:
    """Delete objects, and the default instruction files of those that were deleted."""
    response = yield from call("DeleteObjects", parameters)
    if not s3.reading.instruction_file_reads:
        return response
    entries = parameters["Delete"]["Objects"]
    failed = {error.get("Key") for error in response.get("Errors", ())}
    versioned = {entry["Key"] for entry in entries if "VersionId" in entry}
    named = {entry["Key"] for entry in entries}
    left = [
        key
        for key in sorted(named - failed - versioned)
        # A caller who empties a bucket names the instruction files too.
        if key + formats.INSTRUCTION_FILE_SUFFIX not in named and not key.endswith(formats.INSTRUCTION_FILE_SUFFIX)
    ]
    common = {name: value for name, value in parameters.items() if name != "Delete"}
    yield from together([delete_with_object(s3, {**common, "Key": key}) for key in left], at_once=_AT_ONCE)
    return response
