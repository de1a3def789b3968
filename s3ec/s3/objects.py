"""What an object is by an answer of S3, and what the caller is answered: before and behind the decryption gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3ec import decryption, formats
from s3ec.algorithms import BLOCK_LENGTH
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.legacy.wrapping import content_failure_for
from s3ec.errors import AuthenticationError, InstructionFileError, NotEncryptedError
from s3ec.formats import ContentMetadata, MetadataLocation
from s3ec.formats.lengths import noted_length
from s3ec.formats.metadata import RESERVED_CONTEXT_NAMES
from s3ec.materials import StoredContext
from s3ec.s3 import flow, instruction_files
from s3ec.s3.answers import length_of, state_span
from s3ec.s3.contents import Span, WholeContent
from s3ec.s3.flow import Deliver, Flow
from s3ec.s3.names import bound_context, location_of, object_arn
from s3ec.s3.requests import take_read_context
from s3ec.s3.surroundings import Surroundings

__all__ = [
    "EncryptedObject",
    "ReadRequest",
    "check",
    "check_stored_length",
    "decrypted_response",
    "describe",
    "describe_unencrypted",
    "open_cipher",
    "resolve",
    "speak_plaintext",
    "take_read_request",
    "without_ours",
]

_OURS = ("EncryptionContext", "InstructionFileSuffix")
_CHECKSUM_HEADERS = ("x-amz-checksum-", "content-md5")


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A caller's read, taken apart.

    Attributes:
        parameters: the parameters for S3.
        encryption_context: the caller's, `STORED_CONTEXT`, or None.
        suffix: the instruction file's suffix, if the caller named one.
    """

    parameters: dict[str, Any] = field(repr=False)  # an SSE-C key may be among them
    encryption_context: Mapping[str, str] | StoredContext | None
    suffix: str | None

    def pinned(self, etag: str) -> dict[str, Any]:
        """Return the same read of the whole object, tied to the version that an answer was about.

        By its ETag alone: naming a version takes another permission (``s3:GetObjectVersion``) than the caller's own
        request, who may not have it.
        """
        conditional = ("Range", "PartNumber", "IfNoneMatch")
        pinned = {name: value for name, value in self.parameters.items() if name not in conditional}
        return {**pinned, "IfMatch": etag}


@dataclass(frozen=True, slots=True)
class EncryptedObject:
    """An object's content metadata and where it was found."""

    content_metadata: ContentMetadata
    location: MetadataLocation


def take_read_request(parameters: dict[str, Any]) -> ReadRequest:
    """Take a read apart; botocore refuses what it must when the request is sent, before any key is touched.

    Raises:
        ConfigurationError: the context is not a map of strings.
    """
    context = take_read_context(parameters)
    suffix = parameters.pop("InstructionFileSuffix", None)
    return ReadRequest(parameters, context, suffix)


