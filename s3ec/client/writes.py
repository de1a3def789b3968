"""How every write begins: all refusals, one data key, and the place of its content metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s3ec import encryption, formats
from s3ec.client import instruction_writes
from s3ec.client.instruction_writes import InstructionFileWrite
from s3ec.client.wire import Wire
from s3ec.crypto.content import ContentCipher
from s3ec.formats import ContentMetadata, MetadataLocation
from s3ec.s3.requests import (
    USER_METADATA_LIMIT,
    check_metadata_size,
    check_user_metadata,
    metadata_size,
    write_context,
)

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


def begin_write(wire: Wire, parameters: dict[str, Any], context: object, plaintext_length: int | None = None) -> Write:
    """Refuse what can never work, then get a data key.

    Args:
        wire: plain calls.
        parameters: the request, without our own parameters, after `Wire.validate`.
        context: the caller's ``EncryptionContext``, or None.
        plaintext_length: bytes that will follow, if they are known.

    Raises:
        ConfigurationError: raised before any key is touched.
        KeyringError: no data key could be obtained.
        botocore.exceptions.ClientError: S3 does not say whether the name of the instruction file is free.
    """
    pairs = write_context(context, parameters, wire.writing)
    metadata = parameters.get("Metadata") or {}
    check_user_metadata(metadata)
    check_metadata_size(metadata, own=0)
    is_free = wire.options.instruction_file_writes and instruction_writes.is_free(wire, parameters)
    content_metadata, cipher = encryption.begin(
        materials_manager=wire.options.manager,
        commitment_policy=wire.options.commitment_policy,
        algorithm_suite=wire.options.algorithm_suite,
        encryption_context=pairs,
        plaintext_length=plaintext_length,
    )
    return Write(content_metadata, cipher, _place(wire, parameters, content_metadata, is_free=is_free))


def _place(wire: Wire, parameters: Mapping[str, Any], content_metadata: ContentMetadata, *, is_free: bool) -> Placement:
    """Merge content metadata with the caller's own, which holds no reserved key (checked before).

    An instruction file replaces nothing while there is another way (`s3ec.client.instruction_writes`): where its name
    is taken, or an object lies there that a file of V2 would speak of, the object has all of it in itself.
    """
    user_metadata = parameters.get("Metadata") or {}
    whole = formats.render_object(content_metadata)
    merged = {**user_metadata, **whole}
    if not wire.options.instruction_file_writes:
        check_metadata_size(merged, own=metadata_size(whole))
        return Placement(merged, None)
    wants_file = is_free and (
        content_metadata.algorithm_suite.commits
        or instruction_writes.stands_alone(instruction_writes.own_metadata_of(wire, parameters))
    )
    if not wants_file and metadata_size(merged) <= USER_METADATA_LIMIT:
        return Placement(merged, None)
    own, body = formats.render_instruction_file(content_metadata)
    beside = {**user_metadata, **own}
    check_metadata_size(beside, own=metadata_size(own))
    return Placement(beside, InstructionFileWrite(body, content_metadata, is_new=is_free))
