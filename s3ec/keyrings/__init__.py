"""Keyrings make and open data keys; materials managers stand between them and the gates. Neither knows S3.

A keyring of your own needs only the members of `s3ec.materials.Keyring`; see the page on the protocol in the docs.
"""

from __future__ import annotations

from s3ec.keyrings.aes import AesKeyring
from s3ec.keyrings.caching import CachingMaterialsManager
from s3ec.keyrings.discovery import KmsDiscoveryKeyring
from s3ec.keyrings.kms import KmsKeyring
from s3ec.keyrings.manager import DefaultMaterialsManager
from s3ec.keyrings.prefetching import PrefetchingMaterialsManager
from s3ec.keyrings.rsa import RsaKeyring

__all__ = [
    "AesKeyring",
    "CachingMaterialsManager",
    "DefaultMaterialsManager",
    "KmsDiscoveryKeyring",
    "KmsKeyring",
    "PrefetchingMaterialsManager",
    "RsaKeyring",
]
