"""Serves the honest cloud over sockets, and lets one lie change what goes back."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .honest import Answer, Cloud, Request
from support.lying_s3 import unframe

__all__ = ["Exchange", "Server", "Tell", "running"]

Tell = Callable[[Request, int, Callable[[], Answer]], Answer | None]
"""A lie as the server tells it: the request, how many of its kind came before, and what asks the cloud.

None resets the connection in the middle of the request's body, of which nothing is read then.
"""

_ENDLESS = bytes(64 * 1024)
_FAR_TOO_MUCH = 48 * 1024 * 1024  # nobody who has not gone by then ever goes: what hangs is noticed, and memory kept


@dataclass(frozen=True)
class Exchange:
    """One request, without its body, and the answer that the cloud had for it."""

    request: Request
    answer: Answer


@dataclass
class Server:
    """A running server.

    Attributes:
        url: where it listens.
        cloud: what it serves; replaced for each cell.
        tell: the lie that is being told, or None.
        seen: the exchanges since the beginning of the cell.
        flooded: an endless answer was read beyond all measure.
    """

    url: str
    cloud: Cloud = field(default_factory=Cloud)
    tell: Tell | None = None
    seen: list[Exchange] = field(default_factory=list)
    flooded: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    connections: set[socket.socket] = field(default_factory=set)

    def say(self, body: bytes = b"", status: int = 200, **more: Any) -> None:
        """Answer everything in one way; ``more`` is of `Answer`."""
        headers = [*more.pop("headers", []), ("Content-Length", str(len(body)))]
        # Else a client might send its next request where nobody listens any more.
        headers = [("Connection", "close"), *([] if more.get("endless") else headers)]
        self.tell = lambda request, number, ask: ask() and Answer(status, headers, body, **more)

    def hang_up(self) -> None:
        """End every connection, so that nothing of one cell goes on in the next."""
        with self.lock:
            open_ones = list(self.connections)
        for connection in open_ones:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_state: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_expect_100(self) -> bool:
        """Let the body come when it is read, not before: a lie may not want it."""
        self.waits_for_100 = True
        return True

    def handle(self) -> None:
        """Serve until either side has had enough."""
        with self.server_state.lock:
            self.server_state.connections.add(self.connection)
        try:
            with contextlib.suppress(ConnectionError, ValueError):
                super().handle()
        finally:
            with self.server_state.lock:
                self.server_state.connections.discard(self.connection)

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        state = self.server_state
        cloud, tell = state.cloud, state.tell
        bare = Request(self.command, self.path, headers)
        with state.lock:
            number = len(state.seen)
            state.seen.append(Exchange(bare, Answer(0)))

        def ask() -> Answer:
            answer = cloud.answer(Request(self.command, self.path, headers, self._body()))
            with state.lock:
                if number < len(state.seen):
                    state.seen[number] = Exchange(bare, answer)
            return answer

        self.was_read = False
        answer = tell(bare, number, ask) if tell is not None else ask()
        if answer is None:
            self._reset()
        else:
            # A body that was not read would be taken for the next request; so would what lies about its length.
            self.close_connection = self.close_connection or tell is not None or not self.was_read
            self._send(answer)

    def _body(self) -> bytes:
        self.was_read = True
        if getattr(self, "waits_for_100", False):
            self.send_response_only(100)
            self.end_headers()
            self.waits_for_100 = False
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            raw = b"".join(pieces)
        else:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            if len(raw) < length:
                raise ConnectionAbortedError("the client gave up in the middle of a body")
        return unframe(raw) if "aws-chunked" in self.headers.get("Content-Encoding", "") else raw

    def _send(self, answer: Answer) -> None:
        if not answer.silent:
            lines = [f"HTTP/1.1 {answer.status} Said", *(f"{name}: {value}" for name, value in answer.headers)]
            head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
            body = b"" if self.command == "HEAD" else answer.body[: answer.cut]
            self.wfile.write(head + body)
        if answer.endless and self.command != "HEAD":
            self._flood()
        if answer.stall:
            self.close_connection = True
            with contextlib.suppress(OSError):
                while self.connection.recv(65536):
                    pass
        if answer.reset:
            self._reset()
        elif answer.cut is not None or answer.silent:
            self.close_connection = True

    def _flood(self) -> None:
        self.close_connection = True
        for _ in range(_FAR_TOO_MUCH // len(_ENDLESS)):
            self.wfile.write(_ENDLESS)
        self.server_state.flooded = True

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815  # names that the base class looks for


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Close without the polite shutdown, which would send FIN before a reset."""
        self.close_request(request)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server on loopback until the block ends."""
    state = Server(url="")
    handler = type("Handler", (_Handler,), {"server_state": state})
    server = _HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        state.hang_up()
