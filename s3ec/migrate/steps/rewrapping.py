"""The data key of an object under another wrapping key or context; its content is neither read nor changed.

Between two KMS keys of one Region the data key never leaves KMS (``ReEncrypt``). Where a raw key is on either side, or
the keys are in two Regions, it is opened and wrapped here, and the new wrapping is opened again before anything is
written. V3 allows this because its commitment binds the data key, not the wrapping.
Source: AWS KMS API reference, ReEncrypt and Encrypt; S3 Encryption Client specification, materials/*.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from s3ec import decryption
from s3ec.algorithms import CONTEXT_CONTENT_ALGORITHM, CommitmentPolicy, WrappingAlgorithm
from s3ec.crypto import derivation, rsa_keys, wrapping
from s3ec.crypto.legacy.wrapping import WITHOUT_INTEGRITY
from s3ec.errors import KeyringError, KeyUnwrapError
from s3ec.formats import ContentMetadata
from s3ec.keyrings import DefaultMaterialsManager
from s3ec.keyrings.arn import parse_arn
from s3ec.keyrings.kms_answers import check_key, forget_answers
from s3ec.materials import (
    STORED_CONTEXT,
    EncryptedDataKey,
    Keyring,
    MaterialsManager,
)
from s3ec.migrate.model import SkipReason
from s3ec.migrate.settings import KeyringSpec, MigrationSettings
from s3ec.migrate.steps.sealing import context_for
from s3ec.migrate.steps.source import Source
from s3ec.migrate.work.context import MigrationContext
from s3ec.migrate.work.ending import TaskEndedError, code_of
from s3ec.secrets import Secret

__all__ = ["opens_without_integrity", "rewrapped"]

_POLICY = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
_NAMED_KEYS = (("KeyId", "KeyId"), ("KeyId", "DestinationKeyId"), ("SourceKeyId", "SourceKeyId"))
"""Members of an answer that name a key, and of the request that it answers."""
_OTHER_KEY = frozenset({"IncorrectKeyException", "AccessDeniedException"})


def rewrapped(source: Source, context: MigrationContext) -> ContentMetadata | None:
    """The content metadata with its data key wrapped as the settings want it, or None where it is so already.

    Raises:
        TaskEndedError: the object is not encrypted, or its content is not authenticated.
        s3ec.errors.S3ECError: the data key does not open, or cannot be wrapped.
    """
    stored = source.content_metadata
    if stored is None:
        raise TaskEndedError.skip(SkipReason.NOT_ENCRYPTED)
    if stored.algorithm_suite.is_legacy:
        raise TaskEndedError.skip(SkipReason.NEEDS_UPGRADE)
    settings = context.settings
    description = _description(source, stored, settings)
    from_kms = stored.encrypted_data_key.wrapping_algorithm.family == "kms"
    pinned = _pinned(context)
    if from_kms and settings.keyring.is_kms and not pinned.is_elsewhere:
        return _by_kms(stored, description, pinned.key_id, context)
    if _opens(context.keyring, stored) and dict(stored.description) == description:
        return None
    data_key = _data_key(stored, context.read_manager)
    new = replace(
        stored, encrypted_data_key=_wrap(data_key, stored, description, context), description=dict(description)
    )
    _prove(new, data_key, context)
    return new


def opens_without_integrity(source: Source) -> bool:
    """Whether a data key is to be wrapped again that only its content proves: its own wrapping has a padding alone."""
    stored = source.content_metadata
    return (
        stored is not None
        and not stored.algorithm_suite.is_legacy
        and stored.encrypted_data_key.wrapping_algorithm in WITHOUT_INTEGRITY
    )


def _description(source: Source, stored: ContentMetadata, settings: MigrationSettings) -> dict[str, str]:
    pairs = context_for(settings, source)
    if pairs is None:
        return dict(settings.keyring.material_description)
    return {**pairs, CONTEXT_CONTENT_ALGORITHM: stored.content_algorithm}


def _checked(stored: ContentMetadata, manager: MaterialsManager) -> decryption.Checked:
    return decryption.check(
        stored,
        materials_manager=manager,
        commitment_policy=_POLICY,
        enable_legacy_unauthenticated_modes=False,
        encryption_context=STORED_CONTEXT,
    )


def _data_key(stored: ContentMetadata, manager: MaterialsManager) -> Secret[bytes]:
    checked = _checked(stored, manager)
    return checked.data_key(checked.ask().reveal())


class _Pinned(NamedTuple):
    """The key that opens what is read, as the Region of the new key knows it.

    Attributes:
        key_id: the key, or None where any may.
        is_elsewhere: True if it is not in that Region; ``ReEncrypt`` works within one.
    """

    key_id: str | None
    is_elsewhere: bool = False


def _pinned(context: MigrationContext) -> _Pinned:
    settings = context.settings
    key_id = settings.source_keyring.key_id if settings.source_keyring else None
    arn = parse_arn(key_id) if key_id and settings.keyring.is_kms else None
    if key_id is None or arn is None:
        return _Pinned(key_id)
    region = context.kms_client(settings.keyring).meta.region_name
    if arn.region == region:
        return _Pinned(key_id)
    if ":key/mrk-" in key_id:
        # Of a multi-Region key all replicas have this id, in this account, and the same key material.
        # Source: AWS KMS developer guide, "Multi-Region keys".
        return _Pinned(key_id.replace(f":{arn.region}:", f":{region}:", 1))
    return _Pinned(key_id, is_elsewhere=True)


def _by_kms(
    stored: ContentMetadata, description: dict[str, str], pinned: str | None, context: MigrationContext
) -> ContentMetadata | None:
    # Between KMS keys no data key is seen here; what metadata alone refuses is refused all the same.
    _checked(stored, context.read_manager)
    settings = context.settings
    same_description = (
        dict(stored.description) == description
        and stored.encrypted_data_key.wrapping_algorithm is WrappingAlgorithm.KMS_CONTEXT
    )
    # A key that is pinned as the source's cannot open what is done already; the destination's can.
    if pinned and same_description and _opens(context.keyring, stored):
        return None
    parameters: dict[str, Any] = {
        "CiphertextBlob": stored.encrypted_data_key.ciphertext,
        "SourceEncryptionContext": dict(stored.description),
        "DestinationKeyId": settings.keyring.key_id,
        "DestinationEncryptionContext": description,
    }
    if pinned:
        parameters["SourceKeyId"] = pinned
    answer = _ask(context, "re_encrypt", **parameters)
    if same_description and answer.get("SourceKeyId") == answer.get("KeyId"):
        return None
    return replace(
        stored,
        encrypted_data_key=EncryptedDataKey(answer["CiphertextBlob"], WrappingAlgorithm.KMS_CONTEXT),
        description=description,
    )


def _ask(
    context: MigrationContext, operation: str, *, plaintext: Secret[bytes] | None = None, **parameters: Any
) -> dict[str, Any]:
    context.meter.before_call()
    client = context.kms_client(context.settings.keyring)
    try:
        answer: dict[str, Any] = getattr(client, operation)(
            **parameters, **({} if plaintext is None else {"Plaintext": plaintext.reveal()})
        )
    except ClientError as error:
        # The frames of botocore have the request among their variables, and with it the data key.
        forget_answers(error)
        key = parameters.get("DestinationKeyId") or parameters.get("KeyId")
        message = f"AWS KMS does not wrap the data key under {key}: {error}"
        if code_of(error) in _OTHER_KEY or code_of(error) == "InvalidCiphertextException":
            raise KeyUnwrapError(message) from error
        raise KeyringError(message) from error
    if not isinstance(answer.get("CiphertextBlob"), bytes) or not answer["CiphertextBlob"]:
        raise KeyringError(f"KMS answered {operation} without an encrypted data key")
    for name, asked in _NAMED_KEYS:
        if asked in parameters:
            check_key(answer, operation, parameters[asked], name)
    return answer


def _opens(keyring: Keyring, stored: ContentMetadata) -> bool:
    """True if the destination's key opens the data key already."""
    algorithm = stored.encrypted_data_key.wrapping_algorithm
    if algorithm.is_legacy or algorithm not in keyring.capabilities.wrapping_algorithms:
        return False
    checked = _checked(stored, DefaultMaterialsManager(keyring))
    try:
        checked.data_key(checked.ask().reveal())
    except KeyUnwrapError:
        return False
    except KeyringError as error:
        # Of a key that one may not use, KMS does not say whether it fits.
        if isinstance(error.__cause__, ClientError) and code_of(error.__cause__) in _OTHER_KEY:
            return False
        raise
    return True


