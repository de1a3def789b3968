"""The frame of known length: what S3 reads out of it is the body, and nothing else is ever framed."""

from __future__ import annotations

import base64
import http.client
import io
import os
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.httpchecksum import _CHECKSUM_CLS, AwsChunkedWrapper
from hypothesis import given
from hypothesis import strategies as st

from s3ec.client.calls.framing import FramedBody, frame
from s3ec.errors import SourceChangedError

from support.lying_s3 import LyingS3

FRAME = 256 * 1024
CRC32 = "x-amz-checksum-crc32"


def _request(body: Any, length: int, trailer: str = CRC32) -> Any:
    headers = {
        "Transfer-Encoding": "chunked",
        "X-Amz-Trailer": trailer,
        "X-Amz-Decoded-Content-Length": str(length),
    }
    return AWSRequest("PUT", "https://b.example/k", headers=headers, data=body).prepare()


def _framed(raw: Any, length: int, trailer: str = CRC32) -> FramedBody:
    request = _request(AwsChunkedWrapper(raw), length, trailer)
    frame(request)
    assert isinstance(request.body, FramedBody)
    assert "Transfer-Encoding" not in request.headers
    assert request.headers["Content-Length"] == str(len(request.body))
    return request.body


def _read(stream: bytes) -> tuple[bytes, dict[str, str]]:
    """What a server reads: content and trailers. Every chunk but the last has the 8 KiB that S3 asks for."""
    rest, chunks = io.BytesIO(stream), []
    while size := int(rest.readline(), 16):
        chunks.append(rest.read(size))
        assert rest.readline() == b"\r\n"
    assert all(len(chunk) >= 8192 for chunk in chunks[:-1])
    trailers = rest.read().decode()
    assert trailers.endswith("\r\n\r\n")
    return b"".join(chunks), dict(line.split(":") for line in trailers.split())


@pytest.mark.parametrize(
    "length", [0, 1, 15, 16, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 4 * FRAME + 16, 4 * FRAME + 17]
)
def test_what_is_in_the_frame(length: int) -> None:
    """The body, its CRC-32 behind it, and exactly as many bytes as were announced; however often it is sent."""
    body = os.urandom(length)
    framed = _framed(io.BytesIO(body), length)
    for _ in range(2):
        stream = b"".join(framed)
        assert len(stream) == len(framed)
        assert _read(stream) == (body, {CRC32: base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()})


@pytest.mark.parametrize("length", [0, 1, FRAME, FRAME + 1, 5 * FRAME + 4097])
def test_another_checksum_behind_it(length: int) -> None:
    """CRC-64/NVME is what botocore's own wrapper computes, and as long as was announced."""
    pytest.importorskip("awscrt.checksums")
    body, name = os.urandom(length), "x-amz-checksum-crc64nvme"
    stream = b"".join(_framed(io.BytesIO(body), length, name))
    plain = AwsChunkedWrapper(io.BytesIO(body), _CHECKSUM_CLS["crc64nvme"], name)
    framed = _framed(io.BytesIO(body), length, name)
    assert len(stream) == len(framed)
    assert _read(stream) == (body, _read(plain.read())[1])


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_tag_is_in_the_last_chunk(chunks: int) -> None:
    """A body of whole chunks gives its tag with the last of them, in one piece."""
    length = chunks * 4 * FRAME + 16
    sizes = [len(piece) for piece in _framed(io.BytesIO(bytes(length)), length) if len(piece) > 100]
    assert sizes == [4 * FRAME] * (chunks - 1) + [4 * FRAME + 16]


def test_a_small_body_is_one_write() -> None:
    """Each write is a TLS record of its own."""
    assert len(list(_framed(io.BytesIO(b"x" * FRAME), FRAME))) == 1


class _Short(io.BytesIO):
    """Reads that give less than they could."""

    step = 1

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, self.step))


@given(st.binary(max_size=300), st.integers(min_value=1, max_value=7))
def test_short_reads_make_no_shorter_chunks(body: bytes, step: int) -> None:
    """The length of the frame is known beforehand, so its chunks are filled."""
    raw = _Short(body)
    raw.step = step
    stream = b"".join(_framed(raw, len(body)))
    assert _read(stream)[0] == body


def test_a_body_that_ends_early_is_an_error() -> None:
    """A server would wait for the rest until it gives up."""
    with pytest.raises(SourceChangedError, match="before the 10 bytes"):
        b"".join(_framed(io.BytesIO(b"123456789"), 10))


