"""Writes ``tests/vectors/interop``: objects of the official clients in layouts that the other vectors lack.

Run by hand, with Java and Go installed; every run draws new keys and gives new files:

    PYTHONPATH=.:tests python tests/interop/export.py
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from interop import install
from interop.cells import CONTEXTS
from interop.peers import FORBID, OFFICIAL, Program

from support import aws as support_aws
from support.double_encoding import double_encoding_endpoint

VECTORS = Path(__file__).parents[1] / "vectors"
FOLDER = VECTORS / "interop"
BUCKET = "export"
KEY_NAMES = {"aes": "aes256", "rsa": "rsa2048", "new-rsa": "rsa3072"}
WRAPPINGS_V3 = {"kms": "12", "aes": "02", "rsa": "22", "new-rsa": "22"}
WRAPPINGS_V2 = {"kms": "kms+context", "aes": "AES/GCM", "rsa": "RSA-OAEP-SHA1", "new-rsa": "RSA-OAEP-SHA1"}
CBC = "AES/CBC/PKCS5Padding"
GCM = "AES/GCM/NoPadding"
COMMITTING = "AES/GCM/HKDF-SHA512/commit"


@dataclass(frozen=True)
class Case:
    """One object to be written."""

    client: str
    generation: str
    keyring: str
    what: str
    size: int = 17
    storage: str = "metadata"
    context: str = "none"
    multipart: bool = False
    rewrapped_suffix: str | None = None

    @property
    def name(self) -> str:
        """File name of the vector."""
        place = "instr" if self.storage == "instruction-file" else "meta"
        return f"{self.client}-{self.generation.lower()}-{self.keyring}-{place}-{self.what}-{self.size}"

    @property
    def policy(self) -> str | None:
        """The commitment policy that writes this generation."""
        return FORBID if self.generation == "V2" and OFFICIAL[self.client].policies else None


CASES = (
    *(Case(client, "V3", "kms", "size", size) for client in ("java4", "go4", "python4") for size in (0, 1, 15, 16)),
    *(Case("javasdk1-eo", "V1", keyring, "size", size) for keyring in ("aes", "kms") for size in (0, 1, 15, 16)),
    *(Case("java4", "V2", "rsa", "size", size) for size in (0, 16)),
    Case("java4", "V3", "kms", "multipart", 100, multipart=True),
    Case("java4", "V3", "rsa", "multipart", 100, "instruction-file", multipart=True),
    Case("java3", "V2", "aes", "multipart", 100, multipart=True),
    Case("javasdk1-eo", "V1", "aes", "multipart", 100, multipart=True),
    Case("javasdk1-eo", "V1", "kms", "multipart", 100, "instruction-file", multipart=True),
    Case("javasdk1-ae", "V1", "rsa", "multipart", 100, multipart=True),
    Case("javasdk1-v2", "V2", "kms", "multipart", 100, multipart=True),
    Case("go4", "V3", "kms", "ctxunicode", context="unicode"),
    Case("go4", "V2", "kms", "ctxunicode", context="unicode"),
    Case("go3", "V2", "kms", "ctxlatin1", context="latin-1"),
    Case("gosdk1-v1-cbc", "V1", "kms", "ctxunicode", context="unicode"),
    Case("gosdk1-v2", "V2", "kms", "ctxunicode", context="unicode"),
    Case("java4", "V3", "kms", "ctxlatin1", context="latin-1"),
    Case("java3", "V2", "kms", "ctxlatin1", context="latin-1"),
    Case("javasdk1-v2", "V2", "kms", "ctxlatin1", context="latin-1"),
    Case("java4", "V3", "kms", "ctxunicode", 17, "instruction-file", "unicode"),
    Case("javasdk1-eo", "V1", "kms", "ctxunicode", 17, "instruction-file", "unicode"),
    Case("java4", "V3", "aes", "descunicode", context="unicode"),
    Case("java4", "V3", "rsa", "re-suffix", 17, "instruction-file", rewrapped_suffix="partner"),
    Case("java3", "V2", "rsa", "re-suffix", 17, "instruction-file", rewrapped_suffix="partner"),
)


def plaintext_of(case: Case) -> bytes:
    """Bytes that are the same in every run."""
    return hashlib.shake_256(case.name.encode()).digest(case.size)


class Exporter:
    """Has peers write, and records what S3 then holds."""

    def __init__(self, endpoint: str, programs: dict[str, Program], folder: Path) -> None:
        arguments = support_aws.client_arguments(endpoint)
        self._endpoint, self._programs, self._folder = endpoint, programs, folder
        self._s3, self._kms = boto3.client("s3", **arguments), boto3.client("kms", **arguments)
        self._s3.create_bucket(Bucket=BUCKET)
        raw = json.loads((VECTORS / "java" / "keys.json").read_text())
        self._keys = {name: raw[reference] for name, reference in KEY_NAMES.items()}
        self._keys["kms"] = {"kind": "kms", "arn": support_aws.create_kms_key(arguments)}
        keys = {reference: raw[reference] for reference in KEY_NAMES.values()}
        (FOLDER / "keys.json").write_text(json.dumps(keys, indent=1) + "\n")

    def close(self) -> None:
        """Closes the clients."""
        self._s3.close()
        self._kms.close()

    def export(self, case: Case) -> None:
        """Writes one vector's three files."""
        plaintext = plaintext_of(case)
        file = self._folder / "plaintext"
        file.write_bytes(plaintext)
        context = CONTEXTS[case.context]
        keyring, key = dict(self._keys[case.keyring]), f"interop/{case.name}"
        if case.keyring != "kms":
            keyring["material_description"] = context
        request = {
            "client": case.client,
            "endpoint": self._endpoint,
            "bucket": BUCKET,
            "key": key,
            "keyring": keyring,
            "storage": case.storage,
            "context": context if case.keyring == "kms" else {},
            "policy": case.policy,
            "file": str(file),
            "part_size": 5 * 1024 * 1024,
            "metadata": {"user-note": "kept"},
        }
        self._ask(case, op="put_multipart" if case.multipart else "put", **request)
        if case.rewrapped_suffix:
            new = {**self._keys["new-rsa"], "material_description": {"key": "name-2"}}
            self._ask(case, op="reencrypt", new_keyring=new, suffix=case.rewrapped_suffix, **request)
        self._record(case, key, plaintext)

    def _ask(self, case: Case, **request: Any) -> None:
        answer = self._programs[OFFICIAL[case.client].program].ask(**request)
        if not answer["ok"]:
            raise SystemExit(f"{case.name}: {answer['error']}")

    def _record(self, case: Case, key: str, plaintext: bytes) -> None:
        stored = self._s3.get_object(Bucket=BUCKET, Key=key)
        body, found = stored["Body"].read(), {name.lower(): value for name, value in stored["Metadata"].items()}
        metadata = {name: value for name, value in found.items() if name.startswith("x-amz-")}
        user_metadata = {name: value for name, value in found.items() if not name.startswith("x-amz-")}
        vector: dict[str, Any] = {
            "name": case.name,
            "source": {
                "project": OFFICIAL[case.client].title,
                "client": case.client,
                "version": OFFICIAL[case.client].version,
                **({"policy": case.policy} if case.policy else {}),
            },
            "format": case.generation,
            "wrap": wrapping_of(case),
            "content": content_of(case),
            "storage": case.storage,
            "object_key": key,
            "size": case.size,
            "metadata": metadata,
            "user_metadata": user_metadata,
            "content_type": stored["ContentType"],
            "instruction_file": self._instruction_file(case, key),
            "body": f"{case.name}.bin",
            "plaintext": f"{case.name}.plain.bin",
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "plaintext_sha256": hashlib.sha256(plaintext).hexdigest(),
            "encryption_context": {},
            "expected": "success",
        }
        if any("=?UTF-8?" in value for value in metadata.values()):
            vector["recoded"] = True
        self._add_key(case, vector)
        (FOLDER / vector["body"]).write_bytes(body)
        (FOLDER / vector["plaintext"]).write_bytes(plaintext)
        text = json.dumps(vector, indent=1, ensure_ascii=False)
        (FOLDER / f"{case.name}.json").write_text(text + "\n", encoding="utf-8")

    def _instruction_file(self, case: Case, key: str) -> dict[str, Any] | None:
        if case.storage == "metadata":
            return None
        suffix = f".{case.rewrapped_suffix or 'instruction'}"
        file = self._s3.get_object(Bucket=BUCKET, Key=key + suffix)
        return {
            "suffix": suffix,
            "key": key + suffix,
            "metadata": file["Metadata"],
            "body": file["Body"].read().decode(),
        }

    def _add_key(self, case: Case, vector: dict[str, Any]) -> None:
        if case.keyring != "kms":
            name = "new-rsa" if case.rewrapped_suffix else case.keyring
            vector["key"] = {"kind": self._keys[name]["kind"], "ref": KEY_NAMES[name]}
            vector["material_description"] = {"key": "name-2"} if case.rewrapped_suffix else CONTEXTS[case.context]
            return
        context = dict(CONTEXTS[case.context])
        vector["encryption_context"] = dict(context)
        context |= (
            {"kms_cmk_id": self._keys["kms"]["arn"]}
            if case.generation == "V1"
            else {"aws:x-amz-cek-alg": "115" if case.generation == "V3" else GCM}
        )
        file = vector["instruction_file"]
        fields = json.loads(file["body"]) if file else vector["metadata"]
        blob = fields.get("x-amz-3") or fields["x-amz-key-v2"]
        arn = self._keys["kms"]["arn"]
        # moto checks the context: what is recorded is what opens the data key.
        opened = self._kms.decrypt(KeyId=arn, CiphertextBlob=base64.b64decode(blob), EncryptionContext=context)
        vector["key"] = {"kind": "kms", "arn": arn}
        vector["kms"] = {
            "key_id": arn,
            "ciphertext_blob": blob,
            "encryption_context": context,
            "plaintext_data_key": base64.b64encode(opened["Plaintext"]).decode(),
        }


