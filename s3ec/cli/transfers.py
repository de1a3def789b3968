"""One copy of one object, in each direction; the managed transfers of the client do the work."""

from __future__ import annotations

import mimetypes
import os
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig

from s3ec.cli.failures import ExitCode, Failure, FailureError
from s3ec.cli.urls import S3Url
from s3ec.cli.writing import Writing
from s3ec.client.tools.inspection import inspect
from s3ec.formats.metadata import RESERVED_CONTEXT_NAMES
from s3ec.materials import StoredContext
from s3ec.migrate.audit.survey_object import PLAINTEXT, UNREADABLE, look
from s3ec.migrate.steps.placement import compare_place

if TYPE_CHECKING:
    from s3ec.client.encryption_client import EncryptionClient

__all__ = ["STANDARD_STREAM", "Copier", "Copy", "Place", "Report"]

STANDARD_STREAM = "-"

Place = S3Url | Path | str
"""An object, a local file, or ``-``."""

Report = Callable[[int], None]
"""Called with bytes of plaintext as they move; what it raises ends the transfer."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One thing to copy.

    Attributes:
        source: from where.
        target: to where.
        size: bytes, as far as they are known before; of ciphertext for objects.
        modified: seconds since the epoch, which a downloaded file gets; None leaves the time of the download.
        version: what shows that the source is still the one that was copied: an ETag, or a file's size and time.
    """

    source: Place
    target: Place
    size: int | None = None
    modified: float | None = None
    version: Any = None

    def __str__(self) -> str:
        """``source -> target``."""
        return f"{self.source} -> {self.target}"

    @property
    def location(self) -> str:
        """What an error names: the object, else the target of an upload."""
        return str(self.source if isinstance(self.source, S3Url) else self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copier:
    """Copies with one client.

    Attributes:
        client: the encrypting client.
        plain: a client that shows what S3 stores.
        read_context: ``EncryptionContext`` of reads.
        write_context: further arguments of uploads.
        writing: what was asked for of objects that are written.
        allow_unencrypted: also read objects that are not encrypted.
        config: how many requests one transfer may have under way.
    """

    client: EncryptionClient
    plain: Any
    read_context: Mapping[str, str] | StoredContext
    write_context: Mapping[str, Any] = field(default_factory=dict)
    writing: Writing = field(default_factory=Writing)
    allow_unencrypted: bool = False
    config: TransferConfig | None = None

    def __call__(self, copy: Copy, report: Report | None = None) -> None:
        """Copy.

        Raises:
            OSError: the local side failed.
            s3ec.errors.S3ECError: the object cannot be read or written as it must be.
            botocore.exceptions.ClientError: S3 refused.
        """
        if isinstance(copy.target, S3Url):
            if isinstance(copy.source, S3Url):
                self._between(copy.source, copy.target, report)
            else:
                self._up(copy.source, copy.target, report)
        elif isinstance(copy.source, S3Url):
            self._down(copy.source, copy.target, report, copy.modified)

    def _up(self, source: Path | str, target: S3Url, report: Report | None) -> None:
        guessed = None if source == STANDARD_STREAM else mimetypes.guess_type(str(source))[0]
        extra = {**self.writing.upload_arguments(guessed), **self.write_context}
        options: dict[str, Any] = {"ExtraArgs": extra, "Config": self.config, "Callback": report}
        if source == STANDARD_STREAM:
            self.client.upload_fileobj(sys.stdin.buffer, target.bucket, target.key, **options)
            return
        path = Path(source)
        if not stat.S_ISREG(path.stat().st_mode):
            # A pipe is opened once: a second opening would find no writer.
            with path.open("rb") as stream:
                self.client.upload_fileobj(stream, target.bucket, target.key, **options)
            return
        # An unreadable file is the file's error, not the transfer's.
        path.open("rb").close()
        self.client.upload_file(str(source), target.bucket, target.key, **options)

    def _down(self, source: S3Url, target: Path | str, report: Report | None, modified: float | None) -> None:
        extra = {"EncryptionContext": self.read_context}
        options: dict[str, Any] = {"ExtraArgs": extra, "Config": self.config, "Callback": report}
        if target == STANDARD_STREAM:
            self.client.download_fileobj(source.bucket, source.key, sys.stdout.buffer, **options)
            sys.stdout.buffer.flush()
            return
        path = Path(target)
        if source.key.endswith("/"):
            self._refuse_content(source)
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self.client.download_file(source.bucket, source.key, str(path), **options)
        if modified is not None and path.is_file():
            # `sync` compares times: the file is as old as its object.
            os.utime(path, (modified, modified))

    def _refuse_content(self, source: S3Url) -> None:
        """A folder's placeholder becomes a folder; what has content would lose it, and a move deletes the object."""
        place: dict[str, Any] = {"Bucket": source.bucket, "Key": source.key}
        if self.plain.head_object(**place)["ContentLength"] == 0:
            return
        with closing(self.client.get_object(**place, EncryptionContext=self.read_context)["Body"]) as body:
            has_content = bool(body.read(1))
        if has_content:
            message = f"the key {source.key!r} names a folder and has content, which no folder has: `s3ec cat` reads it"
            raise FailureError(Failure(code=ExitCode.CONFIGURATION, error="UnsafeKey", message=message))

    def _between(self, source: S3Url, target: S3Url, report: Report | None) -> None:
        """Copy ciphertext as it is, with its content metadata; a copy must not spread plaintext."""
        head: Any = self.client.head_object(Bucket=source.bucket, Key=source.key)
        about: Any = head["ResponseMetadata"].get("ClientSideEncryption") or {}
        if about.get("format") is None and not self.allow_unencrypted:
            self._refuse_plaintext(source)
        self._refuse_misplaced(source, about)
        self.client.copy(
            {"Bucket": source.bucket, "Key": source.key},
            target.bucket,
            target.key,
            ExtraArgs=self.writing.copy_arguments(head),
            Config=self.config,
            Callback=report,
        )

    def _refuse_misplaced(self, source: S3Url, about: Mapping[str, Any]) -> None:
        """Refuse to spread ciphertext that was put in another object's place, whatever its new place is."""
        stored = about.get("encryption_context")
        if about.get("metadata_location") != "metadata":
            stored = inspect(self.client, Bucket=source.bucket, Key=source.key).encryption_context
        if stored is None:
            return
        pairs = {name: value for name, value in stored.items() if name not in RESERVED_CONTEXT_NAMES}
        asserted = [self.read_context] if isinstance(self.read_context, Mapping) else []
        compare_place(pairs, source.bucket, source.key, asserted=asserted)

    def _refuse_plaintext(self, source: S3Url) -> None:
        """The headers of an object whose metadata lies in an instruction file need not say that it is encrypted."""
        found = look(self.plain, source.bucket, source.key)
        if found.format not in (PLAINTEXT, UNREADABLE):
            return
        message = (
            f"{source} is not encrypted: `s3ec migrate` encrypts it on the way, --allow-unencrypted copies it as it is"
        )
        if found.format == UNREADABLE:
            message = f"{source}: {found.problem}; --allow-unencrypted copies it as it is"
        raise FailureError(Failure(code=ExitCode.METADATA, error=found.error or "NotEncryptedError", message=message))
