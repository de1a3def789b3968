"""Builds ``services/``: objects in the layouts that AWS services document, none written by the service itself.

Keys and random parts are derived from a vector's name, so that a second run writes the same bytes.

    python tests/vectors/build_services.py
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FOLDER = Path(__file__).parent / "services"
KEY_ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ROOT_KEY = hashlib.sha256(b"root symmetric key of the service vectors").digest()
CBC = "AES/CBC/PKCS5Padding"
GCM = "AES/GCM/NoPadding"

SES_PAGES = (
    "https://docs.aws.amazon.com/kms/latest/developerguide/services-ses.html",
    "https://docs.aws.amazon.com/ses/latest/dg/receiving-email-action-s3.html",
)
ATHENA_PAGES = ("https://docs.aws.amazon.com/athena/latest/ug/encryption.html",)
EMRFS_PAGES = (
    "https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-emrfs-encryption-cse.html",
    "https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-encryption-s3a-properties.html",
)
S3A_PAGES = ("https://hadoop.apache.org/docs/stable/hadoop-aws/tools/hadoop-aws/encryption.html",)
REDSHIFT_PAGES = ("https://docs.aws.amazon.com/redshift/latest/dg/t_unloading_encrypted_files.html",)

MAIL = b"From: sender@example.com\r\nTo: inbox@example.org\r\nSubject: A letter\r\n\r\nDear reader,\r\n"
TABLE = b'"venue","seats"\n"Shea Stadium","57333"\n"Comerica Park","40950"\n'


@dataclass(frozen=True)
class Layout:
    """One object to build."""

    name: str
    service: str
    pages: tuple[str, ...]
    plaintext: bytes
    content: str
    wrap: str | None
    """``kms``, ``kms+context``, or None for AES-ECB under ``x-amz-key``."""
    context: dict[str, str] = field(default_factory=dict)
    user_metadata: dict[str, str] = field(default_factory=dict)
    description: dict[str, str] | None = None
    instruction_file: bool = False


LAYOUTS = (
    Layout(
        "ses-inbound-mail",
        "Amazon SES, S3 action with message encryption",
        SES_PAGES,
        MAIL,
        GCM,
        "kms",
        {
            "aws:ses:message-id": "o3vrnil0e2ic28trm7dfhrc2v0clambda4nbp0g1",
            "aws:ses:rule-name": "store-mail",
            "aws:ses:source-account": "111122223333",
        },
    ),
    Layout("athena-query-result", "Amazon Athena, query results under CSE_KMS", ATHENA_PAGES, TABLE, GCM, "kms"),
    Layout("emrfs-cse-kms", "EMRFS, CSE-KMS", EMRFS_PAGES, TABLE, CBC, "kms"),
    Layout(
        "emrfs-cse-kms-instruction-file",
        "EMRFS, CSE-KMS with fs.s3.cse.cryptoStorageMode=InstructionFile",
        EMRFS_PAGES,
        TABLE,
        CBC,
        "kms",
        instruction_file=True,
    ),
    Layout(
        "emrfs-cse-kms-v2",
        "EMRFS, CSE-KMS with fs.s3.cse.encryptionV2.enabled=true",
        EMRFS_PAGES,
        TABLE,
        GCM,
        "kms+context",
    ),
    Layout(
        "emrfs-cse-custom",
        "EMRFS, CSE-Custom whose provider gives an AES key",
        EMRFS_PAGES,
        TABLE,
        CBC,
        None,
        description={"key": "emr-root-key"},
    ),
    Layout("s3a-cse-kms", "Hadoop S3A, CSE-KMS", S3A_PAGES, TABLE, GCM, "kms+context"),
    Layout(
        "redshift-unload",
        "Amazon Redshift, UNLOAD … ENCRYPTED with a root symmetric key",
        REDSHIFT_PAGES,
        TABLE.replace(b'"', b"").replace(b",", b"|"),
        CBC,
        None,
    ),
)


def derive(name: str, purpose: str, length: int) -> bytes:
    """Bytes that look random and are the same in every run."""
    return hashlib.shake_256(f"{name} {purpose}".encode()).digest(length)


def b64(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def cbc(key: bytes, mode: Any, plaintext: bytes) -> bytes:
    """AES with PKCS #7 padding."""
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), mode).encryptor()
    return encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()


