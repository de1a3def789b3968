"""Content metadata on the wire: header maps and instruction files to `ContentMetadata`, and back.

Nothing here decrypts or decides. What is refused here is not a format of any S3 encryption client; what is understood
but not wanted is for `s3ec.decryption` to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3ec.algorithms import FormatVersion
from s3ec.errors import InstructionFileError, NotEncryptedError
from s3ec.formats import keys, v1, v2, v3
from s3ec.formats.detection import Detection, classify, detect, object_fields, refuse_remnants
from s3ec.formats.instruction_file import (
    INSTRUCTION_FILE_MAX_LENGTH,
    INSTRUCTION_FILE_SUFFIX,
    LEGACY_DOTNET_SUFFIX,
    is_instruction_file_body,
    judge_instruction_file,
    parse_instruction_file,
    render_body,
)
from s3ec.formats.keys import INSTRUCTION_FILE_MARKER, is_content_metadata_key, strip
from s3ec.formats.metadata import ContentMetadata, MetadataLocation

__all__ = [
    "INSTRUCTION_FILE_MARKER",
    "INSTRUCTION_FILE_MAX_LENGTH",
    "INSTRUCTION_FILE_SUFFIX",
    "LEGACY_DOTNET_SUFFIX",
    "ContentMetadata",
    "Detection",
    "MetadataLocation",
    "detect",
    "is_content_metadata_key",
    "is_instruction_file_body",
    "judge_instruction_file",
    "parse_instruction_file",
    "parse_object",
    "refuse_remnants",
    "render_instruction_file",
    "render_object",
    "strip",
]


def parse_object(metadata: Mapping[str, str]) -> ContentMetadata:
    """Read content metadata that is complete in the object.

    Args:
        metadata: user metadata as boto3 gives it, without ``x-amz-meta-``; names in any case, foreign names ignored.

    Raises:
        NotEncryptedError: there is no content metadata at all; there may still be an instruction file.
        InstructionFileError: the encrypted data key lies in an instruction file.
        ConflictingMetadataError: it has keys of several formats.
        MalformedMetadataError: a value is missing or cannot be read.
    """
    fields = object_fields(metadata)
    detection = classify(fields)
    if detection is Detection.V1:
        return v1.parse(fields)
    if detection is Detection.V2:
        return v2.parse(fields)
    if detection is Detection.V3:
        return v3.parse(fields)
    if detection is Detection.V3_INSTRUCTION_FILE:
        raise InstructionFileError("the object's encrypted data key lies in an instruction file, which was not read")
    raise NotEncryptedError("the object carries no content metadata of an S3 encryption client")


def render_object(content_metadata: ContentMetadata) -> dict[str, str]:
    """Write content metadata as the object's user metadata: the keys of its version and no others, values in ASCII."""
    if content_metadata.format is FormatVersion.V3:
        return v3.render_content(content_metadata) | v3.render_wrapping(content_metadata)
    return _render_v1_v2(content_metadata) | _length(content_metadata)


def render_instruction_file(content_metadata: ContentMetadata) -> tuple[dict[str, str], bytes]:
    """Write content metadata as an instruction file.

    Returns:
        The user metadata that stays with the object, and the body of the file.
    """
    if content_metadata.format is FormatVersion.V3:
        return v3.render_content(content_metadata), render_body(v3.render_wrapping(content_metadata))
    # The length stays in the object: the official Python client refuses files that hold it.
    return _length(content_metadata), render_body(_render_v1_v2(content_metadata))


def _render_v1_v2(content_metadata: ContentMetadata) -> dict[str, str]:
    if content_metadata.format is FormatVersion.V1:
        return v1.render(content_metadata)
    return v2.render(content_metadata)


def _length(content_metadata: ContentMetadata) -> dict[str, str]:
    length = content_metadata.stored_plaintext_length
    return {} if length is None else {keys.UNENCRYPTED_LENGTH: str(length)}
