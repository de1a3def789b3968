"""Small exchanges over connections that are kept: a request that is ready, an answer that fits in memory or is read.

Answers are read by `http.client`, which reads those of botocore too. Taken is what S3 and KMS say to small requests;
anything else (another version, a folded line, two lengths or none, a body that is too long or ends too early) is a
`WireError` and ends the connection, so that no byte of one answer is ever taken for the next one's.
Source: RFC 9112, "HTTP/1.1", sections 4 to 7.
"""

from __future__ import annotations

import collections
import contextlib
import io
import re
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

from s3ec import forks
from s3ec.exchanges.answers import Answer, Stream, WireError
from s3ec.exchanges.heads import QuickResponse

__all__ = ["Address", "Answer", "Connections", "Stream", "WireError"]

_STRAY = re.compile(r"[\r\n\0]")
"""What is in no value, unless a line was folded."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to.

    Attributes:
        host: name or IP address.
        port: number.
        tls: how to speak TLS, or None for plain http.
        connect_timeout: seconds.
        read_timeout: seconds without a byte.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout: float
    read_timeout: float


class _Incoming(socket.SocketIO):
    """What comes over a connection; nothing more once it is over."""

    is_over = False

    def readinto(self, buffer: Any) -> int | None:
        return 0 if self.is_over else super().readinto(buffer)


class _Buffer(io.BufferedReader):
    """Outlives the answer that is read from it, and shows what came behind: thrown away, it would be an answer to none.

    A connection on which it came is not used again, however late the rest of it is.
    """

    def makefile(self, _mode: str) -> _Buffer:
        """As a socket is asked by `HTTPResponse`."""
        return self

    def close(self) -> None:
        """Nothing: `HTTPResponse` closes what it has read an answer from."""


class _Connection:
    """One connection; used by one thread at a time."""

    __slots__ = ("_socket", "is_usable")

    def __init__(self, address: Address) -> None:
        self._socket: socket.socket = socket.create_connection((address.host, address.port), address.connect_timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls is not None:
                self._socket = address.tls.wrap_socket(self._socket, server_hostname=address.host)
            self._socket.settimeout(address.read_timeout)
        except BaseException:
            self._socket.close()
            raise
        self.is_usable = True

    def send(self, request: bytes) -> None:
        self.is_usable = False
        self._socket.sendall(request)

    def receive(self, *, has_body: bool, at_most: int, streamed: bool) -> Answer:
        incoming = _Incoming(self._socket, "rb")
        buffer: Any = _Buffer(incoming)  # takes a socket's place
        response = QuickResponse(buffer, method="GET" if has_body else "HEAD")

        def end(whole: bool) -> None:
            incoming.is_over = True
            self.is_usable = whole and response.isclosed() and not response.will_close and not buffer.peek(1)
            response.close()

        try:
            response.begin()
            answer = _taken(response, at_most, streamed=streamed)
        except BaseException:
            response.close()
            raise
        if answer.rest is not None:
            answer.rest.at_end(end)
        else:
            end(True)
        return answer

    def is_quiet(self) -> bool:
        """True if nothing has come since the last answer: no end of the connection, nor anything unasked."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return False
        if not hasattr(select, "poll"):
            return not select.select([self._socket], [], [], 0)[0]
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self.is_usable = False
        with contextlib.suppress(OSError):
            self._socket.close()

    def __del__(self) -> None:
        # As urllib3's connections end: whoever kept it is gone, or this is a forked child, to whom it does not belong.
        with contextlib.suppress(AttributeError):  # it was never opened
            self.close()


