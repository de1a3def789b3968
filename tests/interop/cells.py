"""What is written and read in the matrix, and what each official client is known not to do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop.peers import FORBID, OFFICIAL, Official

MIB = 1024 * 1024
SIZES = (0, 1, 15, 16, 17, 5 * MIB + 3)
PART_SIZE = 5 * MIB
RANGED_SIZE = 100
TRANSFER_SIZE = 12 * MIB + 5
USER_METADATA = {"user-note": "kept as it was"}

CONTEXTS: dict[str, dict[str, str]] = {
    "none": {},
    "ascii": {"department": "finance", "project": "alpha-1"},
    "special": {"quote": '"\\/<&>', "space": " a  b ", "empty": ""},
    "latin-1": {"ville": "Zürich"},
    "unicode": {"città": "Zürich – 日本", "emoji": "🔒"},
}
STORAGES = ("metadata", "instruction-file")


@dataclass(frozen=True)
class Shape:
    """How one object is written: what it holds, and what its context (or material description) is."""

    size: int
    context: str = "none"
    multipart: bool = False

    def __str__(self) -> str:
        return f"{self.size}-{self.context}{'-multipart' if self.multipart else ''}"


SHAPES = (
    *(Shape(size) for size in SIZES),
    *(Shape(17, context) for context in CONTEXTS if context != "none"),
    Shape(5 * MIB + 3, multipart=True),
)


@dataclass(frozen=True)
class Scheme:
    """What one writer writes: a generation of the format under a wrapping, stored somewhere."""

    writer: str
    generation: str
    keyring: str
    storage: str

    def __str__(self) -> str:
        return f"{self.writer}-{self.generation}-{self.keyring}-{self.storage}"

    @property
    def policy(self) -> str | None:
        """The commitment policy under which the writer writes this generation (None is its default)."""
        if self.writer == "s3ec":
            return FORBID if self.generation == "V2" else None
        return OFFICIAL[self.writer].writes[self.generation]


def schemes_of(client: Official) -> list[Scheme]:
    """Everything an official client can write."""
    storages = STORAGES if client.instruction_writes else STORAGES[:1]
    return [
        Scheme(client.name, generation, keyring, storage)
        for generation in client.writes
        for keyring in client.keyrings
        for storage in storages
    ]


THEIRS = [scheme for client in OFFICIAL.values() for scheme in schemes_of(client)]
OURS = [
    Scheme("s3ec", generation, keyring, storage)
    for generation in ("V3", "V2")
    for keyring in ("kms", "aes", "rsa")
    for storage in STORAGES
]


@dataclass(frozen=True)
class Body:
    """A plaintext in a file."""

    path: Path
    size: int

    @property
    def sha256(self) -> str:
        """Hexadecimal digest."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def make_bodies(folder: Path) -> dict[int, Body]:
    """Writes one plaintext a size: a byte stream without repetition, the same in every run."""
    bodies = {}
    for size in (*SIZES, RANGED_SIZE, TRANSFER_SIZE):
        path = folder / f"plaintext-{size}"
        path.write_bytes(hashlib.shake_256(b"plaintext").digest(size))
        bodies[size] = Body(path, size)
    return bodies


def request_for(scheme: Scheme, shape: Shape, keys: dict[str, Any], bodies: dict[int, Body]) -> dict[str, Any]:
    """The parts of a request that writer and reader share: key, context or description, policy, body."""
    keyring = dict(keys[scheme.keyring])
    context = CONTEXTS[shape.context]
    if scheme.keyring != "kms":
        keyring["material_description"] = context
        context = {}
    return {
        "keyring": keyring,
        "storage": scheme.storage,
        "context": context,
        "policy": scheme.policy,
        "file": str(bodies[shape.size].path),
        "part_size": PART_SIZE,
        "metadata": USER_METADATA,
    }


@dataclass(frozen=True)
class Limit:
    """Something an official client does not do, found by running it."""

    clients: tuple[str, ...]
    applies: Callable[[Scheme, Shape], bool]
    outcome: str
    note: str


def not_ascii(shape: Shape) -> bool:
    """Says whether the shape's context leaves ASCII."""
    return shape.context in ("latin-1", "unicode")


JAVA = tuple(name for name in OFFICIAL if name.startswith("java"))

WRITE_LIMITS: tuple[Limit, ...] = (
    Limit(
        JAVA,
        lambda scheme, shape: scheme.keyring == "kms" and scheme.storage == "metadata" and shape.context == "unicode",
        "unreadable",
        "Java (S3EC 3.5.0 and 4.0.1, SDK 1.12.797) sends metadata as Latin-1: of an encryption context beyond that "
        "only question marks are stored, and nobody can read the object any more",
    ),
    Limit(
        ("python4",),
        lambda scheme, shape: not_ascii(shape),
        "refuses",
        "Python S3EC 4.0.0 writes no encryption context that is not ASCII",
    ),
)
"""Objects that a client does not write, or writes so that nobody can read them."""

OLD = tuple(client.name for client in OFFICIAL.values() if "V3" not in client.reads)
PASSES_CIPHERTEXT = ("javasdk1-eo", "javasdk1-ae")

READ_LIMITS: tuple[Limit, ...] = (
    Limit(
        PASSES_CIPHERTEXT,
        lambda scheme, _: scheme.generation == "V3" and scheme.storage == "metadata",
        "other bytes",
        "The AWS SDK for Java 1.12.797 in EncryptionOnly and AuthenticatedEncryption does not know V3: it returns the "
        "*ciphertext* as if it were the object, without an error. Keep such readers away from V3 buckets, or write V2 "
        "(`FORBID_ENCRYPT_ALLOW_DECRYPT`) until they are gone",
    ),
    Limit(
        OLD,
        lambda scheme, _: scheme.generation == "V3",
        "refuses",
        "Java S3EC 3.5.0 and the clients inside the AWS SDKs for Java 1.12.797 and Go 1.55.8 do not know V3 and "
        "refuse it",
    ),
    Limit(
        ("python4",),
        lambda scheme, shape: scheme.keyring == "kms" and not_ascii(shape),
        "refuses",
        "Python S3EC 4.0.0 takes no encryption context that is not ASCII, on reads too",
    ),
)
"""Objects of s3ec that a client does not read."""


def limit_for(limits: tuple[Limit, ...], client: str, scheme: Scheme, shape: Shape) -> Limit | None:
    """The first known limit that applies."""
    return next((limit for limit in limits if client in limit.clients and limit.applies(scheme, shape)), None)
