"""Requests as the gates make them, and a keyring that counts them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy
from s3ec.keyrings import AesKeyring
from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptedDataKey,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    KeyringCapabilities,
)

__all__ = [
    "CBC",
    "COMMITTING",
    "CONTENT_ALGORITHMS",
    "GCM",
    "Clock",
    "CountingKeyring",
    "read_back",
    "read_request",
    "write_request",
]

COMMITTING = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
GCM = AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
CBC = AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF

CONTENT_ALGORITHMS = {COMMITTING: "115", GCM: "AES/GCM/NoPadding", CBC: "AES/CBC/PKCS5Padding"}


def write_request(suite: AlgorithmSuite = COMMITTING, **changes: Any) -> EncryptionMaterialsRequest:
    """A request for materials to write with."""
    settings: dict[str, Any] = {
        "algorithm_suite": suite,
        "commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
        "content_algorithm": CONTENT_ALGORITHMS[suite],
    }
    return EncryptionMaterialsRequest(**{**settings, **changes})


def read_request(
    encrypted_data_key: EncryptedDataKey,
    suite: AlgorithmSuite = COMMITTING,
    description: Mapping[str, str] | None = None,
    **changes: Any,
) -> DecryptionMaterialsRequest:
    """A request for materials to read with."""
    settings: dict[str, Any] = {
        "algorithm_suite": suite,
        "commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
        "content_algorithm": CONTENT_ALGORITHMS[suite],
        "encrypted_data_key": encrypted_data_key,
        "description": description or {},
    }
    return DecryptionMaterialsRequest(**{**settings, **changes})


def read_back(materials: EncryptionMaterials, **changes: Any) -> DecryptionMaterialsRequest:
    """The request that reads an object written with these materials."""
    return read_request(
        materials.encrypted_data_key, materials.algorithm_suite, **{"description": materials.description, **changes}
    )


class CountingKeyring:
    """A keyring of somebody's own: a real AES keyring behind it, every call noted, and held up or failed on demand."""

    def __init__(self) -> None:
        self._keyring = AesKeyring(bytes(32), enable_legacy_wrapping_algorithms=True)
        self._lock = threading.Lock()
        self.writes: list[EncryptionMaterialsRequest] = []
        self.reads: list[DecryptionMaterialsRequest] = []
        self.before: Callable[[], None] = lambda: None

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Those of the AES keyring."""
        return self._keyring.capabilities

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Note, then make a data key."""
        with self._lock:
            self.writes.append(request)
        self.before()
        return replace(self._keyring.on_encrypt(request), description=dict(request.encryption_context))

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Note, then open a data key."""
        with self._lock:
            self.reads.append(request)
        self.before()
        return self._keyring.on_decrypt(request)


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now
