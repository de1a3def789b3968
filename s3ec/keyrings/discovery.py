"""The keyring that opens data keys of any AWS KMS key its credentials may use."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from s3ec.errors import ConfigurationError, KeyringError
from s3ec.keyrings.arn import parse_arn
from s3ec.keyrings.checks import check_request
from s3ec.keyrings.kms import KmsBase
from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
)

__all__ = ["KmsDiscoveryKeyring"]


class KmsDiscoveryKeyring(KmsBase):
    """Opens data keys made by any AWS KMS key that the credentials may use. Never writes.

    Which key that is, KMS reads from the encrypted data key; nothing shows it beforehand. Anyone who can write to the
    bucket may thus choose the key, so say whose keys are trusted: with `accounts` or `regions`, the key that KMS names
    in its answer must be among them, or the data key is thrown away. An object that names a foreign key in its own
    context (``kms_cmk_id``, old clients) is refused before KMS is asked.

    Args:
        client: a boto3 KMS client.
        accounts: twelve-digit account IDs whose keys are accepted, or None for all.
        regions: regions whose keys are accepted, or None for all.
        grant_tokens: tokens to send with every call.
        enable_legacy_wrapping_algorithms: also open data keys wrapped by ``kms``, which binds no content algorithm.
        **client_arguments: as for `KmsKeyring`.

    Raises:
        ConfigurationError: an empty list, which would accept no key, or what `KmsKeyring` raises it for.
        TypeError: an argument that ``boto3.Session.client`` does not take.
    """

    __slots__ = ("_accounts", "_regions")

    def __init__(
        self,
        *,
        client: Any = None,
        accounts: Collection[str] | None = None,
        regions: Collection[str] | None = None,
        grant_tokens: Iterable[str] = (),
        enable_legacy_wrapping_algorithms: bool = False,
        **client_arguments: Any,
    ) -> None:
        self._accounts = _names("accounts", accounts)
        self._regions = _names("regions", regions)
        super().__init__(
            client,
            grant_tokens,
            client_arguments,
            encrypts=False,
            enable_legacy_wrapping_algorithms=enable_legacy_wrapping_algorithms,
        )

    def __repr__(self) -> str:
        accounts, regions = (sorted(names) if names else None for names in (self._accounts, self._regions))
        return f"KmsDiscoveryKeyring(accounts={accounts}, regions={regions})"

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Never writes: raises `KeyringError`."""
        raise KeyringError("KmsDiscoveryKeyring only decrypts; to write, use KmsKeyring with the key to write under")

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Let KMS open the data key (Decrypt) with whichever key made it, if that one is accepted.

        Raises:
            KeyUnwrapError: it was made with another context, or was altered.
            KeyringError: the key is not accepted, or KMS refuses, cannot be reached or answers without a usable key.
        """
        check_request(request, self._capabilities)
        stored_key = request.description.get("kms_cmk_id", "")
        if stored_key.startswith("arn:"):
            self._accept(stored_key)
        materials, key_id = self.decrypt_data_key(request)
        self._accept(key_id)
        return materials.reveal()

    def _accept(self, key: str) -> None:
        if self._accounts is None and self._regions is None:
            return
        arn = parse_arn(key)
        if (
            arn is None
            or (self._accounts is not None and arn.account not in self._accounts)
            or (self._regions is not None and arn.region not in self._regions)
        ):
            raise KeyringError(
                f"the data key was made by {key!a}, which is not in the accounts and regions accepted here"
            )

    def _settings(self) -> dict[str, Any]:
        return {"accounts": self._accounts, "regions": self._regions, **super()._settings()}


def _names(parameter: str, names: Collection[str] | None) -> frozenset[str] | None:
    if names is None:
        return None
    if isinstance(names, str) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{parameter} takes a non-empty collection of str, or None for all")
    return frozenset(names)