def test_rewinding_rewinds_what_botocore_wraps_again() -> None:
    """A wrapper that somebody has read is at its start again for the retry."""
    wrapper = AwsChunkedWrapper(io.BytesIO(b"body"))
    assert wrapper.read()
    request = _request(wrapper, 4)
    frame(request)
    assert _read(b"".join(request.body))[0] == b"body"
    request.reset_stream()
    assert wrapper.read().startswith(b"4\r\nbody")


@pytest.mark.parametrize(
    ("body", "trailer"),
    [
        (AwsChunkedWrapper(io.BytesIO(b"x")), "x-amz-checksum-sha256"),
        (AwsChunkedWrapper(io.BufferedReader(io.BytesIO(b"x"))), CRC32),  # type: ignore[arg-type]  # a caller's file
        (io.BytesIO(b"x"), CRC32),
        (b"x", CRC32),
        (None, CRC32),
    ],
    ids=["another checksum", "another body", "no wrapper", "bytes", "nothing"],
)
def test_everything_else_stays_as_botocore_made_it(body: Any, trailer: str) -> None:
    """Only a wrapper that is understood, around a body of ours, is replaced."""
    request = _request(body, 1, trailer)
    before = request.body, dict(request.headers)
    frame(request)
    assert (request.body, dict(request.headers)) == before


def test_what_is_signed_stays() -> None:
    """Where another signer has signed that HTTP's chunks follow, they do; S3 refuses what lacks a signed header."""
    for signed, stays in (("host;transfer-encoding;x-amz-date", True), ("host;x-amz-date", False)):
        request = _request(AwsChunkedWrapper(io.BytesIO(b"body")), 4)
        request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential=c, SignedHeaders={signed}, Signature=0"
        before = request.body
        frame(request)
        assert (request.body is before) == ("Transfer-Encoding" in request.headers) == stays


@pytest.mark.parametrize("size", [0, 1000, 1024 * 1024, 3 * 1024 * 1024 + 1])
@pytest.mark.parametrize("kind", ["bytes", "file", "stream"])
def test_on_the_wire(liar: LyingS3, lied_to: Callable[..., Any], size: int, kind: str) -> None:
    """Over https every body of ours goes out under a length and without HTTP chunks; over http as plain boto3's."""
    body = os.urandom(size)
    client = lied_to(liar)
    given: Any = {"bytes": body, "file": io.BytesIO(body), "stream": iter([body])}[kind]
    client.put_object(Bucket="b", Key="k", Body=given)
    (attempt,) = [attempt for attempt in liar.state.attempts if attempt.method == "PUT"]
    headers = {name.lower(): value for name, value in attempt.headers.items()}
    assert "transfer-encoding" not in headers
    assert int(headers["content-length"]) >= size + 16
    # A small body is not asked for, it is sent: another round trip would take longer.
    assert ("expect" in headers) == (size > FRAME)
    assert ("aws-chunked" in headers.get("content-encoding", "")) == liar.url.startswith("https")
    # S3 refuses a request that lacks a header that was signed.
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date"} <= set(signed) <= headers.keys()
    assert client.get_object(Bucket="b", Key="k")["Body"].read() == body


@pytest.mark.parametrize("kind", ["put", "upload"])
def test_few_writes(liar: LyingS3, lied_to: Callable[..., Any], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a connection likes to read at a time, it writes what the body gives: a chunk, or half of one."""
    body = os.urandom(8 * 1024 * 1024)
    client, written = lied_to(liar), []
    send = http.client.HTTPConnection.send

    def note(self: http.client.HTTPConnection, data: Any) -> None:
        written.append(len(data) if isinstance(data, (bytes, bytearray, memoryview)) else 0)
        send(self, data)

    monkeypatch.setattr(http.client.HTTPConnection, "send", note)
    if kind == "put":
        client.put_object(Bucket="b", Key="k", Body=body)
    else:
        client.upload_fileobj(io.BytesIO(body), "b", "k")
    large = [size for size in written if size >= 64 * 1024]
    assert sum(large) >= len(body)
    assert len(large) <= len(body) / (1024 * 1024 if kind == "put" else 512 * 1024) + 2


def test_a_checksum_of_the_callers_choice_stays(liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """Another algorithm is botocore's to compute, in its own frame."""
    client = lied_to(liar)
    client.put_object(Bucket="b", Key="k", Body=b"body", ChecksumAlgorithm="SHA256")
    assert client.get_object(Bucket="b", Key="k")["Body"].read() == b"body"
