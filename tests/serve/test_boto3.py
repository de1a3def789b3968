"""boto3 through the endpoint: what it stores is encrypted, and what it reads is what it stored."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec.serve import Server


@pytest.fixture
def s3(serve: Callable[..., Any], through: Callable[..., Any]) -> Any:
    """A plain boto3 client in front of an endpoint."""
    return through(serve())


def test_what_is_put_is_encrypted_and_what_is_got_is_not(s3: Any, plain_s3: Any, make_client: Any, bucket: str):
    """The first promise, at both ends."""
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"forty bytes", Metadata={"own": "x"}, ContentType="text/plain")
    stored = plain_s3.get_object(Bucket=bucket, Key="a/b")
    assert b"forty" not in stored["Body"].read()
    assert stored["ContentLength"] == 11 + 16
    assert stored["Metadata"]["own"] == "x"
    assert make_client().get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"forty bytes"
    got = s3.get_object(Bucket=bucket, Key="a/b")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (b"forty bytes", {"own": "x"}, "text/plain")
    head = s3.head_object(Bucket=bucket, Key="a/b")
    assert (head["ContentLength"], head["ETag"]) == (11, got["ETag"])
    assert got["ETag"] == stored["ETag"][:-1] + '-s3ec"'


def test_listings_show_what_a_client_would_have_stored(s3: Any, bucket: str):
    """Lengths of plaintext, and the ETags that GET answers."""
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100)
    for entry in (
        s3.list_objects_v2(Bucket=bucket)["Contents"][0],
        s3.list_objects(Bucket=bucket)["Contents"][0],
        s3.list_object_versions(Bucket=bucket)["Versions"][0],
    ):
        assert (entry["Key"], entry["Size"], entry["ETag"]) == ("k", 100, put["ETag"])
    assert [each["Name"] for each in s3.list_buckets()["Buckets"] if each["Name"] == bucket] == [bucket]


def test_deletes(s3: Any, plain_s3: Any, bucket: str):
    """One, and several."""
    for key in "abc":
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    s3.delete_object(Bucket=bucket, Key="a")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b"}, {"Key": "c"}]})
    assert sorted(each["Key"] for each in answer["Deleted"]) == ["b", "c"]
    assert plain_s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(
    "key", ["a//b", "ä/ö ü", "a+b", "a%2Fb", "a?b&c=d", "x" * 1024, " lead", "../up", "a/./b", "~'!*()"]
)
def test_keys_arrive_as_they_are(s3: Any, plain_s3: Any, bucket: str, key: str):
    """Nothing on the way decodes or tidies a key."""
    s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    assert [each["Key"] for each in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"1"


def test_errors_are_the_errors_of_s3(s3: Any, bucket: str):
    """With its codes, so that clients go on as they are used to."""
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="absent")
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=bucket, Key="absent")
    assert caught.value.response["Error"]["Code"] == "404"
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket=bucket + "-absent")


def test_who_does_not_sign_with_the_endpoints_own_credentials_is_refused(
    serve: Callable[..., Any], through: Callable[..., Any], bucket: str
):
    """Neither S3's credentials nor a wrong secret open it."""
    server = serve()
    for key, secret, code in (
        ("testing", "testing", "InvalidAccessKeyId"),
        ("S3ECTESTING", "another-secret-than-it-has", "SignatureDoesNotMatch"),
    ):
        s3 = through(server, aws_access_key_id=key, aws_secret_access_key=secret)
        with pytest.raises(ClientError) as caught:
            s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        assert caught.value.response["Error"]["Code"] == code


def test_a_file_after_an_empty_one_on_one_connection(serve: Callable[..., Server], through: Any, bucket: str):
    """The answer is its own: botocore before 1.44 mistook it for the empty file's, and waited until a time-out."""
    s3 = through(serve(), config={"max_pool_connections": 1, "read_timeout": 20})
    for key, content in (("empty", b""), ("k", b"content"), ("k", b"")):
        put = s3.put_object(Bucket=bucket, Key=key, Body=io.BytesIO(content))
        assert put["ETag"].endswith('-s3ec"')
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(), IfNoneMatch="*")
    assert s3.put_object(Bucket=bucket, Key="other", Body=io.BytesIO(b"other"))["ETag"]
