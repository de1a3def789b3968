"""s3ec behind the same requests that the official clients' programs take."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig

from s3ec import (
    AesKeyring,
    CachingMaterialsManager,
    CommitmentPolicy,
    EncryptionClient,
    KmsDiscoveryKeyring,
    KmsKeyring,
    RsaKeyring,
)


def keyring_for(request: dict[str, Any], kms: Any) -> Any:
    """The keyring that a request describes."""
    key = request["keyring"]
    legacy = bool(request.get("legacy_wrapping"))
    if key["kind"] == "kms":
        return KmsKeyring(key["arn"], client=kms, enable_legacy_wrapping_algorithms=legacy)
    if key["kind"] == "kms-discovery":
        return KmsDiscoveryKeyring(client=kms, enable_legacy_wrapping_algorithms=legacy)
    raw = {
        "material_description": key.get("material_description") or {},
        "enable_legacy_wrapping_algorithms": legacy,
    }
    if key["kind"] == "aes":
        return AesKeyring(bytes.fromhex(key["hex"]), **raw)
    return RsaKeyring(private_key=key["private_pem"], public_key=key["public_pem"], **raw)


def client_for(request: dict[str, Any], aws: dict[str, Any], kms: Any) -> EncryptionClient:
    """The client that a request describes."""
    policy = CommitmentPolicy[request.get("policy") or "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"]
    keyring = keyring_for(request, kms)
    materials = (
        {"materials_manager": CachingMaterialsManager(keyring)} if request.get("cached") else {"keyring": keyring}
    )
    return EncryptionClient(
        **materials,
        bind_object=bool(request.get("bind_object")),
        commitment_policy=policy,
        enable_legacy_unauthenticated_modes=bool(request.get("legacy_content")),
        enable_unauthenticated_ranges=bool(request.get("unauthenticated_ranges")),
        instruction_file_writes=request.get("storage") == "instruction-file",
        **aws,
    )


# What a client is made from; requests that agree in these share one, since making one takes a tenth of a second.
CLIENT_FIELDS = (
    "keyring",
    "policy",
    "legacy_content",
    "legacy_wrapping",
    "unauthenticated_ranges",
    "storage",
    "cached",
    "bind_object",
)


class Ours:
    """Answers as a peer program does, but lets s3ec's exceptions through."""

    def __init__(self, aws: dict[str, Any]) -> None:
        self._aws = aws
        self._open = contextlib.ExitStack()
        self._kms = self._open.enter_context(contextlib.closing(boto3.client("kms", **aws)))
        self._clients: dict[str, EncryptionClient] = {}

    def close(self) -> None:
        """Closes every client."""
        self._open.close()

    def _client(self, request: dict[str, Any]) -> EncryptionClient:
        wanted = json.dumps([request.get(name) for name in CLIENT_FIELDS], sort_keys=True)
        if wanted not in self._clients:
            client = client_for(request, self._aws, self._kms)
            self._clients[wanted] = self._open.enter_context(contextlib.closing(client))
        return self._clients[wanted]

    def ask(self, **request: Any) -> dict[str, Any]:
        """Carries out one request; raises what s3ec raises."""
        where = {"Bucket": request["bucket"], "Key": request["key"]}
        context = {"EncryptionContext": request["context"]} if request.get("context") else {}
        client = self._client(request)
        if request["op"] == "put":
            body = Path(request["file"]).read_bytes()
            client.put_object(**where, Body=body, Metadata=request.get("metadata") or {}, **context)
            return {}
        if request["op"] == "put_multipart":
            self._put_multipart(client, request, where, context)
            return {}
        if request["op"] == "upload_file":
            transfer = TransferConfig(multipart_chunksize=request["part_size"], max_concurrency=4)
            extra = {"Metadata": request.get("metadata") or {}, **context}
            client.upload_file(request["file"], request["bucket"], request["key"], ExtraArgs=extra, Config=transfer)
            return {}
        if request["op"] == "delete":
            client.delete_object(**where)
            return {}
        assert request["op"] == "get"
        extra = {"Range": request["range"]} if request.get("range") else {}
        extra |= {"InstructionFileSuffix": request["suffix"]} if request.get("suffix") else {}
        answer = client.get_object(**where, **context, **extra)
        body = answer["Body"].read()
        digest = hashlib.sha256(body).hexdigest()
        return {"ok": True, "size": len(body), "sha256": digest, "metadata": answer["Metadata"], "response": answer}

    @staticmethod
    def _put_multipart(client: Any, request: dict[str, Any], where: Any, context: Any) -> None:
        body = Path(request["file"]).read_bytes()
        size = request["part_size"]
        upload = client.create_multipart_upload(**where, Metadata=request.get("metadata") or {}, **context)
        parts = []
        for number, start in enumerate(range(0, len(body), size), 1):
            piece = body[start : start + size]
            part = client.upload_part(**where, UploadId=upload["UploadId"], PartNumber=number, Body=piece)
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        client.complete_multipart_upload(**where, UploadId=upload["UploadId"], MultipartUpload={"Parts": parts})
