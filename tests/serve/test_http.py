"""HTTP by hand: what two parsers could read differently is refused, and nobody can hold the endpoint up."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3ec.serve import Server
from s3ec.serve.doors import Door

from support.serving import Raw, converse, status_and_code

READY = b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n"
CLOSE = b"Connection: close\r\n\r\n"


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """An endpoint that has little patience."""
    return serve(head_timeout=0.5, transfer_timeout=0.5)


def statuses(answer: bytes) -> list[int]:
    """The statuses of all answers in what came back; no body here begins like one."""
    return [int(piece[:3]) for piece in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5_0\r\n",
        b"Content-Length: \xb2\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length : 5\r\n",
        b" Content-Length: 5\r\n",
        b"\tContent-Length: 5\r\n",
        b"X: 1\r\n Content-Length: 5\r\n",
        b"X: 1\n Content-Length: 5\r\n",
        b"X: 1\nContent-Length: 5\r\n",
        b"X: 1\rContent-Length: 5\r\n",
        b"X: \0\r\n",
        b"X\0: 1\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Host: localhost\r\n",
        b"No colon\r\n",
        b": empty\r\n",
    ],
)
def test_what_could_smuggle_a_request_is_refused(server: Server, lines: bytes):
    """With one answer, after which the connection ends: what follows is nobody's request."""
    answer = converse(server.url, READY + lines + b"\r\n" + b"0\r\n\r\n" + READY + CLOSE)
    assert statuses(answer) in ([400], [501])
    assert b"\r\nconnection: close\r\n" in answer.lower()


