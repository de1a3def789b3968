"""Format V3: committing content; the suite, the commitment and the message ID never leave the object's own metadata."""

from __future__ import annotations

from collections.abc import Mapping

from s3ec.algorithms import AlgorithmSuite, FormatVersion, WrappingAlgorithm
from s3ec.errors import ConflictingMetadataError, MalformedMetadataError
from s3ec.formats import codec, keys
from s3ec.formats.metadata import ContentMetadata
from s3ec.materials import EncryptedDataKey

__all__ = ["parse", "render_content", "render_wrapping"]

_SUITE = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
_WRAPPINGS = {algorithm.v3_code: algorithm for algorithm in WrappingAlgorithm if algorithm.v3_code}


def parse(fields: Mapping[str, str]) -> ContentMetadata:
    """Read V3 fields of which all five required ones are present, from one place or gathered from two.

    Raises:
        MalformedMetadataError: an algorithm is unknown, or a value cannot be read.
        ConflictingMetadataError: there is a description of the other kind of keyring.
    """
    suite = fields[keys.V3_ALGORITHM]
    if suite != _SUITE.content_algorithm:
        raise MalformedMetadataError(
            f"{keys.V3_ALGORITHM} is {codec.shown(suite)}; the only committing suite is {_SUITE.content_algorithm}"
        )
    wrapping = _wrapping(fields[keys.V3_WRAPPING])
    ciphertext = codec.decode_base64(fields[keys.ENCRYPTED_KEY_V3], keys.ENCRYPTED_KEY_V3)
    return ContentMetadata(
        format=FormatVersion.V3,
        algorithm_suite=_SUITE,
        content_algorithm=_SUITE.content_algorithm,
        encrypted_data_key=EncryptedDataKey(ciphertext, wrapping),
        description=_description(fields, wrapping),
        message_id=codec.decode_base64(fields[keys.V3_MESSAGE_ID], keys.V3_MESSAGE_ID),
        commitment=codec.decode_base64(fields[keys.V3_COMMITMENT], keys.V3_COMMITMENT),
    )


def render_content(content_metadata: ContentMetadata) -> dict[str, str]:
    """Write the fields that always stand in the object's own metadata."""
    return {
        keys.V3_ALGORITHM: content_metadata.content_algorithm,
        keys.V3_COMMITMENT: codec.encode_base64(content_metadata.commitment or b""),
        keys.V3_MESSAGE_ID: codec.encode_base64(content_metadata.message_id or b""),
    }


def render_wrapping(content_metadata: ContentMetadata) -> dict[str, str]:
    """Write the fields that may stand in an instruction file instead.

    Exactly one description is written, because a reader that finds both takes the wrong one; an empty material
    description is left out.
    """
    encrypted_data_key = content_metadata.encrypted_data_key
    fields = {
        keys.ENCRYPTED_KEY_V3: codec.encode_base64(encrypted_data_key.ciphertext),
        keys.V3_WRAPPING: str(encrypted_data_key.wrapping_algorithm.v3_code),
    }
    if encrypted_data_key.wrapping_algorithm.family == "kms":
        fields[keys.ENCRYPTION_CONTEXT_V3] = codec.dump_string_map(content_metadata.description)
    elif content_metadata.description:
        fields[keys.MATERIAL_DESCRIPTION_V3] = codec.dump_string_map(content_metadata.description)
    return fields


def _wrapping(code: str) -> WrappingAlgorithm:
    # The codes 01, 11 and 21 of some tables would be legacy wrappings, which bind no algorithm: no client writes them.
    if code not in _WRAPPINGS:
        raise MalformedMetadataError(
            f"{keys.V3_WRAPPING} is {codec.shown(code)}; committing objects know only {', '.join(sorted(_WRAPPINGS))}"
        )
    return _WRAPPINGS[code]


def _description(fields: Mapping[str, str], wrapping: WrappingAlgorithm) -> dict[str, str]:
    own, other = keys.MATERIAL_DESCRIPTION_V3, keys.ENCRYPTION_CONTEXT_V3
    if wrapping.family == "kms":
        own, other = other, own
    # An empty map beside the right one is a writer's habit; a full one would mean different things to two readers.
    if codec.load_string_map(fields.get(other), other):
        raise ConflictingMetadataError(
            f"the object has {other}, which does not belong to its wrapping {wrapping.label}"
        )
    return codec.load_string_map(fields.get(own), own)
