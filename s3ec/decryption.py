"""The gate of every read: from an object's content metadata to a cipher, or to the reason why not.

All that metadata can decide is decided in `check`, before any keyring is asked: a refusal costs no KMS call, and says
nothing about what a private key would have made of an encrypted data key.
Source: S3 Encryption Client specification, decryption.md, key-commitment.md and materials/s3-kms-keyring.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from s3ec.advice import needed_settings, with_advice
from s3ec.algorithms import CommitmentPolicy
from s3ec.contexts import context_difference, context_fault
from s3ec.crypto import derivation
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.derivation import Derivation
from s3ec.crypto.legacy.content import not_committing
from s3ec.crypto.legacy.wrapping import WITHOUT_INTEGRITY
from s3ec.errors import (
    CommitmentMismatchError,
    CommitmentPolicyError,
    ConfigurationError,
    ConflictingMetadataError,
    EncryptionContextMismatchError,
    KeyringError,
    KeyUnwrapError,
    LegacyAlgorithmError,
    MalformedMetadataError,
)
from s3ec.formats import ContentMetadata
from s3ec.formats.contradictions import contradiction_in
from s3ec.formats.lengths import length_fault
from s3ec.materials import DecryptionMaterials, DecryptionMaterialsRequest, MaterialsManager, StoredContext
from s3ec.secrets import Secret

__all__ = ["Checked", "check"]


@dataclass(frozen=True, slots=True)
class Checked:
    """An object that has passed `check`, which alone makes one: nothing asks for a data key in another way.

    It is a request and what becomes of its answer. Whoever makes the request (`ask` does, where one may wait for it)
    gives the answer to `cipher` or `data_key`, and a refusal to `pass_on`.

    Attributes:
        content_metadata: what the object says about itself.
        materials_manager: opens the encrypted data key.
    """

    content_metadata: ContentMetadata
    materials_manager: MaterialsManager
    _commitment_policy: CommitmentPolicy

    @property
    def request(self) -> DecryptionMaterialsRequest:
        """What the materials manager is asked for."""
        return self.content_metadata.request(self._commitment_policy)

    def ask(self) -> Secret[DecryptionMaterials]:
        """Make the request, here and now.

        Raises:
            KeyringError: as the materials manager raises it.
        """
        return Secret(self.materials_manager.decrypt_materials(self.request))

    def open(self) -> ContentCipher:
        """Ask, and return the cipher of the content.

        Raises:
            KeyringError, CommitmentMismatchError: as `cipher` and `pass_on`.
        """
        materials: Secret[DecryptionMaterials] | None = None
        try:
            materials = self.ask()
        except KeyUnwrapError as error:
            self.pass_on(error)
        return self.cipher(None if materials is None else materials.reveal())

    def cipher(self, materials: DecryptionMaterials | None) -> ContentCipher:
        """Return the cipher of the content.

        Args:
            materials: what the materials manager answered to `request`; None for a data key that did not open, where
                `pass_on` did not tell so.

        Raises:
            KeyringError: the answer has no data key of the suite's length.
            CommitmentMismatchError: the data key is not the one that the object commits to.
        """
        answer = None if materials is None else Secret(materials)
        del materials
        opened = None if answer is None else self._data_key(answer)
        found = self.content_metadata
        if found.algorithm_suite.commits:
            return _committing_cipher(found, opened)
        return not_committing(
            found.algorithm_suite, opened, found.encrypted_data_key, found.iv or b"", padded=not found.unpadded
        )

    def pass_on(self, error: KeyUnwrapError) -> None:
        """Raise what the materials manager raised in answer to `request`, unless nobody may be told.

        A data key without integrity that does not open is not an error here: the cipher's content does not decrypt,
        just as it would not under a wrong data key. Its cipher is to be made after the error was handled, so that no
        error of the content leads to it.

        Args:
            error: as it was raised.

        Raises:
            KeyUnwrapError: it, with advice where there is some.
        """
        if self.content_metadata.encrypted_data_key.wrapping_algorithm not in WITHOUT_INTEGRITY:
            allowed = self.materials_manager.capabilities.enable_legacy_wrapping_algorithms
            raise (error if allowed else with_advice(error, self.content_metadata)) from error.__cause__

    def data_key(self, materials: DecryptionMaterials) -> Secret[bytes]:
        """Return the data key, to be wrapped again; the commitment, if there is one, is checked.

        Args:
            materials: what the materials manager answered to `request`.

        Raises:
            KeyringError, CommitmentMismatchError: as `cipher`.
        """
        answer = Secret(materials)
        del materials
        data_key = self._data_key(answer)
        if self.content_metadata.algorithm_suite.commits:
            _check_commitment(self.content_metadata, data_key)
        return data_key

    def _data_key(self, answer: Secret[DecryptionMaterials]) -> Secret[bytes]:
        suite = self.content_metadata.algorithm_suite
        data_key: Secret[object] = Secret(answer.reveal().plaintext_data_key)
        if not isinstance(data_key.reveal(), bytes) or len(data_key) not in suite.key_lengths:
            lengths = " or ".join(map(str, suite.key_lengths))
            raise KeyringError(f"the keyring answered without a data key of {lengths} bytes, as {suite.name} needs it")
        return cast("Secret[bytes]", data_key)


def check(
    content_metadata: ContentMetadata,
    *,
    materials_manager: MaterialsManager,
    commitment_policy: CommitmentPolicy,
    enable_legacy_unauthenticated_modes: bool,
    encryption_context: Mapping[str, str] | StoredContext | None,
    bound_context: Mapping[str, str] | None = None,
    object_arn: str | None = None,
) -> Checked:
    """Refuse what metadata alone is enough to refuse; no key is touched.

    Args:
        content_metadata: what the object says about itself.
        materials_manager: opens the encrypted data key; asked once, after every check.
        commitment_policy: the client's policy.
        enable_legacy_unauthenticated_modes: the opt-in to AES-CBC.
        encryption_context: the caller's pairs without reserved ones, `STORED_CONTEXT`, or None.
        bound_context: pairs that must be stored and that the caller need not repeat.
        object_arn: ARN of the place that the object was read from; a context that the caller did not state may not
            name another one. Empty if the place is not known, None if it is checked elsewhere.

    Returns:
        What can be opened.

    Raises:
        LegacyAlgorithmError: legacy content or wrapping without its opt-in.
        CommitmentPolicyError: the content does not commit, under a policy that requires it.
        MalformedMetadataError: a value has a wrong length, or was never initialised.
        KeyringError: this keyring cannot open such a wrapping.
        ConflictingMetadataError: the metadata contradicts itself, as a downgraded object's does.
        ConfigurationError: an encryption context was given, but the keyring binds none.
        EncryptionContextMismatchError: the encryption context is not the stored one.
    """
    suite = content_metadata.algorithm_suite
    algorithm = content_metadata.encrypted_data_key.wrapping_algorithm
    keyring = materials_manager.capabilities
    needed = needed_settings(content_metadata, commitment_policy, enable_legacy_unauthenticated_modes, keyring)

    if suite.is_legacy and not enable_legacy_unauthenticated_modes:
        raise LegacyAlgorithmError(
            f"the content is {content_metadata.content_algorithm}, which nothing authenticates; {needed}",
            "enable_legacy_unauthenticated_modes",
        )
    if commitment_policy.requires_decrypt and not suite.commits:
        raise CommitmentPolicyError(
            f"the object ({content_metadata.format.value}, {content_metadata.content_algorithm}) does not commit to "
            f"its data key, and {commitment_policy.name} reads only objects that do; {needed}",
            "commitment_policy",
        )
    if fault := length_fault(content_metadata):
        raise MalformedMetadataError(fault)
    if algorithm.is_legacy and not keyring.enable_legacy_wrapping_algorithms:
        raise LegacyAlgorithmError(
            f"the data key is wrapped with {algorithm.label}, which does not bind the content algorithm; {needed}",
            "enable_legacy_wrapping_algorithms",
        )
    if algorithm not in keyring.wrapping_algorithms:
        raise KeyringError(
            f"the data key is wrapped with {algorithm.label}, which this keyring cannot open; it needs one of the "
            f"{algorithm.family.upper()} kind"
        )
    if contradiction := contradiction_in(content_metadata):
        raise ConflictingMetadataError(f"{contradiction}: treat the object as forged")
    if fault := context_fault(encryption_context, keyring):
        raise ConfigurationError(fault)
    if difference := context_difference(content_metadata, encryption_context, bound_context or {}, object_arn):
        raise EncryptionContextMismatchError(difference)
    return Checked(content_metadata, materials_manager, commitment_policy)


def _committing_cipher(content_metadata: ContentMetadata, data_key: Secret[bytes] | None) -> ContentCipher:
    """Compare the commitment before the content key exists: a swapped data key never meets the content."""
    derived = _check_commitment(content_metadata, data_key)
    return ContentCipher(
        content_metadata.algorithm_suite,
        derived.content_key(),
        derivation.COMMITTING_IV,
        derivation.COMMITTING_AAD,
    )


def _check_commitment(content_metadata: ContentMetadata, data_key: Secret[bytes] | None) -> Derivation:
    derived = None if data_key is None else Derivation(data_key, content_metadata.message_id or b"")
    if derived is None or not derivation.equal(derived.commitment(), content_metadata.commitment or b""):
        raise CommitmentMismatchError(
            "the data key is not the one that the object commits to: the encrypted data key was exchanged, or the "
            "object's metadata altered"
        )
    return derived
