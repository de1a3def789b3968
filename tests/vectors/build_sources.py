"""Builds ``sources/``: layouts that clients write which nobody ran here, made after what their published sources do.

PYTHONPATH=tests python tests/vectors/build_sources.py
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from vectors.build_services import CBC, GCM, KEY_ARN, b64, cbc, derive

FOLDER = Path(__file__).parent / "sources"
AES_KEY = hashlib.sha256(b"wrapping key of the vectors made after sources").digest()
RSA_KEY = json.loads((Path(__file__).parent / "java" / "keys.json").read_text())["rsa2048"]
DOTNET = "https://github.com/aws/amazon-s3-encryption-client-dotnet"
CPP = "https://github.com/aws/aws-sdk-cpp"
GO = "https://github.com/aws/aws-sdk-go"
JAVA = "https://github.com/aws/aws-sdk-java"


@dataclass(frozen=True)
class Layout:
    """One object to build; ``wrap`` takes name, data key and IV and gives the encrypted data key."""

    name: str
    source: str
    content: str
    wrapping: str
    wrap: Callable[[str, bytes, bytes], bytes]
    metadata: dict[str, str]
    """What stands beside the encrypted data key and the IV."""
    key_name: str = "x-amz-key-v2"
    iv_name: str = "x-amz-iv"
    suffix: str | None = None
    marker: str | None = None
    kms: bool = False
    rsa: bool = False


def aes_gcm(bound: str, *, nonce_is_iv: bool = False) -> Callable[[str, bytes, bytes], bytes]:
    """Wraps with AES/GCM, the content algorithm's name bound as AAD."""

    def wrap(name: str, data_key: bytes, iv: bytes) -> bytes:
        nonce = iv if nonce_is_iv else derive(name, "wrapping nonce", 12)
        return nonce + AESGCM(AES_KEY).encrypt(nonce, data_key, bound.encode())

    return wrap


def aes_ecb(_: str, data_key: bytes, __: bytes) -> bytes:
    """Wraps as the first clients did."""
    return cbc(AES_KEY, modes.ECB(), data_key)  # noqa: S305 - what the layout prescribes


def aes_wrap(_: str, data_key: bytes, __: bytes) -> bytes:
    """RFC 3394."""
    return keywrap.aes_key_wrap(AES_KEY, data_key)


def pkcs1(_: str, data_key: bytes, __: bytes) -> bytes:
    """RSA with PKCS #1 v1.5; the padding is random, so a second run gives other bytes."""
    key: Any = serialization.load_pem_public_key(RSA_KEY["public_pem"].encode())
    return bytes(key.encrypt(data_key, padding.PKCS1v15()))


def blob(name: str, _: bytes, __: bytes) -> bytes:
    """What KMS would have answered."""
    return derive(name, "ciphertext blob", 184)


PLAINTEXT_LENGTH = 45
MD5_OF_PLAINTEXT = "x-amz-unencrypted-content-md5"

LAYOUTS = (
    Layout(
        "dotnet-first-instruction-file",
        DOTNET,
        CBC,
        "AES/ECB/PKCS5Padding",
        aes_ecb,
        {},
        "EncryptedEnvelopeKey",
        "IV",
        "INSTRUCTION_SUFFIX",
    ),
    Layout(
        "dotnet-v2-nonce-reused",
        DOTNET,
        GCM,
        "AES/GCM",
        aes_gcm(GCM, nonce_is_iv=True),
        {"x-amz-matdesc": "{}", "x-amz-wrap-alg": "AES/GCM", "x-amz-cek-alg": GCM, "x-amz-tag-len": "128"},
    ),
    Layout(
        "cpp-v1-aeswrap-cbc",
        CPP,
        CBC,
        "AESWrap",
        aes_wrap,
        {"x-amz-matdesc": "{}", "x-amz-wrap-alg": "AESWrap", "x-amz-cek-alg": CBC, "x-amz-tag-len": "0"},
    ),
    Layout(
        "cpp-v2-aesgcm-cbc",
        CPP,
        CBC,
        "AES/GCM",
        aes_gcm(CBC),
        {"x-amz-matdesc": "{}", "x-amz-wrap-alg": "AES/GCM", "x-amz-cek-alg": CBC, "x-amz-tag-len": "0"},
    ),
    Layout(
        "cpp-v2-instruction-file",
        CPP,
        GCM,
        "AES/GCM",
        aes_gcm(GCM),
        {"x-amz-matdesc": "{}", "x-amz-wrap-alg": "AES/GCM", "x-amz-cek-alg": GCM, "x-amz-tag-len": "128"},
        suffix=".instruction",
        marker="default instruction file header",
    ),
    Layout(
        "go-v1-with-digest-of-plaintext",
        GO,
        CBC,
        "kms",
        blob,
        {
            "x-amz-matdesc": json.dumps({"kms_cmk_id": KEY_ARN}, separators=(",", ":")),
            "x-amz-wrap-alg": "kms",
            "x-amz-cek-alg": CBC,
            "x-amz-unencrypted-content-length": str(PLAINTEXT_LENGTH),
            MD5_OF_PLAINTEXT: "",
        },
        kms=True,
    ),
    Layout(
        "java-v1-rsa-without-wrap-alg",
        JAVA,
        GCM,
        "RSA/PKCS1v15",
        pkcs1,
        {"x-amz-matdesc": "{}", "x-amz-cek-alg": GCM, "x-amz-tag-len": "128"},
        rsa=True,
    ),
)


