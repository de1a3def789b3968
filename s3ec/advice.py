"""What to tell the reader of an old object: which settings it needs. Nothing here decides anything."""

from __future__ import annotations

from s3ec.algorithms import CommitmentPolicy
from s3ec.errors import KeyUnwrapError
from s3ec.formats import ContentMetadata
from s3ec.formats.metadata import MetadataLocation
from s3ec.materials import KeyringCapabilities

__all__ = ["needed_settings", "with_advice"]


def needed_settings(
    content_metadata: ContentMetadata,
    commitment_policy: CommitmentPolicy,
    enable_legacy_unauthenticated_modes: bool,
    keyring: KeyringCapabilities,
) -> str:
    """Name every setting that this object needs to be read, so that its reader need not find them one by one."""
    suite = content_metadata.algorithm_suite
    settings = []
    if suite.is_legacy and not enable_legacy_unauthenticated_modes:
        settings.append("enable_legacy_unauthenticated_modes=True")
    if not suite.commits and commitment_policy.requires_decrypt:
        settings.append("commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT")
    if (
        content_metadata.encrypted_data_key.wrapping_algorithm.is_legacy
        and not keyring.enable_legacy_wrapping_algorithms
    ):
        settings.append("enable_legacy_wrapping_algorithms=True on the keyring")
    return f"if it is an old object of your own, set {' and '.join(settings)}"


def with_advice(error: KeyUnwrapError, content_metadata: ContentMetadata) -> KeyUnwrapError:
    """Return the error of a data key that did not open without legacy wrappings, with the way out if there may be one.

    The Java client may have wrapped the data key again, binding AES-GCM and nothing of the content.
    """
    if (
        not content_metadata.algorithm_suite.is_legacy
        or content_metadata.location is not MetadataLocation.INSTRUCTION_FILE
        or content_metadata.encrypted_data_key.wrapping_algorithm.family == "kms"
    ):
        return error
    return KeyUnwrapError(
        f"{error}. If the Java client wrapped the data key of this AES-CBC object again, it bound the name of "
        "AES-GCM: such an instruction file is read with enable_legacy_wrapping_algorithms=True on the keyring"
    )
