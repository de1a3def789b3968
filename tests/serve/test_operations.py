"""What libraries do with boto3, through the endpoint: ranges, conditions, multipart, copies, URLs, and the rest."""

from __future__ import annotations

import base64
import contextlib
import io
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from s3ec.serve import Server, ServeSettings
from s3ec.serve.assembly import make_server
from s3ec.serve.doors import Door, OneDoor

from support.aws import keep_versions
from support.lying_s3 import lying_s3
from support.serving import CREDENTIALS, Raw, converse, running, status_and_code

MiB = 1024 * 1024
CONTENT = bytes(range(256)) * 100


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """One endpoint."""
    return serve()


@pytest.fixture
def s3(server: Server, through: Callable[..., Any]) -> Any:
    """A plain boto3 client in front of it."""
    return through(server)


def fetch(method: str, url: str, **arguments: Any) -> tuple[int, bytes]:
    """Status and body of what a URL answers, without any SDK."""
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request(method, url, **arguments)
        return answer.status, answer.data


def code_of(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """Status and code of the error that a call ends in."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.mark.parametrize(
    ("wanted", "expected", "first"),
    [
        ("bytes=0-0", slice(0, 1), 0),
        ("bytes=100-199", slice(100, 200), 100),
        ("bytes=25590-", slice(25590, None), 25590),
        ("bytes=-7", slice(-7, None), 25593),
        ("bytes=0-", slice(None), 0),
        ("bytes=25599-99999", slice(25599, None), 25599),
    ],
)
def test_ranges(s3: Any, bucket: str, wanted: str, expected: slice, first: int):
    """In the plaintext's offsets, by GET and HEAD."""
    s3.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    got = s3.get_object(Bucket=bucket, Key="k", Range=wanted)
    piece = CONTENT[expected]
    assert got["Body"].read() == piece
    assert got["ContentRange"] == f"bytes {first}-{first + len(piece) - 1}/{len(CONTENT)}"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    head = s3.head_object(Bucket=bucket, Key="k", Range=wanted)
    assert head["ContentLength"] == len(piece)


def test_a_range_past_the_end(s3: Any, bucket: str):
    """416, although what is stored is longer."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    assert code_of(s3.get_object, Bucket=bucket, Key="k", Range="bytes=10-12") == (416, "InvalidRange")


def test_conditions_take_the_etags_that_were_shown(s3: Any, bucket: str):
    """On reads and writes; and no other."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag)["Body"].read() == b"1"
    assert code_of(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=etag)[0] == 304
    assert code_of(s3.head_object, Bucket=bucket, Key="k", IfNoneMatch=etag)[0] == 304
    assert code_of(s3.get_object, Bucket=bucket, Key="k", IfMatch='"0"') == (412, "PreconditionFailed")
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")[0] == 412
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


@pytest.mark.slow
def test_a_tampered_object_is_not_answered_with_200(s3: Any, plain_s3: Any, bucket: str):
    """The answer begins once the content verified."""
    s3.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    stored = plain_s3.get_object(Bucket=bucket, Key="k")
    changed = bytearray(stored["Body"].read())
    changed[5] ^= 1
    plain_s3.put_object(Bucket=bucket, Key="k", Body=bytes(changed), Metadata=stored["Metadata"])
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == (422, "AuthenticationFailed")


def test_a_deleted_object_is_told_from_one_that_never_was(s3: Any, plain_s3: Any, bucket: str):
    """By the headers of S3's error, which say so."""
    keep_versions(plain_s3, bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"content")
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    found = []
    for key in ("k", "never"):
        with pytest.raises(ClientError) as caught:
            s3.head_object(Bucket=bucket, Key=key)
        headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
        found.append((headers.get("x-amz-delete-marker"), headers.get("x-amz-version-id")))
    assert found == [("true", marker), (None, None)]


def test_plaintext_is_refused(s3: Any, plain_s3: Any, bucket: str):
    """What nobody encrypted is not handed out as if somebody had."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"plain")
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == (400, "NotEncrypted")


@pytest.mark.slow
def test_parts_in_any_order_from_many_connections(s3: Any, make_client: Any, plain_s3: Any, bucket: str):
    """Each part is encrypted at its place."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    pieces = [bytes([number]) * (5 * MiB + number) for number in range(1, 4)] + [b"end"]

    def send(number: int) -> dict[str, Any]:
        answer = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=pieces[number - 1])
        return {"PartNumber": number, "ETag": answer["ETag"]}

    with ThreadPoolExecutor(4) as pool:
        parts = sorted(pool.map(send, (4, 2, 3, 1)), key=lambda part: part["PartNumber"])
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert all(part["ETag"].endswith('-s3ec"') for part in listed["Parts"])
    done = s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    assert done["ETag"] == s3.head_object(Bucket=bucket, Key="k")["ETag"]
    content = b"".join(pieces)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == content
    assert make_client().get_object(Bucket=bucket, Key="k")["Body"].read() == content
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == len(content) + 16


@pytest.mark.slow
def test_managed_transfers(s3: Any, bucket: str):
    """Up, down, and server-side copies in parts, as boto3 makes them."""
    config = TransferConfig(multipart_threshold=5 * MiB, multipart_chunksize=5 * MiB, max_concurrency=4)
    content = CONTENT * 230
    s3.upload_fileobj(io.BytesIO(content), bucket, "k", Config=config)
    s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", Config=config)
    for key in ("k", "copy"):
        target = io.BytesIO()
        s3.download_fileobj(bucket, key, target, Config=config)
        assert target.getvalue() == content


def test_what_began_before_a_restart_is_gone(serve: Callable[..., Server], through: Any, make_client: Any, bucket: str):
    """No part of it reaches S3, copies included; but it can be aborted."""
    before = through(serve(make_client()))
    upload = {
        "Bucket": bucket,
        "Key": "k",
        "UploadId": before.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"],
    }
    before.put_object(Bucket=bucket, Key="source", Body=b"1")
    s3 = through(serve(make_client()))
    gone = (404, "NoSuchUpload")
    assert code_of(s3.upload_part, **upload, PartNumber=1, Body=b"1") == gone
    assert code_of(s3.upload_part_copy, **upload, PartNumber=1, CopySource=f"{bucket}/source") == gone
    parts = {"Parts": [{"PartNumber": 1, "ETag": '"0"'}]}
    assert code_of(s3.complete_multipart_upload, **upload, MultipartUpload=parts) == gone
    assert s3.list_parts(**upload).get("Parts", []) == []
    s3.abort_multipart_upload(**upload)
    assert code_of(s3.list_parts, **upload) == gone


def test_copies(s3: Any, make_client: Any, bucket: str):
    """With keys that need encoding, and conditions."""
    etag = s3.put_object(Bucket=bucket, Key="a b/ü+c", Body=b"1", Metadata={"own": "x"})["ETag"]
    copied = s3.copy_object(
        Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b/ü+c"}, CopySourceIfMatch=etag
    )
    assert copied["CopyObjectResult"]["ETag"] == s3.head_object(Bucket=bucket, Key="copy")["ETag"]
    got = make_client().get_object(Bucket=bucket, Key="copy")
    assert (got["Body"].read(), got["Metadata"]) == (b"1", {"own": "x"})
    assert code_of(s3.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/absent")[0] == 404


def test_presigned_urls_read_and_write_what_is_encrypted(
    s3: Any, plain_s3: Any, through: Any, server: Server, bucket: str
):
    """Whoever has the URL needs no key."""
    signed = through(server, config={"signature_version": "s3v4"})
    url = signed.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    assert fetch("PUT", url, body=b"by url", headers={"Content-Type": "text/plain"})[0] == 200
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 6 + 16
    url = signed.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert fetch("GET", url) == (200, b"by url")
    assert fetch("GET", url.replace("/k?", "/other?"))[0] == 403
    assert fetch("GET", url + "&versionId=1")[0] == 403
    assert fetch("GET", url + "&response-content-type=text%2Fhtml")[0] == 403


def test_presigned_urls_of_version_2_are_refused_in_words(through: Any, server: Server, bucket: str):
    """boto3 makes them for endpoints of one's own; the answer says what to do."""
    url = through(server, config={"signature_version": "s3"}).generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "k"}
    )
    status, body = fetch("GET", url)
    assert status == 403
    assert b"s3v4" in body


