"""put_object: forty bytes on the way in."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

from s3ec import encryption, formats
from s3ec.client import instruction_objects, server_side
from s3ec.client.ciphertext import check_length, encrypted_body
from s3ec.client.claims import PlaintextClaims, take_claims
from s3ec.client.objects import EncryptedObject, describe, speak_plaintext
from s3ec.client.options import Options
from s3ec.client.requests import (
    check_metadata_size,
    check_user_metadata,
    metadata_size,
    refuse_write_suffix,
    write_context,
)
from s3ec.client.sources import Source, open_source
from s3ec.client.wire import Wire
from s3ec.errors import UnsupportedOperationError
from s3ec.formats import ContentMetadata, MetadataLocation

__all__ = ["Placement", "place_content_metadata", "put_object", "put_source"]


class Placement:
    """Where content metadata goes: the object's user metadata, and the instruction file's body where there is one."""

    __slots__ = ("instruction_file", "metadata")

    def __init__(self, metadata: dict[str, str], instruction_file: bytes | None) -> None:
        """Take the whole user metadata of the object, and the body of the file or None."""
        self.metadata = metadata
        self.instruction_file = instruction_file

    @property
    def location(self) -> MetadataLocation:
        """Where the encrypted data key is."""
        if self.instruction_file is None:
            return MetadataLocation.OBJECT_METADATA
        return MetadataLocation.INSTRUCTION_FILE


def place_content_metadata(
    options: Options, user_metadata: dict[str, str] | None, content_metadata: ContentMetadata
) -> Placement:
    """Merge content metadata with the caller's own, which holds no reserved key (checked before).

    Raises:
        ConfigurationError: together they are more than S3 takes.
    """
    body: bytes | None = None
    if options.instruction_file_writes:
        own, body = formats.render_instruction_file(content_metadata)
    else:
        own = formats.render_object(content_metadata)
    merged = {**(user_metadata or {}), **own}
    check_metadata_size(merged, own=metadata_size(own))
    return Placement(merged, body)


def put_object(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """Encrypt a body and store it.

    Raises:
        ConfigurationError, UnsupportedOperationError, ObjectTooLargeError: before any key is touched.
        KeyringError: no data key was to be had; nothing is stored.
        SourceChangedError: the body gave other bytes on a retry, or is not what a given checksum describes.
    """
    refuse_write_suffix(parameters)
    if "WriteOffsetBytes" in parameters:
        raise UnsupportedOperationError(
            "appending (WriteOffsetBytes) is refused: one object is one authenticated stream; write a new object"
        )
    context = parameters.pop("EncryptionContext", None)
    claims = take_claims(parameters)
    wire.validate("PutObject", parameters)
    source = open_source(parameters.pop("Body", b""), claims.length)
    return _put(wire, parameters, context, claims, source)


def put_source(wire: Wire, parameters: dict[str, Any], source: Source) -> dict[str, Any]:
    """The same for a body that was opened already; a managed upload has measured it."""
    context = parameters.pop("EncryptionContext", None)
    claims = take_claims(parameters)
    wire.validate("PutObject", parameters)
    return _put(wire, parameters, context, claims, source)


def _put(
    wire: Wire, parameters: dict[str, Any], context: object, claims: PlaintextClaims, source: Source
) -> dict[str, Any]:
    pairs = write_context(context, parameters, wire.options)
    check_user_metadata(parameters.get("Metadata"))
    check_metadata_size(parameters.get("Metadata", {}), own=0)
    server_side.apply("PutObject", parameters, wire.options.server_side_encryption, secure=wire.secure)
    check_length(source.length)

    content_metadata, cipher = encryption.begin(
        materials_manager=wire.options.manager,
        commitment_policy=wire.options.commitment_policy,
        algorithm_suite=wire.options.algorithm_suite,
        encryption_context=pairs,
    )
    placement = place_content_metadata(wire.options, parameters.get("Metadata"), content_metadata)
    with ExitStack() as stack:
        ciphertext = encrypted_body(
            source,
            cipher,
            claims,
            buffer_size=wire.options.buffer_size,
            spool_directory=wire.options.spool_directory,
        )
        if not isinstance(ciphertext, bytes):
            stack.enter_context(closing(ciphertext))
        if placement.instruction_file is not None:
            stack.enter_context(instruction_objects.written_with_object(wire, parameters, placement.instruction_file))
        response = wire.call("PutObject", {**parameters, "Body": ciphertext, "Metadata": placement.metadata})
    speak_plaintext(response, describe(EncryptedObject(content_metadata, placement.location), authenticated=True))
    return response
