"""What one cell has: a server with stored objects, clients made for it, a folder, and who judges the content."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import functools
import importlib
import importlib.util
import os
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import endpoint, httpsession
from botocore.config import Config
from botocore.retries import adaptive

from s3ec import STORED_CONTEXT, AesKeyring, AlgorithmSuite, CommitmentPolicy, EncryptionClient, KmsKeyring
from s3ec.errors import S3ECError

from .honest import KMS_KEY, Cloud
from .server import Server
from support.read_once import models_read_once

__all__ = [
    "AGAIN",
    "KEY",
    "MARK",
    "OLDER",
    "OTHER",
    "PLAIN",
    "PROFILES",
    "Fault",
    "Profile",
    "World",
    "key_file",
    "prepared",
]

MARK = b"plaintext that must not travel: "
PLAIN = MARK * 90 + b"the object"
OLDER = MARK * 89 + b"an older version of the object, as long"[:32] + b"the object"
OTHER = MARK * 90 + b"the other!"
AGAIN = MARK * 70 + b"what is written now"
KEY = "folder/key"
WRAPPING_KEY = bytes(range(32))

assert len(PLAIN) == len(OLDER) == len(OTHER)


class Fault(AssertionError):  # noqa: N818 - a verdict
    """The claim does not hold; the text says how."""


@dataclass(frozen=True)
class Profile:
    """How the objects of a cell are encrypted.

    Attributes:
        name: as the page has it.
        options: of the client, but for its keyring.
        is_kms: KMS wraps the data keys; a raw AES key otherwise.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    is_kms: bool = False

    @property
    def is_bound(self) -> bool:
        """True if an object names its place."""
        return bool(self.options.get("bind_object"))


_V2: dict[str, Any] = {
    "commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    "algorithm_suite": AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF,
}
PROFILES = (
    Profile("V3, AES"),
    Profile("V3, KMS, bound", {"bind_object": True}, is_kms=True),
    Profile("V3, AES, instruction file", {"instruction_file_writes": True}),
    Profile("V2, KMS", _V2, is_kms=True),
)


@functools.cache
def _session() -> boto3.Session:
    return boto3.Session()


@dataclass
class World:
    """One cell's surroundings.

    Attributes:
        server: where everything goes.
        profile: how objects are encrypted.
        folder: for files; empty at first.
        row: the kind of lie that is told.
        notes: what a call's preparation leaves for the call.
    """

    server: Server
    profile: Profile
    folder: Path
    row: str = ""
    notes: dict[str, Any] = field(default_factory=dict)
    _opened: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def arguments(self) -> dict[str, Any]:
        """Of ``boto3.client``."""
        config = Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        return {
            "endpoint_url": self.server.url,
            "region_name": "us-east-1",
            "aws_access_key_id": "lies",
            "aws_secret_access_key": "lies",
            "config": config,
        }

    def plain(self, service: str = "s3") -> Any:
        """A client of boto3's own."""
        return self._opened.enter_context(contextlib.closing(_session().client(service, **self.arguments())))

    def keyring(self) -> Any:
        """The profile's keyring."""
        return KmsKeyring(KMS_KEY, client=self.plain("kms")) if self.profile.is_kms else AesKeyring(WRAPPING_KEY)

    def client(self, **options: Any) -> EncryptionClient:
        """A client of the profile; it ends with the cell."""
        made = EncryptionClient(
            keyring=self.keyring(), session=_session(), **{**self.arguments(), **self.profile.options, **options}
        )
        return self._opened.enter_context(contextlib.closing(made))

    def place(self, key: str = KEY) -> dict[str, str]:
        """Bucket and key."""
        return {"Bucket": "bucket", "Key": key}

    def judge(self, content: bytes, span: slice = slice(None), *, plain: bytes = PLAIN) -> str:
        """What is to be said of content that a call has given.

        Raises:
            Fault: it is neither what was stored here nor, where nothing can tell them apart, another genuine object.
        """
        if content == plain[span]:
            return "right"
        if self.row.startswith("replay") and content == OLDER[span]:
            return "older"
        if self.row.startswith("swap") and content == OTHER[span] and not self.profile.is_bound:
            return "other"
        raise Fault(f"WRONG BYTES: {len(content)} of them, {content[:40]!r}")

    def close(self) -> None:
        """Close every client."""
        self._opened.close()


