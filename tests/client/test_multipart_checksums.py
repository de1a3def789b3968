"""What a completion says about its parts: no more than the upload was created with."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(("created", "listed"), [({}, set()), ({"ChecksumAlgorithm": "SHA256"}, {b"ChecksumSHA256"})])
def test_a_completion_lists_the_checksums_of_its_upload(
    make_client: Callable[..., Any], bucket: str, created: dict[str, str], listed: set[bytes]
) -> None:
    """Each part has a CRC32 by botocore; listed for an upload without one, S3 says that there is no such part."""
    client = make_client()
    bodies: list[bytes] = []
    client.meta.events.register(
        "before-send.s3.CompleteMultipartUpload", lambda request, **_: bodies.append(request.body)
    )
    place = {"Bucket": bucket, "Key": "k"}
    place["UploadId"] = client.create_multipart_upload(**place, **created)["UploadId"]
    part = client.upload_part(**place, PartNumber=1, Body=b"content", **created)
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert set(re.findall(rb"<(Checksum\w+)>", b"".join(bodies))) == listed
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"
