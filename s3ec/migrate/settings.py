"""What is to be done, where, and with which keys: everything a worker on any machine needs, without a secret in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from s3ec.dates import parse_dates_quickly
from s3ec.errors import ConfigurationError
from s3ec.formats import is_content_metadata_key
from s3ec.key_files import read_file, read_passphrase
from s3ec.migrate.jsonable import Jsonable
from s3ec.migrate.model import Action
from s3ec.transport import make_sound

if TYPE_CHECKING:
    from s3ec.materials import Keyring

__all__ = ["Connection", "KeyringSpec", "Location", "MigrationSettings", "read_passphrase"]

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection(Jsonable):
    """How a worker reaches S3 and KMS; credentials come from its own environment, never from here.

    Attributes:
        profile_name: profile of the AWS configuration, or None.
        region_name: or None for the environment's.
        endpoint_url: address of both S3 and KMS; None for the environment's (``AWS_ENDPOINT_URL_S3``, …).
        max_connections: size of one client's pool; at least the number of threads that share it.
        max_attempts: sendings of one request, the first included.
    """

    profile_name: str | None = None
    region_name: str | None = None
    endpoint_url: str | None = None
    max_connections: int = 64
    max_attempts: int = 8

    def session(self) -> boto3.Session:
        """Make a session for callers who make several clients; two threads must not use it at the same time.

        Raises:
            botocore.exceptions.BotoCoreError: there is no such profile.
        """
        return boto3.Session(profile_name=self.profile_name, region_name=self.region_name)

    def client(self, service: str, session: boto3.Session | None = None, **more: Any) -> Any:
        """Make a plain boto3 client with adaptive retries, so that throttling slows a run down and does not end it.

        Args:
            service: ``"s3"`` or ``"kms"``.
            session: makes it; one of its own by default.
            more: further members of botocore's `Config`.

        Raises:
            s3ec.errors.ConfigurationError: the endpoint, in these settings or in the environment, is not a URL.
        """
        session = session or self.session()
        config = Config(
            retries={"mode": "adaptive", "total_max_attempts": self.max_attempts},
            max_pool_connections=max(10, self.max_connections),
            **more,
        )
        arguments = {"endpoint_url": self.endpoint_url} if self.endpoint_url else {}
        try:
            client = session.client(service, region_name=self.region_name, config=config, **arguments)  # type: ignore[call-overload]  # the stubs know literal names only
        except ValueError as error:
            raise ConfigurationError(f"no client for {service} can be made: {error}") from error
        if service == "s3":
            parse_dates_quickly(client)
            make_sound(client)  # what KMS answers is the keyring's to judge
        return client


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyringSpec(Jsonable):
    """A keyring by description: a KMS key's name or files that hold raw keys. It can be sent to a worker; a key cannot.

    Attributes:
        kind: ``"kms"``, ``"kms-discovery"`` (reads only), ``"aes-file"`` or ``"rsa-file"``.
        key_id: KMS key: ARN, ID or alias.
        region_name: Region of KMS, if it is not the connection's.
        path: path of a file with 16, 24 or 32 raw bytes (AES), on every worker.
        private_key_path: path of a PEM file (RSA), on every worker.
        passphrase: where the passphrase of that PEM is, on every worker: ``"file:PATH"`` (its first line) or
            ``"env:NAME"``; None where it has none.
        public_key_path: path of a PEM file (RSA), on every worker.
        material_description: description of the raw key.
        enable_legacy_wrapping_algorithms: the opt-in to opening wrappings of V1.
    """

    kind: str
    key_id: str | None = None
    region_name: str | None = None
    path: str | None = None
    private_key_path: str | None = None
    passphrase: str | None = None
    public_key_path: str | None = None
    material_description: Mapping[str, str] = field(default_factory=dict)
    enable_legacy_wrapping_algorithms: bool = False

    def __post_init__(self) -> None:
        """Refuse what could never become a keyring."""
        needed = {
            "kms": bool(self.key_id),
            "kms-discovery": True,
            "aes-file": bool(self.path),
            "rsa-file": bool(self.private_key_path or self.public_key_path),
        }
        if self.kind not in needed:
            raise ConfigurationError(f"unknown kind of keyring {self.kind!r}; one of {', '.join(needed)}")
        if not needed[self.kind]:
            raise ConfigurationError(f"a keyring of kind {self.kind} needs its key_id (kms) or a path to its key")

    @property
    def label(self) -> str:
        """The name of the key in journals and reports: a KMS key id or a file name."""
        paths = (self.path, self.private_key_path, self.public_key_path)
        return self.key_id or next((Path(path).name for path in paths if path), self.kind)

    @property
    def is_kms(self) -> bool:
        """True if KMS wraps the data keys."""
        return self.kind.startswith("kms")

    def build(self, connection: Connection, session: boto3.Session | None = None) -> Keyring:
        """The keyring itself; its KMS client, where it has one, comes from the session given or one of its own.

        Raises:
            s3ec.errors.ConfigurationError: a key file is missing or holds no such key.
        """
        from s3ec.keyrings import AesKeyring, KmsDiscoveryKeyring, KmsKeyring, RsaKeyring

        legacy = self.enable_legacy_wrapping_algorithms
        description = dict(self.material_description) or None
        if self.kind == "aes-file":
            wrapping_key = read_file(self.path)
            return AesKeyring(wrapping_key, material_description=description, enable_legacy_wrapping_algorithms=legacy)
        if self.kind == "rsa-file":
            return RsaKeyring(
                private_key=self._private_key() if self.private_key_path else None,
                public_key=read_file(self.public_key_path) if self.public_key_path else None,
                material_description=description,
                enable_legacy_wrapping_algorithms=legacy,
            )
        kms = self.kms_client(connection, session)
        if self.kind == "kms-discovery":
            return KmsDiscoveryKeyring(client=kms, enable_legacy_wrapping_algorithms=legacy)
        return KmsKeyring(str(self.key_id), client=kms, enable_legacy_wrapping_algorithms=legacy)

    def _private_key(self) -> Any:
        """The private key: its PEM, or the key object where a passphrase opens it."""
        from s3ec.crypto.rsa_keys import private_key

        if self.passphrase is None:
            return read_file(self.private_key_path)
        # Never in variables, which error reporters would send.
        return private_key(read_file(self.private_key_path), read_passphrase(self.passphrase))

    def read_key(self) -> bytes:
        """The content of the key file that wraps: AES bytes, or the public (else private) key's PEM.

        Raises:
            s3ec.errors.ConfigurationError: it cannot be read.
        """
        return read_file(self.path or self.public_key_path or self.private_key_path)

    def kms_client(self, connection: Connection, session: boto3.Session | None = None) -> Any:
        """A KMS client for this key's Region: the one named here, the one in its ARN, or the connection's."""
        parts = (self.key_id or "").split(":")
        in_arn = parts[3] if len(parts) > 5 and parts[2] == "kms" else None
        region = self.region_name or in_arn or connection.region_name
        return Connection(
            profile_name=connection.profile_name,
            region_name=region,
            endpoint_url=connection.endpoint_url,
            max_attempts=connection.max_attempts,
        ).client("kms", session)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location(Jsonable):
    """A bucket and a prefix in it.

    Attributes:
        bucket: its name or access point ARN.
        prefix: the literal beginning of the keys; empty for the whole bucket.
    """

    bucket: str
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationSettings(Jsonable):
    """One job, whole: any worker that has this and a task can do the task.

    Attributes:
        action: what to do.
        source: where the objects lie.
        destination: where they go; None for in place. Keys keep what follows the source's prefix.
        keyring: wraps what is written (for `Action.VERIFY`: opens what is read).
        source_keyring: opens what is read; None where `keyring` does.
        encryption_context: bound to what is written; None keeps the stored one where there is one. For
            `Action.VERIFY`: what the stored one must be.
        source_context: what the stored context of everything encrypted that is read must be, or that of what is
            written; another one is taken for a swapped object. None asserts nothing.
        accept_moved: take objects whose stored ``aws:s3:arn`` is that of another place: they were moved on purpose.
        etag_is_md5: compare what is read with the MD5 that a plain ETag holds; False for servers whose ETags hold none.
        allow_legacy: read V1 and other unauthenticated or legacy-wrapped objects.
        server_side_encryption: request arguments (``ServerSideEncryption``, ``SSEKMSKeyId``, …) for what is written;
            None keeps each object's own mode.
        instruction_file: ``"never"``, ``"when-needed"`` (the metadata would not fit) or ``"always"``.
        ignore_tags: leave tags behind where they cannot be read.
        trust_tag_count: believe the count of tags that GET answers with, and ask for none where it is absent. S3 leaves
            it out for an identity that may not read an object's tags; so None believes it in each folder in which the
            tags of one object could be read, True everywhere, and False nowhere. Without effect on a rewrap, which
            reads headers alone.
        ignore_acl: leave ACLs behind where they cannot be read or set.
        skip_young: leave alone what is younger than its storage class's minimum duration.
        keep_last_modified: name of a metadata entry that keeps the original time, or None.
        bind_object: put the object's ARN into the encryption context of what is written.
        read_back: read every written object again from S3, decrypt and compare it.
        reuse_data_keys: let one KMS data key serve many V3 objects, within bounds.
        kms_requests_per_second: limit for this process, or None.
        max_attempts: how often one object is planned or tried again.
        part_size: bytes of one part of a large object.
        single_request_limit: objects up to this many bytes are written by one request.
        copy_limit: bytes that one CopyObject takes; above, a server-side copy goes in parts.
        memory_limit: bytes of object content that one process holds at a time.
        settle_seconds: an object younger than this is asked for its instruction file, whatever the listing says. (A
            migration looks at the bytes instead: those that could be ciphertext are always asked for it.)
        sample: share of the objects to verify, 0 < sample <= 1.
        connection: how to reach S3 and KMS.
    """

    action: Action
    source: Location
    keyring: KeyringSpec
    destination: Location | None = None
    source_keyring: KeyringSpec | None = None
    encryption_context: Mapping[str, str] | None = None
    source_context: Mapping[str, str] | None = None
    accept_moved: bool = False
    etag_is_md5: bool = True
    allow_legacy: bool = False
    server_side_encryption: Mapping[str, str | bool] | None = None
    instruction_file: str = "never"
    ignore_tags: bool = False
    trust_tag_count: bool | None = None
    ignore_acl: bool = False
    skip_young: bool = False
    keep_last_modified: str | None = None
    bind_object: bool = False
    read_back: bool = False
    reuse_data_keys: bool = False
    kms_requests_per_second: float | None = None
    max_attempts: int = 5
    part_size: int = 16 * _MIB
    single_request_limit: int = 8 * _MIB
    copy_limit: int = 5 * 1024 * _MIB
    memory_limit: int = 256 * _MIB
    settle_seconds: float = 600.0
    sample: float = 1.0
    connection: Connection = field(default_factory=Connection)

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if self.instruction_file not in ("never", "when-needed", "always"):
            raise ConfigurationError("instruction_file is one of never, when-needed, always")
        if not 5 * _MIB <= self.part_size <= 512 * _MIB:
            raise ConfigurationError("part_size lies between 5 MiB and 512 MiB")
        if not 0 < self.sample <= 1:
            raise ConfigurationError("sample lies above 0 and up to 1")
        _check_entry(self.keep_last_modified)
        if self.action in (Action.REWRAP, Action.VERIFY) and self.destination is not None:
            raise ConfigurationError(f"{self.action.value} works in place and takes no destination")
        if self.keyring.kind == "kms-discovery" and self.action is not Action.VERIFY:
            raise ConfigurationError("a discovery keyring only decrypts; name the key that wraps what is written")
        if (self.encryption_context or self.bind_object) and not self.keyring.is_kms:
            raise ConfigurationError("raw keys bind no encryption context; give the keyring a material_description")

    @property
    def in_place(self) -> bool:
        """True if each object is replaced by itself."""
        return self.destination is None or self.destination == self.source

    def target(self, key: str) -> tuple[str, str]:
        """Bucket and key that the object with this key is written to."""
        if self.destination is None:
            return self.source.bucket, key
        relative = key[len(self.source.prefix) :] if key.startswith(self.source.prefix) else key
        return self.destination.bucket, self.destination.prefix + relative

    def is_source(self, key: str) -> bool:
        """False for keys under a destination that lies inside the source: they are this job's own work."""
        if self.in_place or self.destination is None or self.destination.bucket != self.source.bucket:
            return True
        inside = self.destination.prefix.startswith(self.source.prefix)
        return not (inside and key.startswith(self.destination.prefix))

    @property
    def identity(self) -> str:
        """SHA-256 (hex) over what decides which bytes end up where; a journal of another plan has another one."""
        names = (
            "action", "source", "destination", "keyring", "source_keyring", "encryption_context", "source_context",
            "accept_moved", "allow_legacy",
        )  # fmt: skip
        values = self.to_dict()
        chosen = {
            name: values.get(name) for name in (*names, "server_side_encryption", "instruction_file", "bind_object")
        }
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def _check_entry(name: str | None) -> None:
    """Refuse an entry that S3 would not keep, or that would make every object that is written look forged."""
    if name is None:
        return
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ConfigurationError(f"keep_last_modified is a name of ASCII letters, digits and '._-', not {name!a}")
    if is_content_metadata_key(name):
        raise ConfigurationError(f"keep_last_modified must not be {name!a}: it belongs to the content metadata")