def build(layout: Layout) -> None:
    """Writes one vector's three files."""
    plaintext = derive(layout.name, "plaintext", PLAINTEXT_LENGTH)
    data_key = derive(layout.name, "data key", 32)
    iv = derive(layout.name, "iv", 12 if layout.content == GCM else 16)
    gcm = layout.content == GCM
    body = AESGCM(data_key).encrypt(iv, plaintext, None) if gcm else cbc(data_key, modes.CBC(iv), plaintext)
    wrapped = layout.wrap(layout.name, data_key, iv)
    fields = {layout.key_name: b64(wrapped), layout.iv_name: b64(iv), **layout.metadata}
    if MD5_OF_PLAINTEXT in fields:
        fields[MD5_OF_PLAINTEXT] = b64(hashlib.md5(plaintext, usedforsecurity=False).digest())
    key = f"sources/{layout.name}"
    vector: dict[str, Any] = {
        "name": layout.name,
        "source": {"built_to": [layout.source]},
        "format": "V2" if gcm else "V1",
        "wrap": layout.wrapping,
        "content": layout.content,
        "storage": "instruction-file" if layout.suffix else "metadata",
        "object_key": key,
        "size": len(plaintext),
        "metadata": {} if layout.suffix else fields,
        "user_metadata": {"user-note": "kept"},
        "content_type": "application/octet-stream",
        "instruction_file": layout.suffix
        and {
            "suffix": layout.suffix,
            "key": key + layout.suffix,
            "metadata": {"x-amz-crypto-instr-file": layout.marker} if layout.marker else {},
            "body": json.dumps(fields, separators=(",", ":")),
        },
        "body": f"{layout.name}.bin",
        "plaintext": f"{layout.name}.plain.bin",
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "plaintext_sha256": hashlib.sha256(plaintext).hexdigest(),
        "key": {"kind": "aes", "ref": "aes256"},
        "encryption_context": {},
        "expected": "success",
    }
    if layout.rsa:
        vector["key"] = {"kind": "rsa", "ref": "rsa2048"}
    if layout.kms:
        vector["key"] = {"kind": "kms", "arn": KEY_ARN}
        vector["kms"] = {
            "key_id": KEY_ARN,
            "ciphertext_blob": b64(wrapped),
            "encryption_context": json.loads(layout.metadata["x-amz-matdesc"]),
            "plaintext_data_key": b64(data_key),
        }
    (FOLDER / vector["body"]).write_bytes(body)
    (FOLDER / vector["plaintext"]).write_bytes(plaintext)
    (FOLDER / f"{layout.name}.json").write_text(json.dumps(vector, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Writes the folder."""
    FOLDER.mkdir(exist_ok=True)
    keys = {"aes256": {"kind": "aes", "hex": AES_KEY.hex()}, "rsa2048": RSA_KEY}
    (FOLDER / "keys.json").write_text(json.dumps(keys, indent=1) + "\n", encoding="utf-8")
    for layout in LAYOUTS:
        build(layout)


if __name__ == "__main__":
    main()
