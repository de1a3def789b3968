"""Format V2: the metadata names the content and the wrapping algorithm."""

from __future__ import annotations

from collections.abc import Mapping

from s3ec.algorithms import AlgorithmSuite, FormatVersion, WrappingAlgorithm
from s3ec.errors import MalformedMetadataError
from s3ec.formats import codec, keys, v1
from s3ec.formats.metadata import CBC_NAMES, ContentMetadata
from s3ec.materials import EncryptedDataKey

__all__ = ["parse", "render"]

_CBC = AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF
_GCM = AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
_SUITES = {**dict.fromkeys(CBC_NAMES, _CBC), _GCM.content_algorithm: _GCM}
_WRAPPINGS = {algorithm.wire_name: algorithm for algorithm in WrappingAlgorithm if algorithm.wire_name}


def parse(fields: Mapping[str, str]) -> ContentMetadata:
    """Read V2 fields whose key and IV are present.

    The wrapping algorithm may be missing (one mode of the AWS SDK for Java v1), and so may the content algorithm.

    Raises:
        MalformedMetadataError: an algorithm is unknown, or a value cannot be read.
    """
    content_algorithm = fields.get(keys.CONTENT_ALGORITHM, _CBC.content_algorithm)
    suite = _SUITES.get(content_algorithm)
    if suite is None:
        raise MalformedMetadataError(
            f"{keys.CONTENT_ALGORITHM} is {codec.shown(content_algorithm)}, which no S3 encryption client writes"
        )
    ciphertext = codec.decode_base64(fields[keys.ENCRYPTED_KEY_V2], keys.ENCRYPTED_KEY_V2)
    return ContentMetadata(
        format=FormatVersion.V2,
        algorithm_suite=suite,
        content_algorithm=content_algorithm,
        encrypted_data_key=EncryptedDataKey(ciphertext, _wrapping(fields, ciphertext)),
        description=codec.load_string_map(fields.get(keys.MATERIAL_DESCRIPTION), keys.MATERIAL_DESCRIPTION),
        iv=codec.decode_base64(fields[keys.IV], keys.IV),
        tag_length_bits=_tag_length(fields, suite),
        stored_plaintext_length=v1.plaintext_length(fields),
    )


def render(content_metadata: ContentMetadata) -> dict[str, str]:
    """Write V2 fields, without the informational length."""
    wrapping = content_metadata.encrypted_data_key.wrapping_algorithm.wire_name
    fields = {
        keys.ENCRYPTED_KEY_V2: codec.encode_base64(content_metadata.encrypted_data_key.ciphertext),
        keys.IV: codec.encode_base64(content_metadata.iv or b""),
        keys.MATERIAL_DESCRIPTION: codec.dump_string_map(content_metadata.description),
        keys.CONTENT_ALGORITHM: content_metadata.content_algorithm,
    }
    if wrapping is not None:
        fields[keys.WRAPPING_ALGORITHM] = wrapping
    if content_metadata.tag_length_bits:
        fields[keys.TAG_LENGTH] = str(content_metadata.tag_length_bits)
    return fields


def _wrapping(fields: Mapping[str, str], ciphertext: bytes) -> WrappingAlgorithm:
    name = fields.get(keys.WRAPPING_ALGORITHM)
    if name is None:
        return v1.inferred_wrapping(ciphertext)
    if name not in _WRAPPINGS:
        raise MalformedMetadataError(
            f"{keys.WRAPPING_ALGORITHM} is {codec.shown(name)}, which no S3 encryption client writes"
        )
    return _WRAPPINGS[name]


def _tag_length(fields: Mapping[str, str], suite: AlgorithmSuite) -> int:
    """Return the only tag length that the suite has; a stored one may not shorten it."""
    expected = suite.tag_length * 8
    stored = fields.get(keys.TAG_LENGTH, str(expected))
    if stored != str(expected):
        raise MalformedMetadataError(
            f"{keys.TAG_LENGTH} is {codec.shown(stored)}, but the content's tag has {expected} bits"
        )
    return expected
