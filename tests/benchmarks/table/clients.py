"""The clients that are compared, and what each is asked to do. Runs in each client's own Python: imports are late."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

__all__ = ["KEY_ARN", "KINDS", "Cannot", "Plain"]

KEY_ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BUCKET = "benchmark"
_MIB = 1 << 20


class Cannot(Exception):  # noqa: N818  # an answer rather than an error
    """The client has no such operation, or a wrong one."""


class Plain:
    """boto3, which encrypts nothing: the denominator of every ratio."""

    def __init__(self, place: dict[str, Any]) -> None:
        """Make the clients.

        Args:
            place: ``s3`` and ``kms`` (arguments for boto3.client).
        """
        self.place = place
        self.s3 = self._boto("s3")
        self.client = self.make()
        self.prefix = type(self).__name__.lower()

    def make(self) -> Any:
        """The client that is measured."""
        return self.s3

    def _boto(self, service: Any) -> Any:
        return boto3.session.Session().client(service, **self.place[service], config=Config(max_pool_connections=32))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": BUCKET, "Key": f"{self.prefix}/{key}"}

    def put(self, key: str, body: Any) -> None:
        """Store bytes, or an open file."""
        self.client.put_object(**self._at(key), Body=body)

    def put_file(self, key: str, path: Path) -> None:
        """Store a file by one `put_object`."""
        with path.open("rb") as body:
            self.put(key, body)

    def get(self, key: str, take: Callable[[bytes], object]) -> None:
        """Read an object in steps of one MiB."""
        read = self.client.get_object(**self._at(key))["Body"].read
        while piece := read(_MIB):
            take(piece)

    def range(self, key: str, start: int, length: int) -> bytes:
        """Read a part of an object."""
        wanted = f"bytes={start}-{start + length - 1}"
        content: bytes = self.client.get_object(**self._at(key), Range=wanted)["Body"].read()
        return content

    def upload_file(self, key: str, path: Path) -> None:
        """Upload a file."""
        self.client.upload_file(str(path), *self._at(key).values())

    def upload_fileobj(self, key: str, path: Path) -> None:
        """Upload an open file."""
        with path.open("rb") as body:
            self.client.upload_fileobj(body, *self._at(key).values())

    def download_file(self, key: str, path: Path) -> None:
        """Download into a file."""
        self.client.download_file(*self._at(key).values(), str(path))

    def migrate(self, key: str) -> None:
        """Read a plain object and write it through the client."""
        found = self.s3.get_object(**self._at(key))
        self.client.put_object(**self._at(f"{key}-moved"), Body=found["Body"].read(), Metadata=found["Metadata"])

    @staticmethod
    def each(work: Callable[[int], object], count: int, threads: int) -> None:
        """Do something so often, in so many threads."""
        if threads == 1:
            for number in range(count):
                work(number)
            return
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(work, range(count)):
                pass


class Own(Plain):
    """s3ec with a call of KMS for each object."""

    options: dict[str, Any] = {}  # noqa: RUF012  # never changed

    def make(self) -> Any:
        from s3ec import EncryptionClient

        return EncryptionClient(
            **self.keys(), **self.options, **self.place["s3"], config=Config(max_pool_connections=32)
        )

    def keys(self) -> dict[str, Any]:
        """The argument that says where data keys come from."""
        return {"keyring": self.keyring()}

    def keyring(self) -> Any:
        """A keyring of KMS."""
        from s3ec import KmsKeyring

        return KmsKeyring(KEY_ARN, client=self._boto("kms"))


class OwnCached(Own):
    """s3ec that uses a data key for more than one object."""

    def keys(self) -> dict[str, Any]:
        from s3ec import CachingMaterialsManager

        return {"materials_manager": CachingMaterialsManager(self.keyring())}


class OwnPrefetched(Own):
    """s3ec that asks for the next objects' data keys ahead."""

    def keys(self) -> dict[str, Any]:
        from s3ec import PrefetchingMaterialsManager

        return {"materials_manager": PrefetchingMaterialsManager(self.keyring())}


class OwnDelayed(Own):
    """s3ec that hands out plaintext before the tag is verified."""

    options = {"enable_delayed_authentication": True}  # noqa: RUF012  # never changed


class Official(Plain):
    """amazon-s3-encryption-client-python with its defaults."""

    delayed = False

    def make(self) -> Any:
        from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
        from s3_encryption.materials.kms_keyring import KmsKeyring

        config = S3EncryptionClientConfig(
            keyring=KmsKeyring(self._boto("kms"), KEY_ARN), enable_delayed_authentication=self.delayed
        )
        return S3EncryptionClient(self._boto("s3"), config)

    def range(self, key: str, start: int, length: int) -> bytes:
        raise Cannot("it refuses ranges")

    def download_file(self, key: str, path: Path) -> None:
        # Its own is boto3's, which asks for ranges above 8 MiB and fails; what its users write instead.
        with path.open("wb") as file:
            self.get(key, file.write)


class OfficialDelayed(Official):
    """The same, which hands out plaintext before the tag is verified."""

    delayed = True


KINDS: dict[str, type[Plain]] = {
    "boto3": Plain,
    "s3ec": Own,
    "s3ec-cached": OwnCached,
    "s3ec-prefetched": OwnPrefetched,
    "s3ec-delayed": OwnDelayed,
    "official": Official,
    "official-delayed": OfficialDelayed,
}


def chance() -> random.Random:
    """The same offsets for every client."""
    return random.Random(11)