@pytest.mark.parametrize(
    "line",
    [
        b"GET  /-/ready HTTP/1.1", b"GET /-/ready HTTP/1.1 ", b"GET /-/ready", b"GET /-/ready HTTP/2.0", b"/-/ready",
        b"GET http://localhost/-/ready HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT localhost:80 HTTP/1.1",
        b"GET /-/ready\xff HTTP/1.1x", b"GE\0T /-/ready HTTP/1.1", b"\x16\x03\x01\x02", b"GET /-\x01 HTTP/1.1",
        b"GET /a%ff HTTP/1.1", b"GET /a?b=%ff HTTP/1.1", b"GET /a?x=1&x=2 HTTP/1.1", b"GET /a%00b HTTP/1.1",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(server: Server, line: bytes):
    """Quietly, with 400."""
    assert statuses(converse(server.url, line + b"\r\nHost: localhost\r\n" + CLOSE)) == [400]


def test_a_head_that_is_refused_has_an_answer(server: Server):
    """Without a body, whose length it states all the same."""
    answer = converse(server.url, b"HEAD /a?x=1&x=2 HTTP/1.1\r\nHost: localhost\r\n" + CLOSE)
    assert statuses(answer) == [400]
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "chunk", [b"-1\r\nx", b"0x1\r\nx", b"1_0\r\nx", b"ffffffffffffffffffffffff\r\nx", b"1\r\nxx\r\n", b"\r\n"]
)
def test_chunks_that_are_none(server: Server, bucket: str, chunk: bytes):
    """Nothing of them is stored."""
    raw = Raw(server.url, "PUT", f"/{bucket}/k", "UNSIGNED-PAYLOAD", {"x-amz-decoded-content-length": "1"})
    answer = converse(server.url, raw.head("Transfer-Encoding: chunked"), chunk, b"\r\n0\r\n\r\n")
    assert status_and_code(answer) == (400, "IncompleteBody")


def test_a_head_is_limited(server: Server):
    """In bytes and in lines."""
    assert statuses(converse(server.url, READY + b"X: " + b"a" * 100_000 + b"\r\n" + CLOSE)) == [431]
    assert statuses(converse(server.url, READY + b"X: 1\r\n" * 300 + CLOSE)) == [400]


def test_one_connection_takes_one_request_after_the_other(server: Server, bucket: str):
    """Pipelined as well; and a refused one whose body arrived does not end it."""
    head = Raw(server.url, "HEAD", f"/{bucket}/absent").head()
    refused = Raw(server.url, "PUT", f"/{bucket}/k?something-new").head("Content-Length: 7")
    answer = converse(server.url, READY + b"\r\n", head + refused + b"GET / x", READY + CLOSE)
    assert statuses(answer) == [200, 404, 501, 200]


@pytest.mark.parametrize("begun", [b"", b"x" * 10])
def test_only_who_waits_is_told_to_go_on(server: Server, bucket: str, begun: bytes):
    """Once; a body that has begun has not waited."""
    size = 1_000_000  # more than comes with a head
    head = Raw(server.url, "PUT", f"/{bucket}/k").head(
        "Expect: 100-continue", f"Content-Length: {size}", "Connection: close"
    )
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(head + begun)
        answer = b"" if begun else connection.recv(1000)
        connection.sendall(b"x" * (size - len(begun)))
        while piece := connection.recv(65536):
            answer += piece
    assert statuses(answer) == ([200] if begun else [100, 200])


def test_a_body_that_nobody_wanted_ends_the_connection(server: Server, bucket: str):
    """A large one is not read to its end only to be thrown away."""
    head = Raw(server.url, "PUT", f"/{bucket}/k?something-new").head("Content-Length: 900000000")
    answer = converse(server.url, head, b"x" * 1_000_000, end=True)
    assert statuses(answer) == [501]
    assert b"connection: close" in answer.lower()


@pytest.mark.slow
def test_a_slow_head_is_cut_off(server: Server):
    """However it drips; whoever rests between requests may rest longer."""
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(b"GET / HT")
        assert connection.recv(100) == b""


@pytest.mark.slow
def test_a_slow_body_is_cut_off(server: Server, bucket: str):
    """And says why."""
    raw = Raw(server.url, "PUT", f"/{bucket}/k")
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(raw.head("Content-Length: 10") + b"12345")
        assert status_and_code(connection.recv(65536)) == (408, "RequestTimeout")


def test_connections_are_limited(serve: Callable[..., Server]):
    """One more is closed at once, and a place is free when one ends."""
    server = serve(max_connections=1)
    with socket.create_connection(server.address, timeout=60) as first:
        first.sendall(READY + b"\r\n")
        assert statuses(first.recv(1000)) == [200]
        with socket.create_connection(server.address, timeout=60) as second:
            assert second.recv(100) == b""
        first.sendall(READY + CLOSE)
        while first.recv(1000):
            pass
    for _ in range(1000):
        try:
            answer = converse(server.url, READY + CLOSE)
        except ConnectionError:
            answer = b""
        if answer:
            break
    assert statuses(answer) == [200]


def _connect_often(server: Server) -> None:
    for _ in range(1000):
        socket.create_connection(server.address, timeout=60).close()


class _Waiting:
    """Doors behind which a request waits until it is told to go on."""

    def __init__(self, client: Any) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self._door = Door(client, {}, True)

    def of(self, bucket: str) -> Door:
        self.entered.set()
        assert self.go.wait(60)
        return self._door


def test_what_is_in_flight_is_finished(serve: Callable[..., Server], make_client: Any, bucket: str, plain_s3: Any):
    """And nothing new is taken; a client that rests is let go."""
    doors = _Waiting(make_client())
    server = serve(doors=doors)
    answers: list[bytes] = []
    request = Raw(server.url, "PUT", f"/{bucket}/k").head("Content-Length: 4") + b"late"
    thread = threading.Thread(target=lambda: answers.append(converse(server.url, request)))
    thread.start()
    with socket.create_connection(server.address, timeout=60) as resting:
        resting.sendall(READY + b"\r\n")
        assert statuses(resting.recv(1000)) == [200]
        assert doors.entered.wait(60)
        server.stop()
        assert resting.recv(100) == b""
        with pytest.raises(OSError):  # noqa: PT011 - refused, or closed, as the system has it
            _connect_often(server)
        doors.go.set()
        thread.join()
    assert statuses(answers[0]) == [200]
    assert b"connection: close" in answers[0].lower()
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 4 + 16


def test_requests_with_content_wait_for_their_turn(serve: Callable[..., Server], through: Any, bucket: str):
    """And get 503 SlowDown when it does not come; other requests are answered meanwhile."""
    server = serve(max_requests=1, queue_timeout=0.1, memory_limit=2**20)
    put = Raw(server.url, "PUT", f"/{bucket}/k").head("Content-Length: 3000000")
    with socket.create_connection(server.address, timeout=60) as holding:
        holding.sendall(put + b"x" * 100)
        # It, and the one that asks.
        while b"in_flight 2" not in metrics(server):
            pass
        second = Raw(server.url, "PUT", f"/{bucket}/k").head("Content-Length: 1", "Connection: close")
        answer = converse(server.url, second + b"1")
        assert status_and_code(answer) == (503, "SlowDown")
        assert through(server).list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def metrics(server: Server) -> bytes:
    """What Prometheus reads."""
    return converse(server.url, b"GET /-/metrics HTTP/1.1\r\nHost: localhost\r\n" + CLOSE)


@pytest.mark.slow
def test_metrics_count_and_name_nobody(server: Server, through: Any, bucket: str):
    """Requests, bytes, refusals; neither buckets nor keys."""
    s3 = through(server)
    s3.put_object(Bucket=bucket, Key="payroll-of-jane", Body=b"12345")
    s3.get_object(Bucket=bucket, Key="payroll-of-jane")["Body"].read()
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="absent")
    text = metrics(server).decode()
    assert 's3ec_requests_total{operation="PutObject",status="2xx"} 1' in text
    assert 's3ec_requests_total{operation="GetObject",status="4xx"} 1' in text
    assert 's3ec_refusals_total{code="NoSuchKey"} 1' in text
    assert "s3ec_received_bytes_total 5" in text
    assert "s3ec_sent_bytes_total 5" in text
    assert "jane" not in text
    assert bucket not in text