def prepared(server: Server, profile: Profile) -> Cloud:
    """A cloud with the objects of a profile, and with older versions of them under ``past``."""
    server.cloud, server.tell = Cloud(), None
    world = World(server, profile, Path(os.devnull))
    try:
        client = world.client()
        versioned = {"Bucket": "versioned", "Key": KEY}
        metadata = {"Metadata": {"colour": "blue"}, "ContentType": "text/plain"}
        client.put_object(**world.place(), Body=OLDER, **metadata)
        for end in ("", ".instruction"):
            if ("bucket", KEY + end) in server.cloud.objects:
                server.cloud.objects["past", KEY + end] = server.cloud.objects["bucket", KEY + end]
        client.put_object(**world.place(), Body=PLAIN, **metadata)
        client.put_object(**world.place("other"), Body=OTHER, **metadata)
        _put_parts(client, world.place("parts"), PLAIN)
        plain = world.plain()
        for body in (PLAIN, PLAIN):
            plain.put_object(**versioned, Body=body)
        if profile.name.startswith("V3, KMS"):
            client.put_object(**versioned, Body=PLAIN)
    finally:
        world.close()
        server.hang_up()
    return server.cloud


def key_file(world: World) -> Path:
    """A file with the raw key of the profiles that have one."""
    path = world.folder.parent / "wrapping.key"
    path.write_bytes(WRAPPING_KEY)
    return path


def _put_parts(client: Any, place: dict[str, str], content: bytes) -> None:
    upload = client.create_multipart_upload(**place)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(content), 1024), 1):
        etag = client.upload_part(**place, UploadId=upload, PartNumber=number, Body=content[start : start + 1024])
        parts.append({"PartNumber": number, "ETag": etag["ETag"]})
    client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})


def copied(cloud: Cloud) -> Cloud:
    """The same stored objects, to be changed by one cell."""
    twin = copy.copy(cloud)
    twin.objects, twin.arrived = dict(cloud.objects), []
    twin.uploads = {name: copy.deepcopy(upload) for name, upload in cloud.uploads.items()}
    return twin


def read_by_others(world: World, place: tuple[str, str], version: str | None = None) -> bytes | None:
    """What an honest reader gets, once the lying has ended; None where nothing is encrypted.

    Raises:
        Fault: it is encrypted, and cannot be read.
    """
    client = world.notes.get("honest reader")
    if client is None:
        options = {**world.profile.options, "bind_object": False, "unencrypted_objects": "allow"}
        options["commitment_policy"] = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
        options["algorithm_suite"] = None
        client = world.notes["honest reader"] = world.client(**options)
    more: dict[str, Any] = {"VersionId": version} if version else {}
    if world.profile.is_kms:
        more["EncryptionContext"] = STORED_CONTEXT
    try:
        content: bytes = client.get_object(Bucket=place[0], Key=place[1], **more)["Body"].read()
    except S3ECError as error:
        raise Fault(f"UNREADABLE OBJECT: {place}: {error}") from error
    return content


def is_shown(content: bytes) -> bool:
    """True if plaintext stands in it, as it is or as base64."""
    encoded = base64.b64encode(MARK * 3)[4:-4]
    return MARK in content or encoded in content


@contextlib.contextmanager
def waiting(seconds: float) -> Iterator[None]:
    """Let every client that is made meanwhile wait so long for its server, jobs' and commands' clients too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Config.OPTION_DEFAULTS, "read_timeout", seconds)
        patch.setattr(httpsession, "DEFAULT_TIMEOUT", seconds)
        yield


@contextlib.contextmanager
def surroundings(url: str, home: Path) -> Iterator[None]:
    """An environment in which jobs and commands find the server, and in which nobody waits between two attempts."""
    with pytest.MonkeyPatch.context() as patch, models_read_once():
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "lies",
            "AWS_SECRET_ACCESS_KEY": "lies",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
            "AWS_CONFIG_FILE": str(home / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "2",
            "XDG_STATE_HOME": str(home / "state"),
        }.items():
            patch.setenv(name, value)
        patch.setattr(adaptive.ClientRateLimiter, "on_sending_request", lambda *_, **__: None)
        patch.setattr(endpoint, "time", types.SimpleNamespace(sleep=lambda seconds: None))
        for name in ("aiobotocore.endpoint", "s3fs.core"):
            if importlib.util.find_spec(name.partition(".")[0]) is not None:
                patch.setattr(importlib.import_module(name), "asyncio", _Hurry("asyncio"))
        yield


class _Hurry(types.ModuleType):
    """asyncio for one module, in which nobody waits for time to pass."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        """Let others have their turn."""
        await asyncio.sleep(0)
