"""Reads of the file system: one pinned, verified answer each, never pieces that may be of different objects."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from s3fs.core import _error_wrapper
from s3fs.utils import FileExpired

from s3ec.client.transfers.download_targets import FileTarget, write_all
from s3ec.errors import AuthenticationError

__all__ = ["Stated", "Wanted", "is_replaced", "to_file", "wanted_range", "whole_body"]

MiB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stated:
    """The size that a HEAD or a listing states, which whoever may write to the bucket can forge.

    A smaller one would cut a file short, and one that bounds are counted from would move them: what verifies says how
    long the plaintext is.

    Attributes:
        size: bytes of plaintext.
        may_be_less: the object may have fewer, as one in CBC whose padding nobody has looked at.
    """

    size: int
    may_be_less: bool = False

    def check(self, response: Mapping[str, Any], content: bytes) -> None:
        """Compare with the object.

        Args:
            response: the answer to a GetObject, whose range comes from what was verified.
            content: all of its plaintext.

        Raises:
            AuthenticationError: the object has another size.
        """
        span = response.get("ContentRange")
        size = len(content) if span is None else int(span.rpartition("/")[2])
        if size > self.size or (size < self.size and not self.may_be_less):
            raise AuthenticationError(f"S3 stated {self.size} bytes of plaintext, and the object has {size}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A range of plaintext.

    Attributes:
        parameters: of the GetObject that gives it.
        is_empty: nothing of the answer is wanted; it is asked for where the size that says so may be forged.
        stated: the size that the bounds were counted from; None if they were not.
    """

    parameters: dict[str, str]
    is_empty: bool = False
    stated: Stated | None = None


async def wanted_range(
    fs: Any, path: str, version_id: str | None, start: int | None, end: int | None, *, refresh: bool
) -> Wanted | None:
    """Return what a slice of a file asks of S3.

    Args:
        fs: the file system.
        path: of the object.
        version_id: of the object, or None.
        start: first byte, from the end if negative; None means 0.
        end: the byte behind the last, from the end if negative; None means the end.
        refresh: ask S3 for the size that negative bounds count from, whatever a listing said.

    Returns:
        A range, with ``IfMatch`` where it was counted from a size; None if it is empty for every file.
    """
    if start is None and end is None:
        return Wanted({})
    if start is not None and start < 0 and end is None:
        return Wanted({"Range": f"bytes={start}"})
    start = start or 0
    if start >= 0 and (end is None or end >= 0):
        if end is not None and end <= start:
            return None
        return Wanted({"Range": f"bytes={start}-{'' if end is None else end - 1}"})
    version = {"version_id": version_id} if version_id and fs.version_aware else {}
    info = await fs._info(path, refresh=refresh, **version)
    # A size belongs to one object: of its successor the same range would be other bytes.
    pin = {"IfMatch": info["ETag"]} if info.get("ETag") else {}
    first, behind, _ = slice(start, end).indices(info["size"])
    stated = Stated(info["size"])
    if behind > first:
        return Wanted({"Range": f"bytes={first}-{behind - 1}", **pin}, stated=stated)
    return Wanted({"Range": "bytes=0-0", **pin} if info["size"] else pin, is_empty=True, stated=stated)


def is_replaced(error: OSError) -> bool:
    """True for s3fs' translation of 412: the object is not the one that was looked at."""
    return error.errno == errno.EINVAL and "pre-condition" in str(error)


async def whole_body(
    fs: Any, request: Mapping[str, Any], stated: Stated | None = None, details: Mapping[str, Any] | None = None
) -> bytes:
    """Read what a GetObject gives, verified, from the start again where the connection is lost.

    Args:
        fs: the file system.
        request: the GetObject.
        stated: the size that the object must have.
        details: of a file whose ETag the answer must have, as s3fs' option ``local_expiry_check`` asks.

    Raises:
        AuthenticationError: the content does not verify, or the object has another size.
        s3fs.utils.FileExpired: it has another ETag.
    """

    async def read() -> bytes:
        response = await fs._call_s3("get_object", **request)
        body = response["Body"]
        try:
            if details is not None and details.get("ETag", response.get("ETag")) != response.get("ETag"):
                raise FileExpired(filename=details["name"], e_tag=details["ETag"])
            content: bytes = await body.read()
        finally:
            body.close()
        if stated is not None:
            stated.check(response, content)
        return content

    content: bytes = await _error_wrapper(read, retries=fs.retries)
    return content


async def to_file(fs: Any, request: Mapping[str, Any], path: str, callback: Any) -> None:
    """Write an object into a file, which gets its name when all of it has verified; a failure leaves nothing behind.

    A pipe or a device is written to as it is, and gets no byte twice.
    """
    target = FileTarget(path)
    special = await asyncio.to_thread(target.is_special)

    async def fetch() -> None:
        response = await fs._call_s3("get_object", **request)
        body = response["Body"]
        try:
            callback.set_size(response.get("ContentLength"))
            callback.absolute_update(0)
            if special:
                await write(body, await asyncio.to_thread(target.open_special))
                return
            try:
                await write(body, target.create())
                await asyncio.to_thread(target.give_name)
            except BaseException:
                target.discard()
                raise
        finally:
            body.close()

    async def write(body: Any, file: IO[bytes]) -> None:
        with file:
            while piece := await body.read(MiB):
                await asyncio.to_thread(write_all, file.write, piece)
                callback.relative_update(len(piece))

    await _error_wrapper(fetch, retries=1 if special else fs.retries)
