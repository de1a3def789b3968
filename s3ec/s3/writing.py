"""How every write begins: all refusals, one data key, and the place of its content metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s3ec import encryption, formats
from s3ec.crypto.content import ContentCipher
from s3ec.formats import ContentMetadata, MetadataLocation
from s3ec.s3 import instruction_writes
from s3ec.s3.flow import Flow, new_data_key
from s3ec.s3.instruction_writes import InstructionFileWrite
from s3ec.s3.requests import (
    USER_METADATA_LIMIT,
    check_metadata_size,
    check_user_metadata,
    metadata_size,
    write_context,
)
from s3ec.s3.surroundings import Surroundings

__all__ = ["Placement", "Write", "begin_write"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where content metadata goes.

    Attributes:
        metadata: the whole user metadata of the object.
        instruction_file: what is written beside the object, or None.
    """

    metadata: dict[str, str]
    instruction_file: InstructionFileWrite | None

    @property
    def location(self) -> MetadataLocation:
        """Where the encrypted data key is."""
        if self.instruction_file is None:
            return MetadataLocation.OBJECT_METADATA
        return MetadataLocation.INSTRUCTION_FILE


@dataclass(frozen=True, slots=True)
class Write:
    """One object about to be written.

    Attributes:
        content_metadata: what will be stored about the content.
        cipher: for exactly one plaintext.
        placement: where the metadata goes.
    """

    content_metadata: ContentMetadata
    cipher: ContentCipher
    placement: Placement


def begin_write(
    s3: Surroundings, parameters: dict[str, Any], context: object, plaintext_length: int | None = None
) -> Flow[Write]:
    """Refuse what can never work, then get a data key.

    Args:
        s3: the client.
        parameters: the request, without our own parameters, after its validation.
        context: the caller's ``EncryptionContext``, or None.
        plaintext_length: bytes that will follow, if they are known.

    Raises:
        ConfigurationError: raised before any key is touched.
        KeyringError: no data key could be obtained.
        RefusedError: S3 does not say whether the name of the instruction file is free.
    """
    pairs = write_context(context, parameters, s3.writing)
    metadata = parameters.get("Metadata") or {}
    check_user_metadata(metadata)
    check_metadata_size(metadata, own=0)
    rules = s3.writing
    is_free = rules.instruction_file_writes and (yield from instruction_writes.is_free(s3, parameters))
    request = encryption.prepare(
        rules.materials_manager.capabilities,
        commitment_policy=rules.commitment_policy,
        algorithm_suite=rules.algorithm_suite,
        encryption_context=pairs,
        plaintext_length=plaintext_length,
    )
    materials = yield from new_data_key(rules.materials_manager, request)
    content_metadata, cipher = encryption.finish(request, materials.reveal())
    placement = yield from _place(s3, parameters, content_metadata, is_free=is_free)
    return Write(content_metadata, cipher, placement)


def _place(
    s3: Surroundings, parameters: Mapping[str, Any], content_metadata: ContentMetadata, *, is_free: bool
) -> Flow[Placement]:
    """Merge content metadata with the caller's own, which holds no reserved key (checked before).

    An instruction file replaces nothing while there is another way (`s3ec.s3.instruction_writes`): where its name
    is taken, or an object lies there that a file of V2 would speak of, the object has all of it in itself.
    """
    user_metadata = parameters.get("Metadata") or {}
    whole = formats.render_object(content_metadata)
    merged = {**user_metadata, **whole}
    if not s3.writing.instruction_file_writes:
        check_metadata_size(merged, own=metadata_size(whole))
        return Placement(merged, None)
    wants_file = is_free and (
        content_metadata.algorithm_suite.commits
        or instruction_writes.stands_alone((yield from instruction_writes.own_metadata_of(s3, parameters)))
    )
    if not wants_file and metadata_size(merged) <= USER_METADATA_LIMIT:
        return Placement(merged, None)
    own, body = formats.render_instruction_file(content_metadata)
    beside = {**user_metadata, **own}
    check_metadata_size(beside, own=metadata_size(own))
    return Placement(beside, InstructionFileWrite(body, content_metadata, is_new=is_free))
