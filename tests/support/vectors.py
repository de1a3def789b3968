"""Objects that other clients wrote: what S3 stored, what must come out, and the keys that open them.

``vectors/README.md`` says who wrote them. For those under KMS each file records the one ``Decrypt`` call that opens it;
`recorded_kms` is a KMS endpoint that serves exactly those calls and refuses everything else.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from s3ec.algorithms import CommitmentPolicy
from s3ec.formats import ContentMetadata, parse_instruction_file, parse_object
from s3ec.keyrings import AesKeyring, KmsKeyring, RsaKeyring
from s3ec.materials import Keyring

from support.kms_answers import KmsHandler

VECTORS_DIRECTORY = Path(__file__).parents[1] / "vectors"

LEGACY_WRAPPINGS = frozenset(
    {"kms", "AESWrap", "AES/ECB/PKCS5Padding", "RSA/ECB/PKCS1Padding", "RSA/PKCS1v15"}
    | {"RSA/ECB/OAEPWithSHA-256AndMGF1Padding"}
)


@dataclass(frozen=True)
class InstructionFile:
    """A stored instruction file: its suffix, its own key, its own metadata and its body."""

    suffix: str
    key: str
    metadata: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class RecordedDecrypt:
    """The one call of ``kms:Decrypt`` that opens an object, and its answer."""

    key_id: str
    ciphertext_blob: bytes
    encryption_context: Mapping[str, str]
    plaintext_data_key: bytes = field(repr=False)


@dataclass(frozen=True)
class Vector:
    """One object of another client.

    Attributes:
        name: folder and file name, unique.
        format: ``"V1"``, ``"V2"`` or ``"V3"`` as its writer calls it; a ``"V1"`` under KMS has V2's keys.
        wrap: how the data key is wrapped, in the words of the recorder.
        content: how the content is encrypted, likewise.
        metadata: content metadata in the object's own user metadata.
        user_metadata: the caller's own user metadata.
        object_key: the key it was stored under.
        instruction_file: the file beside it, or None.
        body: what S3 stored.
        plaintext: what must come out.
        key: ``{"kind": "aes", "hex": …}``, ``{"kind": "rsa", "private_pem": …}`` or ``{"kind": "kms", "arn": …}``.
        encryption_context: what the caller must give on a read.
        material_description: what the writer gave with a raw key, else None.
        kms: the recorded call, or None for raw keys.
    """

    name: str
    format: str
    wrap: str
    content: str
    metadata: Mapping[str, str]
    user_metadata: Mapping[str, str]
    object_key: str
    instruction_file: InstructionFile | None
    body: bytes = field(repr=False)
    plaintext: bytes = field(repr=False)
    key: Mapping[str, str] = field(repr=False)
    encryption_context: Mapping[str, str]
    material_description: Mapping[str, str] | None
    kms: RecordedDecrypt | None
    body_sha256: str
    plaintext_sha256: str

    @property
    def has_legacy_content(self) -> bool:
        """True for AES-CBC."""
        return self.content.startswith("AES/CBC")

    @property
    def has_legacy_wrapping(self) -> bool:
        """True where the wrapping does not bind the content algorithm."""
        return self.wrap in LEGACY_WRAPPINGS or self.is_wrapped_again

    @property
    def is_wrapped_again(self) -> bool:
        """True where the Java client wrapped the data key of CBC content again, and bound the name of GCM."""
        in_file = self.instruction_file is not None
        return self.has_legacy_content and in_file and self.wrap not in LEGACY_WRAPPINGS

    @property
    def commits(self) -> bool:
        """True where the object commits to its data key."""
        return self.content.endswith("commit")

    @property
    def read_options(self) -> dict[str, Any]:
        """The fewest client options with which the object can be read; none for what is read by default."""
        options: dict[str, Any] = {}
        if not self.commits:
            options["commitment_policy"] = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
        if self.has_legacy_content:
            options["enable_legacy_unauthenticated_modes"] = True
        return options

    def content_metadata(self) -> ContentMetadata:
        """The parsed metadata, from wherever the writer put it."""
        if self.instruction_file is None:
            return parse_object(self.metadata)
        return parse_instruction_file(self.instruction_file.body, self.metadata)

    def keyring(self, kms_client: Any = None, *, legacy: bool | None = None) -> Keyring:
        """A keyring for the key that the object was written with.

        Args:
            kms_client: a boto3 client for `recorded_kms`; only for objects under KMS.
            legacy: the opt-in for legacy wrapping; None gives it where the object needs it.
        """
        leave = self.has_legacy_wrapping if legacy is None else legacy
        if self.key["kind"] == "aes":
            return AesKeyring(bytes.fromhex(self.key["hex"]), enable_legacy_wrapping_algorithms=leave)
        if self.key["kind"] == "rsa":
            return RsaKeyring(
                private_key=_private_key(self.key["private_pem"]), enable_legacy_wrapping_algorithms=leave
            )
        return KmsKeyring(self.key["arn"], client=kms_client, enable_legacy_wrapping_algorithms=leave)


@functools.cache
def _private_key(pem: str) -> Any:
    """A loaded RSA key; loading checks it, which takes longer than everything else here."""
    return load_pem_private_key(pem.encode(), password=None)


@functools.cache
def all_vectors() -> tuple[Vector, ...]:
    """Every vector, sorted by name."""
    paths = sorted(path for path in VECTORS_DIRECTORY.glob("*/*.json") if path.name != "keys.json")
    return tuple(_load(path) for path in paths)


def vector(name: str) -> Vector:
    """The vector of that name, such as ``"go/go4-meta-17"``."""
    return next(vector for vector in all_vectors() if vector.name == name)


def _load(path: Path) -> Vector:
    stored = json.loads(path.read_text(encoding="utf-8"))
    key = stored["key"]
    if "ref" in key:
        key = json.loads((path.parent / "keys.json").read_text(encoding="utf-8"))[key["ref"]]
    file = stored["instruction_file"]
    kms = stored.get("kms")
    return Vector(
        name=f"{path.parent.name}/{path.stem}",
        format=stored["format"],
        wrap=stored["wrap"],
        content=stored["content"],
        metadata=stored["metadata"],
        user_metadata=stored["user_metadata"],
        object_key=stored["object_key"],
        instruction_file=file
        and InstructionFile(file["suffix"], file["key"], file.get("metadata") or {}, file["body"].encode()),
        body=path.with_suffix(".bin").read_bytes(),
        plaintext=path.with_suffix(".plain.bin").read_bytes(),
        key=key,
        encryption_context=stored["encryption_context"] or {},
        material_description=stored.get("material_description"),
        kms=kms
        and RecordedDecrypt(
            kms["key_id"],
            base64.b64decode(kms["ciphertext_blob"]),
            kms["encryption_context"] or {},
            base64.b64decode(kms["plaintext_data_key"]),
        ),
        body_sha256=stored["body_sha256"],
        plaintext_sha256=stored["plaintext_sha256"],
    )


@dataclass
class RecordedKms:
    """A KMS endpoint that serves recorded calls and notes every request.

    Attributes:
        url: the endpoint on loopback.
        requests: each request's operation and arguments, in the order in which they came.
    """

    url: str
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@contextlib.contextmanager
def recorded_kms(vectors: Iterable[Vector]) -> Iterator[RecordedKms]:
    """Run a KMS endpoint for some vectors."""
    calls = {vector.kms.ciphertext_blob: vector.kms for vector in vectors if vector.kms}
    endpoint = RecordedKms("")

    class Handler(KmsHandler):
        def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            endpoint.requests.append((operation, request))
            return _answer(calls, operation, request)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True  # a client may keep its connection open longer than this
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(
    calls: Mapping[bytes, RecordedDecrypt], operation: str, request: Mapping[str, Any]
) -> tuple[int, dict[str, Any]]:
    if operation != "Decrypt":
        return 400, {"__type": "AccessDeniedException", "message": f"{operation} was not recorded"}
    call = calls.get(base64.b64decode(request["CiphertextBlob"]))
    if call is None or (request.get("EncryptionContext") or {}) != call.encryption_context:
        return 400, {"__type": "InvalidCiphertextException", "message": None}
    if request.get("KeyId", call.key_id) != call.key_id:
        return 400, {"__type": "IncorrectKeyException", "message": "another key wrapped this"}
    return 200, {
        "KeyId": call.key_id,
        "Plaintext": base64.b64encode(call.plaintext_data_key).decode(),
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }
