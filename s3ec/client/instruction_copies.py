"""A copy's instruction file: it goes along where its new name is free, and else into the copy itself.

The rules are those of `s3ec.client.instruction_writes`: at no moment does a file speak of an object that it was not
written for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from s3ec import formats
from s3ec.client import instruction_writes, server_side
from s3ec.client.instruction_writes import InstructionFileWrite
from s3ec.client.wire import Wire
from s3ec.errors import MetadataError, SecurityError, UnsupportedOperationError, escaped
from s3ec.formats import ContentMetadata, Detection
from s3ec.s3 import instruction_files
from s3ec.s3.requests import OBJECT_ARN_PAIR, USER_METADATA_LIMIT, metadata_size

__all__ = ["CopiedObject", "copied_with_object", "refuse_bound"]


@dataclass(frozen=True, slots=True)
class CopiedObject:
    """A copy that is about to be made.

    Attributes:
        bucket: the source's.
        key: the source's.
        metadata: the source's user metadata.
        parameters: of the copy.
    """

    bucket: str
    key: str
    metadata: Mapping[str, str]
    parameters: Mapping[str, Any]

    @property
    def is_in_place(self) -> bool:
        """True for a copy of an object onto itself."""
        return (self.bucket, self.key) == (self.parameters["Bucket"], self.parameters["Key"])

    def beside_source(self, suffix: str) -> dict[str, Any]:
        """Parameters of a read of the source's file."""
        owner = self.parameters.get("ExpectedSourceBucketOwner")
        named = {"Bucket": self.bucket, "Key": self.key + suffix}
        companion = server_side.source_companion(self.parameters)
        return {**named, **({"ExpectedBucketOwner": owner} if owner else {}), **companion}


def refuse_bound(description: Mapping[str, str]) -> None:
    """Refuse a copy under another name of what is bound to its own.

    Raises:
        UnsupportedOperationError: the copy would be unreadable.
    """
    if OBJECT_ARN_PAIR in description:
        raise UnsupportedOperationError(
            "the object is bound to its name (bind_object=True wrote its ARN into the encryption context), so a copy "
            "under another name could not be read: read it and put it there instead, which re-encrypts it"
        )


@contextmanager
def copied_with_object(wire: Wire, copied: CopiedObject) -> Iterator[dict[str, str] | None]:
    """Let a copy be made, with what it needs of an instruction file.

    Yields:
        Content metadata that the copy has to have in itself, or None where that of the source is what it needs.

    Raises:
        UnsupportedOperationError: the source is not encrypted, or bound to its name; or something lies at the
            destination that readers would be misled by.
    """
    suffix = _suffix(wire, copied)
    if suffix is None:
        _check_without_file(wire, copied)
        yield None
        return
    if copied.is_in_place:
        yield None
        return
    found = _parsed(wire, copied, suffix)
    if found is not None:
        refuse_bound(found[1].description)
    if _is_free(wire, copied, suffix):
        with _copied(wire, copied, suffix, found and found[1], is_new=True):
            yield None
        return
    whole = None if found is None else instruction_writes.whole_metadata(found[0], copied.metadata)
    if whole is not None and _fits(copied, whole):
        yield whole
        return
    if found is None or not found[1].algorithm_suite.commits:
        raise UnsupportedOperationError(
            f"{escaped(copied.parameters['Key'])} or its instruction file is there already, and S3 cannot replace the "
            "two at once: readers would be misled in between. Delete them first, or copy under another key"
        )
    with _copied(wire, copied, suffix, found[1], is_new=False):
        yield None


def _suffix(wire: Wire, copied: CopiedObject) -> str | None:
    """Return what the source's instruction file ends in, or None if it has none."""
    if not wire.options.instruction_file_reads:
        return None
    detection = formats.detect(copied.metadata)
    if detection not in (Detection.NONE, Detection.V3_INSTRUCTION_FILE):
        return None
    if copied.is_in_place and (detection is not Detection.NONE or wire.options.unencrypted_objects == "allow"):
        return None
    suffixes = instruction_files.usual_suffixes(legacy=wire.options.enable_legacy_unauthenticated_modes)
    return next((end for end in suffixes if wire.run(instruction_files.is_ours(wire, copied.beside_source(end)))), None)


def _check_without_file(wire: Wire, copied: CopiedObject) -> None:
    if formats.detect(copied.metadata) is not Detection.NONE:
        return
    if wire.options.unencrypted_objects == "allow":
        if wire.options.instruction_file_reads and not copied.is_in_place:
            instruction_writes.refuse_under_a_file(wire, copied.parameters)
        return
    # Content metadata, and no content: a caller who copies a file on its own knows why.
    is_file = copied.key.endswith(formats.INSTRUCTION_FILE_SUFFIX)
    if is_file and wire.run(instruction_files.is_ours(wire, copied.beside_source(""))):
        return
    raise UnsupportedOperationError(
        f"the source s3://{copied.bucket}/{copied.key} is not encrypted, and its copy would be one more object in "
        "plaintext. Read it and put it there instead, which encrypts it (s3ec migrate does so for whole buckets); "
        'unencrypted_objects="allow" copies such objects as they are'
    )


def _parsed(wire: Wire, copied: CopiedObject, suffix: str) -> tuple[bytes, ContentMetadata] | None:
    """The file's body, and what it says of the source; None if the two are no pair that anybody could read."""
    found = wire.run(instruction_files.find(wire, copied.beside_source(""), suffix))
    try:
        return None if found is None else (found[0], formats.parse_instruction_file(found[0], copied.metadata))
    except (MetadataError, SecurityError):
        return None


def _is_free(wire: Wire, copied: CopiedObject, suffix: str) -> bool:
    """True if the file can be there before its object without saying anything of what is there now."""
    if not all(
        instruction_writes.is_free(wire, copied.parameters, end) for end in {formats.INSTRUCTION_FILE_SUFFIX, suffix}
    ):
        return False
    if formats.detect(copied.metadata) is Detection.V3_INSTRUCTION_FILE:
        return True
    return instruction_writes.stands_alone(instruction_writes.own_metadata_of(wire, copied.parameters))


def _fits(copied: CopiedObject, whole: Mapping[str, str]) -> bool:
    replaces = copied.parameters.get("MetadataDirective") == "REPLACE"
    users = copied.parameters.get("Metadata") or {} if replaces else formats.strip(copied.metadata)
    return metadata_size({**users, **whole}) <= USER_METADATA_LIMIT


@contextmanager
def _copied(
    wire: Wire, copied: CopiedObject, suffix: str, content_metadata: ContentMetadata | None, *, is_new: bool
) -> Iterator[None]:
    def write() -> None:
        wire.store("CopyObject", _request(copied, suffix), heard=None)

    if content_metadata is None:
        write()
        yield
        return
    file = InstructionFileWrite(b"", content_metadata, is_new=is_new, suffix=suffix)
    with instruction_writes.written_with_object(wire, copied.parameters, file, write):
        yield


def _request(copied: CopiedObject, suffix: str) -> dict[str, Any]:
    carried = {
        name: value
        for name, value in copied.parameters.items()
        if name not in ("CopySource", "Key", "Metadata", "MetadataDirective", "Tagging", "TaggingDirective")
        and not name.startswith(("CopySourceIf", "If", "Content", "Website", "Checksum", "ObjectLock"))
    }
    place = {"Bucket": copied.bucket, "Key": copied.key + suffix}
    return {**carried, "Key": copied.parameters["Key"] + suffix, "CopySource": place}