def encrypt(layout: Layout, data_key: bytes, iv: bytes) -> bytes:
    """The object's body."""
    if layout.content == GCM:
        return AESGCM(data_key).encrypt(iv, layout.plaintext, None)
    return cbc(data_key, modes.CBC(iv), layout.plaintext)


def stored_context(layout: Layout) -> dict[str, str]:
    """What KMS is given, all of it stored as ``x-amz-matdesc``."""
    if layout.wrap == "kms":
        return {**layout.context, "kms_cmk_id": KEY_ARN}
    return {**layout.context, "aws:x-amz-cek-alg": layout.content}


def content_metadata(layout: Layout, wrapped: bytes, iv: bytes) -> dict[str, str]:
    """The object's content metadata."""
    if layout.wrap is None:
        described = {} if layout.description is None else {"x-amz-matdesc": json.dumps(layout.description)}
        return {"x-amz-key": b64(wrapped), "x-amz-iv": b64(iv), **described}
    metadata = {
        "x-amz-key-v2": b64(wrapped),
        "x-amz-iv": b64(iv),
        "x-amz-matdesc": json.dumps(stored_context(layout), separators=(",", ":")),
        "x-amz-wrap-alg": layout.wrap,
        "x-amz-cek-alg": layout.content,
        "x-amz-unencrypted-content-length": str(len(layout.plaintext)),
    }
    if layout.content == GCM:
        metadata["x-amz-tag-len"] = "128"
    return metadata


def build(layout: Layout) -> None:
    """Writes one vector's three files."""
    data_key = derive(layout.name, "data key", 32)
    iv = derive(layout.name, "iv", 12 if layout.content == GCM else 16)
    wrapped = (
        derive(layout.name, "ciphertext blob", 184) if layout.wrap else cbc(ROOT_KEY, modes.ECB(), data_key)  # noqa: S305 - what the layout prescribes
    )
    body = encrypt(layout, data_key, iv)
    metadata = content_metadata(layout, wrapped, iv)
    key = f"services/{layout.name}"
    vector: dict[str, Any] = {
        "name": layout.name,
        "source": {"service": layout.service, "built_to": list(layout.pages)},
        "format": "V2" if layout.content == GCM else "V1",
        "wrap": layout.wrap or "AES/ECB/PKCS5Padding",
        "content": layout.content,
        "storage": "instruction-file" if layout.instruction_file else "metadata",
        "object_key": key,
        "size": len(layout.plaintext),
        "metadata": {} if layout.instruction_file else metadata,
        "user_metadata": layout.user_metadata,
        "content_type": "application/octet-stream",
        "instruction_file": None,
        "body": f"{layout.name}.bin",
        "plaintext": f"{layout.name}.plain.bin",
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "plaintext_sha256": hashlib.sha256(layout.plaintext).hexdigest(),
        "key": {"kind": "kms", "arn": KEY_ARN} if layout.wrap else {"kind": "aes", "ref": "root"},
        "encryption_context": layout.context,
        "expected": "success",
    }
    if layout.instruction_file:
        vector["instruction_file"] = {
            "suffix": ".instruction",
            "key": f"{key}.instruction",
            "metadata": {"x-amz-crypto-instr-file": ""},
            "body": json.dumps(metadata, separators=(",", ":")),
        }
    if layout.description:
        vector["material_description"] = layout.description
    if layout.wrap:
        vector["kms"] = {
            "key_id": KEY_ARN,
            "ciphertext_blob": b64(wrapped),
            "encryption_context": stored_context(layout),
            "plaintext_data_key": b64(data_key),
        }
    (FOLDER / vector["body"]).write_bytes(body)
    (FOLDER / vector["plaintext"]).write_bytes(layout.plaintext)
    (FOLDER / f"{layout.name}.json").write_text(json.dumps(vector, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Writes the folder."""
    FOLDER.mkdir(exist_ok=True)
    keys = {"root": {"kind": "aes", "hex": ROOT_KEY.hex()}}
    (FOLDER / "keys.json").write_text(json.dumps(keys, indent=1) + "\n", encoding="utf-8")
    for layout in LAYOUTS:
        build(layout)


if __name__ == "__main__":
    main()
