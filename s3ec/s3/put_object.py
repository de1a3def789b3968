"""put_object: one request, from the caller's plaintext to stored ciphertext."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.errors import ObjectTooLargeError, UnsupportedOperationError
from s3ec.s3.flow import Flow, close_body, encrypt, store
from s3ec.s3.instruction_writes import written_with_object
from s3ec.s3.objects import EncryptedObject, describe, speak_plaintext
from s3ec.s3.requests import refuse_write_suffix
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.writing import begin_write

__all__ = ["Plaintext", "check_length", "put_object", "refuse_other_writes"]


class Plaintext(Protocol):
    """The caller's body, as those have opened it who drive the flow."""

    @property
    def length(self) -> int | None:
        """Its bytes, or None where only its end tells."""
        ...


def check_length(length: int | None) -> None:
    """Refuse, before byte one, what one GCM stream cannot carry.

    Raises:
        ObjectTooLargeError: with the limit.
    """
    if length is not None and length > GCM_MAX_PLAINTEXT_LENGTH:
        raise ObjectTooLargeError(
            f"{length} bytes are more than the {GCM_MAX_PLAINTEXT_LENGTH} that one key may encrypt (AES-GCM, "
            "2^36 - 32); split the data into several objects"
        )


def refuse_other_writes(parameters: Mapping[str, Any]) -> None:
    """Refuse a put that is more than one new object with its usual instruction file.

    Raises:
        UnsupportedOperationError: it names a suffix, or appends.
    """
    refuse_write_suffix(parameters)
    if "WriteOffsetBytes" in parameters:
        raise UnsupportedOperationError(
            "appending (WriteOffsetBytes) is refused: one object is one authenticated stream; write a new object"
        )


def put_object(
    s3: Surroundings, parameters: dict[str, Any], context: object, source: Plaintext, claims: object
) -> Flow[dict[str, Any]]:
    """Encrypt a body and store it.

    Args:
        s3: the client.
        parameters: the request, validated, without its body and without our own parameters.
        context: the caller's ``EncryptionContext``, or None.
        source: the body.
        claims: what the caller says about it.

    Raises:
        ConfigurationError, ObjectTooLargeError: raised before any key is touched.
        KeyringError: no data key could be obtained; nothing is stored.
        SourceChangedError: the body gave other bytes on a retry, or is not what a given checksum describes.
        RefusedError, UnreachableError: as from a plain client.
    """
    check_length(source.length)
    write = yield from begin_write(s3, parameters, context, source.length)
    placement = write.placement
    body = yield from encrypt(source, write.cipher, claims)
    request = {**parameters, "Body": body, "Metadata": placement.metadata}
    try:
        if placement.instruction_file is None:
            response = yield from store("PutObject", request, own=False)
        else:
            response = yield from written_with_object(
                s3, parameters, placement.instruction_file, lambda: store("PutObject", request, own=False)
            )
    finally:
        if not isinstance(body, bytes):
            yield from close_body(body)
    speak_plaintext(response, describe(EncryptedObject(write.content_metadata, placement.location), authenticated=True))
    return response
