"""The gate of every write: from the client's options to content metadata and a cipher.

A request that readers would refuse, or could never open, is refused before the keyring is asked; and what a keyring
answers is checked before a byte is encrypted under it.
Source: S3 Encryption Client specification, encryption.md, key-commitment.md and materials/s3-kms-keyring.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3ec.algorithms import (
    CONTEXT_CONTENT_ALGORITHM,
    DATA_KEY_LENGTH,
    AlgorithmSuite,
    CommitmentPolicy,
    WrappingAlgorithm,
)
from s3ec.contexts import written_context_fault
from s3ec.crypto import random
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.derivation import COMMITTING_AAD, COMMITTING_IV, Derivation
from s3ec.errors import ConfigurationError, KeyringError
from s3ec.formats import ContentMetadata
from s3ec.materials import (
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    KeyringCapabilities,
    MaterialsManager,
    is_text_map,
)
from s3ec.secrets import Secret

__all__ = ["begin", "finish", "prepare"]


def begin(
    *,
    materials_manager: MaterialsManager,
    commitment_policy: CommitmentPolicy,
    algorithm_suite: AlgorithmSuite | None,
    encryption_context: Mapping[str, str] | None,
    plaintext_length: int | None = None,
) -> tuple[ContentMetadata, ContentCipher]:
    """Get a fresh data key for one object, where one may wait for it: `prepare`, ask, `finish`.

    Args:
        materials_manager: makes and wraps the data key; asked once, after every check.
        commitment_policy: as in `prepare`.
        algorithm_suite: as in `prepare`.
        encryption_context: as in `prepare`.
        plaintext_length: as in `prepare`.

    Returns:
        What to store beside the content, and the cipher for exactly one plaintext.

    Raises:
        ConfigurationError: the request can never work; raised before the keyring is asked.
        KeyringError: the keyring failed, or its answer is not what was asked for.
    """
    request = prepare(
        materials_manager.capabilities,
        commitment_policy=commitment_policy,
        algorithm_suite=algorithm_suite,
        encryption_context=encryption_context,
        plaintext_length=plaintext_length,
    )
    return finish(request, materials_manager.get_encryption_materials(request))


def prepare(
    capabilities: KeyringCapabilities,
    *,
    commitment_policy: CommitmentPolicy,
    algorithm_suite: AlgorithmSuite | None,
    encryption_context: Mapping[str, str] | None,
    plaintext_length: int | None = None,
) -> EncryptionMaterialsRequest:
    """Refuse what can never work, and return what a materials manager is to be asked for.

    Args:
        capabilities: the materials manager's.
        commitment_policy: the client's policy.
        algorithm_suite: the client's choice, or None for the policy's own suite.
        encryption_context: the caller's pairs without reserved ones, in the caller's order, or None.
        plaintext_length: bytes of the content where they are known; data-key caches count them.

    Raises:
        ConfigurationError: the request can never work.
    """
    suite = commitment_policy.suite_for(algorithm_suite)
    context = encryption_context or {}
    if not capabilities.encrypts:
        raise ConfigurationError("this keyring only decrypts; give the client one that holds a key to encrypt with")
    if fault := written_context_fault(context, capabilities):
        raise ConfigurationError(fault)
    return EncryptionMaterialsRequest(
        algorithm_suite=suite,
        commitment_policy=commitment_policy,
        content_algorithm=suite.content_algorithm,
        encryption_context=dict(context),
        plaintext_length=plaintext_length,
    )


def finish(
    request: EncryptionMaterialsRequest, materials: EncryptionMaterials
) -> tuple[ContentMetadata, ContentCipher]:
    """Check what a materials manager answered, before a byte is encrypted under it.

    Args:
        request: as `prepare` gave it.
        materials: the answer to it.

    Returns:
        What to store beside the content, and the cipher for exactly one plaintext.

    Raises:
        KeyringError: the answer is not what was asked for.
    """
    answer = Secret(materials)
    del materials
    if fault := _fault(answer.reveal(), request):
        raise KeyringError(f"the keyring's answer cannot be used: {fault}; nothing was stored")
    return _committing(answer.reveal()) if request.algorithm_suite.commits else _plain_gcm(answer.reveal())


def _fault(materials: EncryptionMaterials, request: EncryptionMaterialsRequest) -> str | None:
    """Describe how a keyring's answer breaks the request: a custom keyring's mistake must not reach the bucket."""
    key: object = materials.plaintext_data_key
    wrapped = materials.encrypted_data_key
    if materials.algorithm_suite is not request.algorithm_suite:
        return "it is for another algorithm suite"
    if not isinstance(key, bytes) or len(key) != DATA_KEY_LENGTH:
        return f"the data key is not {DATA_KEY_LENGTH} bytes long"
    if not wrapped.ciphertext:
        return "the encrypted data key is empty"
    if key in wrapped.ciphertext:
        return "the encrypted data key holds the plaintext one"
    if wrapped.wrapping_algorithm.is_legacy:
        return f"the wrapping {wrapped.wrapping_algorithm.label} is only for reading"
    return _description_fault(materials, request)


def _description_fault(materials: EncryptionMaterials, request: EncryptionMaterialsRequest) -> str | None:
    expected = dict(request.encryption_context)
    if materials.encrypted_data_key.wrapping_algorithm is WrappingAlgorithm.KMS_CONTEXT:
        expected[CONTEXT_CONTENT_ALGORITHM] = request.content_algorithm
    if not is_text_map(materials.description):
        return "its description does not map text to text"
    if not expected.items() <= materials.description.items():
        return "its description does not hold the encryption context that was asked for"
    return None


def _committing(materials: EncryptionMaterials) -> tuple[ContentMetadata, ContentCipher]:
    message_id = random.message_id()
    derived = Derivation(Secret(materials.plaintext_data_key), message_id)
    content_metadata = ContentMetadata.of(materials, message_id=message_id, commitment=derived.commitment())
    content_key = derived.content_key()
    return content_metadata, ContentCipher(materials.algorithm_suite, content_key, COMMITTING_IV, COMMITTING_AAD)


def _plain_gcm(materials: EncryptionMaterials) -> tuple[ContentMetadata, ContentCipher]:
    iv = random.iv()
    cipher = ContentCipher(materials.algorithm_suite, Secret(materials.plaintext_data_key), iv)
    return ContentMetadata.of(materials, iv=iv), cipher
