"""upload_part_copy into an encrypted upload: what S3 would copy is read, verified, and encrypted as that part."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec import CommitmentPolicy
from s3ec.errors import (
    AuthenticationError,
    EncryptionContextMismatchError,
    MultipartStateError,
    NotEncryptedError,
)

from support.lying_s3 import LyingS3

MiB = 1024 * 1024
DATA = os.urandom(5 * MiB)
PLACE = {"Bucket": "b", "Key": "target"}


@pytest.fixture
def client(make_client: Callable[..., Any]) -> Any:
    """A client on moto."""
    return make_client()


@pytest.fixture
def place(client: Any, bucket: str) -> dict[str, Any]:
    """An upload that was begun, in a bucket with an encrypted source of 5 MiB."""
    client.put_object(Bucket=bucket, Key="dir/source +ü", Body=DATA)
    target = {"Bucket": bucket, "Key": "target"}
    return {**target, "UploadId": client.create_multipart_upload(**target)["UploadId"]}


def source(place: dict[str, Any], **more: str) -> dict[str, str]:
    """The source as a map."""
    return {"Bucket": place["Bucket"], "Key": "dir/source +ü", **more}


def completed(client: Any, place: dict[str, Any], *answers: dict[str, Any]) -> bytes:
    """Put the parts together; returns the object."""
    parts = [
        {"PartNumber": number, "ETag": answer.get("CopyPartResult", answer)["ETag"]}
        for number, answer in enumerate(answers, 1)
    ]
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    content: bytes = client.get_object(Bucket=place["Bucket"], Key="target")["Body"].read()
    return content


def test_a_range_of_a_source_of_any_size(make_client: Callable[..., Any], place: dict[str, Any]) -> None:
    """Parts of a large object are copied as ranges of it: the limit of partial reads is not theirs."""
    other = make_client(verified_range_limit=1)
    target = {"Bucket": place["Bucket"], "Key": "target"}
    upload = {**target, "UploadId": other.create_multipart_upload(**target)["UploadId"]}
    copied = other.upload_part_copy(**upload, PartNumber=1, CopySource=source(place), CopySourceRange="bytes=5-9")
    assert completed(other, upload, copied) == DATA[5:10]


@pytest.mark.slow
@pytest.mark.parametrize("as_text", [False, True], ids=["map", "text"])
def test_a_whole_source(client: Any, place: dict[str, Any], plain_s3: Any, *, as_text: bool) -> None:
    """Copied as s3fs appends: the old object is the first part, what is new follows."""
    copy_source: Any = f"{place['Bucket']}/dir/source +ü" if as_text else source(place)
    first = client.upload_part_copy(**place, PartNumber=1, CopySource=copy_source)
    assert first["CopyPartResult"].keys() == {"ETag", "LastModified"}
    assert abs(first["CopyPartResult"]["LastModified"] - datetime.now(timezone.utc)) < timedelta(minutes=10)
    second = client.upload_part(**place, PartNumber=2, Body=b"appended")
    assert completed(client, place, first, second) == DATA + b"appended"
    stored = plain_s3.get_object(Bucket=place["Bucket"], Key="target")["Body"].read()
    assert len(stored) == len(DATA) + len(b"appended") + 16
    assert DATA[:64] not in stored


@pytest.mark.slow
def test_ranges_in_any_order(client: Any, place: dict[str, Any], bucket: str) -> None:
    """Copied as the AWS CLI and boto3 copy large objects: ranges of one source, the second before the first."""
    client.put_object(Bucket=bucket, Key="large", Body=DATA * 2 + b"tail")
    request = {**place, "CopySource": f"{bucket}/large"}
    last = client.upload_part_copy(**request, PartNumber=2, CopySourceRange=f"bytes={5 * MiB}-{10 * MiB + 3}")
    first = client.upload_part_copy(**request, PartNumber=1, CopySourceRange=f"bytes=0-{5 * MiB - 1}")
    assert completed(client, place, first, last) == DATA * 2 + b"tail"


@pytest.mark.slow
def test_several_sources(make_client: Callable[..., Any], place: dict[str, Any], bucket: str) -> None:
    """Composed as minio composes: each source is a part, whatever format it has that this client reads."""
    older = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    older.put_object(Bucket=bucket, Key="other", Body=b"of V2")
    client = make_client(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT)
    target = {"Bucket": bucket, "Key": "target"}
    upload = {**target, "UploadId": client.create_multipart_upload(**target)["UploadId"]}
    answers = [
        client.upload_part_copy(**upload, PartNumber=1, CopySource=source(place)),
        client.upload_part_copy(**upload, PartNumber=2, CopySource={"Bucket": bucket, "Key": "other"}),
    ]
    assert completed(client, upload, *answers) == DATA + b"of V2"


@pytest.mark.slow
def test_a_version(client: Any, place: dict[str, Any], plain_s3: Any, bucket: str) -> None:
    """The version that is named is copied, and named in the answer."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = client.put_object(Bucket=bucket, Key="v", Body=b"old")["VersionId"]
    client.put_object(Bucket=bucket, Key="v", Body=b"new")
    request = {"Bucket": bucket, "Key": "v", "VersionId": version}
    answer = client.upload_part_copy(**place, PartNumber=1, CopySource=request)
    assert answer["CopySourceVersionId"] == version
    assert completed(client, place, answer) == b"old"


