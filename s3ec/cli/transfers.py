"""One ``cp`` of one object, in each direction; the managed transfers of the client do the work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig

from s3ec.cli.failures import ExitCode, Failure, FailureError
from s3ec.cli.urls import S3Url
from s3ec.materials import StoredContext

if TYPE_CHECKING:
    from s3ec.client.encryption_client import EncryptionClient

__all__ = ["STANDARD_STREAM", "Copier", "Copy", "files_under", "local_target"]

STANDARD_STREAM = "-"

Place = S3Url | Path | str
"""An object, a local file, or ``-``."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One thing to copy."""

    source: Place
    target: Place

    def __str__(self) -> str:
        """``source -> target``."""
        return f"{self.source} -> {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copier:
    """Copies with one client.

    Attributes:
        client: the encrypting client.
        read_context: ``EncryptionContext`` of reads.
        write_arguments: further arguments of uploads.
        allow_unencrypted: also read objects that are not encrypted.
        config: how many requests one transfer may have under way.
    """

    client: EncryptionClient
    read_context: Mapping[str, str] | StoredContext
    write_arguments: Mapping[str, Any]
    allow_unencrypted: bool = False
    config: TransferConfig | None = None

    def __call__(self, copy: Copy) -> None:
        """Copy.

        Raises:
            OSError: the local side.
            s3ec.errors.S3ECError: the object cannot be read or written as it must be.
            botocore.exceptions.ClientError: S3's own refusals.
        """
        if isinstance(copy.target, S3Url):
            if isinstance(copy.source, S3Url):
                self._between(copy.source, copy.target)
            else:
                self._up(copy.source, copy.target)
        elif isinstance(copy.source, S3Url):
            self._down(copy.source, copy.target)

    def _up(self, source: Path | str, target: S3Url) -> None:
        extra = dict(self.write_arguments)
        if source == STANDARD_STREAM:
            self.client.upload_fileobj(sys.stdin.buffer, target.bucket, target.key, ExtraArgs=extra, Config=self.config)
        else:
            # An unreadable file is the file's error, not the transfer's.
            Path(source).open("rb").close()
            self.client.upload_file(str(source), target.bucket, target.key, ExtraArgs=extra, Config=self.config)

    def _down(self, source: S3Url, target: Path | str) -> None:
        extra = {"EncryptionContext": self.read_context}
        if target == STANDARD_STREAM:
            self.client.download_fileobj(
                source.bucket, source.key, sys.stdout.buffer, ExtraArgs=extra, Config=self.config
            )
            sys.stdout.buffer.flush()
            return
        path = Path(target)
        if source.key.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self.client.download_file(source.bucket, source.key, str(path), ExtraArgs=extra, Config=self.config)

    def _between(self, source: S3Url, target: S3Url) -> None:
        """Copy ciphertext as it is, with its content metadata; plaintext is not for `cp` to spread."""
        head: Any = self.client.head_object(Bucket=source.bucket, Key=source.key)
        about: Any = head["ResponseMetadata"].get("ClientSideEncryption") or {}
        if about.get("format") is None and not self.allow_unencrypted:
            raise FailureError(
                Failure(
                    code=ExitCode.METADATA,
                    error="NotEncryptedError",
                    message=f"{source} is not encrypted: `s3ec migrate` encrypts it on the way, "
                    "--allow-unencrypted copies it as it is",
                )
            )
        self.client.copy({"Bucket": source.bucket, "Key": source.key}, target.bucket, target.key, Config=self.config)


def files_under(folder: Path) -> Iterator[Path]:
    """All files under a folder, in order; links are followed, as `aws s3` does, but no link back into its own path."""
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield from (Path(root, name) for name in sorted(names))


def local_target(folder: Path, relative: str) -> Path:
    """Where an object goes under a local folder.

    Keys are chosen by whoever may write to the bucket: ``../`` in one must not lead out of the folder, nor may a link
    that lies there already.

    Raises:
        FailureError: the key leads out of the folder, or names no file that this system can have.
    """
    parts = relative.rstrip("/").split("/")
    path = folder.joinpath(*parts)
    bad = {"", ".", ".."} & set(parts) or "\0" in relative or (os.sep != "/" and os.sep in relative)
    if bad or not path.resolve().is_relative_to(folder.resolve()):
        raise FailureError(
            Failure(
                code=ExitCode.CONFIGURATION,
                error="UnsafeKey",
                message=f"the key {relative!r} cannot become a file under {folder}: copy it on its own, under a name",
            )
        )
    return path