def _taken(response: HTTPResponse, at_most: int, *, streamed: bool) -> Answer:
    headers: dict[str, str] = {}
    named: dict[str, str] = {}
    for name, value in response.headers.items():
        lower = name.lower()
        if lower in named:
            value = f"{named[lower]}, {value}"
        headers[name] = named[lower] = value
    if response.version != 11 or response.headers.defects or _STRAY.search("".join(named.values())):
        raise WireError("the answer does not begin as one of HTTP/1.1 does")
    if response.status == 204:
        return Answer(response.status, headers, named, response.read())
    length = named.get("content-length")
    if named.get("transfer-encoding", "").lower() == "chunked" and length is None:
        body = response.read(at_most + 1)
    elif "transfer-encoding" in named or length is None or not (length.isascii() and length.isdigit()):
        raise WireError("the length of the answer's body is not said clearly")
    elif streamed and response.status in (200, 206) and (response.length or 0) > at_most:
        return Answer(response.status, headers, named, b"", Stream(response.read, int(length)))
    else:
        body = b"" if (response.length or 0) > at_most else response.read()  # all of it, or an error
    if len(body) > at_most or not response.isclosed():
        raise WireError("the answer's body is longer than expected")
    return Answer(response.status, headers, named, body)


def _keep(idle: collections.deque[_Connection], connection: _Connection) -> None:
    """Keep a connection for the next exchange, if it is fit for one."""
    if connection.is_usable:
        idle.append(connection)
    else:
        connection.close()


@contextlib.contextmanager
def _ending(connection: _Connection | None = None) -> Iterator[None]:
    """End a connection with what goes wrong on it, which is a `WireError` where it is of the network or the answer."""
    try:
        yield
    except BaseException as error:
        # Ctrl-C in the middle of an answer, too: its rest must not be read as the next one.
        if connection is not None:
            connection.close()
        if isinstance(error, (HTTPException, OSError, ValueError)) and not isinstance(error, WireError):
            raise WireError(f"{type(error).__name__}: {error}") from error
        raise


class Connections:
    """Connections of one job or client. Threads share it: each takes one for as long as an exchange lasts."""

    def __init__(self) -> None:
        """Begin without any."""
        self._idle: dict[Address, collections.deque[_Connection]]
        # Two processes on one connection would read each other's answers.
        forks.make_in_each_process(self, _idle=dict)

    def exchange(
        self,
        address: Address,
        request: bytes,
        *,
        has_body: bool = True,
        at_most: int = 2**21,
        streamed: bool = False,
    ) -> Answer:
        """Send one request and read its answer.

        Args:
            address: where to.
            request: all of it: line, headers, body.
            has_body: False for HEAD, whose answer has a length and no body.
            at_most: bytes of body that the answer may have.
            streamed: give what is longer out to be read, if it is what was asked for (200 or 206).

        Raises:
            WireError: anything went otherwise than expected.
        """
        return self.begin(address, request, has_body=has_body, at_most=at_most, streamed=streamed)()

    def begin(
        self,
        address: Address,
        request: bytes,
        *,
        has_body: bool = True,
        at_most: int = 2**21,
        streamed: bool = False,
    ) -> Callable[[], Answer]:
        """Send one request, as `exchange` does, and return what reads its answer.

        Returns:
            Reads the answer: once, in the process that sent the request. It raises `WireError`. Where it is dropped
            instead, it takes the connection with it.

        Raises:
            WireError: there is no connection, or it broke.
        """
        idle = self._idle.setdefault(address, collections.deque())
        with _ending():
            connection = self._kept(idle) or _Connection(address)
        with _ending(connection):
            connection.send(request)

        def receive() -> Answer:
            with _ending(connection):
                answer = connection.receive(has_body=has_body, at_most=at_most, streamed=streamed)
            if answer.rest is None:
                _keep(idle, connection)
            else:
                answer.rest.at_end(lambda _: _keep(idle, connection))
            return answer

        return receive

    @staticmethod
    def _kept(idle: collections.deque[_Connection]) -> _Connection | None:
        while idle:
            with contextlib.suppress(IndexError):  # another thread was quicker
                connection = idle.pop()
                if connection.is_quiet():
                    return connection
                connection.close()
        return None

    def close(self) -> None:
        """Close what is idle."""
        for idle in self._idle.values():
            while idle:
                with contextlib.suppress(IndexError):
                    idle.pop().close()
