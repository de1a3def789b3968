"""A materials manager that counts: what a refusal must not touch."""

from __future__ import annotations

from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    KeyringCapabilities,
    MaterialsManager,
)


class CountingManager:
    """Passes everything on, and counts the key operations."""

    def __init__(self, inner: MaterialsManager) -> None:
        """Take the manager that does the work."""
        self.inner = inner
        self.encryptions = 0
        self.decryptions = 0

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Those of the inner manager."""
        return self.inner.capabilities

    @property
    def calls(self) -> int:
        """Key operations in all."""
        return self.encryptions + self.decryptions

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Count and pass on."""
        self.encryptions += 1
        return self.inner.get_encryption_materials(request)

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Count and pass on."""
        self.decryptions += 1
        return self.inner.decrypt_materials(request)