@pytest.mark.slow
def test_a_context(client: Any, place: dict[str, Any], bucket: str) -> None:
    """A source with an encryption context needs it, as a read does."""
    client.put_object(Bucket=bucket, Key="c", Body=b"content", EncryptionContext={"team": "hr"})
    request = {**place, "PartNumber": 1, "CopySource": f"{bucket}/c"}
    with pytest.raises(EncryptionContextMismatchError):
        client.upload_part_copy(**request)
    answer = client.upload_part_copy(**request, EncryptionContext={"team": "hr"})
    assert completed(client, place, answer) == b"content"


@pytest.mark.slow
def test_plaintext(make_client: Callable[..., Any], plain_s3: Any, place: dict[str, Any], bucket: str) -> None:
    """A source that is not encrypted is refused like any read of it, and encrypted where such reads are allowed."""
    plain_s3.put_object(Bucket=bucket, Key="plain", Body=b"plaintext")
    allowing = make_client(unencrypted_objects="allow")
    for client, expected in ((make_client(), None), (allowing, b"plaintext")):
        target = {"Bucket": bucket, "Key": "target"}
        upload = {**target, "UploadId": client.create_multipart_upload(**target)["UploadId"]}
        request = {**upload, "PartNumber": 1, "CopySource": f"{bucket}/plain"}
        if expected is None:
            with pytest.raises(NotEncryptedError):
                client.upload_part_copy(**request)
        else:
            assert completed(client, upload, client.upload_part_copy(**request)) == expected
    assert b"plaintext" not in plain_s3.get_object(Bucket=bucket, Key="target")["Body"].read()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"CopySource": {"Bucket": "", "Key": "absent"}}, "NoSuchKey", 404),
        ({"CopySourceIfMatch": '"another"'}, "PreconditionFailed", 412),
        ({"CopySourceIfNoneMatch": "the source's"}, "PreconditionFailed", 412),
        ({"CopySourceRange": "bytes=0-5242880"}, "InvalidArgument", 400),
        ({"CopySourceRange": "bytes=9999999-99999999"}, "InvalidArgument", 400),
        ({"CopySourceRange": "bytes=5-"}, "InvalidArgument", 400),
        ({"CopySourceRange": "bytes=5-4"}, "InvalidArgument", 400),
        ({"PartNumber": 10001}, "InvalidArgument", 400),
    ],
    ids=["absent", "if match", "if none match", "one too many", "past the end", "open", "backwards", "number"],
)
def test_refusals(client: Any, place: dict[str, Any], change: dict[str, Any], code: str, status: int) -> None:
    """Errors are S3's own, of UploadPartCopy, and nothing of the part is sent: it may still be given."""
    request = {**place, "PartNumber": 1, "CopySource": source(place), **change}
    if request["CopySource"]["Key"] == "absent":
        request["CopySource"]["Bucket"] = place["Bucket"]
    if "CopySourceIfNoneMatch" in change:
        request["CopySourceIfNoneMatch"] = client.head_object(**source(place))["ETag"]
    with pytest.raises(ClientError) as refused:
        client.upload_part_copy(**request)
    assert refused.value.operation_name == "UploadPartCopy"
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    answer = client.upload_part(**place, PartNumber=1, Body=b"something else")
    assert completed(client, place, answer) == b"something else"


def test_an_unknown_upload_is_refused_before_a_read(client: Any, place: dict[str, Any]) -> None:
    """An upload of this bucket under another key is S3's NoSuchUpload."""
    with pytest.raises(client.exceptions.NoSuchUpload) as refused:
        client.upload_part_copy(**{**place, "Key": "another"}, PartNumber=1, CopySource=source(place))
    assert isinstance(refused.value, MultipartStateError)


def test_a_tampered_source(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """Nothing of a source that does not verify goes into the upload."""
    client = lied_to(http_liar)
    client.put_object(Bucket="b", Key="source", Body=b"x" * 100_000)
    upload = {**PLACE, "UploadId": client.create_multipart_upload(**PLACE)["UploadId"]}
    http_liar.lies.tamper = lambda body: body[:-1] + bytes([body[-1] ^ 1])
    for more in ({}, {"CopySourceRange": "bytes=10-20"}):
        with pytest.raises(AuthenticationError):
            client.upload_part_copy(**upload, PartNumber=1, CopySource="b/source", **more)
    http_liar.lies.tamper = None
    answer = client.upload_part_copy(**upload, PartNumber=1, CopySource="b/source", CopySourceRange="bytes=0-9")
    parts = [{"PartNumber": 1, "ETag": answer["CopyPartResult"]["ETag"]}]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert client.get_object(**PLACE)["Body"].read() == b"x" * 10
