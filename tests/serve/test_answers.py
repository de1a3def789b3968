"""What leaves a connection: the same answer whichever way it is written, and never another length than it says."""

from __future__ import annotations

import io
import re
import socket
import threading
from typing import Any

import pytest

from s3ec.serve import ServeSettings
from s3ec.serve.connection import Connection
from s3ec.serve.requests import Answer

from support.serving import CREDENTIALS

SETTINGS = ServeSettings(credentials=CREDENTIALS)
GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n"
CLOSE = b"Connection: close\r\n"
DATE = re.compile(rb"Date: [^\r]*\r\n")


def _sent(answer: Answer, *requests: bytes) -> bytes:
    """All that comes back on a connection whose requests are all answered by this."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(60)
        theirs.sendall(b"".join(requests))
        theirs.shutdown(socket.SHUT_WR)
        connection = Connection(ours, SETTINGS, lambda _: answer, lambda _: Answer(500, []), threading.Event())
        thread = threading.Thread(target=lambda: (connection.serve(), ours.close()))
        thread.start()
        found = b""
        while piece := theirs.recv(65536):
            found += piece
        thread.join()
    return found


@pytest.mark.parametrize("status", [200, 206, 204, 304, 404])
@pytest.mark.parametrize(
    "headers",
    [
        [("ETag", '"a-s3ec"'), ("x-amz-meta-own", "ä é"), ("Last-Modified", "x")],
        [("x-amz-meta-own", ""), ("X-Amz-Meta-Long", "y" * 2000), ("Date", "own")],
        [("x-amz-meta-broken", "a\r\nContent-Length: 1\r\n\r\nx")],
    ],
    ids=["usual", "empty", "lines"],
)
def test_both_ways_write_the_same(status: int, headers: list[tuple[str, str]]) -> None:
    """The quick one, and that of h11, which a connection that ends goes by."""
    body = b"" if status in (204, 304) else b"content"
    quick = _sent(Answer(status, headers, body), GET + b"\r\n")
    slow = _sent(Answer(status, headers, body), GET + CLOSE + b"\r\n")
    assert slow.count(CLOSE) == 1
    assert DATE.sub(b"", quick) == DATE.sub(b"", slow).replace(CLOSE, b"")
    twice = _sent(Answer(status, headers, body), GET + b"\r\n", GET + b"\r\n")
    assert DATE.sub(b"", twice) == 2 * DATE.sub(b"", quick)


def test_what_no_header_can_say_is_not_said() -> None:
    """The connection ends instead."""
    assert _sent(Answer(200, [("x-amz-meta-own", "a\0b")], b"content"), GET + b"\r\n") == b""


@pytest.mark.parametrize("ending", [b"", CLOSE], ids=["quick", "by h11"])
@pytest.mark.parametrize("body", [b"content", io.BytesIO], ids=["bytes", "read"])
@pytest.mark.parametrize("length", [5, 9])
def test_a_body_of_another_length_is_no_answer(length: int, body: Any, ending: bytes) -> None:
    """Nothing beyond the length leaves, and what is too short ends the connection, so that it is seen."""
    made = body if isinstance(body, bytes) else body(b"content")
    found = _sent(Answer(200, [], made, length), GET + ending + b"\r\n", GET + b"\r\n")
    _, _, content = found.partition(b"\r\n\r\n")
    assert b"HTTP/1.1" not in content
    assert len(content) < length
