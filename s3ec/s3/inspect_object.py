"""What an object is by its metadata and its instruction file, with nothing decrypted and no key touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3ec import formats
from s3ec.errors import S3ECError
from s3ec.formats import ContentMetadata, Detection, MetadataLocation
from s3ec.s3.flow import Flow, call
from s3ec.s3.instruction_files import find_at, usual_suffixes

__all__ = ["Seen", "inspect_object"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What an object is.

    Attributes:
        head: S3's answer to the HEAD.
        content_metadata: what it says about its content, or None.
        location: where that lies, or None.
        names_v3: True if the object is of V3 by its own metadata, whatever its instruction file says.
        problem: why its content metadata cannot be understood, or None.
    """

    head: dict[str, Any] = field(repr=False)
    content_metadata: ContentMetadata | None = None
    location: MetadataLocation | None = None
    names_v3: bool = False
    problem: str | None = None


def inspect_object(parameters: Mapping[str, Any], suffix: str | None) -> Flow[Seen]:
    """Look at an object: one HEAD, and a GET of the instruction file where the object's own metadata is not complete.

    Args:
        parameters: those of head_object.
        suffix: look into this instruction file instead of the object; None means the usual ones, where needed.

    Raises:
        RefusedError: S3's own errors.
    """
    head = yield from call("HeadObject", parameters)
    metadata = head.get("Metadata", {})
    names_v3 = False
    try:
        detection = formats.detect(metadata)
        names_v3 = detection is Detection.V3_INSTRUCTION_FILE
        if suffix is None and detection not in (Detection.NONE, Detection.V3_INSTRUCTION_FILE):
            return Seen(head, formats.parse_object(metadata), MetadataLocation.OBJECT_METADATA)
        found = yield from _from_instruction_file(parameters, metadata, suffix)
        if found is not None:
            return Seen(head, found, MetadataLocation.INSTRUCTION_FILE, names_v3)
        if names_v3:
            problem = "the object's encrypted data key lies in an instruction file, and there is none"
            return Seen(head, names_v3=True, problem=problem)
        formats.refuse_remnants(metadata, may_be_instruction_file=True)
        return Seen(head)
    except S3ECError as error:
        return Seen(head, names_v3=names_v3, problem=str(error))


def _from_instruction_file(
    parameters: Mapping[str, Any], metadata: Mapping[str, str], suffix: str | None
) -> Flow[ContentMetadata | None]:
    carried = {
        name: value
        for name, value in parameters.items()
        if name in ("Bucket", "RequestPayer", "ExpectedBucketOwner") or name.startswith("SSECustomer")
    }
    for candidate in (suffix,) if suffix else usual_suffixes(legacy=True):
        file = yield from find_at({**carried, "Key": parameters["Key"] + candidate})
        if file is None:
            continue
        body, is_marked = file
        if suffix:
            return formats.parse_instruction_file(body, metadata)
        found = formats.judge_instruction_file(body, metadata, is_marked=is_marked)
        if found is not None:
            return found
    return None
