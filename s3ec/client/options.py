"""The client's options: one frozen object behind every keyword that `EncryptionClient` and `Session` add to boto3's."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy
from s3ec.client.server_side.rules import ServerSideMode
from s3ec.errors import ConfigurationError
from s3ec.keyrings import DefaultMaterialsManager, KmsDiscoveryKeyring, KmsKeyring
from s3ec.materials import Keyring, MaterialsManager
from s3ec.s3.surroundings import ReadRules, WriteRules

__all__ = ["OPTION_NAMES", "Options"]

MiB = 1024 * 1024
_LONGEST_KEY_ID = 2048  # AWS KMS API reference, "KeyId"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that decides how a client encrypts and what it accepts.

    Attributes:
        keyring: makes and opens data keys; exactly one of it and ``materials_manager``.
        materials_manager: stands before a keyring, for instance to cache data keys.
        commitment_policy: which content is written and read with regard to key commitment.
        algorithm_suite: the suite that is written; None means the policy's own.
        enable_legacy_unauthenticated_modes: read CBC content (the keyring has its own opt-in to legacy wrapping).
        enable_delayed_authentication: release plaintext before its tag is verified.
        enable_unauthenticated_ranges: serve partial ranges that nothing verifies.
        verified_range_limit: bytes of ciphertext up to which a partial range makes the client authenticate the object.
        buffer_size: bytes that a verified read keeps in memory; above it ciphertext is spooled to disk.
        spool_directory: folder for spooled ciphertext; None means the system's temporary folder.
        unencrypted_objects: ``"refuse"`` or ``"allow"`` objects without content metadata on reads.
        presigned_uploads: ``"refuse"`` or ``"allow"`` presigned uploads, whose holder would store plaintext.
        instruction_file_writes: keep content metadata in an instruction file instead of the object's metadata.
        instruction_file_reads: look for an instruction file where the object has no content metadata.
        server_side_encryption: the server-side mode of every request that takes one and names none.
        bind_object: put the object's ARN into the encryption context, and require it on reads.

    Raises:
        ConfigurationError: an impossible combination, named in the text.
    """

    keyring: Keyring | None = None
    materials_manager: MaterialsManager | None = None
    commitment_policy: CommitmentPolicy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    algorithm_suite: AlgorithmSuite | None = None
    enable_legacy_unauthenticated_modes: bool = False
    enable_delayed_authentication: bool = False
    enable_unauthenticated_ranges: bool = False
    verified_range_limit: int = 1024 * MiB
    buffer_size: int = 64 * MiB
    spool_directory: str | None = None
    unencrypted_objects: Literal["refuse", "allow"] = "refuse"
    presigned_uploads: Literal["refuse", "allow"] = "refuse"
    instruction_file_writes: bool = False
    instruction_file_reads: bool = True
    server_side_encryption: ServerSideMode | None = None
    bind_object: bool = False

    def __post_init__(self) -> None:
        """Refuse what can never work."""
        if (self.keyring is None) == (self.materials_manager is None):
            given = "both are given" if self.keyring is not None else "neither is given"
            raise ConfigurationError(
                f"give exactly one of keyring= and materials_manager= by name; {given}, as in "
                'EncryptionClient(keyring=KmsKeyring("alias/my-key"))'
            )
        self._check_kinds()
        if self.spool_directory is not None:
            object.__setattr__(self, "spool_directory", os.fspath(self.spool_directory))
        self.commitment_policy.suite_for(self.algorithm_suite)
        if self.bind_object and not self.manager.capabilities.binds_encryption_context:
            raise ConfigurationError(
                "bind_object=True puts the object's ARN into the encryption context, which only KMS keyrings bind; "
                "raw keyrings have a material description instead"
            )

    def _check_kinds(self) -> None:
        kinds: tuple[tuple[str, type], ...] = (
            ("commitment_policy", CommitmentPolicy),
            ("enable_legacy_unauthenticated_modes", bool),
            ("enable_delayed_authentication", bool),
            ("enable_unauthenticated_ranges", bool),
            ("instruction_file_writes", bool),
            ("instruction_file_reads", bool),
            ("bind_object", bool),
        )
        for name, kind in kinds:
            if not isinstance(getattr(self, name), kind):
                value = getattr(self, name)
                hint = f": s3ec.CommitmentPolicy.{_policy_like(value)}" if kind is CommitmentPolicy else ""
                raise ConfigurationError(f"{name} must be a {kind.__name__}, not {type(value).__name__}{hint}")
        for name in ("buffer_size", "verified_range_limit"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ConfigurationError(f"{name} must be a number of bytes, not {value!r}")
        for name in ("unencrypted_objects", "presigned_uploads"):
            if getattr(self, name) not in ("refuse", "allow"):
                raise ConfigurationError(f'{name} must be "refuse" or "allow", not {getattr(self, name)!r}')
        if self.keyring is not None and not _is_object_of(self.keyring, Keyring):
            raise ConfigurationError(
                f"keyring is a {type(self.keyring).__name__}, and must be a keyring{_keyring_like(self.keyring)}"
            )
        if self.materials_manager is not None and not _is_object_of(self.materials_manager, MaterialsManager):
            raise ConfigurationError("materials_manager must follow s3ec's MaterialsManager protocol")

    @property
    def manager(self) -> MaterialsManager:
        """Return the materials manager, or the default one around the keyring."""
        if self.materials_manager is not None:
            return self.materials_manager
        assert self.keyring is not None  # noqa: S101 - narrows the type; exactly one is given
        return DefaultMaterialsManager(self.keyring)

    def reading(self) -> ReadRules:
        """Return what decides about reads."""
        return ReadRules(
            materials_manager=self.manager,
            commitment_policy=self.commitment_policy,
            enable_legacy_unauthenticated_modes=self.enable_legacy_unauthenticated_modes,
            enable_delayed_authentication=self.enable_delayed_authentication,
            enable_unauthenticated_ranges=self.enable_unauthenticated_ranges,
            verified_range_limit=self.verified_range_limit,
            unencrypted_objects=self.unencrypted_objects,
            instruction_file_reads=self.instruction_file_reads,
            bind_object=self.bind_object,
        )

    def writing(self) -> WriteRules:
        """Return what decides about writes."""
        return WriteRules(
            materials_manager=self.manager,
            commitment_policy=self.commitment_policy,
            algorithm_suite=self.algorithm_suite,
            instruction_file_writes=self.instruction_file_writes,
            bind_object=self.bind_object,
        )

    def for_client(self, **arguments: Any) -> Options:
        """Return these options, with a KMS keyring that reaches KMS as the client reaches S3, if it was not told how.

        Args:
            **arguments: ``session``, region and credentials that the client is made with.
        """
        if not isinstance(self.keyring, (KmsKeyring, KmsDiscoveryKeyring)):
            return self
        return dataclasses.replace(self, keyring=self.keyring.with_client_defaults(**arguments))

    def summary(self) -> str:
        """Describe the options for a repr: the keyring with its key, and the policy; never a secret."""
        given = self.keyring if self.keyring is not None else self.materials_manager
        # Those of ours show which key it is; what others show has not been reviewed.
        own = type(given).__module__.partition(".")[0] == "s3ec"
        return f"{repr(given) if own else type(given).__name__}, {self.commitment_policy.name}"

    @classmethod
    def split(
        cls, keywords: Mapping[str, Any], *, caller: str, others: frozenset[str] | None
    ) -> tuple[Options, dict[str, Any]]:
        """Split a mixed set of keywords into options and what is left for boto3.

        Args:
            keywords: by name.
            caller: for the error.
            others: all names that may be left; None leaves it to boto3 to refuse them.

        Raises:
            TypeError: a name is neither.
        """
        left = {name: value for name, value in keywords.items() if name not in OPTION_NAMES}
        for name in left:
            if others is not None and name not in others:
                close = difflib.get_close_matches(name, [*sorted(OPTION_NAMES), *sorted(others)], 1)
                hint = f"did you mean {close[0]}?" if close else f"help(s3ec.{caller}) lists what there is"
                raise TypeError(f"{caller}() got an unexpected option {name!r}: {hint}")
        return cls(**{name: value for name, value in keywords.items() if name in OPTION_NAMES}), left


OPTION_NAMES = frozenset(field.name for field in dataclasses.fields(Options))


def _is_object_of(value: object, protocol: type) -> bool:
    """True if an object follows a protocol; a class that was not called has its members too."""
    return isinstance(value, protocol) and not isinstance(value, type)


def _policy_like(value: object) -> str:
    """Return the policy that a text stands for."""
    names = list(CommitmentPolicy.__members__)
    return next(iter(difflib.get_close_matches(str(value).upper(), names, 1)), names[-1])


def _keyring_like(value: object) -> str:
    """Say how to make a keyring of what was given for one. It may be a key: nothing of bytes is shown."""
    if isinstance(value, str) and len(value) <= _LONGEST_KEY_ID and "KEY-----" not in value:
        return f": KmsKeyring({value!r})"
    if isinstance(value, (bytes, bytearray, str)):
        return ": AesKeyring(key), or RsaKeyring(private_key=…)"
    if isinstance(value, type):
        return f": make one, as in {value.__name__}(…)"
    return ": KmsKeyring, AesKeyring, RsaKeyring, or an object that follows s3ec's Keyring protocol"
