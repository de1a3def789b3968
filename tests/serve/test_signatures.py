"""Who is believed: the examples that AWS publishes, and everything that is a little different from a signed request."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from s3ec.serve import LocalCredentials, Server
from s3ec.serve.chunks import ChunkedBody
from s3ec.serve.refusals import RefusedError
from s3ec.serve.requests import Request, parse_target
from s3ec.serve.signatures import Signed, verify

from support.serving import Raw, converse, status_and_code

# Amazon S3 API reference, "Signature Calculations for the Authorization Header": its examples all use these.
EXAMPLE = LocalCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOON = datetime(2013, 5, 24, tzinfo=timezone.utc)
SCOPE = "20130524/us-east-1/s3/aws4_request"
CHUNKED_PUT = {
    "host": "s3.amazonaws.com",
    "x-amz-date": "20130524T000000Z",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
    "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "content-encoding": "aws-chunked",
    "x-amz-decoded-content-length": "66560",
    "content-length": "66824",
}


def request(method: str, target: str, headers: dict[str, str]) -> Request:
    """A request as the connection would make it."""
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, io.BytesIO(), False, *parse_target(path, query))


def authorised(headers: dict[str, str], signature: str, names: str) -> dict[str, str]:
    """The headers with the one that says who sent them."""
    value = f"AWS4-HMAC-SHA256 Credential={EXAMPLE.access_key}/{SCOPE},SignedHeaders={names},Signature={signature}"
    return {**headers, "authorization": value}


def chunked_put() -> Request:
    """AWS's example of a put in signed chunks."""
    signature = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    return request(
        "PUT", "/examplebucket/chunkObject.txt", authorised(CHUNKED_PUT, signature, ";".join(sorted(CHUNKED_PUT)))
    )


def example_chunks(last: str) -> bytes:
    """Its body."""
    signatures = (
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        last,
    )
    return b"".join(
        f"{size:x};chunk-signature={signature}\r\n".encode() + b"a" * size + b"\r\n"
        for size, signature in zip((65536, 1024, 0), signatures, strict=True)
    )


def content_of(chunks: ChunkedBody) -> bytes:
    """All that can be read of a body."""
    buffer = memoryview(bytearray(4096))
    return b"".join(bytes(buffer[:count]) for count in iter(lambda: chunks.readinto(buffer), 0))


def test_the_published_example_of_signed_chunks():
    """Its signature and those of its chunks are the published ones, byte for byte."""
    put = chunked_put()
    signed = verify(put, EXAMPLE, NOON)
    body = example_chunks("b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")
    assert len(body) == int(CHUNKED_PUT["content-length"])
    chunks = ChunkedBody(io.BytesIO(body), 66560, signed, trailed=False)
    assert content_of(chunks) == b"a" * 66560


def test_another_signature_of_the_last_chunk():
    """The one that the example does not have."""
    signed = verify(chunked_put(), EXAMPLE, NOON)
    chunks = ChunkedBody(io.BytesIO(example_chunks("c" * 64)), 66560, signed, trailed=False)
    with pytest.raises(RefusedError, match="signature of a chunk"):
        content_of(chunks)


def test_the_published_example_of_a_get_with_a_range():
    """A virtual-hosted one, whose path is the key."""
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-amz-date": "20130524T000000Z",
    }
    signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    get = request("GET", "/test.txt", authorised(headers, signature, "host;range;x-amz-content-sha256;x-amz-date"))
    assert verify(get, EXAMPLE, NOON).scope == SCOPE
    other = request("GET", "/test.txt", {**get.headers, "range": "bytes=0-10"})
    with pytest.raises(RefusedError, match="own credentials"):
        verify(other, EXAMPLE, NOON)


PRESIGNED = (
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)
HOST = {"host": "examplebucket.s3.amazonaws.com"}


def presigned(target: str = PRESIGNED, now: datetime = NOON, **headers: str) -> Signed:
    """What becomes of a presigned URL."""
    return verify(request("GET", target, {**HOST, **headers}), EXAMPLE, now)


