"""Copies within S3: ciphertext moves as it is, and its content metadata with it."""

from __future__ import annotations

from typing import Any

import s3fs.core
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from s3fs.errors import translate_boto_error
from s3transfer.manager import TransferManager

from s3ec import aio, formats
from s3ec.errors import UnsupportedOperationError
from s3ec.formats import Detection
from s3ec.fs import uploads
from s3ec.s3 import copy_object as rules

__all__ = ["copy_file", "copy_in_parts"]

MiB = 1024 * 1024


async def copy_file(fs: Any, source: str, target: str, *, preserve_etag: bool | None, **arguments: Any) -> None:
    """Copy one object of any size.

    Args:
        fs: the file system.
        source: its path.
        target: where the copy goes.
        preserve_etag: copy an object that was uploaded in parts by the same parts, so that its ETag stays.
        **arguments: of the copy.

    Raises:
        S3ECError: the copy could not be read; nothing was made.
    """
    bucket, key, version = fs.split_path(source)
    info = await fs._info(source, bucket, key, version_id=version)
    if info["type"] == "directory":
        # Of a folder there is nothing to copy but what is in it; `mv` of one names it as well.
        return
    _, separator, parts = info.get("ETag", "").strip('"').partition("-")
    if preserve_etag and separator:
        await _copy_by_the_same_parts(fs, source, target, int(parts))
    elif info["size"] <= s3fs.core.MANAGED_COPY_THRESHOLD:
        await fs._copy_basic(source, target, **arguments)
    else:
        await copy_in_parts(fs, source, target, block=50 * MiB, **arguments)


async def copy_in_parts(fs: Any, source: str, target: str, *, block: int, **arguments: Any) -> None:
    """Copy an object by parts, which S3 does faster than one large one, and above 5 GiB only so.

    Args:
        fs: the file system.
        source: its path.
        target: where the copy goes.
        block: bytes of a part.
        **arguments: of the copy.
    """
    bucket, key, version = fs.split_path(source)
    to_bucket, to_key, _ = _target(fs, target)
    place = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}
    extra = {**fs.s3_additional_kwargs, **fs.req_kw, **arguments}
    extra = {name: value for name, value in extra.items() if name in TransferManager.ALLOWED_COPY_ARGS}
    config = TransferConfig(multipart_threshold=block, multipart_chunksize=block, max_concurrency=fs.max_concurrency)
    await fs.set_session()
    client = await fs.get_s3(to_bucket)
    try:
        await client.copy(place, to_bucket, to_key, ExtraArgs=extra, Config=config)
    except ClientError as error:
        raise translate_boto_error(error) from error
    fs.invalidate_cache(target)


async def _copy_by_the_same_parts(fs: Any, source: str, target: str, count: int) -> None:
    bucket, key, version = fs.split_path(source)
    to_bucket, to_key, _ = _target(fs, target)
    place = rules.CopySource(bucket, key, version)
    upload = {"Bucket": to_bucket, "Key": to_key}
    await fs.set_session()
    # Without encryption: parts as they are stored, and the metadata that opens them.
    raw: Any = aio.raw_view(await fs.get_s3(bucket))
    try:
        head = await raw.head_object(**place.parameters(), **fs.req_kw)
        if formats.detect(head["Metadata"]) in (Detection.NONE, Detection.V3_INSTRUCTION_FILE):
            raise UnsupportedOperationError(
                "preserve_etag of an object that does not hold its content metadata itself is refused: copy it without"
            )
        rules.refuse_bound_copy(head["Metadata"], place, upload)
        carried = {name: head[name] for name in (*rules.CONTENT_HEADERS, "Metadata") if name in head}
        upload["UploadId"] = (await raw.create_multipart_upload(**upload, **carried, **fs.req_kw))["UploadId"]
        try:
            parts, start = [], 0
            for number in range(1, count + 1):
                # The copy below is pinned; a length of another object makes one that does not verify, or none.
                part = await raw.head_object(**place.parameters(), PartNumber=number, **fs.req_kw)
                length = part["ContentLength"]
                answer = await raw.upload_part_copy(
                    **upload,
                    PartNumber=number,
                    CopySource=place.parameters(),
                    CopySourceIfMatch=head["ETag"],
                    CopySourceRange=f"bytes={start}-{start + length - 1}",
                    **fs.req_kw,
                )
                parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
                start += length
            await raw.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **fs.req_kw)
        except BaseException:
            await uploads.abort(fs, upload)
            raise
    except ClientError as error:
        raise translate_boto_error(error) from error
    fs.invalidate_cache(target)


def _target(fs: Any, path: str) -> Any:
    place = fs.split_path(path)
    if place[2]:
        raise ValueError("Cannot copy to a versioned file!")
    return place
