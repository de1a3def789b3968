"""Encrypts one plaintext and commits it with one conditional request, after a reader's cipher has read it back.

Up to a limit the object is one PutObject; above, parts go out as they are encrypted, and nothing is an object before
CompleteMultipartUpload. Whatever fails before that request leaves the bucket as it was.
"""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from s3ec.errors import SourceChangedError
from s3ec.migrate.model import Result
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.steps.sealing import Sealing
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError, code_of, status_of
from s3ec.s3.answers import NO_SUCH_OBJECT

__all__ = ["PARTS_IN_FLIGHT", "Target", "Written", "begin_upload", "memory_for", "part_length", "write"]

PARTS_IN_FLIGHT = 3
"""Parts of one object that are sent at a time."""
_MAX_PARTS = 10_000
_CHECKSUM = "CRC32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an object goes, and on what condition.

    Attributes:
        bucket: the bucket.
        key: the key.
        arguments: arguments of ``put_object`` or ``create_multipart_upload``, everything but ``Metadata``.
        replaces: ETag of what stands there now, or None where nothing does.
        needs_file: True if what stands there now has its data key in an instruction file.
    """

    bucket: str
    key: str
    arguments: Mapping[str, Any]
    replaces: str | None
    needs_file: bool = False

    @property
    def condition(self) -> dict[str, str]:
        """Return the condition that makes a concurrent writer win."""
        return {"IfMatch": self.replaces} if self.replaces else {"IfNoneMatch": "*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write left behind.

    Attributes:
        etag: ETag of the new object.
        version_id: version of the new object; None if the bucket keeps none.
        length: bytes stored.
        plaintext_length: bytes; None where no plaintext was seen.
        plaintext_sha256: hex; None where no plaintext was seen.
    """

    etag: str
    version_id: str | None
    length: int
    plaintext_length: int | None = None
    plaintext_sha256: str | None = None


def memory_for(plaintext_length: int, context: MigrationContext) -> int:
    """Bytes of content that a write of this size holds at most."""
    if plaintext_length <= context.settings.single_request_limit:
        return 3 * plaintext_length
    return (PARTS_IN_FLIGHT + 2) * part_length(plaintext_length, context.settings)


def write(
    chunks: Iterator[bytes],
    length: int,
    sealing: Sealing,
    target: Target,
    *,
    before_commit: Callable[[], None],
    context: MigrationContext,
    calls: Calls,
) -> Written:
    """Encrypt and commit.

    Args:
        chunks: the plaintext; it raises where it does not verify, before it ends.
        length: its length, or the most that it can be.
        sealing: how to encrypt.
        target: where to.
        before_commit: called when all is encrypted and checked, right before the request that makes it an object.
        context: context of the worker.
        calls: counts the requests.

    Raises:
        TaskEndedError: another writer was there first, and nothing was written.
    """
    if length <= context.settings.single_request_limit:
        return _write_once(b"".join(chunks), sealing, target, before_commit, context, calls)
    upload = _Upload(sealing, target, before_commit, context, calls)
    try:
        return upload.run(chunks, part_length(length, context.settings))
    except BaseException:
        upload.abort()
        raise


