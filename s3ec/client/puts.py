"""put_object: one request, from the caller's body to stored ciphertext."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

from s3ec.client.ciphertext import check_length, encrypted_body
from s3ec.client.claims import PlaintextClaims, take_claims
from s3ec.client.instruction_writes import written_with_object
from s3ec.client.seals import SealedBytes
from s3ec.client.sources import Source, open_source
from s3ec.client.wire import Wire
from s3ec.client.writes import begin_write
from s3ec.errors import UnsupportedOperationError
from s3ec.s3.objects import EncryptedObject, describe, speak_plaintext
from s3ec.s3.requests import refuse_write_suffix

__all__ = ["put_object", "put_source"]


def put_object(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """Encrypt a body and store it.

    Raises:
        ConfigurationError, UnsupportedOperationError, ObjectTooLargeError: raised before any key is touched.
        KeyringError: no data key could be obtained; nothing is stored.
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
    """Do the same for a body that was opened already; a managed upload has measured it."""
    context = parameters.pop("EncryptionContext", None)
    claims = take_claims(parameters)
    wire.validate("PutObject", parameters)
    return _put(wire, parameters, context, claims, source)


def _put(
    wire: Wire, parameters: dict[str, Any], context: object, claims: PlaintextClaims, source: Source
) -> dict[str, Any]:
    check_length(source.length)
    write = begin_write(wire, parameters, context, source.length)
    placement = write.placement
    with ExitStack() as stack:
        ciphertext = encrypted_body(
            source,
            write.cipher,
            claims,
            buffer_size=wire.options.buffer_size,
            spool_directory=wire.options.spool_directory,
        )
        body = SealedBytes(ciphertext) if isinstance(ciphertext, bytes) else stack.enter_context(closing(ciphertext))
        if placement.instruction_file is not None:
            stack.enter_context(written_with_object(wire, parameters, placement.instruction_file))
        response = wire.store(
            "PutObject", {**parameters, "Body": body, "Metadata": placement.metadata}, heard=wire.heard
        )
    speak_plaintext(response, describe(EncryptedObject(write.content_metadata, placement.location), authenticated=True))
    return response
