"""Heads of answers, and headers on connections, that are dealt with in a shorter way: what comes of it is the same."""

from __future__ import annotations

import contextlib
import cProfile
import http.client
import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSHTTPSConnection, AWSHTTPSConnectionPool
from hypothesis import example, given
from hypothesis import strategies as st

from s3ec import AesKeyring
from s3ec.client.calls.shortcuts import connections
from s3ec.exchanges.heads import QuickResponse

from support.lying_s3 import LyingS3

KEYRING = AesKeyring(bytes(32))

STARTS = ["HTTP/1.1 200 OK", "HTTP/1.1 206 Partial Content", "HTTP/1.1 204 ", "HTTP/1.1 404", "HTTP/1.0 200 OK"]
STARTS += ["HTTP/1.1 304 Not Modified", "HTTP/2 200", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", "nonsense", ""]
LINES = ["Content-Length: 3", "content-length:03", "Content-Length: -1", "Content-Length: 3, 3", "Content-Length: x"]
LINES += ['ETag: "a"', "x-amz-meta-a: b  c\t d", "A:", "A:   ", "A: b ", "Connection: close", "Connection: keep-alive"]
LINES += ["Transfer-Encoding: chunked", "Transfer-Encoding: CHUNKED", "Transfer-Encoding: gzip", " folded", "no colon"]
LINES += [
    "Content-Type: text/plain; charset=x",
    "Content-Type: multipart/mixed; boundary=b",
    "Content-Type: message/rfc822",
]
LINES += [
    "Content-Transfer-Encoding: base64",
    "From nobody",
    "X: \xe9",
    "X: =?utf-8?q?a?=",
    "A b: c",
    ": c",
    "X: a\x00b",
]


@given(
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(LINES), max_size=6),
    st.sampled_from(["\r\n\r\n", "\n\n", "\r\n", "\r\n\r\r\n"]),
    st.sampled_from([b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n"]),
    st.sampled_from(["GET", "HEAD", "PUT"]),
    st.sampled_from([16, 8192]),
)
@example("HTTP/1.1 200 OK", [f"X-{number}: 1" for number in range(99)], "\r\n\r\n", b"", "GET", 8192)
@example("HTTP/1.1 200 OK", [f"X-{number}: 1" for number in range(100)], "\r\n\r\n", b"", "GET", 8192)
def test_heads_are_read_as_pythons_own_module_reads_them(  # noqa: PLR0913, PLR0917 - what a head has
    start: str, lines: list[str], end: str, body: bytes, method: str, buffered: int
) -> None:
    """Everything that is known of an answer afterwards, and the body behind it; or the same error."""
    answer = "\r\n".join([start, *lines]).encode("latin-1") + end.encode() + body
    found = [_read(kind, answer, method, buffered) for kind in (QuickResponse, http.client.HTTPResponse)]
    assert found[0] == found[1]


def _read(kind: type[http.client.HTTPResponse], answer: bytes, method: str, buffered: int) -> object:
    connection: Any = SimpleNamespace(makefile=lambda _: io.BufferedReader(io.BytesIO(answer), buffered))
    response: Any = kind(connection, method=method)
    try:
        response.begin()
    except (http.client.HTTPException, ValueError) as error:
        return repr(error)
    headers = response.headers
    known = (response.status, response.code, response.reason, response.version, response.length, response.chunked)
    payload, defects = headers.get_payload(), [repr(defect) for defect in headers.defects]
    payload = [str(part) for part in payload] if isinstance(payload, list) else payload
    understood = (headers.items(), headers.as_string(), payload, defects, headers.keys())
    texts = ([str(value) for value in headers.values()], headers.get_all("ETag"), headers.get_content_type())
    try:
        content: object = response.read()
    except http.client.HTTPException as error:
        content = repr(error)
    return known, str(understood), texts, response.will_close, content, response.isclosed()


def test_a_plain_head_is_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own parser is not asked."""
    monkeypatch.setattr(http.client, "parse_headers", None)
    answer = b'HTTP/1.1 200 OK\r\nETag: "a"\r\nContent-Length: 3\r\n\r\nabc'
    assert "abc" in str(_read(QuickResponse, answer, "GET", 8192))


class _Written(http.client.HTTPConnection):
    """Keeps what it would send."""

    def send(self, data: Any) -> None:
        self.sent = data


_Quick: Any = type("Quick", (connections._Quick, _Written), {})


@given(
    st.sampled_from(["Range", "x-amz-meta-a", "A b", "A:", "\xe9", b"Bytes", "", "A.b"]),
    st.lists(st.sampled_from([b"a", "text", 5, b"a\r\n b", b"a\nb", b"a\rb", b"", "\xe9", "a\r\nb"]), max_size=2),
)
def test_headers_are_written_as_pythons_own_module_writes_them(name: Any, values: list[Any]) -> None:
    """Or refused with the same error, before a request was begun among them."""
    found = []
    for kind in (_Quick, _Written):
        connection: Any = kind("s3.example")
        steps: list[object] = []
        for begun in (False, True):
            if begun:
                connection.putrequest("GET", "/")
            try:
                connection.putheader(name, *values)
            except (http.client.HTTPException, ValueError, TypeError, AttributeError, IndexError) as error:
                steps.append(repr(error))
        with contextlib.suppress(http.client.HTTPException):
            connection.endheaders()
            steps.append(connection.sent)
        found.append(steps)
    assert found[0] == found[1]


@pytest.fixture
def client(make_client: Callable[..., Any], bucket: str) -> Any:
    """One that has sent a request."""
    made = make_client(keyring=KEYRING)
    made.put_object(Bucket=bucket, Key="k", Body=b"x")
    return made


def test_connections_are_ours_while_they_would_be_botocores(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder puts a class of its own into botocore's pools, at any time."""
    kinds = client._endpoint.http_session._pool_classes_by_scheme
    pool = kinds["https"]("s3.example")
    assert isinstance(pool, AWSHTTPSConnectionPool)
    assert issubclass(pool.ConnectionCls, (connections._Quick, AWSHTTPSConnection))
    own = type("Recorded", (AWSHTTPSConnection,), {})
    monkeypatch.setattr(AWSHTTPSConnectionPool, "ConnectionCls", own)
    assert pool.ConnectionCls is own


def test_names_that_are_kept_are_few(client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever callers make up."""
    monkeypatch.setattr(connections, "_MOST_KEPT", 20)
    for number in range(30):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={f"name-{number}": "1"})
    assert len(connections._names) <= 20


def test_somebody_elses_session_is_left_alone() -> None:
    """And a client without one."""
    session = SimpleNamespace(_pool_classes_by_scheme={})
    connections.connect_quickly(SimpleNamespace(_endpoint=SimpleNamespace(http_session=session)))
    connections.connect_quickly(object())
    assert session._pool_classes_by_scheme == {}


@pytest.mark.parametrize("liar", ["https"], indirect=True)  # over http a body is hashed for its signature, by botocore
def test_a_small_request_takes_fewer_steps_than_boto3s(liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """Encryption and all: what is saved around botocore is more than that costs."""
    ours = lied_to(liar, keyring=KEYRING)
    with contextlib.closing(boto3.client("s3", **liar.arguments())) as plain:
        for call, most in ((_put, 0.9), (_get, 0.9)):
            few, many = _steps(ours, call, "b", "ours"), _steps(plain, call, "b", "plain")
            assert few < most * many, (call.__name__, few, many)


def _put(client: Any, bucket: str, key: str) -> None:
    client.put_object(Bucket=bucket, Key=key, Body=bytes(1024))


def _get(client: Any, bucket: str, key: str) -> None:
    assert len(client.get_object(Bucket=bucket, Key=key)["Body"].read()) == 1024


def _steps(client: Any, call: Callable[[Any, str, str], None], bucket: str, key: str) -> int:
    """Calls of functions, which no machine's load changes."""
    for _ in range(3):  # what is kept from a first request is there
        call(client, bucket, key)
    profile = cProfile.Profile()
    profile.enable()
    call(client, bucket, key)
    profile.disable()
    return sum(entry.callcount for entry in profile.getstats())