def test_what_carries_no_content_is_relayed(s3: Any, plain_s3: Any, bucket: str):
    """Tags, settings of buckets, uploads under way; with bodies and without."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="a=b")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "c", "Value": "ä"}]})
    assert plain_s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "c", "Value": "ä"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "c", "Value": "ä"}]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag", "ObjectSize"])
    assert attributes["ObjectSize"] == 1
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    assert [each["UploadId"] for each in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    s3.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)
    assert code_of(s3.get_bucket_cors, Bucket=bucket)[0] == 404


def test_buckets_are_made_and_removed(s3: Any, bucket: str):
    """By their own names."""
    s3.create_bucket(Bucket=f"{bucket}-2")
    s3.delete_bucket(Bucket=f"{bucket}-2")
    assert code_of(s3.head_bucket, Bucket=f"{bucket}-2")[0] == 404


def test_listings_leave_instruction_files_out(serve: Any, through: Any, make_client: Any, bucket: str):
    """Where every object is declared to be encrypted; elsewhere nothing is changed but ETags."""
    client = make_client(instruction_file_writes=True)
    s3 = through(serve(client))
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    listed = s3.list_objects_v2(Bucket=bucket)
    assert [(each["Key"], each["Size"]) for each in listed["Contents"]] == [("k", 5)]
    assert listed["KeyCount"] == 1
    plainly = through(serve(client, sizes=False)).list_objects_v2(Bucket=bucket)["Contents"]
    assert [(each["Key"], each["Size"]) for each in plainly][0] == ("k", 21)
    assert len(plainly) == 2
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"12345"


class _Doors:
    """Encrypted, plain, and shut, by the end of a bucket's name."""

    def __init__(self, client: Any) -> None:
        self._encrypted, self._plain = Door(client, {}, True), Door(None)

    def of(self, bucket: str) -> Door:
        return self._plain if bucket.endswith("-plain") else self._encrypted


@pytest.mark.slow
def test_a_plain_bucket_is_relayed_as_it_is(serve: Any, through: Any, make_client: Any, plain_s3: Any, bucket: str):
    """Bodies, ETags and lengths; and no copy passes between it and an encrypted one."""
    s3 = through(serve(doors=_Doors(make_client())))
    plain = f"{bucket}-plain"
    s3.create_bucket(Bucket=plain)
    try:
        content = CONTENT * 500
        for body in (b"small", content):
            etag = s3.put_object(Bucket=plain, Key="k", Body=body)["ETag"]
            stored = plain_s3.get_object(Bucket=plain, Key="k")
            assert (stored["Body"].read(), stored["ETag"]) == (body, etag)
            assert s3.get_object(Bucket=plain, Key="k", Range="bytes=1-3")["Body"].read() == body[1:4]
        assert s3.list_objects_v2(Bucket=plain)["Contents"][0]["Size"] == len(content)
        s3.put_object(Bucket=bucket, Key="k", Body=b"1")
        for source, target in ((plain, bucket), (bucket, plain)):
            refused = (501, "NotImplemented")
            copy = {"Bucket": target, "Key": "c", "CopySource": f"{source}/k"}
            assert code_of(s3.copy_object, **copy) == refused
            assert code_of(s3.upload_part_copy, **copy, UploadId="u", PartNumber=1) == refused
    finally:
        for each in boto3.resource("s3", **_arguments(plain_s3)).Bucket(plain).objects.all():
            each.delete()
        plain_s3.delete_bucket(Bucket=plain)


def _arguments(client: Any) -> dict[str, Any]:
    return {
        "endpoint_url": client.meta.endpoint_url,
        "region_name": client.meta.region_name,
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }


@pytest.mark.slow
def test_headers_in_the_query_of_a_presigned_url_are_headers(through: Any, plain_s3: Any, server: Server, bucket: str):
    """Several SDKs put them there; they are under the signature, and mean what they say."""
    signed = through(server, config={"signature_version": "s3v4"})

    def hoist(request: Any, **_: Any) -> None:
        request.url += "?x-amz-meta-own=x&x-amz-checksum-crc32=DUoRhQ%3D%3D"

    signed.meta.events.register("before-sign.s3.PutObject", hoist)
    url = signed.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    assert "x-amz-meta-own" in url
    assert fetch("PUT", url, body=b"hello world")[0] == 200
    assert plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"]["own"] == "x"
    assert fetch("PUT", url, body=b"hello, world")[0] == 400
    assert fetch("PUT", url, body=b"hello world", headers={"x-amz-meta-own": "y"})[0] in (400, 403)
    unsigned = signed.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert fetch("GET", unsigned + "&x-amz-meta-own=x")[0] == 403


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [True, False])
def test_checksums_of_the_parts_checksums(s3: Any, bucket: str, suffix: bool):
    """What some SDKs state about the whole is verified by the parts that are listed."""
    upload = {"Bucket": bucket, "Key": "k"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, ChecksumAlgorithm="CRC32")["UploadId"]
    parts = []
    for number, body in enumerate((bytes(5 * MiB), b"end"), 1):
        answer = s3.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]})
    joined = b"".join(base64.b64decode(part["ChecksumCRC32"]) for part in parts)
    whole = base64.b64encode(zlib.crc32(joined).to_bytes(4, "big")).decode()
    call = {**upload, "MultipartUpload": {"Parts": parts}, "ChecksumType": "COMPOSITE"}
    wrong = {"AAAAAA==", f"{whole}-3", "?"} if suffix else {"AAAAAA=="}
    for value in wrong:
        assert code_of(s3.complete_multipart_upload, **call, ChecksumCRC32=value)[0] == 400
    without = [{key: value for key, value in part.items() if key != "ChecksumCRC32"} for part in parts]
    changed = {**call, "MultipartUpload": {"Parts": without}}
    assert code_of(s3.complete_multipart_upload, **changed, ChecksumCRC32=whole)[0] == 400
    if suffix:
        whole += "-2"
        del call["ChecksumType"]
    s3.complete_multipart_upload(**call, ChecksumCRC32=whole)
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 5 * MiB + 3


