"""CRC-64/NVME as AWS gets it, on MinIO, which verifies it: the name in the request is AWS's until it is signed."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from support.servers import Server

pytestmark = pytest.mark.server

crt = pytest.importorskip("awscrt.checksums")

MIB = 1024 * 1024
NAMED = "https://s3.us-east-1.amazonaws.com"
Make = Callable[..., Any]


@pytest.fixture
def as_aws(minio: Server, client_for: Make) -> Any:
    """A client of AWS, whose requests go to MinIO in the end."""
    client = client_for(minio, endpoint_url=NAMED, config=Config(s3={"addressing_style": "path"}))

    def lead(params: dict[str, Any], **_: Any) -> None:
        assert params["url"].startswith(NAMED)
        params["url"] = params["url"].replace(NAMED, minio.url)

    # Of the root event: behind what chooses by the name, and before the signature.
    client.meta.events.register_last("before-call", lead)
    return client


def _stored(client: Any, bucket: str) -> tuple[bytes, dict[str, Any]]:
    answer = client.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    return answer["Body"].read(), answer


@pytest.mark.parametrize("size", [0, 1, MIB - 16, 3 * MIB + 1])
def test_put_object(minio: Server, as_aws: Any, plain: Make, new_bucket: Make, size: int) -> None:
    """MinIO found the checksum behind the body to be that of the ciphertext, keeps it, and gives it back."""
    bucket, body = new_bucket(minio), os.urandom(size)
    for given in (body, io.BytesIO(body)):
        as_aws.put_object(Bucket=bucket, Key="k", Body=given)
        stored, answer = _stored(plain(minio), bucket)
        assert answer["ChecksumCRC64NVME"] == _crc64(stored)
        assert as_aws.get_object(Bucket=bucket, Key="k")["Body"].read() == body


@pytest.mark.parametrize("size", [MIB, 12 * MIB + 7])
def test_managed_uploads(minio: Server, as_aws: Any, plain: Make, new_bucket: Make, size: int) -> None:
    """In one request or in parts: the object has the checksum of all of it."""
    bucket, body = new_bucket(minio), os.urandom(size)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    completed: list[Any] = []
    as_aws.meta.events.register(
        "before-call.s3.CompleteMultipartUpload", lambda params, **_: completed.append(params["headers"])
    )
    as_aws.upload_fileobj(io.BytesIO(body), bucket, "k", Config=config)
    stored, answer = _stored(plain(minio), bucket)
    assert (answer["ChecksumCRC64NVME"], answer["ChecksumType"]) == (_crc64(stored), "FULL_OBJECT")
    if hasattr(crt, "combine_crc64nvme"):
        assert [headers["x-amz-checksum-crc64nvme"] for headers in completed] == [_crc64(stored)] * (size > 5 * MIB)
    out = io.BytesIO()
    as_aws.download_fileobj(bucket, "k", out, Config=config)
    assert out.getvalue() == body


def test_another_body_is_refused(minio: Server, as_aws: Any, new_bucket: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte that changed on its way is S3's error, as with CRC-32."""
    bucket = new_bucket(minio)
    monkeypatch.setattr("awscrt.checksums.crc64nvme", lambda _, previous=0: previous ^ 1)
    with pytest.raises(ClientError, match=r"Checksum|BadDigest"):
        as_aws.put_object(Bucket=bucket, Key="k", Body=b"body")


def _crc64(data: bytes) -> str:
    return base64.b64encode(crt.crc64nvme(data).to_bytes(8, "big")).decode()