def without_ours(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a read without those that only this client knows, for a request that others make."""
    return {name: value for name, value in parameters.items() if name not in _OURS}


def resolve(s3: Surroundings, request: ReadRequest, metadata: Mapping[str, str]) -> Flow[EncryptedObject | None]:
    """Return what an object is by its user metadata, or by its instruction file.

    Returns:
        None for an object that is not encrypted, if the client allows such objects.

    Raises:
        NotEncryptedError: it is not encrypted, and the client does not allow that.
        MetadataError, SecurityError: it cannot be understood, or was tampered with.
    """
    if request.suffix is None:
        try:
            return EncryptedObject(formats.parse_object(metadata), MetadataLocation.OBJECT_METADATA)
        except (InstructionFileError, NotEncryptedError):
            # What else may be in the metadata is for `fetch` to look at, and to refuse what no file can mend.
            pass
    try:
        found = yield from instruction_files.fetch(s3, request.parameters, metadata, request.suffix)
    except NotEncryptedError:
        if s3.reading.unencrypted_objects != "allow":
            raise
        formats.refuse_remnants(metadata, may_be_instruction_file=True)
        return None
    return EncryptedObject(found, MetadataLocation.INSTRUCTION_FILE)


def open_cipher(s3: Surroundings, request: ReadRequest, found: EncryptedObject) -> Flow[ContentCipher]:
    """Go through the decryption gate with the client's options."""
    return flow.open_cipher(check(s3, request, found))


def check(s3: Surroundings, request: ReadRequest, found: EncryptedObject) -> decryption.Checked:
    """Check everything that metadata alone decides; no key is touched before the result is opened."""
    rules = s3.reading
    return decryption.check(
        found.content_metadata,
        materials_manager=rules.materials_manager,
        commitment_policy=rules.commitment_policy,
        enable_legacy_unauthenticated_modes=rules.enable_legacy_unauthenticated_modes,
        encryption_context=request.encryption_context,
        bound_context=bound_context(request.parameters, rules),
        object_arn=object_arn(request.parameters["Bucket"], request.parameters["Key"]),
    )


def check_stored_length(content_metadata: ContentMetadata, length: int) -> None:
    """Refuse what cannot be whole by its length alone, before any key is touched.

    Raises:
        AuthenticationError: there are fewer bytes than a tag has.
        S3ECError: the one error of CBC content that does not decrypt, for what is not whole blocks.
    """
    suite = content_metadata.algorithm_suite
    if length < suite.tag_length:
        raise AuthenticationError("the stored object is shorter than its authentication tag: it was cut off")
    empty = not length and not content_metadata.unpadded  # padding fills at least one block
    if suite.is_legacy and (length % BLOCK_LENGTH or empty):
        raise content_failure_for(content_metadata.encrypted_data_key.wrapping_algorithm)()


def describe(found: EncryptedObject, *, authenticated: bool) -> dict[str, Any]:
    """Return what an object was, for ``ResponseMetadata["ClientSideEncryption"]``."""
    metadata = found.content_metadata
    return {
        "format": metadata.format.value,
        "algorithm_suite": metadata.algorithm_suite.name,
        "wrapping_algorithm": metadata.encrypted_data_key.wrapping_algorithm.label,
        "metadata_location": found.location.value,
        "encryption_context": _callers_context(metadata),
        "authenticated": authenticated,
    }


def _callers_context(metadata: ContentMetadata) -> dict[str, str] | None:
    """Return the pairs that a caller has to give to read the object; None with raw keys, which bind no context."""
    if metadata.encrypted_data_key.wrapping_algorithm.family != "kms":
        return None
    return {name: value for name, value in metadata.description.items() if name not in RESERVED_CONTEXT_NAMES}


def describe_unencrypted() -> dict[str, Any]:
    """Return the same for an object that no client encrypted."""
    return {
        "format": None,
        "algorithm_suite": None,
        "wrapping_algorithm": None,
        "metadata_location": None,
        "encryption_context": None,
        "authenticated": False,
    }


def speak_plaintext(response: dict[str, Any], description: dict[str, Any]) -> None:
    """Make an answer speak of plaintext: own metadata only, no checksums of ciphertext, and what the object was.

    The raw headers, which libraries read as well, say the same as the fields.
    """
    if "Metadata" in response:
        response["Metadata"] = formats.strip(response["Metadata"])
    for name in [name for name in response if name.startswith("Checksum")]:
        del response[name]
    metadata = response.setdefault("ResponseMetadata", {})
    metadata["ClientSideEncryption"] = description
    headers = metadata.get("HTTPHeaders", {})
    for name in [name for name in headers if name.startswith(_CHECKSUM_HEADERS)]:
        del headers[name]
    if "ContentLength" in response:
        headers["content-length"] = str(response["ContentLength"])
        headers.pop("content-range", None)
    if "ContentRange" in response:
        headers["content-range"] = response["ContentRange"]
        headers["accept-ranges"] = response.get("AcceptRanges", "bytes")


def decrypted_response(
    s3: Surroundings,
    request: ReadRequest,
    response: dict[str, Any],
    found: EncryptedObject,
    cipher: ContentCipher,
    *,
    span: Span | None = None,
) -> Flow[dict[str, Any]]:
    """Put the decrypting body and the plaintext's own figures into an answer that carries the whole ciphertext.

    Args:
        s3: the client.
        request: the caller's.
        response: S3's answer, its length checked.
        found: what the object is.
        cipher: opens it.
        span: first and last offset of the plaintext that is handed out, where the caller asked for a range (GCM alone).
    """
    length = length_of(response)
    tagged = not cipher.suite.is_legacy
    plaintext_length = length - cipher.suite.tag_length if tagged else None
    if plaintext_length is None:
        noted = noted_length(found.content_metadata, length)
        response["ContentLength"] = length if noted is None else noted
    elif span is None:
        response["ContentLength"] = plaintext_length
    else:
        state_span(response, span, plaintext_length)
    delayed = s3.reading.enable_delayed_authentication
    handed_out = None if plaintext_length is None or span == (0, plaintext_length - 1) else span
    response["Body"] = yield Deliver(
        response["Body"],
        WholeContent(cipher, length, delayed, handed_out),
        response["ContentLength"] if tagged else None,
        location_of(request.parameters),
        response.get("ResponseMetadata"),
    )
    speak_plaintext(response, describe(found, authenticated=tagged and not delayed))
    return response
