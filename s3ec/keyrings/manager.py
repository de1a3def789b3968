"""The materials manager that asks its keyring each time."""

from __future__ import annotations

from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    Keyring,
    KeyringCapabilities,
)

__all__ = ["DefaultMaterialsManager"]


class DefaultMaterialsManager:
    """Gets a fresh data key for each object written, and asks the keyring once for each object read."""

    __slots__ = ("_keyring",)

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def __repr__(self) -> str:
        return f"DefaultMaterialsManager({self._keyring!r})"

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Return the capabilities of the keyring."""
        return self._keyring.capabilities

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Ask the keyring."""
        return self._keyring.on_encrypt(request)

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Ask the keyring."""
        return self._keyring.on_decrypt(request)
