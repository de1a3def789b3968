"""get_object and head_object: ciphertext on the way home."""

from __future__ import annotations

from functools import partial
from typing import Any

from s3ec import formats
from s3ec.client.ciphertext_reader import CiphertextReader
from s3ec.client.objects import (
    EncryptedObject,
    ReadRequest,
    describe,
    describe_unencrypted,
    open_cipher,
    resolve,
    speak_plaintext,
)
from s3ec.client.plaintext import DecryptedBody, PlaintextStream
from s3ec.client.releases import open_plaintext
from s3ec.client.requests import take_read_context
from s3ec.client.wire import Wire, location_of
from s3ec.crypto.content import ContentCipher
from s3ec.errors import S3ECError
from s3ec.formats import Detection, MetadataLocation

__all__ = ["decrypted_response", "get_whole_object", "head_object", "take_read_request"]

_TAG_LENGTH = 16


def take_read_request(parameters: dict[str, Any]) -> ReadRequest:
    """Take a read apart; botocore refuses what it must when the request is sent, before any key is touched.

    Raises:
        ConfigurationError: the context is no map of strings.
    """
    context = take_read_context(parameters)
    suffix = parameters.pop("InstructionFileSuffix", None)
    return ReadRequest(parameters, context, suffix)


def get_whole_object(wire: Wire, request: ReadRequest) -> dict[str, Any]:
    """Read a whole object; ``Body`` verifies before it releases anything.

    Raises:
        MetadataError, PolicyError, KeyringError, SecurityError: before any content is read.
        botocore.exceptions.ClientError: as from a plain client.
    """
    response = wire.call("GetObject", request.parameters)
    try:
        found = resolve(wire, request, response.get("Metadata", {}))
        if found is None:
            response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
            return response
        cipher = open_cipher(wire, request, found)
        return decrypted_response(wire, request, response, found, cipher)
    except BaseException:
        response["Body"].close()
        raise


def decrypted_response(
    wire: Wire, request: ReadRequest, response: dict[str, Any], found: EncryptedObject, cipher: ContentCipher
) -> dict[str, Any]:
    """Put the decrypting body and plaintext's own figures into an answer that carries the whole ciphertext."""
    length = response["ContentLength"]
    plaintext_length = None if cipher.suite.is_legacy else max(length - cipher.suite.tag_length, 0)
    reader = CiphertextReader(response["Body"], has_tag=not cipher.suite.is_legacy)
    opener = partial(
        open_plaintext,
        reader,
        cipher,
        length,
        delayed=wire.options.enable_delayed_authentication,
        buffer_size=wire.options.buffer_size,
        spool_directory=wire.options.spool_directory,
    )
    stream = PlaintextStream(reader, opener, location_of(request.parameters))
    response["Body"] = DecryptedBody(stream, plaintext_length)
    if plaintext_length is not None:
        response["ContentLength"] = plaintext_length
    authenticated = not cipher.suite.is_legacy and not wire.options.enable_delayed_authentication
    speak_plaintext(response, describe(found, authenticated=authenticated))
    return response


def head_object(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """Head an object in plaintext's terms; always answers, whatever the object is, and touches no key."""
    request = take_read_request(parameters)
    response = wire.call("HeadObject", request.parameters)
    metadata = response.get("Metadata", {})
    try:
        detection = formats.detect(metadata)
        if detection in (Detection.NONE, Detection.V3_INSTRUCTION_FILE):
            found = None
        else:
            found = EncryptedObject(formats.parse_object(metadata), MetadataLocation.OBJECT_METADATA)
    except S3ECError:
        # A reader will be told what is wrong; a HEAD only describes.
        speak_plaintext(response, describe_unencrypted())
        return response
    partial = "Range" in parameters or "PartNumber" in parameters
    if found is not None:
        if not partial:
            _correct_length(response, found)
        speak_plaintext(response, describe(found, authenticated=False))
    elif detection is Detection.V3_INSTRUCTION_FILE:
        if not partial:
            response["ContentLength"] = max(response["ContentLength"] - _TAG_LENGTH, 0)
        speak_plaintext(response, _described_by_headers())
    else:
        # Older clients leave the plaintext's length in the object when the rest lies in an instruction file.
        response["Metadata"] = formats.strip(metadata)
        response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
    return response


def _correct_length(response: dict[str, Any], found: EncryptedObject) -> None:
    metadata = found.content_metadata
    if not metadata.algorithm_suite.is_legacy:
        response["ContentLength"] = max(response["ContentLength"] - metadata.algorithm_suite.tag_length, 0)
        return
    stored = metadata.stored_plaintext_length
    # The noted length may lie; it is only believed where padding allows it.
    if stored is not None and metadata.algorithm_suite.ciphertext_length(stored) == response["ContentLength"]:
        response["ContentLength"] = stored


def _described_by_headers() -> dict[str, Any]:
    return {
        **describe_unencrypted(),
        "format": "V3",
        "algorithm_suite": "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
        "metadata_location": MetadataLocation.INSTRUCTION_FILE.value,
    }
