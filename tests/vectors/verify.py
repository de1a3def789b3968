"""Opens every vector of this folder with ``cryptography`` and the standard library alone.

It shares no line with s3ec: where both agree with what another client wrote, neither has only agreed with itself.

    python tests/vectors/verify.py [folder or vector.json …]
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = Path(__file__).parent
GCM = "AES/GCM/NoPadding"
COMMITTING = "115"
COMMITTING_NUMBER = bytes.fromhex("0073")
ENCODED_WORD = re.compile(r"=\?UTF-8\?([QB])\?(.*?)\?=", re.IGNORECASE)


class VectorError(AssertionError):
    """A vector does not open, or is not what it says it is."""


def expect(condition: bool, text: str) -> None:
    """Raises :class:`VectorError` with ``text`` unless ``condition`` holds."""
    if not condition:
        raise VectorError(text)


def vectors(*roots: Path) -> Iterator[Path]:
    """Every vector's JSON file below ``roots`` (this folder by default), sorted."""
    for root in roots or (HERE,):
        found = [root] if root.suffix == ".json" else sorted(root.rglob("*.json"))
        yield from (path for path in found if path.name != "keys.json")


def header_text(value: str) -> str:
    """Undoes what S3 does to a header value that is not ASCII."""

    def word(match: re.Match[str]) -> str:
        kind, text = match.groups()
        if kind.upper() == "B":
            return base64.b64decode(text).decode("latin-1")
        parts = re.split(r"=([0-9A-Fa-f]{2})", text.replace("_", " "))
        return "".join(chr(int(part, 16)) if index % 2 else part for index, part in enumerate(parts))

    if ENCODED_WORD.search(value):
        joined = re.sub(r"\?=\s+=\?", "?==?", value)
        value = ENCODED_WORD.sub(word, joined).encode("latin-1").decode()
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def content_metadata(vector: dict[str, Any]) -> dict[str, str]:
    """All content metadata of a vector, wherever it lies; empty values count as absent."""
    found = {key.lower(): header_text(value) for key, value in vector["metadata"].items() if value}
    if vector["instruction_file"]:
        body = json.loads(vector["instruction_file"]["body"])
        if "EncryptedEnvelopeKey" in body:
            body = {"x-amz-key": body["EncryptedEnvelopeKey"], "x-amz-iv": body["IV"]}
        expect(not set(body) & {"x-amz-c", "x-amz-d", "x-amz-i"}, "commitment inside an instruction file")
        found.update({key: str(value) for key, value in body.items() if value not in ("", None)})
    return found


def unwrap(vector: dict[str, Any], keys: dict[str, Any], metadata: dict[str, str]) -> bytes:
    """The data key of a vector."""
    generation = next(key for key in ("x-amz-3", "x-amz-key-v2", "x-amz-key") if key in metadata)
    wrapped = base64.b64decode(metadata[generation], validate=True)
    wrapping = metadata.get("x-amz-w") or metadata.get("x-amz-wrap-alg")
    bound = COMMITTING if generation == "x-amz-3" else metadata.get("x-amz-cek-alg", "")
    if vector["key"]["kind"] == "kms":
        return unwrap_kms(vector, metadata, wrapped)
    key = keys[vector["key"]["ref"]]
    if key["kind"] == "aes":
        return unwrap_aes(bytes.fromhex(key["hex"]), wrapping, wrapped, bound)
    return unwrap_rsa(key["private_pem"].encode(), wrapping, wrapped, bound)


def unwrap_kms(vector: dict[str, Any], metadata: dict[str, str], wrapped: bytes) -> bytes:
    """The answer of the one recorded call, once the object proves to ask exactly that."""
    call = vector["kms"]
    stored = json.loads(metadata.get("x-amz-t") or metadata.get("x-amz-matdesc") or "{}")
    expect(base64.b64decode(call["ciphertext_blob"]) == wrapped, "the object asks KMS for another blob")
    expect(call["encryption_context"] == stored, f"the object's context is {stored}")
    reserved = {"aws:x-amz-cek-alg", "kms_cmk_id"}
    given = {name: value for name, value in stored.items() if name not in reserved}
    expect(given == vector["encryption_context"], f"a caller has to give {given}")
    return base64.b64decode(call["plaintext_data_key"])


def unwrap_aes(key: bytes, wrapping: str | None, wrapped: bytes, bound: str) -> bytes:
    """AES/GCM (the algorithm's name is bound), RFC 3394, or ECB where no algorithm is named."""
    if wrapping in ("02", "AES/GCM"):
        for name in (bound, GCM):
            try:
                return AESGCM(key).decrypt(wrapped[:12], wrapped[12:], name.encode())
            except Exception as error:  # noqa: BLE001 - Java binds the GCM name when it rewraps a CBC object
                failure = error
        raise VectorError("AES/GCM does not open the data key") from failure
    if wrapping == "AESWrap":
        return keywrap.aes_key_unwrap(key, wrapped)
    expect(wrapping is None, f"unknown wrapping {wrapping}")
    decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()  # noqa: S305 - what the first clients wrote
    return unpad(decryptor.update(wrapped) + decryptor.finalize())