def test_the_published_example_of_a_presigned_url():
    """Until the second in which it ends."""
    assert presigned().payload == "UNSIGNED-PAYLOAD"
    presigned(now=NOON + timedelta(seconds=86400))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"now": NOON + timedelta(seconds=86401)}, "AccessDenied"),
        ({"now": NOON - timedelta(minutes=16)}, "AccessDenied"),
        ({"target": PRESIGNED.replace("Expires=86400", "Expires=604801")}, "AuthorizationQueryParametersError"),
        ({"target": PRESIGNED.replace("Expires=86400", "Expires=0")}, "AuthorizationQueryParametersError"),
        ({"target": PRESIGNED.replace("Expires=86400", "Expires=86401")}, "SignatureDoesNotMatch"),
        ({"target": PRESIGNED.replace("test.txt", "test2.txt")}, "SignatureDoesNotMatch"),
        ({"target": PRESIGNED + "&versionId=1"}, "SignatureDoesNotMatch"),
        ({"target": PRESIGNED.replace("SHA256&", "SHA1&")}, "AuthorizationQueryParametersError"),
        ({"target": PRESIGNED.replace("AKIAIOSFODNN7", "AKIAIOSFODNN8")}, "InvalidAccessKeyId"),
        ({"target": PRESIGNED.replace("%2Fs3%2F", "%2Fec2%2F")}, "AuthorizationHeaderMalformed"),
        ({"target": PRESIGNED.replace("SignedHeaders=host", "SignedHeaders=")}, "AccessDenied"),
        ({"x-amz-acl": "public-read"}, "AccessDenied"),
        ({"authorization": "AWS4-HMAC-SHA256 x"}, "InvalidArgument"),
    ],
)
def test_a_presigned_url_that_was_changed(changes: dict[str, Any], code: str):
    """Each of them by its own name."""
    with pytest.raises(RefusedError) as caught:
        presigned(**changes)
    assert caught.value.refusal.code == code


@pytest.mark.parametrize(("minutes", "believed"), [(0, True), (14, True), (-14, True), (16, False), (-16, False)])
def test_clocks_may_differ_by_fifteen_minutes(minutes: int, believed: bool):
    """In both directions."""
    now = NOON + timedelta(minutes=minutes)
    if believed:
        verify(chunked_put(), EXAMPLE, now)
        return
    with pytest.raises(RefusedError) as caught:
        verify(chunked_put(), EXAMPLE, now)
    assert caught.value.refusal.code == "RequestTimeTooSkewed"


def without(headers: dict[str, str], name: str) -> dict[str, str]:
    """The headers but one."""
    return {key: value for key, value in headers.items() if key != name}


@pytest.mark.parametrize(
    "change",
    [
        lambda h: without(h, "authorization"),
        lambda h: without(h, "x-amz-date"),
        lambda h: without(h, "x-amz-content-sha256"),
        lambda h: without(h, "x-amz-storage-class"),
        lambda h: {**h, "x-amz-date": "yesterday"},
        lambda h: {**h, "x-amz-date": "20131324T000000Z"},
        lambda h: {**h, "x-amz-date": "20130524T000001Z"},
        lambda h: {**h, "x-amz-acl": "public-read"},
        lambda h: {**h, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"},
        lambda h: {**h, "x-amz-storage-class": "STANDARD"},
        lambda h: {**h, "host": "other.amazonaws.com"},
        lambda h: {**h, "authorization": "AWS AKIAIOSFODNN7EXAMPLE:abc="},
        lambda h: {**h, "authorization": "AWS4-ECDSA-P256-SHA256 Credential=a, SignedHeaders=host, Signature=00"},
        lambda h: {**h, "authorization": "Bearer x"},
        lambda h: {**h, "authorization": h["authorization"].replace("host;", "")},
        lambda h: {**h, "authorization": h["authorization"].replace("20130524/", "20130525/")},
        lambda h: {**h, "authorization": h["authorization"].replace("us-east-1", "eu-west-1")},
        lambda h: {**h, "authorization": h["authorization"].replace("aws4_request", "aws4_other")},
        lambda h: {**h, "authorization": h["authorization"][:-1] + "٣"},
        lambda h: {**h, "authorization": h["authorization"].upper()},
    ],
)
def test_a_request_that_was_changed(change: Callable[[dict[str, str]], dict[str, str]]):
    """Nothing but 400 and 403, whatever it is."""
    put = chunked_put()
    changed = change(dict(put.headers))
    assert changed != put.headers
    with pytest.raises(RefusedError) as caught:
        verify(request("PUT", put.path, changed), EXAMPLE, NOON)
    assert caught.value.refusal.status in (400, 403)


def test_unsigned_requests_are_refused_before_their_body_is_asked_for(serve: Callable[..., Server], bucket: str):
    """Whoever waits for 100 Continue never sends it."""
    server = serve()
    raw = Raw(server.url, "PUT", f"/{bucket}/k", credentials=LocalCredentials("OTHER", "x" * 20))
    answer = converse(server.url, raw.head("Content-Length: 10", "Expect: 100-continue"))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status_and_code(answer) == (403, "InvalidAccessKeyId")


def test_other_host_names_are_refused(serve: Callable[..., Server]):
    """A page in a browser could have made its own name point here; the credentials do not matter."""
    server = serve()
    for host, expected in (("evil.example", 403), ("evil.example@localhost", 403), ("", 403), ("localhost:1", 200)):
        head = f"GET /-/ready HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        assert status_and_code(converse(server.url, head))[0] == expected


def test_a_name_of_its_own_is_allowed(serve: Callable[..., Server]):
    """By option."""
    server = serve(host_names=frozenset({"S3.internal"}))
    head = b"GET /-/ready HTTP/1.1\r\nHost: s3.INTERNAL:80\r\nConnection: close\r\n\r\n"
    assert status_and_code(converse(server.url, head))[0] == 200
