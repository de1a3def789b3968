"""Content metadata, read or about to be written, apart from where it is stored."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from s3ec.algorithms import CONTEXT_CONTENT_ALGORITHM, AlgorithmSuite, CommitmentPolicy, FormatVersion
from s3ec.materials import DecryptionMaterialsRequest, EncryptedDataKey, EncryptionMaterials

__all__ = [
    "CBC_NAMES",
    "CBC_NO_PADDING",
    "OBJECT_ARN_PAIR",
    "RESERVED_CONTEXT_NAMES",
    "ContentMetadata",
    "MetadataLocation",
]

CBC_NO_PADDING = "AES/CBC/NoPadding"
# The AWS SDK for Go v1 let its caller choose the padder, and put the choice into the name.
CBC_NAMES = frozenset(
    {AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF.content_algorithm, "AES/CBC/PKCS7Padding", CBC_NO_PADDING}
)

RESERVED_CONTEXT_NAMES = frozenset({CONTEXT_CONTENT_ALGORITHM, "kms_cmk_id"})
"""Names in a KMS encryption context that the encryption clients add, and that no caller gives."""

OBJECT_ARN_PAIR = "aws:s3:arn"
"""Name in a KMS encryption context that binds an object to its place (bucket and key, as an ARN)."""


class MetadataLocation(enum.Enum):
    """Where the encrypted data key of an object is stored."""

    OBJECT_METADATA = "metadata"
    INSTRUCTION_FILE = "instruction_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentMetadata:
    """What an object says about its own encryption; nothing in it is secret, and nothing in it is proven.

    Attributes:
        format: layout of the metadata.
        algorithm_suite: how the content is encrypted.
        content_algorithm: the suite's text exactly as the object states it, since that is what wrappings bind.
        encrypted_data_key: the wrapped data key.
        description: the stored encryption context (KMS, reserved pairs included) or material description (raw keys).
        iv: 16 bytes (CBC) or 12 bytes (GCM); None in V3.
        message_id: 28 bytes in V3, else None.
        commitment: 28 bytes in V3, else None.
        tag_length_bits: 128, or 0 for CBC.
        stored_plaintext_length: bytes, as some writers note it; informational, it may lie.
        location: where the encrypted data key was found, or is to be stored.
    """

    format: FormatVersion
    algorithm_suite: AlgorithmSuite
    content_algorithm: str
    encrypted_data_key: EncryptedDataKey
    description: Mapping[str, str] = field(default_factory=dict)
    iv: bytes | None = None
    message_id: bytes | None = None
    commitment: bytes | None = None
    tag_length_bits: int = 128
    stored_plaintext_length: int | None = None
    location: MetadataLocation = field(default=MetadataLocation.OBJECT_METADATA, compare=False)

    @classmethod
    def of(
        cls,
        materials: EncryptionMaterials,
        *,
        iv: bytes | None = None,
        message_id: bytes | None = None,
        commitment: bytes | None = None,
    ) -> ContentMetadata:
        """Make what is stored beside new content, from what the keyring answered and what was made for this object."""
        suite = materials.algorithm_suite
        return cls(
            format=suite.format,
            algorithm_suite=suite,
            content_algorithm=suite.content_algorithm,
            encrypted_data_key=materials.encrypted_data_key,
            description=dict(materials.description),
            iv=iv,
            message_id=message_id,
            commitment=commitment,
        )

    def request(self, commitment_policy: CommitmentPolicy) -> DecryptionMaterialsRequest:
        """Return what a materials manager is asked for to open this object; the gate alone makes use of it."""
        return DecryptionMaterialsRequest(
            algorithm_suite=self.algorithm_suite,
            commitment_policy=commitment_policy,
            content_algorithm=self.content_algorithm,
            encrypted_data_key=self.encrypted_data_key,
            description=self.description,
            from_instruction_file=self.location is MetadataLocation.INSTRUCTION_FILE,
        )

    @property
    def unpadded(self) -> bool:
        """True if the content is CBC of whole blocks without padding."""
        return self.content_algorithm == CBC_NO_PADDING
