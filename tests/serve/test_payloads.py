"""The body of a put, in each of S3's ways to protect it: the good one is stored, and of every broken one nothing is."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3ec.serve import Server
from s3ec.serve.doors import Door, OneDoor

from support.serving import Raw, converse, status_and_code

CONTENT = bytes(range(256)) * 40
HASH = hashlib.sha256(CONTENT).hexdigest()
MD5 = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
CRC = base64.b64encode(zlib.crc32(CONTENT).to_bytes(4, "big")).decode()
SHA = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
WRONG = base64.b64encode(bytes(4)).decode()
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = f"{SIGNED}-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNKED = {"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(CONTENT))}
TRAILED = {**CHUNKED, "x-amz-trailer": "x-amz-checksum-crc32"}


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """One endpoint."""
    return serve()


@pytest.fixture
def put(server: Server, bucket: str) -> Callable[..., tuple[int, str]]:
    """Puts ``k`` with a body that a function makes of the signed request; says how it was answered."""

    def send(
        mode: str, headers: dict[str, str], make: Callable[[Raw], bytes], *, double: bool = False, short: int = 0
    ) -> tuple[int, str]:
        raw = Raw(server.url, "PUT", f"/{bucket}/k", mode, headers)
        body = make(raw)
        if double:
            framed = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:700], body[700:])) + b"0\r\n\r\n"
            data, framing = framed, "Transfer-Encoding: chunked"
        else:
            data, framing = body, f"Content-Length: {len(body) + short}"
        return status_and_code(converse(server.url, raw.head("Connection: close", framing), data, end=bool(short)))

    return send


def stored(plain_s3: Any, bucket: str) -> bool:
    """True if anything lies under ``k``."""
    try:
        plain_s3.head_object(Bucket=bucket, Key="k")
    except ClientError:
        return False
    return True


def whole(raw: Raw) -> bytes:
    """The content as it is."""
    return CONTENT


def signed_chunks(raw: Raw) -> bytes:
    """In three chunks of different sizes."""
    return raw.chunks(CONTENT[:1], CONTENT[1:9000], CONTENT[9000:])


def trailer_chunks(raw: Raw, value: str = CRC) -> bytes:
    """The same with a trailer, signed as the mode says."""
    trailer = {"x-amz-checksum-crc32": value}
    return raw.chunks(CONTENT[:5000], CONTENT[5000:], trailer=trailer, sign=raw.mode == SIGNED_TRAILER)


GOOD: list[tuple[str, dict[str, str], Callable[[Raw], bytes]]] = [
    ("UNSIGNED-PAYLOAD", {}, whole),
    (HASH, {}, whole),
    (HASH, {"Content-MD5": MD5}, whole),
    ("UNSIGNED-PAYLOAD", {"x-amz-checksum-crc32": CRC, "Content-MD5": MD5}, whole),
    (HASH, {"x-amz-checksum-sha256": SHA, "x-amz-sdk-checksum-algorithm": "SHA256"}, whole),
    (SIGNED, CHUNKED, signed_chunks),
    (SIGNED, {**CHUNKED, "Content-Encoding": "gzip,aws-chunked"}, signed_chunks),
    (SIGNED, {**CHUNKED, "Content-MD5": MD5}, signed_chunks),
    (SIGNED_TRAILER, TRAILED, trailer_chunks),
    (UNSIGNED_TRAILER, TRAILED, trailer_chunks),
    (UNSIGNED_TRAILER, {**TRAILED, "x-amz-sdk-checksum-algorithm": "CRC32"}, trailer_chunks),
]


@pytest.mark.parametrize("double", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(("mode", "headers", "make"), GOOD)
def test_each_way_is_stored(put: Any, make_client: Any, bucket: str, mode: str, headers: Any, make: Any, double: bool):
    """Whatever HTTP's own framing around it is."""
    if double and "x-amz-decoded-content-length" not in headers:
        assert put(mode, headers, make, double=True) == (411, "MissingContentLength")
        return
    assert put(mode, headers, make, double=double) == (200, "")
    answer = make_client().get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == CONTENT
    assert answer.get("ContentEncoding") == ("gzip" if "gzip" in headers.get("Content-Encoding", "") else None)


@pytest.mark.parametrize("doors", [None, OneDoor(Door(None))], ids=["encrypted", "plain"])
@pytest.mark.parametrize(
    ("query", "headers", "refused"),
    [("", {}, True), ("?partNumber=1&uploadId=u", {}, True), ("?x-id=PutObject", {}, True),
     ("?acl", {"x-amz-acl": "private"}, False), ("", {"x-amz-copy-source": "a/b"}, False)],
)  # fmt: skip
def test_a_body_without_a_length_is_not_an_empty_one(
    serve: Callable[..., Server], bucket: str, plain_s3: Any, doors: Any, query: str, headers: Any, refused: bool
):
    """As S3 answers; requests that store no body may leave it out."""
    server = serve(doors=doors)
    raw = Raw(server.url, "PUT", f"/{bucket}/k{query}", headers=headers)
    answer = status_and_code(converse(server.url, raw.head("Connection: close")))
    assert (answer == (411, "MissingContentLength")) is refused
    assert not stored(plain_s3, bucket)


