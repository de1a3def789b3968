"""Copies within S3: ciphertext moves as it is, and its content metadata with it."""

from __future__ import annotations

from typing import Any

from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.errors import UnsupportedOperationError

__all__ = ["copy_file"]

_LARGEST_COPY = 5 * 1024**3  # bytes of a CopyObject (Amazon S3 API reference)


async def copy_file(fs: Any, source: str, target: str, *, preserve_etag: bool | None, **arguments: Any) -> None:
    """Copy one object.

    Args:
        fs: the file system.
        source: its path.
        target: where the copy goes.
        preserve_etag: keep the ETag, which of an object in parts says how many there are.
        **arguments: for CopyObject.

    Raises:
        UnsupportedOperationError: it would need a copy by parts; nothing was done.
    """
    bucket, key, version = fs.split_path(source)
    info = await fs._info(source, bucket, key, version_id=version)
    if info["type"] == "directory":
        # Of a folder there is nothing to copy but what is in it; `mv` of one names it as well.
        return
    stored = info.get("Size", info["size"] + GCM_TAG_LENGTH)
    in_parts = "-" in info.get("ETag", "")
    if stored > _LARGEST_COPY or (preserve_etag and in_parts):
        raise UnsupportedOperationError("copies of more than 5 GiB, or with the ETag of an upload in parts")
    await fs._copy_basic(source, target, **arguments)
