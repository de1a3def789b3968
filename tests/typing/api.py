"""The public names in use. Never run: type checkers read it, so that a signature that breaks callers is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.client import BaseClient
from types_boto3_s3.client import S3Client
from types_boto3_s3.type_defs import GetObjectOutputTypeDef

import s3ec
import s3ec.aio
from s3ec import (
    STORED_CONTEXT,
    AesKeyring,
    AlgorithmSuite,
    CachingMaterialsManager,
    CommitmentPolicy,
    DsseKms,
    EncryptionClient,
    Inspection,
    KmsDiscoveryKeyring,
    KmsKeyring,
    Options,
    PrefetchingMaterialsManager,
    PresignedUpload,
    RequiredEncryption,
    RsaKeyring,
    Session,
    SseC,
    SseKms,
    SseS3,
    UploadStateFile,
    change_server_side_encryption,
    decrypt_presigned,
    errors,
    export_upload,
    get_default_encryption,
    inspect,
    install,
    install_everywhere,
    is_encrypting,
    post_policy,
    presigned_upload,
    require_encryption,
    required_encryption,
    resume_upload,
    set_default_encryption,
    uninstall,
    unrequire_encryption,
    upload_policy,
)
from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    Keyring,
    KeyringCapabilities,
)


def clients(pem: bytes, key: bytes) -> list[EncryptionClient]:
    """Every option, and boto3's own arguments beside them."""
    kms = KmsKeyring("alias/my-key")
    return [
        EncryptionClient(keyring=kms, region_name="eu-west-1", endpoint_url=None),
        EncryptionClient(keyring=KmsDiscoveryKeyring(accounts=["123456789012"], regions=["eu-west-1"])),
        EncryptionClient(
            keyring=AesKeyring(
                key,
                material_description={"key": "2026"},
                additional_decryption_keys=[({"key": "2025"}, key)],
                enable_legacy_wrapping_algorithms=True,
            ),
            commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
            algorithm_suite=AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
            enable_legacy_unauthenticated_modes=True,
            enable_delayed_authentication=False,
            enable_unauthenticated_ranges=False,
            verified_range_limit=0,
            buffer_size=1024,
            spool_directory="spool",
            unencrypted_objects="allow",
            presigned_uploads="refuse",
            instruction_file_writes=True,
            instruction_file_reads=True,
            server_side_encryption=SseKms("alias/my-key", context={"a": "b"}, bucket_key=True),
            bind_object=False,
        ),
        EncryptionClient(materials_manager=CachingMaterialsManager(kms, max_age=60, max_messages=10, capacity=5)),
        EncryptionClient(materials_manager=PrefetchingMaterialsManager(kms, size=10, max_age=60, threads=4)),
        EncryptionClient(keyring=RsaKeyring(private_key=pem, public_key=pem), server_side_encryption=SseC(key)),
        EncryptionClient(keyring=kms, server_side_encryption=SseS3(), session=boto3.Session()),
        EncryptionClient(keyring=kms, server_side_encryption=DsseKms("alias/my-key")),
    ]


def calls(s3: EncryptionClient) -> bytes:
    """boto3's parameters and ours, boto3's types in the answers."""
    client: S3Client = s3
    base: BaseClient = s3
    base.close()
    context: Mapping[str, str] = {"team": "hr"}
    s3.put_object(Bucket="b", Key="k", Body=b"", EncryptionContext=context, Metadata={"a": "b"})
    s3.create_multipart_upload(Bucket="b", Key="k", EncryptionContext=context)
    answer: GetObjectOutputTypeDef = s3.get_object(Bucket="b", Key="k", EncryptionContext=STORED_CONTEXT)
    s3.get_object(
        Bucket="b", Key="k", EncryptionContext=context, InstructionFileSuffix=".instruction", Range="bytes=0-"
    )
    length: int = s3.head_object(Bucket="b", Key="k")["ContentLength"]
    s3.upload_file("name", "b", "k", ExtraArgs={"EncryptionContext": context})
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="b"):
        length += len(page["Contents"])
    try:
        s3.get_object(Bucket="b", Key="k", Bogus="x")  # type: ignore[call-arg]  # a misspelt parameter is seen
    except s3.exceptions.NoSuchKey:
        pass
    except errors.PolicyError as error:
        setting: str = error.setting
        raise ValueError(setting) from error
    client.put_object(Bucket="b", Key="k", EncryptionContext={})  # type: ignore[call-arg]  # boto3's own type has no such parameter
    return answer["Body"].read() if length else b""


def sessions() -> None:
    """Sessions of both kinds."""
    session = Session(keyring=KmsKeyring("alias/my-key"), region_name="eu-west-1")
    session.client("s3").list_buckets()
    plain = boto3.Session()
    install(plain, keyring=KmsKeyring("alias/my-key"))
    uninstall(plain)
    install_everywhere(keyring=KmsKeyring("alias/my-key"))
    install_everywhere(config="s3ec.toml")
    encrypts: bool = is_encrypting(plain) and is_encrypting(plain.client("s3"))
    options: Options = Options(keyring=KmsKeyring("alias/my-key"), unencrypted_objects="allow", bind_object=encrypts)
    assert options.keyring is None


def helpers(s3: EncryptionClient) -> None:
    """Functions beside the client."""
    about: Inspection = inspect(s3, Bucket="b", Key="k")
    length: int | None = about.plaintext_length
    with s3ec.open(s3, Bucket="b", Key="k") as file:
        content: bytes = file.read(length or 0)
    set_default_encryption(s3, Bucket="b", mode=get_default_encryption(s3, Bucket="b") or SseS3())
    require_encryption(s3, Bucket="b", mode=SseS3())
    required: RequiredEncryption | None = required_encryption(s3, Bucket="b")
    unrequire_encryption(s3, Bucket="b", dry_run=required is None)
    policy: dict[str, Any] = upload_policy(Bucket="b", mode=SseS3())
    fields, conditions = post_policy(SseS3())
    s3.generate_presigned_post("b", "k", Fields=fields, Conditions=conditions)
    change_server_side_encryption(s3, Bucket="b", Key="k", mode=DsseKms())
    with UploadStateFile("state") as state:
        blob: bytes = export_upload(s3, "upload", save=state.save)
        resume_upload(s3, blob or state.read(), save=state.save)
    raise errors.S3ECError(content, policy)


class OwnKeyring:
    """The protocol of keyrings, by members alone."""

    @property
    def capabilities(self) -> KeyringCapabilities:
        """What it can open."""
        return KeyringCapabilities(wrapping_algorithms=frozenset())

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Make a data key."""
        raise NotImplementedError

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Open one."""
        raise NotImplementedError


OWN: Keyring = OwnKeyring()
EncryptionClient(keyring=OWN)


def presigned(s3: EncryptionClient, keyring: Keyring) -> bytes:
    """An upload that is handed over, and a download that is opened locally."""
    ticket: PresignedUpload = presigned_upload(s3, Bucket="b", Key="k", EncryptionContext={"team": "hr"})
    etag: str = PresignedUpload.from_json(ticket.to_json()).send(b"body")
    return etag.encode() + decrypt_presigned("https://example.test/b/k", keyring=keyring).read()


async def presigned_by_a_task(text: str) -> str:
    """The same upload, sent by a task."""
    ticket: s3ec.aio.PresignedUpload = s3ec.aio.PresignedUpload.from_json(text)
    etag: str = await ticket.send(b"body", verify=False)
    return etag + ticket.url