def changed(make: Callable[[Raw], bytes], old: bytes, new: bytes) -> Callable[[Raw], bytes]:
    """A body in which something is replaced once; fails where it is not there."""

    def broken(raw: Raw) -> bytes:
        body = make(raw)
        assert old in body
        return body.replace(old, new, 1)

    return broken


def flipped(make: Callable[[Raw], bytes], back: int) -> Callable[[Raw], bytes]:
    """A body with one bit turned over, so far from its end."""

    def broken(raw: Raw) -> bytes:
        body = bytearray(make(raw))
        body[-back] ^= 1
        return bytes(body)

    return broken


def more(make: Callable[[Raw], bytes]) -> Callable[[Raw], bytes]:
    """A body with something behind its end."""
    return lambda raw: make(raw) + b"\r\n0\r\n\r\n"


def without_end(make: Callable[[Raw], bytes], left: int) -> Callable[[Raw], bytes]:
    """A body whose end is missing, although HTTP says that it is whole."""
    return lambda raw: make(raw)[:-left]


LAST = CONTENT[-16:]
BAD: dict[str, tuple[str, dict[str, str], Callable[[Raw], bytes]]] = {
    "hash of another body": (HASH, {}, flipped(whole, 1)),
    "hash in a form that is not known": ("STREAMING-SOMETHING", {}, whole),
    "MD5 of another body": ("UNSIGNED-PAYLOAD", {"Content-MD5": MD5}, flipped(whole, 9000)),
    "MD5 that is none": ("UNSIGNED-PAYLOAD", {"Content-MD5": "?"}, whole),
    "checksum of another body": ("UNSIGNED-PAYLOAD", {"x-amz-checksum-crc32": CRC}, flipped(whole, 1)),
    "checksum that is not known": ("UNSIGNED-PAYLOAD", {"x-amz-checksum-crc99": CRC}, whole),
    "signed chunks, first byte": (SIGNED, CHUNKED, changed(signed_chunks, b"\r\n\x00\r\n", b"\r\n\x01\r\n")),
    "signed chunks, last byte": (SIGNED, CHUNKED, changed(signed_chunks, LAST + b"\r\n", LAST[:-1] + b"\0\r\n")),
    "signed chunks, signature of the last": (
        SIGNED,
        CHUNKED,
        changed(signed_chunks, b"\r\n0;chunk-signature=", b"\r\n0;chunk-signature=0"),
    ),
    "signed chunks without signatures": (SIGNED, CHUNKED, lambda raw: raw.chunks(CONTENT, sign=False)),
    "signed chunks, one left out": (SIGNED, CHUNKED, lambda raw: raw.chunks(CONTENT[1:])),
    "signed chunks, something behind": (SIGNED, CHUNKED, more(signed_chunks)),
    "signed chunks, no last one": (SIGNED, CHUNKED, without_end(signed_chunks, 87)),
    "signed chunks, a trailer that was not announced": (
        SIGNED,
        CHUNKED,
        lambda raw: raw.chunks(CONTENT, trailer={"x-amz-checksum-crc32": CRC}),
    ),
    "more than was announced": (SIGNED, {**CHUNKED, "x-amz-decoded-content-length": "10"}, signed_chunks),
    "less than was announced": (SIGNED, {**CHUNKED, "x-amz-decoded-content-length": "10241"}, signed_chunks),
    "no length announced": (SIGNED, {"Content-Encoding": "aws-chunked"}, signed_chunks),
    "a length that is none": (SIGNED, {**CHUNKED, "x-amz-decoded-content-length": "-1"}, signed_chunks),
    "signed trailer, wrong checksum": (SIGNED_TRAILER, TRAILED, lambda raw: trailer_chunks(raw, WRONG)),
    "signed trailer, changed checksum": (
        SIGNED_TRAILER,
        TRAILED,
        changed(trailer_chunks, CRC.encode(), WRONG.encode()),
    ),
    "signed trailer, without its signature": (
        SIGNED_TRAILER,
        TRAILED,
        changed(trailer_chunks, b"x-amz-trailer-signature", b"x-amz-other-signature"),
    ),
    "signed trailer, another signature": (
        SIGNED_TRAILER,
        TRAILED,
        lambda raw: trailer_chunks(raw)[:-68] + bytes(reversed(trailer_chunks(raw)[-68:-4])) + b"\r\n\r\n",
    ),
    "signed trailer, no signature": (SIGNED_TRAILER, TRAILED, lambda raw: trailer_chunks(raw)[:-92] + b"\r\n"),
    "trailer, chunks with signatures": (
        UNSIGNED_TRAILER,
        TRAILED,
        lambda raw: raw.chunks(CONTENT, trailer={"x-amz-checksum-crc32": CRC}),
    ),
    "signed trailer, missing": (SIGNED_TRAILER, TRAILED, lambda raw: raw.chunks(CONTENT)),
    "trailer, wrong checksum": (UNSIGNED_TRAILER, TRAILED, lambda raw: trailer_chunks(raw, WRONG)),
    "trailer, no checksum at all": (UNSIGNED_TRAILER, TRAILED, lambda raw: raw.chunks(CONTENT, sign=False)),
    "trailer, another checksum": (
        UNSIGNED_TRAILER,
        TRAILED,
        changed(trailer_chunks, b"x-amz-checksum-crc32:", b"x-amz-checksum-sha1:"),
    ),
    "trailer, the checksum twice": (
        UNSIGNED_TRAILER,
        TRAILED,
        changed(trailer_chunks, b"x-amz-checksum-crc32:", b"x-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:"),
    ),
    "trailer, a changed body": (UNSIGNED_TRAILER, TRAILED, flipped(trailer_chunks, 300)),
    "trailer, something behind": (UNSIGNED_TRAILER, TRAILED, more(trailer_chunks)),
    "trailer, cut off": (UNSIGNED_TRAILER, TRAILED, without_end(trailer_chunks, 2)),
    "trailer that was not announced": (UNSIGNED_TRAILER, CHUNKED, trailer_chunks),
    "trailer without chunks": ("UNSIGNED-PAYLOAD", {"x-amz-trailer": "x-amz-checksum-crc32"}, whole),
    "chunks that the mode does not name": ("UNSIGNED-PAYLOAD", CHUNKED, signed_chunks),
    "a chunk size that is negative": (UNSIGNED_TRAILER, TRAILED, changed(trailer_chunks, b"1388\r\n", b"-1388\r\n")),
    "a chunk size in Python's form": (UNSIGNED_TRAILER, TRAILED, changed(trailer_chunks, b"1388\r\n", b"13_88\r\n")),
    "a chunk with an extension": (UNSIGNED_TRAILER, TRAILED, changed(trailer_chunks, b"1388\r\n", b"1388;x=y\r\n")),
    "a line without an end": (UNSIGNED_TRAILER, TRAILED, lambda raw: b"0" * 100_000),
}