def _wrap(
    data_key: Secret[bytes], stored: ContentMetadata, description: dict[str, str], context: MigrationContext
) -> EncryptedDataKey:
    spec: KeyringSpec = context.settings.keyring
    if spec.is_kms:
        answer = _ask(context, "encrypt", plaintext=data_key, KeyId=spec.key_id, EncryptionContext=description)
        return EncryptedDataKey(answer["CiphertextBlob"], WrappingAlgorithm.KMS_CONTEXT)
    if spec.kind == "aes-file":
        ciphertext = wrapping.wrap_with_aes(Secret(spec.read_key()), data_key, stored.content_algorithm)
        return EncryptedDataKey(ciphertext, WrappingAlgorithm.AES_GCM)
    public_key = (
        rsa_keys.public_key(spec.read_key())
        if spec.public_key_path
        else rsa_keys.private_key(spec.read_key()).public_key()
    )
    ciphertext = wrapping.wrap_with_rsa(public_key, data_key, stored.content_algorithm)
    return EncryptedDataKey(ciphertext, WrappingAlgorithm.RSA_OAEP_SHA1)


def _prove(new: ContentMetadata, data_key: Secret[bytes], context: MigrationContext) -> None:
    """Open the new wrapping before the old one is overwritten, wherever this worker can."""
    if context.settings.keyring.kind == "rsa-file" and not context.settings.keyring.private_key_path:
        return
    opened = _data_key(new, DefaultMaterialsManager(context.keyring))
    if not derivation.equal(opened.reveal(), data_key.reveal()):
        raise KeyringError("the new wrapping opens to another data key; nothing was written")
