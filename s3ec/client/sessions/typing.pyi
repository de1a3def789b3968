"""What type checkers see of `EncryptionClient`: boto3's S3 client, with our options and our parameters beside boto3's.

Never imported when a program runs. boto3's types come from ``types-boto3[s3]`` or ``boto3-stubs[s3]``, whichever is
installed; with neither, type checkers fall back to `Any`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import boto3
from botocore.config import Config
from botocore.model import ServiceModel
from typing_extensions import Unpack

# By star on purpose: a star import of a package that is not installed defines no name, so that the other one's are
# found; naming the names would bind them to `Any` at the first miss.
try:
    from types_boto3_s3.client import *
    from types_boto3_s3.type_defs import *
except ImportError:
    from mypy_boto3_s3.client import *
    from mypy_boto3_s3.type_defs import *

from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy
from s3ec.client.server_side.rules import ServerSideMode
from s3ec.materials import Keyring, MaterialsManager, StoredContext

__all__ = ["TypedClient"]

class PutObjectRequest(PutObjectRequestTypeDef, total=False):
    """Parameters of ``put_object``."""

    EncryptionContext: Mapping[str, str]

class CreateMultipartUploadRequest(CreateMultipartUploadRequestTypeDef, total=False):
    """Parameters of ``create_multipart_upload``."""

    EncryptionContext: Mapping[str, str]

class GetObjectRequest(GetObjectRequestTypeDef, total=False):
    """Parameters of ``get_object``."""

    EncryptionContext: Mapping[str, str] | StoredContext
    InstructionFileSuffix: str

class HeadObjectRequest(HeadObjectRequestTypeDef, total=False):
    """Parameters of ``head_object``."""

    EncryptionContext: Mapping[str, str] | StoredContext
    InstructionFileSuffix: str

class TypedClient(S3Client):
    """The signatures that differ from boto3's, and members of botocore's clients that its types leave out."""

    _service_model: ServiceModel
    _PY_TO_OP_NAME: ClassVar[dict[str, str]]

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]: ...
    def __init__(
        self,
        *,
        keyring: Keyring | None = None,
        materials_manager: MaterialsManager | None = None,
        commitment_policy: CommitmentPolicy = ...,
        algorithm_suite: AlgorithmSuite | None = None,
        enable_legacy_unauthenticated_modes: bool = False,
        enable_delayed_authentication: bool = False,
        enable_unauthenticated_ranges: bool = False,
        verified_range_limit: int = ...,
        buffer_size: int = ...,
        spool_directory: str | os.PathLike[str] | None = None,
        unencrypted_objects: Literal["refuse", "allow"] = "refuse",
        presigned_uploads: Literal["refuse", "allow"] = "refuse",
        instruction_file_writes: bool = False,
        instruction_file_reads: bool = True,
        server_side_encryption: ServerSideMode | None = None,
        bind_object: bool = False,
        session: boto3.Session | None = None,
        region_name: str | None = None,
        api_version: str | None = None,
        use_ssl: bool | None = True,
        verify: bool | str | None = None,
        endpoint_url: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        aws_account_id: str | None = None,
        config: Config | None = None,
    ) -> None: ...
    def generate_presigned_url(
        self,
        ClientMethod: str,  # noqa: N803 - boto3's name
        Params: Mapping[str, Any] | None = None,  # noqa: N803 - boto3's name
        ExpiresIn: int = 3600,  # noqa: N803 - boto3's name
        HttpMethod: str | None = None,  # noqa: N803 - boto3's name
    ) -> str: ...
    def put_object(self, **kwargs: Unpack[PutObjectRequest]) -> PutObjectOutputTypeDef: ...
    def create_multipart_upload(
        self, **kwargs: Unpack[CreateMultipartUploadRequest]
    ) -> CreateMultipartUploadOutputTypeDef: ...
    def get_object(self, **kwargs: Unpack[GetObjectRequest]) -> GetObjectOutputTypeDef: ...
    def head_object(self, **kwargs: Unpack[HeadObjectRequest]) -> HeadObjectOutputTypeDef: ...
