"""Reads by the shorter way to S3: what comes out is what the client gives, and what must not come out does not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec.serve.doors import Door, OneDoor

from .conftest import unmocked
from support.proxy import Answer, Proxy, Request, proxy
from support.serving import Raw, converse

SMALL, LONG = b"forty bytes " * 3, os.urandom(1024) * 700


@pytest.fixture
def behind(endpoint: str) -> Iterator[Proxy]:
    """A proxy between the endpoint and moto."""
    with proxy(endpoint) as made:
        yield made


@pytest.fixture
def opened(
    behind: Proxy, serve: Callable[..., Any], through: Callable[..., Any], make_client: Callable[..., Any], bucket: str
) -> Callable[..., Any]:
    """Makes a plain client of an endpoint that has read from the bucket once, and knows the way there."""

    def make(**options: Any) -> Any:
        s3 = through(serve(unmocked(make_client(endpoint_url=behind.url, **options))))
        for key, body in (("first", b"1"), ("small", SMALL), ("long", LONG)):
            s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"own": "x"}, ContentType="text/plain")
        s3.get_object(Bucket=bucket, Key="first")["Body"].read()
        behind.seen.clear()
        return s3

    return make


def _by_botocore(request: Request) -> bool:
    return "amz-sdk-invocation-id" in request.headers


def _without(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in ("ResponseMetadata", "Body")}


@pytest.mark.parametrize(
    "parameters",
    [
        {"Key": "small"},
        {"Key": "long"},
        {"Key": "small", "Range": "bytes=6-10"},
        {"Key": "long", "Range": "bytes=-70000"},
        {"Key": "long", "Range": "bytes=100000-"},
    ],
    ids=str,
)
def test_it_gives_what_the_client_gives(
    parameters: dict[str, Any], opened: Callable[..., Any], behind: Proxy, make_client: Callable[..., Any], bucket: str
) -> None:
    """Content, headers and ranges; one request for each that the client makes."""
    s3, own = opened(), make_client(endpoint_url=behind.url)
    mine = s3.get_object(Bucket=bucket, **parameters)
    content = mine["Body"].read()
    ours = len(behind.seen)
    assert not any(map(_by_botocore, behind.seen))
    theirs = own.get_object(Bucket=bucket, **parameters)
    assert content == theirs["Body"].read()
    assert len(behind.seen) == 2 * ours
    assert mine["ETag"] == theirs["ETag"][:-1] + '-s3ec"'
    mine["ETag"] = theirs["ETag"]
    assert _without(mine) == _without(theirs)


def test_connections_are_kept(opened: Callable[..., Any], behind: Proxy, bucket: str) -> None:
    """Behind small answers, long ones, and those of which nobody wanted the end."""
    s3 = opened()
    for key in ("small", "long", "long", "small"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == {"small": SMALL, "long": LONG}[key]
    assert len(behind.seen) == 4
    left = s3.get_object(Bucket=bucket, Key="long")["Body"]
    left.read(10)
    left.close()
    assert s3.get_object(Bucket=bucket, Key="small")["Body"].read() == SMALL


@pytest.mark.parametrize("key", ["a//b", "a/../b", "ä +%2F", "k?versionId=1"])
def test_keys_arrive_as_they_are(key: str, opened: Callable[..., Any], bucket: str) -> None:
    """Whichever way they go."""
    s3 = opened()
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


def test_refusals_are_those_of_s3(opened: Callable[..., Any], behind: Proxy, bucket: str) -> None:
    """Objects that are not there, conditions that do not hold, ranges past the end."""
    s3 = opened()
    etag = s3.head_object(Bucket=bucket, Key="small")["ETag"]
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="absent")
    for parameters, code in (
        ({"IfMatch": '"other"'}, "PreconditionFailed"),
        ({"IfNoneMatch": etag}, "304"),
        ({"Range": "bytes=1000-"}, "InvalidRange"),
    ):
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=bucket, Key="small", **parameters)
        assert caught.value.response["Error"]["Code"] == code
    assert s3.get_object(Bucket=bucket, Key="small", IfMatch=etag)["Body"].read() == SMALL
    assert s3.get_object(Bucket=bucket, Key="small")["Body"].read() == SMALL
    assert not _by_botocore(behind.seen[-1])


def test_what_is_not_encrypted_is_refused(opened: Callable[..., Any], plain_s3: Any, bucket: str) -> None:
    """By the gate of the client, which stands where it stood; and let through where the client allows it."""
    s3 = opened()
    plain_s3.put_object(Bucket=bucket, Key="plain", Body=b"plaintext")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="plain")
    assert caught.value.response["Error"]["Code"] == "NotEncrypted"
    assert f"[s3://{bucket}/plain]" in caught.value.response["Error"]["Message"]


def test_what_no_tag_verifies_goes_by_botocore(
    opened: Callable[..., Any], behind: Proxy, plain_s3: Any, bucket: str
) -> None:
    """It compares S3's checksums, which are all that there is."""
    s3 = opened(unencrypted_objects="allow")
    plain_s3.put_object(Bucket=bucket, Key="plain", Body=b"plaintext")
    assert s3.get_object(Bucket=bucket, Key="plain")["Body"].read() == b"plaintext"
    assert all(map(_by_botocore, behind.seen))


