"""Requests as the gates make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy
from s3ec.materials import (
    DecryptionMaterialsRequest,
    EncryptedDataKey,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
)

__all__ = ["CBC", "COMMITTING", "CONTENT_ALGORITHMS", "GCM", "read_back", "read_request", "write_request"]

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
