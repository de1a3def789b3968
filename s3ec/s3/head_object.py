"""head_object: what S3 says of an object, in plaintext's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3ec import formats
from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.errors import S3ECError
from s3ec.formats import ContentMetadata, Detection, MetadataLocation
from s3ec.formats.lengths import noted_length
from s3ec.s3.answers import length_of, state_span
from s3ec.s3.flow import Flow, call
from s3ec.s3.objects import (
    EncryptedObject,
    ReadRequest,
    describe,
    describe_unencrypted,
    speak_plaintext,
    take_read_request,
)
from s3ec.s3.range_header import ByteRange, parse_content_range, parse_range
from s3ec.s3.range_reads import range_not_satisfiable
from s3ec.s3.surroundings import Surroundings

__all__ = ["head_object", "head_parameters", "plaintext_length"]


def head_object(s3: Surroundings, parameters: dict[str, Any]) -> Flow[dict[str, Any]]:
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
    response = yield from call("HeadObject", request.parameters)
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
        _speak_of_plaintext(s3, request, wanted, response, found.content_metadata)
        speak_plaintext(response, describe(found, authenticated=False))
    elif detection is Detection.V3_INSTRUCTION_FILE:
        _speak_of_plaintext(s3, request, wanted, response, None)
        speak_plaintext(response, _described_by_headers())
    else:
        # Older clients leave the plaintext's length in the object when the rest lies in an instruction file.
        response["Metadata"] = formats.strip(metadata)
        response["ResponseMetadata"]["ClientSideEncryption"] = describe_unencrypted()
    return response


def head_parameters(s3: Surroundings, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a HEAD about the object of a GetObject, with the caller's conditions.

    A ``ChecksumMode`` does not: with it S3 asks for permission to use the object's KMS key.
    """
    members = s3.members("HeadObject")
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
    return max(length_of(head) - GCM_TAG_LENGTH * tagged, 0)


def _speak_of_plaintext(
    s3: Surroundings,
    request: ReadRequest,
    wanted: ByteRange | None,
    response: dict[str, Any],
    metadata: ContentMetadata | None,
) -> None:
    """Make the figures of a HEAD those of the plaintext, also of a range or a part of it.

    Args:
        s3: the client.
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
        length = max(stored - GCM_TAG_LENGTH, 0)
    number = request.parameters.get("PartNumber")
    if wanted is not None:
        span = wanted.within(length)
        if span is None:
            raise range_not_satisfiable(s3, wanted, length, "HeadObject")
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
