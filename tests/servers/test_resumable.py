"""Uploads that go on in another client, on MinIO over https, which checks checksums and customer keys."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec import SseC, export_upload, resume_upload
from s3ec.errors import MultipartStateError

from support.servers import Server

pytestmark = pytest.mark.server

MIB = 1024 * 1024
PARTS = {number: random.Random(number).randbytes(size) for number, size in enumerate((5 * MIB + 1, 5 * MIB, 100), 1)}

Make = Callable[..., Any]


@pytest.mark.parametrize("algorithm", [None, "CRC32", "SHA256"])
@pytest.mark.parametrize("mode", [None, SseC(bytes(range(32)))], ids=["none", "customer"])
def test_the_rest_follows(
    minio: Server, client_for: Make, new_bucket: Make, algorithm: str | None, mode: SseC | None
) -> None:
    """What the server has stays there, with its checksums; the rest comes from another client."""
    place = {"Bucket": new_bucket(minio), "Key": "k"}
    first, second = (client_for(minio, server_side_encryption=mode) for _ in range(2))
    create = {} if algorithm is None else {"ChecksumAlgorithm": algorithm}
    place["UploadId"] = first.create_multipart_upload(**place, **create)["UploadId"]
    states: list[bytes] = []
    export_upload(first, place["UploadId"], save=states.append)
    first.upload_part(**place, PartNumber=1, Body=PARTS[1])
    upload = resume_upload(second, states[-1], save=states.append)
    etags = {part["PartNumber"]: part["ETag"] for part in upload["Parts"]}
    assert sorted(etags) == [1]
    for number in (3, 2):
        etags[number] = second.upload_part(**place, PartNumber=number, Body=PARTS[number])["ETag"]
    listed = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
    second.complete_multipart_upload(**place, MultipartUpload={"Parts": listed})
    assert second.get_object(Bucket=place["Bucket"], Key="k")["Body"].read() == b"".join(PARTS.values())


def test_what_the_server_says(minio: Server, client_for: Make, new_bucket: Make) -> None:
    """An old state is noticed by the parts that the server lists; an upload that is gone has the server's own error."""
    place = {"Bucket": new_bucket(minio), "Key": "k"}
    first, second = client_for(minio), client_for(minio)
    place["UploadId"] = first.create_multipart_upload(**place)["UploadId"]
    states: list[bytes] = []
    export_upload(first, place["UploadId"], save=states.append)
    first.upload_part(**place, PartNumber=1, Body=PARTS[1])
    with pytest.raises(MultipartStateError, match="S3 has the parts 1"):
        resume_upload(second, states[0], save=states.append)
    first.abort_multipart_upload(**place)
    with pytest.raises(ClientError, match="NoSuchUpload"):
        resume_upload(second, states[-1], save=states.append)