def wrapping_of(case: Case) -> str:
    """How the data key is wrapped."""
    if case.generation == "V3":
        return WRAPPINGS_V3[case.keyring]
    if case.generation == "V2":
        return WRAPPINGS_V2[case.keyring]
    legacy = {"kms": "kms", "rsa": "RSA/ECB/OAEPWithSHA-256AndMGF1Padding", "aes": "AES/ECB/PKCS5Padding"}
    return legacy[case.keyring]


def content_of(case: Case) -> str:
    """How the content is encrypted."""
    if case.generation == "V1":
        return CBC if case.client in ("javasdk1-eo", "gosdk1-v1-cbc") else GCM
    return GCM if case.generation == "V2" else COMMITTING


def main() -> None:
    """Writes the folder again."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    commands, absent = install.install()
    if absent:
        raise SystemExit(f"every client is needed; absent: {absent}")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(support_aws.clean_aws_environment(str(folder)))
        endpoint = stack.enter_context(double_encoding_endpoint())
        programs = {
            name: stack.enter_context(contextlib.closing(Program(command, str(folder))))
            for name, command in commands.items()
        }
        exporter = stack.enter_context(contextlib.closing(Exporter(endpoint, programs, folder)))
        for case in CASES:
            exporter.export(case)


if __name__ == "__main__":
    main()