def unwrap_rsa(pem: bytes, wrapping: str | None, wrapped: bytes, bound: str) -> bytes:
    """OAEP with the algorithm's name inside, OAEP with SHA-256, or PKCS #1 v1.5 where no algorithm is named."""
    key: Any = serialization.load_pem_private_key(pem, None)
    if wrapping in ("22", "RSA-OAEP-SHA1"):
        sha1 = hashes.SHA1()  # noqa: S303 - the format's
        payload = key.decrypt(wrapped, padding.OAEP(padding.MGF1(sha1), sha1, None))
        name = payload[payload[0] + 1 :].decode()
        expect(name in (bound, GCM), f"the data key is bound to {name}")
        return bytes(payload[1 : payload[0] + 1])
    if wrapping == "RSA/ECB/OAEPWithSHA-256AndMGF1Padding":
        for mask in (hashes.SHA1(), hashes.SHA256()):  # noqa: S303 - which one depends on the writer's JCE provider
            try:
                return bytes(key.decrypt(wrapped, padding.OAEP(padding.MGF1(mask), hashes.SHA256(), None)))
            except ValueError as error:
                failure = error
        raise VectorError("neither mask function opens the data key") from failure
    expect(wrapping is None, f"unknown wrapping {wrapping}")
    return bytes(key.decrypt(wrapped, padding.PKCS1v15()))


def unpad(padded: bytes) -> bytes:
    """Removes PKCS #7 padding, strictly."""
    count = padded[-1]
    expect(1 <= count <= 16 and padded.endswith(bytes([count]) * count), "bad padding")
    return padded[:-count]


def decrypt(metadata: dict[str, str], data_key: bytes, body: bytes) -> bytes:
    """The plaintext of an object."""
    if "x-amz-3" in metadata:
        return decrypt_committing(metadata, data_key, body)
    iv = base64.b64decode(metadata["x-amz-iv"], validate=True)
    content = metadata.get("x-amz-cek-alg", "AES/CBC/PKCS5Padding")
    if content == GCM:
        expect(metadata.get("x-amz-tag-len", "128") == "128", "tag length")
        return AESGCM(data_key).decrypt(iv, body, None)
    expect(content.startswith("AES/CBC/"), f"unknown content algorithm {content}")
    decryptor = Cipher(algorithms.AES(data_key), modes.CBC(iv)).decryptor()
    padded = decryptor.update(body) + decryptor.finalize()
    return padded if content == "AES/CBC/NoPadding" else unpad(padded)


def decrypt_committing(metadata: dict[str, str], data_key: bytes, body: bytes) -> bytes:
    """AES-256-GCM under a derived key, after the commitment was compared."""
    expect(metadata["x-amz-c"] == COMMITTING, "unknown suite")
    message_id = base64.b64decode(metadata["x-amz-i"], validate=True)

    def derive(label: bytes, length: int) -> bytes:
        return HKDF(hashes.SHA512(), length, message_id, COMMITTING_NUMBER + label).derive(data_key)

    stored = base64.b64decode(metadata["x-amz-d"], validate=True)
    expect(hmac.compare_digest(stored, derive(b"COMMITKEY", 28)), "the commitment does not match")
    return AESGCM(derive(b"DERIVEKEY", 32)).decrypt(b"\x01" * 12, body, COMMITTING_NUMBER)


def verify(path: Path) -> None:
    """Opens one vector.

    Raises:
        VectorError: Something about it is not as its JSON file says.
    """
    vector = json.loads(path.read_text(encoding="utf-8"))
    body = (path.parent / vector["body"]).read_bytes()
    plaintext = (path.parent / vector["plaintext"]).read_bytes()
    keys = json.loads((path.parent / "keys.json").read_text(encoding="utf-8"))
    expect(hashlib.sha256(body).hexdigest() == vector["body_sha256"], "the body's digest")
    expect(hashlib.sha256(plaintext).hexdigest() == vector["plaintext_sha256"], "the plaintext's digest")
    expect(len(plaintext) == vector["size"], "the plaintext's size")
    metadata = content_metadata(vector)
    expect(decrypt(metadata, unwrap(vector, keys, metadata), body) == plaintext, "another plaintext")


def main(*arguments: str) -> int:
    """Verifies the vectors named (all by default); returns the number that failed."""
    paths = list(vectors(*map(Path, arguments)))
    failed = 0
    for path in paths:
        try:
            verify(path)
        except Exception as error:  # noqa: BLE001 - a script that goes on to the next vector and counts
            failed += 1
            print(f"{path}: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"{len(paths) - failed} of {len(paths)} vectors open")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