@pytest.mark.parametrize("what", BAD)
def test_nothing_of_a_broken_body_is_stored(put: Any, plain_s3: Any, bucket: str, what: str):
    """The refusal has a status that no client takes for a reason to try again."""
    status, code = put(*BAD[what])
    assert 400 <= status < 500 or (status, code) == (501, "NotImplemented"), (status, code)
    assert code
    assert not stored(plain_s3, bucket)


@pytest.mark.parametrize(("mode", "headers", "make"), GOOD[:1] + GOOD[5:6] + GOOD[9:10])
def test_a_client_that_goes_away_stores_nothing(
    put: Any, plain_s3: Any, bucket: str, mode: str, headers: Any, make: Any
):
    """In the middle of a body, under each framing."""
    assert put(mode, headers, make, short=10) == (400, "IncompleteBody")
    assert not stored(plain_s3, bucket)


def test_a_large_body_is_refused_before_its_last_byte_leaves(server: Server, plain_s3: Any, bucket: str):
    """Above what is read at once, too: the last byte is what completes a request to S3."""
    content = bytes(3 * 1024 * 1024)
    for mode, headers in (
        (hashlib.sha256(content + b"1").hexdigest(), {}),
        ("UNSIGNED-PAYLOAD", {"Content-MD5": MD5}),
    ):
        raw = Raw(server.url, "PUT", f"/{bucket}/k", mode, headers)
        answer = converse(server.url, raw.head("Connection: close", f"Content-Length: {len(content)}"), content)
        assert status_and_code(answer)[0] == 400
        assert not stored(plain_s3, bucket)


def test_an_empty_body_is_verified_too(server: Server, plain_s3: Any, bucket: str):
    """There is no last byte to hold back."""
    for mode, headers, body in (
        (HASH, {}, b""),
        ("UNSIGNED-PAYLOAD", {"Content-MD5": MD5}, b""),
        (SIGNED, {**CHUNKED, "x-amz-decoded-content-length": "0"}, b"0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n"),
    ):
        raw = Raw(server.url, "PUT", f"/{bucket}/k", mode, headers)
        answer = converse(server.url, raw.head("Connection: close", f"Content-Length: {len(body)}"), body)
        assert 400 <= status_and_code(answer)[0] < 500
        assert not stored(plain_s3, bucket)
