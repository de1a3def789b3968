"""A proxy before an S3 that lies about one request in a way that the test says, and passes all others on.

It speaks just enough HTTP/1.1 for botocore over plain http.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Answer", "Fault", "Proxy", "Request", "proxy"]

_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length", "server", "date"})


@dataclass(frozen=True)
class Request:
    """What arrived."""

    method: str
    path: str
    headers: dict[str, str]

    def is_for(self, method: str, end: str) -> bool:
        """Says whether it is this method on a path (query included) that ends so."""
        return self.method == method and self.path.endswith(end)


@dataclass
class Answer:
    """What goes back. A fault may change it."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut_at: int | None = None
    """After that many bytes of the body the connection is reset."""


Fault = Callable[[Request, Callable[[], Answer]], Answer | None]
"""Gives the answer, asking the server behind for it or not; None resets the connection without one."""


@dataclass
class Proxy:
    """What a test holds of it.

    Attributes:
        url: where it listens.
        fault: asked at each request, or None.
        seen: what has arrived.
    """

    url: str
    fault: Fault | None = None
    seen: list[Request] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    """Serves one connection; `proxy` gives each server a class of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait for an acknowledgement
    state: Proxy
    port: int

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def handle_expect_100(self) -> bool:
        """Let the body come."""
        self.send_response_only(100)
        self.end_headers()
        return True

    def handle(self) -> None:
        """Serve until the other side goes."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _serve(self) -> None:
        body = self._body()
        request = Request(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        self.state.seen.append(request)

        def ask() -> Answer:
            return _ask(self.port, request, body)

        answer = self.state.fault(request, ask) if self.state.fault else ask()
        self.close_connection = answer is None or answer.cut_at is not None
        if answer is not None:
            self._send(answer)
        if self.close_connection:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = answer.headers.get("content-length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.cut_at])

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815  # names that the base class looks for


@contextlib.contextmanager
def proxy(behind: str) -> Iterator[Proxy]:
    """A proxy in front of ``behind`` (an http URL), until the block ends."""
    state = Proxy(url="")
    handler = type("Handler", (_Handler,), {"state": state, "port": urlsplit(behind).port})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _ask(port: int, request: Request, body: bytes) -> Answer:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        names = {"transfer-encoding", "expect", "connection", "content-length"}
        headers = {name: value for name, value in request.headers.items() if name not in names}
        headers["Content-Length"] = str(len(body))
        connection.request(request.method, request.path, body=body, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