def test_whoever_listens_hears_what_the_client_says(
    serve: Callable[..., Any], through: Callable[..., Any], make_client: Callable[..., Any], bucket: str
) -> None:
    """A handler of the caller's sees plaintext, before it was there and after it came."""
    client = unmocked(make_client())
    s3 = through(serve(doors=OneDoor(Door(client))))
    s3.put_object(Bucket=bucket, Key="k", Body=SMALL)
    for _ in range(2):
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == SMALL
    heard: list[int] = []
    client.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: heard.append(parsed["ContentLength"]))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == SMALL
    assert heard == [len(SMALL)]


def _flipped(answer: Answer) -> Answer:
    middle = len(answer.body) // 2
    body = answer.body[:middle] + bytes([answer.body[middle] ^ 1]) + answer.body[middle + 1 :]
    # A checksum that fits: the tag alone is left to say no.
    headers = {name: text for name, text in answer.headers.items() if "checksum" not in name.lower()}
    return replace(answer, body=body, headers=headers)


@pytest.mark.parametrize("key", ["small", "long"])
def test_nothing_leaves_that_does_not_verify(key: str, opened: Callable[..., Any], behind: Proxy, bucket: str) -> None:
    """Not even a status that promises content."""
    s3 = opened()
    behind.fault = lambda _, ask: _flipped(ask())
    url = s3.meta.endpoint_url
    answer = converse(url, Raw(url, "GET", f"/{bucket}/{key}").head("Connection: close"))
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert b"AuthenticationFailed" in answer
    assert LONG[:32] not in answer
    assert SMALL[:12] not in answer
    assert len(behind.seen) == 1


@pytest.mark.parametrize("key", ["small", "long"])
def test_a_connection_that_breaks(key: str, opened: Callable[..., Any], behind: Proxy, bucket: str) -> None:
    """A small read is made again by botocore; of a long one nothing has left yet, and the client hears to try again."""
    s3 = opened()
    faults: list[Callable[[Answer], Answer]] = [lambda answer: replace(answer, cut_at=len(answer.body) - 5)]
    behind.fault = lambda _, ask: faults.pop()(ask()) if faults else ask()
    with contextlib.suppress(ClientError) if key == "long" else contextlib.nullcontext():
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == SMALL
    assert not faults
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == {"small": SMALL, "long": LONG}[key]


@pytest.mark.parametrize("name", ["x-amz-missing-meta", "x-amz-mp-parts-count"])
@pytest.mark.parametrize("value", ["1_0", "-1", "x"])
def test_numbers_that_make_no_sense(
    name: str, value: str, opened: Callable[..., Any], behind: Proxy, bucket: str
) -> None:
    """Refused as the client refuses them."""
    s3 = opened()

    def senseless(_: Request, ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        return replace(answer, headers={**answer.headers, name: value})

    behind.fault = senseless
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="small")
    assert caught.value.response["Error"]["Code"] == "AuthenticationFailed"
