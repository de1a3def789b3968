"""get_object and head_object: ciphertext on the way home."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

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
from s3ec.client.range_header import ByteRange, ContentRange, parse_content_range, parse_range
from s3ec.client.releases import open_plaintext
from s3ec.client.requests import take_read_context
from s3ec.client.wire import Wire, location_of
from s3ec.crypto.content import ContentCipher
from s3ec.errors import S3ECError
from s3ec.formats import ContentMetadata, Detection, MetadataLocation

__all__ = [
    "decrypted_response",
    "get_whole_object",
    "head_object",
    "plaintext_length",
    "range_not_satisfiable",
    "take_read_request",
]

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
    if found is not None:
        _correct_length(wire, request, response, found.content_metadata)
        speak_plaintext(response, describe(found, authenticated=False))
    elif detection is Detection.V3_INSTRUCTION_FILE:
        _take_off_tag(wire, request, response)
        speak_plaintext(response, _described_by_headers())
    else:
        # Older clients leave the plaintext's length in the object when the rest lies in an instruction file.
        response["Metadata"] = formats.strip(metadata)
        response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
    return response


def plaintext_length(head: Mapping[str, Any]) -> int:
    """Bytes of plaintext of an object, by a plain HEAD of it; of ciphertext where only reading would tell."""
    metadata = head.get("Metadata", {})
    try:
        detection = formats.detect(metadata)
        tagged = detection is Detection.V3_INSTRUCTION_FILE or (
            detection is not Detection.NONE and not formats.parse_object(metadata).algorithm_suite.is_legacy
        )
    except S3ECError:
        tagged = False
    return max(int(head["ContentLength"]) - _TAG_LENGTH * tagged, 0)


def _correct_length(wire: Wire, request: ReadRequest, response: dict[str, Any], metadata: ContentMetadata) -> None:
    if not metadata.algorithm_suite.is_legacy:
        _take_off_tag(wire, request, response)
        return
    stored = metadata.stored_plaintext_length
    # The noted length may lie; it is only believed where padding allows it.
    whole = request.parameters.keys().isdisjoint(("Range", "PartNumber"))
    if whole and stored is not None and metadata.algorithm_suite.ciphertext_length(stored) == response["ContentLength"]:
        response["ContentLength"] = stored


def _take_off_tag(wire: Wire, request: ReadRequest, response: dict[str, Any]) -> None:
    """Make the figures of a HEAD those of the plaintext, also of a range or a part of it.

    Raises:
        botocore.exceptions.ClientError: 416 for a range past the end of the plaintext, as `get_object` raises it.
    """
    # Older botocores leave the header of a HEAD where it is.
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    header = response.get("ContentRange") or headers.get("content-range")
    if header is None:
        number = request.parameters.get("PartNumber")
        if number is None or number == response.get("PartsCount", number):
            response["ContentLength"] = max(response["ContentLength"] - _TAG_LENGTH, 0)
        return
    answered = parse_content_range(header)
    length = max(answered.total - _TAG_LENGTH, 0)
    asked = parse_range(str(request.parameters.get("Range", "")))
    span = asked.within(length) if asked is not None else (answered.first, min(answered.last, length - 1))
    if span is None and asked is not None:
        raise range_not_satisfiable(wire, "HeadObject", asked, length)
    stated = response.pop("ContentRange", None) is not None
    # A part can hold the tag alone.
    response["ContentLength"] = max(span[1] - span[0] + 1, 0) if span is not None else 0
    if stated and span is not None and response["ContentLength"]:
        response["ContentRange"] = str(ContentRange(*span, length))


def range_not_satisfiable(wire: Wire, operation_name: str, wanted: ByteRange, length: int) -> ClientError:
    """S3's 416, for plaintext of this length."""
    return wire.refusal(
        operation_name,
        416,
        "InvalidRange",
        "The requested range is not satisfiable",
        RangeRequested=wanted.widened(1, 0),
        ActualObjectSize=str(length),
    )


def _described_by_headers() -> dict[str, Any]:
    return {
        **describe_unencrypted(),
        "format": "V3",
        "algorithm_suite": "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
        "metadata_location": MetadataLocation.INSTRUCTION_FILE.value,
    }
