"""One object's encryption, begun and checked: what to store, how to encrypt, and how a reader will decrypt.

The reader's cipher is not the writer's: it is made by the gate of every read from the metadata as it will be stored.
Only the data key is taken from memory instead of from KMS, so that the check costs no request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3ec import decryption, encryption, formats
from s3ec.algorithms import (
    COMMITMENT_LENGTH,
    CONTEXT_CONTENT_ALGORITHM,
    MESSAGE_ID_LENGTH,
    CommitmentPolicy,
    FormatVersion,
    WrappingAlgorithm,
)
from s3ec.crypto.content import ContentCipher
from s3ec.errors import KeyringError
from s3ec.formats import ContentMetadata
from s3ec.formats.metadata import OBJECT_ARN_PAIR, RESERVED_CONTEXT_NAMES
from s3ec.materials import (
    STORED_CONTEXT,
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptedDataKey,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    KeyringCapabilities,
    MaterialsManager,
)
from s3ec.migrate.model import SkipReason
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.steps.source import Source
from s3ec.migrate.work.ending import TaskEndedError
from s3ec.s3.names import object_arn
from s3ec.s3.requests import USER_METADATA_LIMIT, metadata_size
from s3ec.secrets import Secret

__all__ = ["KeyInHand", "Sealing", "begin", "check_room", "context_for", "layout"]

_POLICY = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
_USUAL_KEY_LENGTH = 184


class KeyInHand:
    """Remembers the data key that it was last asked to make, and opens that one only."""

    __slots__ = ("_manager", "_materials")

    def __init__(self, manager: MaterialsManager) -> None:
        """Take the manager that makes data keys."""
        self._manager = manager
        self._materials: Secret[EncryptionMaterials] | None = None

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Return the capabilities of the manager."""
        return self._manager.capabilities

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Ask, and remember the answer."""
        self._materials = Secret(self._manager.get_encryption_materials(request))
        return self._materials.reveal()

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Open the remembered data key, where wrapped key and description are exactly those that were made with it."""
        made = self._materials
        if (
            made is None
            or request.encrypted_data_key != made.reveal().encrypted_data_key
            or dict(request.description) != dict(made.reveal().description)
        ):
            raise KeyringError("the content metadata as rendered does not hold the data key that was made for it")
        return DecryptionMaterials(plaintext_data_key=made.reveal().plaintext_data_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """How one plaintext is encrypted, and how it is to be read.

    Attributes:
        content_metadata: what is stored.
        cipher: encrypts.
        reader: decrypts; made from the rendered metadata by the gate of every read.
        metadata: user metadata of the object, the caller's own included.
        instruction_body: content of the instruction file, or None where there is none.
    """

    content_metadata: ContentMetadata
    cipher: ContentCipher
    reader: ContentCipher
    metadata: Mapping[str, str]
    instruction_body: bytes | None = None


def begin(
    manager: MaterialsManager, encryption_context: Mapping[str, str] | None, own: Mapping[str, str], instruction: str
) -> Sealing:
    """Get a data key for one object and lay out what is stored.

    Args:
        manager: makes the data key.
        encryption_context: bound to it, or None.
        own: the caller's own user metadata.
        instruction: ``"never"``, ``"when-needed"`` or ``"always"``.

    Raises:
        TaskEndedError: the metadata does not fit.
        s3ec.errors.S3ECError: the keyring failed.
    """
    in_hand = KeyInHand(manager)
    content_metadata, cipher = encryption.begin(
        materials_manager=in_hand,
        commitment_policy=_POLICY,
        algorithm_suite=None,
        encryption_context=encryption_context,
    )
    metadata, body = layout(content_metadata, own, instruction)
    stored = formats.parse_object(metadata) if body is None else formats.parse_instruction_file(body, metadata)
    reader = decryption.check(
        stored,
        materials_manager=in_hand,
        commitment_policy=_POLICY,
        enable_legacy_unauthenticated_modes=False,
        encryption_context=STORED_CONTEXT,
    ).open()
    return Sealing(
        content_metadata=content_metadata, cipher=cipher, reader=reader, metadata=metadata, instruction_body=body
    )


def layout(
    content_metadata: ContentMetadata, own: Mapping[str, str], instruction: str
) -> tuple[dict[str, str], bytes | None]:
    """Metadata of the object and body of its instruction file, by what fits and what is allowed.

    Raises:
        TaskEndedError: it fits nowhere.
    """
    in_object = {**own, **formats.render_object(content_metadata)}
    if instruction != "always" and metadata_size(in_object) <= USER_METADATA_LIMIT:
        return in_object, None
    if instruction != "never":
        rendered, body = formats.render_instruction_file(content_metadata)
        beside = {**own, **rendered}
        if metadata_size(beside) <= USER_METADATA_LIMIT:
            return beside, body
    raise TaskEndedError.skip(
        SkipReason.METADATA_TOO_LARGE,
        f"its metadata has {metadata_size(own)} bytes, with the content metadata {metadata_size(in_object)}; "
        f"S3 takes {USER_METADATA_LIMIT}. {SkipReason.METADATA_TOO_LARGE.advice.capitalize()}",
    )


def check_room(own: Mapping[str, str], encryption_context: Mapping[str, str] | None, instruction: str) -> bool:
    """Refuse in a dry run what `layout` would refuse, and tell whether it would make an instruction file.

    The encrypted data key is taken to be as long as KMS makes it.

    Raises:
        TaskEndedError: it would fit nowhere.
    """
    suite = _POLICY.default_suite
    _, body = layout(
        ContentMetadata(
            format=FormatVersion.V3,
            algorithm_suite=suite,
            content_algorithm=suite.content_algorithm,
            encrypted_data_key=EncryptedDataKey(bytes(_USUAL_KEY_LENGTH), WrappingAlgorithm.KMS_CONTEXT),
            description={**(encryption_context or {}), CONTEXT_CONTENT_ALGORITHM: suite.content_algorithm},
            message_id=bytes(MESSAGE_ID_LENGTH),
            commitment=bytes(COMMITMENT_LENGTH),
        ),
        own,
        instruction,
    )
    return body is not None


def context_for(settings: MigrationSettings, source: Source) -> dict[str, str] | None:
    """Return the encryption context to write: the one asked for, else the stored one, bound to its new place."""
    if not settings.keyring.is_kms:
        return None
    stored = source.content_metadata
    kept: dict[str, str] = {}
    if stored is not None and stored.encrypted_data_key.wrapping_algorithm.family == "kms":
        kept = {name: value for name, value in stored.description.items() if name not in RESERVED_CONTEXT_NAMES}
    was_bound = kept.pop(OBJECT_ARN_PAIR, None) is not None
    chosen = dict(kept if settings.encryption_context is None else settings.encryption_context)
    if settings.bind_object or was_bound:
        chosen[OBJECT_ARN_PAIR] = object_arn(*settings.target(source.task.key))
    return chosen
