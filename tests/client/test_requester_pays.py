"""Buckets whose requesters pay answer 403 to each request that does not say so: every request of a call does."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest

import s3ec

MEBIBYTE = 1024 * 1024
PAYER = {"RequestPayer": "requester"}


def _in_parts(client: Any, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "parts", **PAYER}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    first = client.upload_part(**upload, PartNumber=1, Body=bytes(5 * MEBIBYTE))["ETag"]
    second = client.upload_part_copy(**upload, PartNumber=2, CopySource=f"{bucket}/k")["CopyPartResult"]["ETag"]
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def _copied_twice(client: Any, bucket: str) -> None:
    for _ in range(2):  # The second finds a file where its own would be.
        client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", **PAYER)


CALLS: dict[str, Callable[[Any, str], object]] = {
    "put_object": lambda client, bucket: client.put_object(Bucket=bucket, Key="k", Body=b"again", **PAYER),
    "get_object": lambda client, bucket: client.get_object(Bucket=bucket, Key="k", **PAYER)["Body"].read(),
    "a range": lambda client, bucket: client.get_object(Bucket=bucket, Key="k", Range="bytes=1-2", **PAYER),
    "head_object": lambda client, bucket: client.head_object(Bucket=bucket, Key="k", **PAYER),
    "download": lambda client, bucket: client.download_fileobj(bucket, "k", io.BytesIO(), ExtraArgs=PAYER),
    "upload": lambda client, bucket: client.upload_fileobj(io.BytesIO(b"x"), bucket, "up", ExtraArgs=PAYER),
    "open": lambda client, bucket: s3ec.open(client, Bucket=bucket, Key="k", **PAYER).read(),
    "inspect": lambda client, bucket: s3ec.inspect(client, Bucket=bucket, Key="k", **PAYER),
    "copy_object": _copied_twice,
    "copy": lambda client, bucket: client.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", ExtraArgs=PAYER),
    "parts": _in_parts,
    "delete_object": lambda client, bucket: client.delete_object(Bucket=bucket, Key="k", **PAYER),
    "delete_objects": lambda client, bucket: client.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "k"}]}, **PAYER
    ),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("files", [False, True])
def test_every_request_says_who_pays(make_client: Callable[..., Any], bucket: str, call: str, files: bool) -> None:
    """Those that we send besides the caller's own too: for an instruction file, or before a range."""
    client = make_client(instruction_file_writes=files)
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    silent: list[str] = []
    seen: list[str] = []

    def look(request: AWSPreparedRequest, **_: Any) -> None:
        seen.append(request.url)
        if request.headers.get("x-amz-request-payer") not in ("requester", b"requester"):
            silent.append(f"{request.method} {request.url}")

    client.meta.events.register_first("before-send.s3", look)
    CALLS[call](client, bucket)
    assert seen
    assert not silent
