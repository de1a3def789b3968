"""get_object and head_object: ciphertext on the way home."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from s3ec import formats
from s3ec.client.answers import is_partial, length_of, state_span
from s3ec.client.ciphertext_reader import CiphertextReader
from s3ec.client.objects import (
    EncryptedObject,
    ReadRequest,
    check,
    check_stored_length,
    describe,
    describe_unencrypted,
    resolve,
    speak_plaintext,
)
from s3ec.client.plaintext import DecryptedBody, PlaintextStream
from s3ec.client.range_bodies import Slice
from s3ec.client.range_header import ByteRange, parse_content_range, parse_range
from s3ec.client.range_reads import range_not_satisfiable
from s3ec.client.releases import Release, open_plaintext
from s3ec.client.requests import take_read_context
from s3ec.client.wire import Wire, location_of
from s3ec.crypto.content import ContentCipher
from s3ec.errors import AuthenticationError, S3ECError
from s3ec.formats import ContentMetadata, Detection, MetadataLocation

__all__ = [
    "decrypted_response",
    "get_whole_object",
    "head_object",
    "head_parameters",
    "noted_length",
    "plaintext_length",
    "take_read_request",
]

_TAG_LENGTH = 16


def take_read_request(parameters: dict[str, Any]) -> ReadRequest:
    """Take a read apart; botocore refuses what it must when the request is sent, before any key is touched.

    Raises:
        ConfigurationError: the context is not a map of strings.
    """
    context = take_read_context(parameters)
    suffix = parameters.pop("InstructionFileSuffix", None)
    return ReadRequest(parameters, context, suffix)


def get_whole_object(wire: Wire, request: ReadRequest) -> dict[str, Any]:
    """Read a whole object; ``Body`` verifies before it releases anything.

    Raises:
        MetadataError, PolicyError, KeyringError, SecurityError: raised before any content is read.
        botocore.exceptions.ClientError: as from a plain client.
    """
    response = wire.call("GetObject", request.parameters)
    try:
        found = resolve(wire, request, response.get("Metadata", {}))
        if found is None:
            response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
            return response
        checked = check(wire, request, found)
        if is_partial(response):
            raise AuthenticationError(  # noqa: TRY301 - the handler only closes the body
                "S3 was asked for the whole object, and answered with a part of it"
            )
        check_stored_length(found.content_metadata, length_of(response))
        return decrypted_response(wire, request, response, found, checked.open())
    except BaseException:
        response["Body"].close()
        raise


def decrypted_response(
    wire: Wire,
    request: ReadRequest,
    response: dict[str, Any],
    found: EncryptedObject,
    cipher: ContentCipher,
    *,
    span: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Put the decrypting body and the plaintext's own figures into an answer that carries the whole ciphertext.

    Args:
        wire: plain calls.
        request: the caller's.
        response: S3's answer, its length checked.
        found: what the object is.
        cipher: opens it.
        span: first and last offset of the plaintext that is handed out, where the caller asked for a range (GCM alone).
    """
    length = length_of(response)
    tagged = not cipher.suite.is_legacy
    plaintext_length = length - cipher.suite.tag_length if tagged else None
    reader = CiphertextReader(response["Body"], has_tag=tagged)
    opener: Callable[[], Release] = partial(
        open_plaintext,
        reader,
        cipher,
        length,
        delayed=wire.options.enable_delayed_authentication,
        buffer_size=wire.options.buffer_size,
        spool_directory=wire.options.spool_directory,
    )
    if plaintext_length is None:
        noted = noted_length(found.content_metadata, length)
        response["ContentLength"] = length if noted is None else noted
    elif span is None:
        response["ContentLength"] = plaintext_length
    else:
        if span != (0, plaintext_length - 1):
            opener = partial(Slice, opener, span)
        state_span(response, span, plaintext_length)
    stream = PlaintextStream(reader, opener, location_of(request.parameters), response.get("ResponseMetadata"))
    response["Body"] = DecryptedBody(stream, response["ContentLength"] if tagged else None)
    authenticated = tagged and not wire.options.enable_delayed_authentication
    speak_plaintext(response, describe(found, authenticated=authenticated))
    return response


