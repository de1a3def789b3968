"""Format V1: AES-CBC content under a raw key; the metadata names no algorithm at all."""

from __future__ import annotations

from collections.abc import Mapping

from s3ec.algorithms import AlgorithmSuite, FormatVersion, WrappingAlgorithm
from s3ec.errors import ConflictingMetadataError
from s3ec.formats import codec, keys
from s3ec.formats.metadata import ContentMetadata
from s3ec.materials import EncryptedDataKey

__all__ = ["inferred_wrapping", "parse", "plaintext_length", "render"]

_SUITE = AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF
_LONGEST_AES_ECB = 48
_LONGEST_LENGTH_TEXT = 19

# V1 never states an algorithm: beside its key, a name that readers follow would switch the suite.
_NOT_IN_V1 = {keys.CONTENT_ALGORITHM: (_SUITE.content_algorithm,), keys.WRAPPING_ALGORITHM: (), keys.TAG_LENGTH: ("0",)}


def parse(fields: Mapping[str, str]) -> ContentMetadata:
    """Read V1 fields whose key and IV are present.

    The description may be missing: Amazon Redshift documents only the two keys.

    Raises:
        ConflictingMetadataError: there are keys that only V2 has.
        MalformedMetadataError: a value cannot be read.
    """
    for name, harmless in _NOT_IN_V1.items():
        if name in fields and fields[name] not in harmless:
            raise ConflictingMetadataError(
                f"beside V1's {keys.ENCRYPTED_KEY_V1} the object has {name} = {codec.shown(fields[name])}; no client "
                "writes that: treat it as forged"
            )
    ciphertext = codec.decode_base64(fields[keys.ENCRYPTED_KEY_V1], keys.ENCRYPTED_KEY_V1)
    return ContentMetadata(
        format=FormatVersion.V1,
        algorithm_suite=_SUITE,
        content_algorithm=_SUITE.content_algorithm,
        encrypted_data_key=EncryptedDataKey(ciphertext, inferred_wrapping(ciphertext)),
        description=codec.load_string_map(fields.get(keys.MATERIAL_DESCRIPTION), keys.MATERIAL_DESCRIPTION),
        iv=codec.decode_base64(fields[keys.IV], keys.IV),
        tag_length_bits=0,
        stored_plaintext_length=plaintext_length(fields),
    )


def render(content_metadata: ContentMetadata) -> dict[str, str]:
    """Write V1 fields, without the informational length."""
    return {
        keys.ENCRYPTED_KEY_V1: codec.encode_base64(content_metadata.encrypted_data_key.ciphertext),
        keys.IV: codec.encode_base64(content_metadata.iv or b""),
        keys.MATERIAL_DESCRIPTION: codec.dump_string_map(content_metadata.description),
    }


def inferred_wrapping(ciphertext: bytes) -> WrappingAlgorithm:
    """Return the legacy wrapping of an encrypted data key that states none.

    AES-ECB gives at most 48 bytes, and no usable RSA modulus is that short.
    """
    return WrappingAlgorithm.AES_ECB if len(ciphertext) <= _LONGEST_AES_ECB else WrappingAlgorithm.RSA_PKCS1


def plaintext_length(fields: Mapping[str, str]) -> int | None:
    """Return the length that the writer noted, in bytes; None if there is none that could be one."""
    text = fields.get(keys.UNENCRYPTED_LENGTH, "")
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_LENGTH_TEXT:
        return int(text)
    return None
