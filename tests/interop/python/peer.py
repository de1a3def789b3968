"""The official Python client: one JSON request a line on standard input, one JSON answer a line on standard output."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption.materials.kms_keyring import KmsKeyring
from s3_encryption.materials.materials import AlgorithmSuite, CommitmentPolicy

CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


def client_for(request: dict[str, Any]) -> S3EncryptionClient:
    """Build the client that the request describes."""
    kms = boto3.client("kms", endpoint_url=request["endpoint"], **CREDENTIALS)
    path_style = Config(s3={"addressing_style": "path"})
    s3 = boto3.client("s3", endpoint_url=request["endpoint"], config=path_style, **CREDENTIALS)
    keyring = KmsKeyring(kms, request["keyring"]["arn"], bool(request.get("legacy_wrapping")))
    policy = CommitmentPolicy[request.get("policy") or "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"]
    forbid = policy is CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    suite = (
        AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
        if forbid
        else AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
    )
    config = S3EncryptionClientConfig(
        keyring=keyring,
        encryption_algorithm=suite,
        commitment_policy=policy,
        enable_legacy_unauthenticated_modes=bool(request.get("legacy_content")),
    )
    return S3EncryptionClient(s3, config)


CLIENT_FIELDS = ("endpoint", "keyring", "policy", "legacy_content", "legacy_wrapping")
CLIENTS: dict[str, S3EncryptionClient] = {}


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request; making a client takes a tenth of a second, so those alike are kept."""
    wanted = json.dumps([request.get(name) for name in CLIENT_FIELDS])
    if wanted not in CLIENTS:
        CLIENTS[wanted] = client_for(request)
    client = CLIENTS[wanted]
    where = {"Bucket": request["bucket"], "Key": request["key"]}
    context = {"EncryptionContext": request["context"]} if request.get("context") else {}
    match request["op"]:
        case "put":
            body = Path(request["file"]).read_bytes()
            client.put_object(**where, Body=body, Metadata=request.get("metadata") or {}, **context)
        case "put_multipart":
            put_multipart(client, request, where, context)
        case "get":
            suffix = {"InstructionFileSuffix": request["suffix"]} if request.get("suffix") else {}
            ranged = {"Range": request["range"]} if request.get("range") else {}
            answer = client.get_object(**where, **context, **suffix, **ranged)
            body = answer["Body"].read()
            digest = hashlib.sha256(body).hexdigest()
            return {"size": len(body), "sha256": digest, "metadata": answer["Metadata"]}
        case "delete":
            client.delete_object(**where)
        case other:
            msg = f"unknown op {other}"
            raise ValueError(msg)
    return {}


def put_multipart(client: S3EncryptionClient, request: dict[str, Any], where: Any, context: Any) -> None:
    """Upload the file in parts of ``part_size`` bytes."""
    body = Path(request["file"]).read_bytes()
    size = request["part_size"]
    metadata = request.get("metadata") or {}
    upload = client.create_multipart_upload(**where, Metadata=metadata, **context)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(body), size), 1):
        piece = body[start : start + size]
        last = start + size >= len(body)
        part = client.upload_part(**where, UploadId=upload, PartNumber=number, Body=piece, IsLastPart=last)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})


def main() -> None:
    """Serve until standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {"id": request["id"], "ok": True}
        try:
            answer.update(handle(request))
        except Exception as error:  # noqa: BLE001 - whatever the client raises is its answer
            answer.update(ok=False, error=f"{type(error).__name__}: {error}"[:600])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