def test_the_log_has_no_secret(serve: Callable[..., Server], through: Any, bucket: str, caplog: Any):
    """The path and the status; not the query, where a signature may stand."""
    caplog.set_level("DEBUG", "s3ec")
    server = serve()
    url = through(server, config={"signature_version": "s3v4"}).generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "k"}
    )
    converse(server.url, f"GET {url.removeprefix(server.url)} HTTP/1.1\r\nHost: localhost\r\n".encode() + CLOSE)
    assert f"GET /{bucket}/k" in caplog.text
    assert "X-Amz" not in caplog.text


@pytest.mark.parametrize("status", [200, 412])
def test_an_expected_100_comes_before_the_answer_to_an_empty_body(
    serve: Callable[..., Server], bucket: str, plain_s3: Any, status: int
):
    """Whatever the answer is: the connection goes on after it, and old botocores take an answer in its place amiss."""
    if status == 412:
        plain_s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    lines = {"Expect": "100-continue", "If-None-Match": "*", "Content-Length": "0"}
    raw = Raw(serve().url, "PUT", f"/{bucket}/k", headers=lines)
    assert statuses(converse(raw.url, raw.head(), READY + CLOSE)) == [100, status, 200]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    names = folder / "cert.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += [
        "-subj",
        "/CN=s3ec",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-out",
        str(names[0]),
        "-keyout",
        str(names[1]),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return names


@pytest.mark.slow
def test_over_tls(serve: Callable[..., Server], through: Any, bucket: str, certificate: tuple[Path, Path]):
    """With trailers, as SDKs protect bodies there; and who speaks plain http, or nothing, is let go."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    server = serve(tls=context, head_timeout=0.5)
    assert converse(server.url, READY + CLOSE) == b""
    with socket.create_connection(server.address, timeout=60) as silent:
        assert silent.recv(100) == b""
    s3 = through(server, verify=str(certificate[0]))
    content = bytes(2_000_000)
    s3.put_object(Bucket=bucket, Key="k", Body=content)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == content