def head_object(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
    """Head an object in plaintext's terms; answers for every kind of object, and touches no key.

    Raises:
        botocore.exceptions.ClientError: S3's own, 416 past the end of the plaintext among them.
    """
    request = take_read_request(parameters)
    wanted = None
    if isinstance(parameters.get("Range"), str):
        wanted = parse_range(parameters["Range"])
        del parameters["Range"]
        if wanted is not None:
            # In numbers that every server understands.
            parameters["Range"] = str(wanted.widened(1, 0))
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
        _speak_of_plaintext(wire, request, wanted, response, found.content_metadata)
        speak_plaintext(response, describe(found, authenticated=False))
    elif detection is Detection.V3_INSTRUCTION_FILE:
        _speak_of_plaintext(wire, request, wanted, response, None)
        speak_plaintext(response, _described_by_headers())
    else:
        # Older clients leave the plaintext's length in the object when the rest lies in an instruction file.
        response["Metadata"] = formats.strip(metadata)
        response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
    return response


def head_parameters(wire: Wire, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a HEAD about the object of a GetObject, with the caller's conditions.

    A ``ChecksumMode`` does not: with it S3 asks for permission to use the object's KMS key.
    """
    shape = wire.service_model.operation_model("HeadObject").input_shape
    members = shape.members if shape is not None else {}
    return {name: value for name, value in parameters.items() if name in members and name != "ChecksumMode"}


def plaintext_length(head: Mapping[str, Any]) -> int:
    """Return the plaintext bytes of an object, by a plain HEAD; those of ciphertext if only reading would tell."""
    metadata = head.get("Metadata", {})
    try:
        detection = formats.detect(metadata)
        tagged = detection is Detection.V3_INSTRUCTION_FILE or (
            detection is not Detection.NONE and not formats.parse_object(metadata).algorithm_suite.is_legacy
        )
    except S3ECError:
        tagged = False
    return max(length_of(head) - _TAG_LENGTH * tagged, 0)


def noted_length(metadata: ContentMetadata, stored: int) -> int | None:
    """Return the plaintext bytes as the writer of CBC content noted them; None if it did not, or padding forbids it.

    The note may lie by less than a block, which nothing but decrypting could tell.
    """
    noted = metadata.stored_plaintext_length
    return noted if noted is not None and metadata.algorithm_suite.ciphertext_length(noted) == stored else None


def _speak_of_plaintext(
    wire: Wire,
    request: ReadRequest,
    wanted: ByteRange | None,
    response: dict[str, Any],
    metadata: ContentMetadata | None,
) -> None:
    """Make the figures of a HEAD those of the plaintext, also of a range or a part of it.

    Args:
        wire: plain calls.
        request: the caller's.
        wanted: the caller's range.
        response: S3's answer.
        metadata: what the object's own metadata says; None for V3 with an instruction file.

    Raises:
        botocore.exceptions.ClientError: 416 for a range past the end of the plaintext, as `get_object` raises it.
    """
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    # Older botocores leave the header of a HEAD where it is.
    header = response.get("ContentRange") or headers.get("content-range")
    answered = None if header is None else parse_content_range(header)
    stored = length_of(response) if answered is None else answered.total
    if metadata is not None and metadata.algorithm_suite.is_legacy:
        length = noted_length(metadata, stored)
        if length is None:
            return
    else:
        length = max(stored - _TAG_LENGTH, 0)
    number = request.parameters.get("PartNumber")
    if wanted is not None:
        span = wanted.within(length)
        if span is None:
            raise range_not_satisfiable(wire, wanted, length, "HeadObject")
        state_span(response, span, length)
    elif answered is not None:
        span = (answered.first, min(answered.last, length - 1))
        # A part can hold the tag alone.
        state_span(response, span if span[0] <= span[1] else None, length)
    elif number is None or number == response.get("PartsCount", number):
        response["ContentLength"] = length


def _described_by_headers() -> dict[str, Any]:
    return {
        **describe_unencrypted(),
        "format": "V3",
        "algorithm_suite": "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
        "metadata_location": MetadataLocation.INSTRUCTION_FILE.value,
    }
