"""Open files of the file system."""

from __future__ import annotations

import io
import math
from typing import Any

from fsspec.asyn import sync
from s3fs.core import S3AsyncStreamedFile, S3File, version_id_kw
from s3fs.utils import FileExpired

from s3ec.fs import reads, uploads

__all__ = ["S3ECAsyncStreamedFile", "S3ECFile"]

_OURS = ("EncryptionContext", "InstructionFileSuffix")
_MOST_PARTS = 9_000  # of S3's 10,000, so that some are left for what is appended


class S3ECFile(S3File):  # type: ignore[misc]
    """A file of ``s3ec://``, as `s3fs.core.S3File`: plaintext to its reader and writer, encrypted in S3.

    A write that fails ends the file: its upload is aborted, and closing it stores nothing.
    """

    # Of s3fs and fsspec, which give no types.
    buffer: Any
    kwargs: dict[str, Any]
    mpu: Any
    parts: Any

    def __init__(self, *args: Any, **keywords: Any) -> None:
        """Open the file; one that is appended to is read and verified first if it is small."""
        # Some of fsspec's caches read while they are made.
        self._is_verified = False
        self._says_its_size = keywords.get("size") is not None
        try:
            super().__init__(*args, **keywords)
        except BaseException:
            # fsspec closes what is collected, and closing would store an empty object in place of the one to append to.
            self.closed = True
            raise
        # s3fs drops them where a file is empty, and on reads.
        self.kwargs = {**self.s3_additional_kwargs, **self.kwargs}
        if "r" in self.mode:
            ours = {name: self.s3_additional_kwargs[name] for name in _OURS if name in self.s3_additional_kwargs}
            setattr(self, self._name_of_read_kw(), {**self._read_kw(), **ours})

    def _name_of_read_kw(self) -> str:
        # Older versions of s3fs have one name for those of reads and all others.
        return "read_kw" if hasattr(self, "read_kw") else "req_kw"

    def _read_kw(self) -> dict[str, Any]:
        """Parameters of every GetObject of this file."""
        return dict(getattr(self, self._name_of_read_kw()))

    def read(self, length: int = -1) -> bytes:
        """Return verified plaintext.

        Also that there is none is verified: the size comes from a listing or a HEAD, which whoever may write to the
        bucket can change, and fsspec asks for nothing behind it.
        """
        content: bytes = super().read(length)
        if not content and length != 0 and not self._is_verified:
            self._get(self.size - 1, self.size) if self.size else self._get()
        return content

    def _fetch_range(self, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        try:
            return self._get(start, end)
        except OSError as error:
            if not reads.is_replaced(error):
                raise
            raise FileExpired(filename=self.details["name"], e_tag=self.details.get("ETag")) from error

    def _get(self, *bounds: int) -> bytes:
        """A range of the file, or all of it; the file must have the size that it was opened with."""
        request = {"Bucket": self.bucket, "Key": self.key, **version_id_kw(self.version_id), **self._read_kw()}
        if bounds:
            request["Range"] = f"bytes={bounds[0]}-{bounds[1] - 1}"
        stated = None if self._says_its_size else reads.Stated(self.size, not self.fs.sizes_are_certain)
        details = self.details if getattr(self.fs, "local_expiry_check", False) else None
        content: bytes = sync(self.fs.loop, reads.whole_body, self.fs, request, stated, details)
        self._is_verified = True
        return content

    def _initiate_upload(self) -> None:
        if not self.append_block:
            super()._initiate_upload()
            return
        if self.mpu:
            return
        acl = {"ACL": self.acl} if self.acl else {}
        self.parts = []
        self.mpu = self._call_s3("create_multipart_upload", Bucket=self.bucket, Key=self.key, **acl)
        try:
            # A copy of the object as a part would be a second ciphertext in the new one.
            rest = sync(self.fs.loop, self._send_existing)
        except BaseException:
            self._give_up()
            raise
        written = self.buffer.getvalue()
        self.buffer = io.BytesIO(rest + written)
        self.buffer.seek(0, 2)

    async def _send_existing(self) -> bytes:
        """Send what the file holds already as parts of the new one; return the rest, which is too short for a part."""
        info = await self.fs._info(self.path, refresh=True)
        size = max(self.blocksize, math.ceil(info["size"] / _MOST_PARTS))
        source = {"Bucket": self.bucket, "Key": self.key, "IfMatch": info["ETag"], **version_id_kw(self.version_id)}
        source |= {name: self.s3_additional_kwargs[name] for name in _OURS if name in self.s3_additional_kwargs}
        upload = {"Bucket": self.bucket, "Key": self.key, "UploadId": self.mpu["UploadId"]}
        rest = b""

        async def whole_ones() -> Any:
            nonlocal rest
            async for piece in uploads.pieces_of_objects(self.fs, [source], size):
                if len(piece) < (size if self.fs.fixed_upload_size else self.part_min):
                    rest = piece
                else:
                    yield piece

        self.parts.extend(await uploads.send_parts(self.fs, upload, whole_ones(), concurrency=2))
        return rest

    def _upload_chunk(self, final: bool = False) -> Any:
        try:
            return super()._upload_chunk(final=final)
        except BaseException:
            self._give_up()
            raise

    def commit(self) -> None:
        """Store the file under its name; a failure aborts its upload."""
        if "x" in self.mode and self.tell() == 0:
            # An empty file is touched, which would take the place of one that is there: s3fs tells it no condition.
            self.kwargs = {**self.kwargs, "IfNoneMatch": "*"}
        try:
            super().commit()
        except BaseException:
            self._give_up()
            raise

    def discard(self) -> None:
        """Throw away what was written, as a transaction that fails does; closing the file then does nothing."""
        self._give_up()

    def _give_up(self) -> None:
        self.closed = True
        self.buffer = None
        made, self.mpu = self.mpu, None
        if made:
            upload = {"Bucket": self.bucket, "Key": self.key, "UploadId": made["UploadId"]}
            sync(self.fs.loop, uploads.abort, self.fs, upload)


class S3ECAsyncStreamedFile(S3AsyncStreamedFile):  # type: ignore[misc]
    """A file that is read from its start to its end by `await file.read()`."""

    r: Any

    async def read(self, length: int = -1) -> bytes:
        """Return up to so many bytes of plaintext, verified, and all that are left if the number is negative."""
        if self.r is None:
            bucket, key, version = self.fs.split_path(self.path)
            response = await self.fs._call_s3("get_object", Bucket=bucket, Key=key, **version_id_kw(version))
            # Of the plaintext; the header that s3fs looks at counts ciphertext.
            self.size = response.get("ContentLength")
            self.r = response["Body"]
        piece: bytes = await self.r.read(length)
        self.loc += len(piece)
        return piece
