"""A materials manager that counts what it is asked."""

from __future__ import annotations

from s3ec.algorithms import WrappingAlgorithm
from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptedDataKey,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    KeyringCapabilities,
    MaterialsManager,
)

DATA_KEY = bytes(range(32, 64))
"""What `FixedKeys` answers with."""


class FixedKeys:
    """A materials manager of somebody's own: one data key for everything, and any capabilities.

    Attributes:
        capabilities: what it claims to be able to do.
        encrypted_data_key: what it answers on writes.
        data_key: the data key of all its answers.
        description: what it answers on writes in place of the pairs that it should, or None.
    """

    def __init__(
        self,
        *,
        encrypted_data_key: EncryptedDataKey | None = None,
        data_key: bytes = DATA_KEY,
        description: dict[str, str] | None = None,
        binds_encryption_context: bool = True,
        encrypts: bool = True,
        enable_legacy_wrapping_algorithms: bool = False,
        families: tuple[str, ...] = ("kms", "aes", "rsa"),
    ) -> None:
        self.capabilities = KeyringCapabilities(
            wrapping_algorithms=frozenset(a for a in WrappingAlgorithm if a.family in families),
            encrypts=encrypts,
            binds_encryption_context=binds_encryption_context,
            enable_legacy_wrapping_algorithms=enable_legacy_wrapping_algorithms,
        )
        self.encrypted_data_key = encrypted_data_key or EncryptedDataKey(b"wrapped", WrappingAlgorithm.KMS_CONTEXT)
        self.data_key = data_key
        self.description = description

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """The one data key, with the context that was asked for and the pair that ``kms+context`` adds."""
        description = {**request.encryption_context, "aws:x-amz-cek-alg": request.content_algorithm}
        return EncryptionMaterials(
            algorithm_suite=request.algorithm_suite,
            plaintext_data_key=self.data_key,
            encrypted_data_key=self.encrypted_data_key,
            description=description if self.description is None else self.description,
        )

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """The one data key, whatever is asked."""
        return DecryptionMaterials(plaintext_data_key=self.data_key)


class CountingManager:
    """Passes everything on to another manager and notes the requests.

    Attributes:
        requests: what was asked, in order.
    """

    def __init__(self, inner: MaterialsManager) -> None:
        self._inner = inner
        self.requests: list[EncryptionMaterialsRequest | DecryptionMaterialsRequest] = []

    @property
    def calls(self) -> int:
        """How often a data key was asked for."""
        return len(self.requests)

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Those of the other manager."""
        return self._inner.capabilities

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Notes the request and passes it on."""
        self.requests.append(request)
        return self._inner.get_encryption_materials(request)

    def decrypt_materials(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Notes the request and passes it on."""
        self.requests.append(request)
        return self._inner.decrypt_materials(request)
