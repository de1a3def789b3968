"""What passes between the gates and the keyrings: frozen values, whose secrets show in no repr and pass no pickle.

The gates ask a `MaterialsManager`; the one that comes with s3ec asks a `Keyring`. Both are protocols: any object with
these members will do. The wrapping algorithm in an object's metadata is always the keyring's answer
(`EncryptedDataKey.wrapping_algorithm`), never a constant of the client.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeGuard, runtime_checkable

from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy, WrappingAlgorithm
from s3ec.secrets import Unpicklable

__all__ = [
    "STORED_CONTEXT",
    "DecryptionMaterials",
    "DecryptionMaterialsRequest",
    "EncryptedDataKey",
    "EncryptionMaterials",
    "EncryptionMaterialsRequest",
    "Keyring",
    "KeyringCapabilities",
    "MaterialsManager",
    "StoredContext",
    "WrappingAlgorithm",
]


class StoredContext(enum.Enum):
    """Type of `STORED_CONTEXT`."""

    STORED_CONTEXT = "the stored context, as it is"

    def __repr__(self) -> str:
        """The public name."""
        return "s3ec.STORED_CONTEXT"


STORED_CONTEXT = StoredContext.STORED_CONTEXT
"""Given as ``EncryptionContext`` on a read: take the context that is stored with the object, whatever it is."""


@dataclass(frozen=True, slots=True)
class EncryptedDataKey:
    """An encrypted data key and the algorithm that encrypted it.

    Attributes:
        ciphertext: the key as it is stored; its layout is the wrapping algorithm's.
        wrapping_algorithm: what opens it.
    """

    ciphertext: bytes
    wrapping_algorithm: WrappingAlgorithm


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionMaterialsRequest:
    """What a keyring is asked for on a write.

    Attributes:
        algorithm_suite: the suite that the content will be encrypted with.
        commitment_policy: the client's policy; part of every cache key.
        content_algorithm: the suite's text as the wrapping binds it (``"115"`` or ``"AES/GCM/NoPadding"``).
        encryption_context: the caller's own pairs, without reserved ones.
        plaintext_length: bytes to be encrypted, or None if unknown; what a cache counts against its limit.
    """

    algorithm_suite: AlgorithmSuite
    commitment_policy: CommitmentPolicy
    content_algorithm: str
    encryption_context: Mapping[str, str] = field(default_factory=dict)
    plaintext_length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionMaterials(Unpicklable):
    """What a keyring answers on a write.

    Attributes:
        algorithm_suite: the suite of the request, unchanged.
        plaintext_data_key: 32 bytes.
        encrypted_data_key: the same key, wrapped.
        description: what is stored beside it: the whole encryption context including reserved pairs (KMS), or the
            material description (raw keys).
    """

    algorithm_suite: AlgorithmSuite
    plaintext_data_key: bytes = field(repr=False)
    encrypted_data_key: EncryptedDataKey
    description: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptionMaterialsRequest:
    """What a keyring is asked for on a read, after every check that metadata alone allows.

    Attributes:
        algorithm_suite: suite of the stored content.
        commitment_policy: the client's policy; part of every cache key.
        content_algorithm: the text that the wrapping binds, exactly as the object states it.
        encrypted_data_key: what to open.
        description: the stored encryption context (KMS) or material description (raw keys), verbatim.
        from_instruction_file: True if the encrypted data key lies in an instruction file. There alone, and with
            legacy wrapping algorithms enabled, a wrapping that binds AES-GCM may open AES-CBC content: the Java client
            writes it so when it wraps the data key of such content again.
    """

    algorithm_suite: AlgorithmSuite
    commitment_policy: CommitmentPolicy
    content_algorithm: str
    encrypted_data_key: EncryptedDataKey
    description: Mapping[str, str] = field(default_factory=dict)
    from_instruction_file: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DecryptionMaterials(Unpicklable):
    """What a keyring answers on a read.

    Attributes:
        plaintext_data_key: 16, 24 or 32 bytes as the suite allows.
    """

    plaintext_data_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyringCapabilities:
    """What the gate must know of a keyring before it may be asked.

    Attributes:
        wrapping_algorithms: what it can open; anything else is a wrong key type, refused from metadata alone.
        encrypts: False for keyrings that only decrypt.
        binds_encryption_context: True if the caller's encryption context is part of the wrapping (KMS).
        enable_legacy_wrapping_algorithms: the opt-in to wrappings that do not bind the content algorithm.
    """

    wrapping_algorithms: frozenset[WrappingAlgorithm]
    encrypts: bool = True
    binds_encryption_context: bool = False
    enable_legacy_wrapping_algorithms: bool = False


@runtime_checkable
class Keyring(Protocol):
    """Makes and opens data keys. Knows nothing of S3.

    `on_encrypt` raises `s3ec.errors.KeyringError`; `on_decrypt` raises `s3ec.errors.KeyringError` or its subclass
    `KeyUnwrapError`. Errors of a private-key operation must not depend on what came out of it.
    """

    @property
    def capabilities(self) -> KeyringCapabilities:
        """What the gate decides by, without any key operation."""
        ...

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Make a data key and wrap it."""
        ...

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Open the encrypted data key."""
        ...


@runtime_checkable
class MaterialsManager(Protocol):
    """Stands between the gates and the keyring: the place for caching, or for choosing among keyrings."""

    @property
    def capabilities(self) -> KeyringCapabilities:
        """What the gate decides by, without any key operation."""
        ...

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Materials for one object to be written."""
        ...

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Materials for one object to be read."""
        ...


def is_text_map(value: object) -> TypeGuard[Mapping[str, str]]:
    """True if a value maps text to text, all of which UTF-8 and hence KMS can carry."""
    return isinstance(value, Mapping) and all(_is_text(text) for pair in value.items() for text in pair)


def _is_text(value: object) -> bool:
    # Half a surrogate pair is a str that no encoding takes.
    return isinstance(value, str) and (
        value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    )
