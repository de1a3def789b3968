"""A copy's instruction file: it goes along where its new name is free, and else into the copy itself.

The rules are those of `s3ec.s3.instruction_writes`: at no moment does a file speak of an object that it was not
written for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from s3ec import formats
from s3ec.errors import MetadataError, SecurityError, UnsupportedOperationError, escaped
from s3ec.formats import ContentMetadata, Detection
from s3ec.s3 import instruction_files, instruction_writes
from s3ec.s3.flow import Flow, store
from s3ec.s3.instruction_writes import InstructionFileWrite
from s3ec.s3.requests import OBJECT_ARN_PAIR, USER_METADATA_LIMIT, metadata_size
from s3ec.s3.surroundings import Surroundings

__all__ = ["CopiedObject", "copied_with_object", "refuse_bound"]

T = TypeVar("T")


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

    def beside_source(self, s3: Surroundings, suffix: str) -> dict[str, Any]:
        """Parameters of a read of the source's file."""
        named = {"Bucket": self.bucket, "Key": self.key + suffix}
        if owner := self.parameters.get("ExpectedSourceBucketOwner"):
            named["ExpectedBucketOwner"] = owner
        if payer := self.parameters.get("RequestPayer"):
            named["RequestPayer"] = payer
        return {**named, **s3.source_companion(self.parameters)}


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


def copied_with_object(
    s3: Surroundings, copied: CopiedObject, copy: Callable[[Mapping[str, str] | None], Flow[T]]
) -> Flow[T]:
    """Let a copy be made, with what it needs of an instruction file.

    Args:
        s3: the client.
        copied: what is copied.
        copy: makes the copy. It is given the content metadata that the copy has to have in itself, or None where that
            of the source is what it needs.

    Returns:
        What ``copy`` returns.

    Raises:
        UnsupportedOperationError: the source is not encrypted, or bound to its name; or something lies at the
            destination that readers would be misled by.
    """
    suffix = yield from _suffix(s3, copied)
    if suffix is None:
        yield from _check_without_file(s3, copied)
        return (yield from copy(None))
    if copied.is_in_place:
        return (yield from copy(None))
    found = yield from _parsed(s3, copied, suffix)
    if found is not None:
        refuse_bound(found[1].description)
    if (yield from _is_free(s3, copied, suffix)):
        content_metadata = found and found[1]
        return (yield from _copied(s3, copied, suffix, content_metadata, lambda: copy(None), is_new=True))
    whole = None if found is None else instruction_writes.whole_metadata(found[0], copied.metadata)
    if whole is not None and _fits(copied, whole):
        return (yield from copy(whole))
    if found is None or not found[1].algorithm_suite.commits:
        raise UnsupportedOperationError(
            f"{escaped(copied.parameters['Key'])} or its instruction file is there already, and S3 cannot replace the "
            "two at once: readers would be misled in between. Delete them first, or copy under another key"
        )
    return (yield from _copied(s3, copied, suffix, found[1], lambda: copy(None), is_new=False))


def _suffix(s3: Surroundings, copied: CopiedObject) -> Flow[str | None]:
    """Return what the source's instruction file ends in, or None if it has none."""
    if not s3.reading.instruction_file_reads:
        return None
    detection = formats.detect(copied.metadata)
    if detection not in (Detection.NONE, Detection.V3_INSTRUCTION_FILE):
        return None
    if copied.is_in_place and (detection is not Detection.NONE or s3.reading.unencrypted_objects == "allow"):
        return None
    suffixes = instruction_files.usual_suffixes(legacy=s3.reading.enable_legacy_unauthenticated_modes)
    for suffix in suffixes:
        if (yield from instruction_files.is_ours(s3, copied.beside_source(s3, suffix))):
            return suffix
    return None


def _check_without_file(s3: Surroundings, copied: CopiedObject) -> Flow[None]:
    if formats.detect(copied.metadata) is not Detection.NONE:
        return
    if s3.reading.unencrypted_objects == "allow":
        if s3.reading.instruction_file_reads and not copied.is_in_place:
            yield from instruction_writes.refuse_under_a_file(s3, copied.parameters)
        return
    # Content metadata, and no content: a caller who copies a file on its own knows why.
    is_file = copied.key.endswith(formats.INSTRUCTION_FILE_SUFFIX)
    if is_file and (yield from instruction_files.is_ours(s3, copied.beside_source(s3, ""))):
        return
    raise UnsupportedOperationError(
        f"the source s3://{copied.bucket}/{copied.key} is not encrypted, and its copy would be one more object in "
        "plaintext. Read it and put it there instead, which encrypts it (s3ec migrate does so for whole buckets); "
        'unencrypted_objects="allow" copies such objects as they are'
    )


def _parsed(s3: Surroundings, copied: CopiedObject, suffix: str) -> Flow[tuple[bytes, ContentMetadata] | None]:
    """The file's body, and what it says of the source; None if the two are no pair that anybody could read."""
    found = yield from instruction_files.find(s3, copied.beside_source(s3, ""), suffix)
    try:
        return None if found is None else (found[0], formats.parse_instruction_file(found[0], copied.metadata))
    except (MetadataError, SecurityError):
        return None


def _is_free(s3: Surroundings, copied: CopiedObject, suffix: str) -> Flow[bool]:
    """True if the file can be there before its object without saying anything of what is there now."""
    for end in dict.fromkeys((formats.INSTRUCTION_FILE_SUFFIX, suffix)):
        if not (yield from instruction_writes.is_free(s3, copied.parameters, end)):
            return False
    if formats.detect(copied.metadata) is Detection.V3_INSTRUCTION_FILE:
        return True
    return instruction_writes.stands_alone((yield from instruction_writes.own_metadata_of(s3, copied.parameters)))


def _fits(copied: CopiedObject, whole: Mapping[str, str]) -> bool:
    replaces = copied.parameters.get("MetadataDirective") == "REPLACE"
    users = copied.parameters.get("Metadata") or {} if replaces else formats.strip(copied.metadata)
    return metadata_size({**users, **whole}) <= USER_METADATA_LIMIT


def _copied(
    s3: Surroundings,
    copied: CopiedObject,
    suffix: str,
    content_metadata: ContentMetadata | None,
    copy: Callable[[], Flow[T]],
    *,
    is_new: bool,
) -> Flow[T]:
    def write() -> Flow[object]:
        return store("CopyObject", _request(copied, suffix), own=True)

    if content_metadata is None:
        yield from write()
        return (yield from copy())
    file = InstructionFileWrite(b"", content_metadata, is_new=is_new, suffix=suffix)
    return (yield from instruction_writes.written_with_object(s3, copied.parameters, file, copy, write))


def _request(copied: CopiedObject, suffix: str) -> dict[str, Any]:
    carried = {
        name: value
        for name, value in copied.parameters.items()
        if name not in ("CopySource", "Key", "Metadata", "MetadataDirective", "Tagging", "TaggingDirective")
        and not name.startswith(("CopySourceIf", "If", "Content", "Website", "Checksum", "ObjectLock"))
    }
    place = {"Bucket": copied.bucket, "Key": copied.key + suffix}
    return {**carried, "Key": copied.parameters["Key"] + suffix, "CopySource": place}
