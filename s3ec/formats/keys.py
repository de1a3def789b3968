"""The names of content metadata, in every format version.

On the wire each stands behind ``x-amz-meta-``; in an instruction file the same names are the keys of a JSON object.
Source: S3 Encryption Client specification, data-format/content-metadata.md.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "CONTENT_ALGORITHM",
    "CONTENT_KEYS_V3",
    "ENCRYPTED_KEY_V1",
    "ENCRYPTED_KEY_V2",
    "ENCRYPTED_KEY_V3",
    "ENCRYPTION_CONTEXT_V3",
    "INSTRUCTION_FILE_MARKER",
    "IV",
    "KEYS_V1_V2",
    "KEYS_V3",
    "LEGACY_DOTNET_ENCRYPTED_KEY",
    "LEGACY_DOTNET_IV",
    "MATERIAL_DESCRIPTION",
    "MATERIAL_DESCRIPTION_V3",
    "RESERVED",
    "TAG_LENGTH",
    "UNENCRYPTED_LENGTH",
    "UNENCRYPTED_MD5",
    "V3_ALGORITHM",
    "V3_COMMITMENT",
    "V3_MESSAGE_ID",
    "V3_WRAPPING",
    "WRAPPING_ALGORITHM",
    "is_content_metadata_key",
    "strip",
]

ENCRYPTED_KEY_V1 = "x-amz-key"
ENCRYPTED_KEY_V2 = "x-amz-key-v2"
IV = "x-amz-iv"
MATERIAL_DESCRIPTION = "x-amz-matdesc"
WRAPPING_ALGORITHM = "x-amz-wrap-alg"
CONTENT_ALGORITHM = "x-amz-cek-alg"
TAG_LENGTH = "x-amz-tag-len"
UNENCRYPTED_LENGTH = "x-amz-unencrypted-content-length"
UNENCRYPTED_MD5 = "x-amz-unencrypted-content-md5"

V3_ALGORITHM = "x-amz-c"
V3_COMMITMENT = "x-amz-d"
V3_MESSAGE_ID = "x-amz-i"
ENCRYPTED_KEY_V3 = "x-amz-3"
V3_WRAPPING = "x-amz-w"
MATERIAL_DESCRIPTION_V3 = "x-amz-m"
ENCRYPTION_CONTEXT_V3 = "x-amz-t"

INSTRUCTION_FILE_MARKER = "x-amz-crypto-instr-file"
"""Stands in the metadata of an instruction file itself. Several clients never write it, so nothing may require it."""

LEGACY_DOTNET_ENCRYPTED_KEY = "EncryptedEnvelopeKey"
LEGACY_DOTNET_IV = "IV"

KEYS_V1_V2 = frozenset(
    {ENCRYPTED_KEY_V1, ENCRYPTED_KEY_V2, IV, MATERIAL_DESCRIPTION, WRAPPING_ALGORITHM, CONTENT_ALGORITHM, TAG_LENGTH}
)
CONTENT_KEYS_V3 = frozenset({V3_ALGORITHM, V3_COMMITMENT, V3_MESSAGE_ID})
"""What binds a V3 object to its data key; only ever in the object's own metadata."""
KEYS_V3 = CONTENT_KEYS_V3 | {ENCRYPTED_KEY_V3, V3_WRAPPING, MATERIAL_DESCRIPTION_V3, ENCRYPTION_CONTEXT_V3}
RESERVED = KEYS_V1_V2 | KEYS_V3 | {UNENCRYPTED_LENGTH, UNENCRYPTED_MD5, INSTRUCTION_FILE_MARKER}
"""Every name that belongs to the encryption clients and to no caller."""


def is_content_metadata_key(name: str) -> bool:
    """True if a user-metadata name (without ``x-amz-meta-``, any case) is content metadata of any version."""
    return name.lower() in RESERVED


def strip(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's own metadata: everything that is not content metadata, names as they came."""
    return {name: value for name, value in metadata.items() if not is_content_metadata_key(name)}
