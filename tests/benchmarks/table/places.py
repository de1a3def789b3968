"""The servers of a run, and where objects and files are kept: in memory where they fit, else on disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from clients import BUCKET
from distance import distant
from kms import Kms, kms

from support import servers

__all__ = ["Place", "folder_for", "place"]

_TRASH = ".minio.sys/tmp/.trash"
_BLOCK = 1 << 23
_ARGUMENTS: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "benchmark",
    "aws_secret_access_key": "benchmark",
}


@dataclass(frozen=True)
class Place:
    """Running servers, and a folder.

    Attributes:
        folder: for files of the clients.
        s3: arguments of boto3.client for S3.
        far: the same for an S3 that is far.
        kms: the same for KMS.
        state: the KMS, whose calls are counted.
        data: where MinIO keeps objects; None where the S3 is another one.
    """

    folder: Path
    s3: dict[str, Any]
    far: dict[str, Any]
    kms: dict[str, Any]
    state: Kms
    data: Path | None

    def arguments(self, source: Path, *, is_far: bool) -> dict[str, Any]:
        """What a worker needs to know."""
        return {"s3": self.far if is_far else self.s3, "kms": self.kms, "source": str(source)}

    def forget(self) -> None:
        """Delete what was overwritten, which MinIO keeps for five minutes: it would fill the memory."""
        trash = self.data / _TRASH if self.data else None
        if trash and trash.is_dir():
            for overwritten in trash.iterdir():
                shutil.rmtree(overwritten, ignore_errors=True)

    def empty(self) -> None:
        """Delete every object."""
        client = boto3.client("s3", **self.s3)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for found in page.get("Contents", ()):
                client.delete_object(Bucket=BUCKET, Key=found["Key"])
        self.forget()

    def source(self, size: int, *, is_sparse: bool = False) -> Path:
        """A file of so many bytes, of which each block is another one; or one of zeros that takes no space."""
        path = self.folder / "source"
        with path.open("wb") as file:
            if is_sparse:
                file.truncate(size)
            while not is_sparse and (left := size - file.tell()):
                file.write(os.urandom(min(left, _BLOCK)))
        return path


def folder_for(needed: int) -> Path | None:
    """Where so many bytes may be kept in memory; None for the system's folder of temporary files.

    Half of what is free is left to the clients and the servers.
    """
    memory = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it
    if memory.is_dir() and os.access(memory, os.W_OK) and 2 * needed < _available():
        return memory
    return None


def _available() -> int:
    """Bytes that the kernel could give to programs now."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def place(base: Path | None, url: str | None = None, certificate: Path | None = None) -> Iterator[Place]:
    """Start MinIO over https, the way to a distant one, and KMS.

    Args:
        base: where objects and files are kept, as `folder_for` says.
        url: another S3 to take instead, which runs already.
        certificate: the one that it is trusted by.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3ec-benchmark-", dir=base)))
        data = None
        if url:
            s3 = {**_ARGUMENTS, "endpoint_url": url, "verify": str(certificate)}
        else:
            server = stack.enter_context(servers.minio(folder / "minio", tls=True))
            s3, data = server.arguments(), server.data
        own = servers.write_certificate(folder, "kms.crt", "kms.key")
        state = stack.enter_context(kms(own, own.with_suffix(".key")))
        port = stack.enter_context(distant(urlsplit(s3["endpoint_url"]).port or 443))
        # It listens before it is ready.
        patient = Config(retries={"mode": "standard", "total_max_attempts": 12})
        boto3.client("s3", **s3, config=patient).create_bucket(Bucket=BUCKET)
        far = {**s3, "endpoint_url": f"https://127.0.0.1:{port}"}
        yield Place(folder, s3, far, {**_ARGUMENTS, "endpoint_url": state.url, "verify": str(own)}, state, data)
