"""How every write begins: all refusals, one data key, and the place of its content metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s3ec import encryption, formats
from s3ec.client.options import Options
from s3ec.client.requests import check_metadata_size, check_user_metadata, metadata_size, write_context
from s3ec.client.wire import Wire
from s3ec.crypto.content import ContentCipher
from s3ec.formats import ContentMetadata, MetadataLocation

__all__ = ["Placement", "Write", "begin_write"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where content metadata goes.

    Attributes:
        metadata: the whole user metadata of the object.
        instruction_file: body of the instruction file, or None if there is none.
    """

    metadata: dict[str, str]
    instruction_file: bytes | None

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
    """
    pairs = write_context(context, parameters, wire.options)
    metadata = parameters.get("Metadata") or {}
    check_user_metadata(metadata)
    check_metadata_size(metadata, own=0)
    content_metadata, cipher = encryption.begin(
        materials_manager=wire.options.manager,
        commitment_policy=wire.options.commitment_policy,
        algorithm_suite=wire.options.algorithm_suite,
        encryption_context=pairs,
        plaintext_length=plaintext_length,
    )
    return Write(content_metadata, cipher, _place(wire.options, metadata, content_metadata))


def _place(options: Options, user_metadata: dict[str, str], content_metadata: ContentMetadata) -> Placement:
    """Merge content metadata with the caller's own, which holds no reserved key (checked before)."""
    body: bytes | None = None
    if options.instruction_file_writes:
        own, body = formats.render_instruction_file(content_metadata)
    else:
        own = formats.render_object(content_metadata)
    merged = {**user_metadata, **own}
    check_metadata_size(merged, own=metadata_size(own))
    return Placement(merged, body)