def part_length(length: int, settings: MigrationSettings) -> int:
    """Bytes of each part but the last, so that S3's 10,000 parts are enough."""
    return max(settings.part_size, -(-length // (_MAX_PARTS - 1)))


def begin_upload(target: Target, context: MigrationContext, calls: Calls, **more: Any) -> str:
    """Begin a multipart upload that a later run finds, whenever this one is killed, and give its id.

    Raises:
        botocore.exceptions.ClientError: S3 refuses.
    """
    where = {"Bucket": target.bucket, "Key": target.key}
    log = context.uploads
    name = log.upload_opening(target.bucket, target.key) if log is not None else ""
    try:
        answer = calls("create_multipart_upload", **where, **more, **target.arguments)
    except ClientError as error:
        # Refused at once; after any other error it is not known what S3 has done, and the name stays.
        if log is not None and status_of(error) < 500 and not _was_repeated(error.response):
            log.upload_closed(name)
        raise
    upload_id = str(answer["UploadId"])
    if log is not None:
        log.upload_opened(name, upload_id, is_only_one=not _was_repeated(answer))
    return upload_id


def _was_repeated(answer: Mapping[str, Any]) -> bool:
    """True if the SDK sent the request again: an answer that was lost may have begun an upload of its own."""
    return bool(answer.get("ResponseMetadata", {}).get("RetryAttempts"))


class _CheckedEncryptor:
    """Encrypts, and has a reader's cipher decrypt every byte again before it may be committed."""

    def __init__(self, sealing: Sealing) -> None:
        self._encryptor = sealing.cipher.encryptor()
        self._reader = sealing.reader.decryptor()
        self._checksum = hashlib.sha256()
        self.plaintext_length = 0

    def update(self, plaintext: bytes | bytearray) -> bytes:
        ciphertext = self._encryptor.update(plaintext)
        if self._reader.update(ciphertext) != plaintext:
            raise SourceChangedError("what was encrypted does not decrypt to what was read; nothing was committed")
        self._checksum.update(plaintext)
        self.plaintext_length += len(plaintext)
        return ciphertext

    def finalize(self) -> bytes:
        tag = self._encryptor.finalize()
        self._reader.verify(tag)
        return tag

    @property
    def plaintext_sha256(self) -> str:
        return self._checksum.hexdigest()


def _write_once(
    plaintext: bytes,
    sealing: Sealing,
    target: Target,
    before_commit: Callable[[], None],
    context: MigrationContext,
    calls: Calls,
) -> Written:
    encryptor = _CheckedEncryptor(sealing)
    ciphertext = encryptor.update(plaintext) + encryptor.finalize()
    before_commit()
    answer = calls.small(
        "put_object",
        Bucket=target.bucket,
        Key=target.key,
        Body=ciphertext,
        Metadata=dict(sealing.metadata),
        ChecksumAlgorithm=_CHECKSUM,
        **target.condition,
        **target.arguments,
    )
    return Written(
        etag=answer["ETag"],
        version_id=context.version_of(target.bucket, answer),
        plaintext_length=len(plaintext),
        plaintext_sha256=encryptor.plaintext_sha256,
        length=len(ciphertext),
    )


class _Upload:
    """One multipart upload, from its first request to the one that commits it."""

    def __init__(
        self,
        sealing: Sealing,
        target: Target,
        before_commit: Callable[[], None],
        context: MigrationContext,
        calls: Calls,
    ) -> None:
        self._sealing = sealing
        self._target = target
        self._before_commit = before_commit
        self._context = context
        self._calls = calls
        self._parts: list[dict[str, Any]] = []
        self._where: dict[str, str] = {"Bucket": target.bucket, "Key": target.key}
        self._id: str | None = None

    def run(self, chunks: Iterator[bytes], size: int) -> Written:
        target = self._target
        self._id = begin_upload(
            target,
            self._context,
            self._calls,
            Metadata=dict(self._sealing.metadata),
            ChecksumAlgorithm=_CHECKSUM,
        )
        encryptor = _CheckedEncryptor(self._sealing)
        length = self._send(_encrypted_parts(chunks, encryptor, size))
        self._check_target()
        self._before_commit()
        answer = self._calls(
            "complete_multipart_upload",
            **self._where,
            UploadId=self._id,
            MultipartUpload={"Parts": self._parts},
            **target.condition,
        )
        self._closed()
        return Written(
            etag=answer["ETag"],
            version_id=self._context.version_of(target.bucket, answer),
            plaintext_length=encryptor.plaintext_length,
            plaintext_sha256=encryptor.plaintext_sha256,
            length=length,
        )

    def _send(self, parts: Iterator[bytes]) -> int:
        length = 0
        waiting: collections.deque[Future[dict[str, Any]]] = collections.deque()
        with ThreadPoolExecutor(max_workers=PARTS_IN_FLIGHT) as pool:
            try:
                for number, part in enumerate(parts, 1):
                    length += len(part)
                    waiting.append(pool.submit(self._send_one, number, part))
                    if len(waiting) >= PARTS_IN_FLIGHT:
                        self._parts.append(waiting.popleft().result())
                while waiting:
                    self._parts.append(waiting.popleft().result())
            finally:
                for future in waiting:
                    future.cancel()
        return length

    def _send_one(self, number: int, part: bytes) -> dict[str, Any]:
        answer = self._calls(
            "upload_part",
            **self._where,
            UploadId=self._id,
            PartNumber=number,
            Body=part,
            ChecksumAlgorithm=_CHECKSUM,
        )
        checksums = {name: answer[name] for name in (f"Checksum{_CHECKSUM}",) if answer.get(name)}
        return {"PartNumber": number, "ETag": answer["ETag"], **checksums}

    def _check_target(self) -> None:
        """Look once more before the commit: some servers ignore the condition on CompleteMultipartUpload."""
        if self._context.settings.in_place:
            return  # what is replaced is what was read, and ``before_commit`` looks at that
        try:
            found: str | None = self._calls("head_object", **self._where)["ETag"]
        except ClientError as error:
            if code_of(error) not in NO_SUCH_OBJECT:
                raise
            found = None
        if found != self._target.replaces:
            result = Result.GONE if found is None else Result.CHANGED
            raise TaskEndedError(result, "another writer changed the object while it was encrypted")

    def abort(self) -> None:
        """Leave nothing behind; what cannot be aborted now stays noted for a later run."""
        if self._id is None:
            return
        try:
            self._calls("abort_multipart_upload", **self._where, UploadId=self._id)
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                return
        except BotoCoreError:
            return
        self._closed()

    def _closed(self) -> None:
        if self._context.uploads is not None and self._id is not None:
            self._context.uploads.upload_closed(self._id)
        self._id = None


def _encrypted_parts(chunks: Iterator[bytes], encryptor: _CheckedEncryptor, size: int) -> Iterator[bytes]:
    """Parts of equal length, the last one shorter and with the tag at its end."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) > size:
            part = bytes(memoryview(waiting)[:size])
            del waiting[:size]
            yield encryptor.update(part)
    yield encryptor.update(bytes(waiting)) + encryptor.finalize()