@pytest.mark.parametrize("value", ["1_0", "%201", "1.0", "x", "%D9%A3", "99999999999999999999"])
def test_numbers_are_digits(server: Server, bucket: str, value: str):
    """Python's own idea of a number is wider than S3's."""
    raw = Raw(server.url, "PUT", f"/{bucket}/k?partNumber={value}&uploadId=u")
    answer = converse(server.url, raw.head("Connection: close", "Content-Length: 0"))
    assert status_and_code(answer) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    "document",
    [
        b"", b"<", b"plain", b"<Delete><Object>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><Delete><Object><Key>&b;</Key></Object></Delete>',
        b'<?xml version="1.0" encoding="x"?><Delete/>', b"\xff\xfe<\0D\0/\0>\0", b"<Delete>&undefined;</Delete>",
    ],
)  # fmt: skip
def test_what_is_not_xml_is_refused(server: Server, bucket: str, document: bytes):
    """Document types too: entities could grow without end, or name files."""
    raw = Raw(server.url, "POST", f"/{bucket}?delete=")
    answer = converse(server.url, raw.head("Connection: close", f"Content-Length: {len(document)}") + document)
    assert status_and_code(answer)[0] == 400


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("DELETE", 204)])
def test_a_checksum_of_nothing_is_taken_on_every_operation(
    s3: Any, server: Server, bucket: str, method: str, status: int
):
    """The SDK for Java sends that of an empty body on reads."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    for checksum, expected in (("AAAAAA==", status), ("AAAAAQ==", 400)):
        raw = Raw(server.url, method, f"/{bucket}/k", "UNSIGNED-PAYLOAD", {"x-amz-checksum-crc32": checksum})
        answer = converse(server.url, raw.head("Connection: close"))
        assert status_and_code(answer)[0] == expected


def test_a_range_under_a_condition_that_boto3_does_not_know(s3: Any, server: Server, bucket: str):
    """``If-Range``: half of an old object must not be completed with half of a new one."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    raw = Raw(server.url, "GET", f"/{bucket}/k", headers={"Range": "bytes=5-", "If-Range": '"old"'})
    answer = converse(server.url, raw.head("Connection: close"))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"0123456789")


def test_an_answer_that_s3_cuts_off_ends_the_connection(serve: Any, make_client: Any):
    """The client can tell that something is missing, and nothing else ends with it."""
    with lying_s3() as liar, contextlib.closing(boto3.client("s3", **liar.arguments())) as plain:
        plain.put_object(Bucket="b", Key="k", Body=bytes(100_000))
        session = boto3.Session("lying", "lying", region_name="us-east-1")
        settings = ServeSettings(credentials=CREDENTIALS, port=0)
        with running(make_server(settings, session, plain, OneDoor(Door(None)))) as server:
            liar.state.lies.cut_answers = 1
            request = Raw(server.url, "GET", "/b/k").head("Connection: close")
            short, whole = converse(server.url, request), converse(server.url, request)
    assert b"Content-Length: 100000" in short
    assert len(short) == len(whole) - 1


@pytest.mark.parametrize("name", ["x-amz-meta-own", "Content-Disposition", "User-Agent"])
@pytest.mark.parametrize("target", ["k", "k?tagging"])
def test_headers_are_ascii(server: Server, plain_s3: Any, bucket: str, name: str, target: str):
    """On what is encrypted and on what is relayed."""
    raw = Raw(server.url, "PUT", f"/{bucket}/{target}", headers={name: "日本"})
    answer = converse(server.url, raw.head("Connection: close", "Content-Length: 1") + b"1")
    assert status_and_code(answer) == (400, "InvalidArgument")
    assert plain_s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_customers_key_never_goes_over_plain_http(s3: Any, plain_s3: Any, bucket: str):
    """The client's own rule for the way to S3 holds for what comes through the endpoint as well."""
    with pytest.raises(ClientError, match="https") as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", SSECustomerAlgorithm="AES256", SSECustomerKey=b"k" * 32)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert plain_s3.list_objects_v2(Bucket=bucket).get("Contents") is None
