"""Client-side encryption for Amazon S3, in the formats of the Amazon S3 Encryption Clients.

::

    from s3ec import EncryptionClient, KmsKeyring

    s3 = EncryptionClient(keyring=KmsKeyring("alias/payroll"), region_name="eu-west-1")
    s3.put_object(Bucket="b", Key="k", Body=open("big.bin", "rb"), EncryptionContext={"team": "hr"})
    s3.get_object(Bucket="b", Key="k", EncryptionContext={"team": "hr"})["Body"].read()

`EncryptionClient` is a boto3 S3 client: same methods, exceptions, paginators, waiters and transfers. Objects are
encrypted before they leave and authenticated before any of their plaintext is released. `Session` and `install` do the
same for libraries that make their own clients. Errors are in `s3ec.errors`.
"""

from __future__ import annotations

import logging

from s3ec import errors
from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy
from s3ec.client.calls.shortcuts import KmsRequests as _KmsRequests
from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.options import Options
from s3ec.client.server_side.presigned import post_policy
from s3ec.client.server_side.rules import DsseKms, SseC, SseKms, SseS3
from s3ec.client.sessions.session import Session, install, is_encrypting, uninstall
from s3ec.client.tools.buckets import (
    RequiredEncryption,
    change_server_side_encryption,
    get_default_encryption,
    require_encryption,
    required_encryption,
    set_default_encryption,
    unrequire_encryption,
    upload_policy,
)
from s3ec.client.tools.files import open_object as open  # noqa: A004 - the public name, always used as s3ec.open
from s3ec.client.tools.inspection import Inspection, inspect
from s3ec.client.tools.presigned import PresignedUpload, decrypt_presigned, presigned_upload
from s3ec.client.tools.resumable import export_upload, resume_upload
from s3ec.client.tools.upload_state_file import UploadStateFile
from s3ec.keyrings import (
    AesKeyring,
    CachingMaterialsManager,
    KmsDiscoveryKeyring,
    KmsKeyring,
    PrefetchingMaterialsManager,
    RsaKeyring,
)
from s3ec.keyrings.kms import KmsBase as _KmsBase
from s3ec.materials import STORED_CONTEXT
from s3ec.run.everywhere import install_everywhere

__all__ = [
    "STORED_CONTEXT",
    "AesKeyring",
    "AlgorithmSuite",
    "CachingMaterialsManager",
    "CommitmentPolicy",
    "DsseKms",
    "EncryptionClient",
    "Inspection",
    "KmsDiscoveryKeyring",
    "KmsKeyring",
    "Options",
    "PrefetchingMaterialsManager",
    "PresignedUpload",
    "RequiredEncryption",
    "RsaKeyring",
    "Session",
    "SseC",
    "SseKms",
    "SseS3",
    "UploadStateFile",
    "change_server_side_encryption",
    "decrypt_presigned",
    "errors",
    "export_upload",
    "get_default_encryption",
    "inspect",
    "install",
    "install_everywhere",
    "is_encrypting",
    "open",
    "post_policy",
    "presigned_upload",
    "require_encryption",
    "required_encryption",
    "resume_upload",
    "set_default_encryption",
    "uninstall",
    "unrequire_encryption",
    "upload_policy",
]

# Keyrings know nothing of botocore but its public methods; what makes the same calls in less time is put in here.
_KmsBase.calls_of = staticmethod(_KmsRequests)

__version__ = "0.1.0"

# Silent until the application configures logging.
logging.getLogger("s3ec").addHandler(logging.NullHandler())
