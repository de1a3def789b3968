"""Small HTTP/1.1 exchanges over connections that are kept: a request of known length, an answer that fits in memory.

Understood is what S3 says to small requests, to the letter; anything else (another version, a line that is no header,
two lengths, a body that is too long or ends too early) is a `WireError` and ends the connection, so that no byte of one
answer is ever taken for the next one's.
Source: RFC 9112, "HTTP/1.1", sections 4 to 7.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import re
import select
import socket
import ssl
from dataclasses import dataclass, field

from s3ec import forks

__all__ = ["Address", "Answer", "Connections", "WireError"]

_HEAD = 2**16
_HEADERS = 256
_RECEIVED = 2**16
_STATUS = re.compile(r"HTTP/1\.1 ([2-5][0-9][0-9])(?: .*)?")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_STRAY = re.compile(r"[\r\n\0]")
"""Which no line holds once it is taken from between its ends."""
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")


class WireError(OSError):
    """The connection broke, or what came is not understood; nothing is known of what the server has done."""


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


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whole.

    Attributes:
        status: HTTP's number.
        headers: names as they came; of one that came twice the values joined by a comma.
        named: the same by lower-case names.
        body: the content, without its framing.
    """

    status: int
    headers: dict[str, str]
    named: dict[str, str]
    body: bytes = field(repr=False)


class _Connection:
    """One connection; used by one thread at a time."""

    __slots__ = ("_buffer", "_socket", "is_usable")

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
        self._buffer = b""
        self.is_usable = True

    def exchange(self, request: bytes, *, has_body: bool, at_most: int) -> Answer:
        self.is_usable = False
        self._socket.sendall(request)
        status, headers, named = self._head()
        body = b"" if not has_body or status == 204 else self._body(named, at_most)
        # What is there already answers no question of ours.
        self.is_usable = not self._buffer and "close" not in named.get("connection", "").lower()
        return Answer(status, headers, named, body)

    def _head(self) -> tuple[int, dict[str, str], dict[str, str]]:
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        match = _STATUS.fullmatch(first)
        if match is None or len(lines) > _HEADERS or _STRAY.search("".join(lines)):
            raise WireError("the answer does not begin as one of HTTP/1.1 does")
        headers: dict[str, str] = {}
        named: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            lower = _lower(name)
            if not colon or lower is None:
                raise WireError("a line of the answer's head is not a header")
            value = value.strip(" \t")
            if lower in named:
                value = f"{named[lower]}, {value}"
            headers[name] = named[lower] = value
        return int(match[1]), headers, named

    def _body(self, named: dict[str, str], at_most: int) -> bytes:
        length = named.get("content-length")
        if named.get("transfer-encoding", "").lower() == "chunked" and length is None:
            return self._chunked(at_most)
        if "transfer-encoding" in named or length is None or not (length.isascii() and length.isdigit()):
            raise WireError("the length of the answer's body is not said clearly")
        return self._exactly(int(length), at_most)

    def _chunked(self, at_most: int) -> bytes:
        body = b""
        while True:
            size = self._until(b"\r\n").partition(b";")[0].strip()
            if not _CHUNK_SIZE.fullmatch(size):
                raise WireError("a chunk of the answer does not say its length")
            if int(size, 16) == 0:
                break
            body += self._exactly(int(size, 16), at_most - len(body))
            if self._until(b"\r\n"):
                raise WireError("a chunk of the answer is longer than it said")
        while self._until(b"\r\n"):
            pass  # trailers
        return body

    def _until(self, end: bytes) -> bytes:
        """What comes before the next ``end``, which is taken as well."""
        while (found := self._buffer.find(end)) < 0:
            if len(self._buffer) > _HEAD:
                raise WireError("the answer's head is too long")
            self._buffer += self._received()
        taken, self._buffer = self._buffer[:found], self._buffer[found + len(end) :]
        return taken

    def _exactly(self, length: int, at_most: int) -> bytes:
        if length > at_most:
            raise WireError("the answer's body is longer than expected")
        pieces, missing = [self._buffer[:length]], length - len(self._buffer)
        self._buffer = self._buffer[length:]
        while missing > 0:
            piece = self._received()
            pieces.append(piece[:missing])
            self._buffer = piece[missing:]
            missing -= len(piece)
        return b"".join(pieces)

    def _received(self) -> bytes:
        piece = self._socket.recv(_RECEIVED)
        if not piece:
            raise WireError("the connection was cut before the answer's end")
        return piece

    def is_quiet(self) -> bool:
        """True if nothing has come since the last answer: no end of the connection, nor anything unasked."""
        if not hasattr(select, "poll"):
            return not select.select([self._socket], [], [], 0)[0]
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self.is_usable = False
        with contextlib.suppress(OSError):
            self._socket.close()


@functools.lru_cache(maxsize=1024)
def _lower(name: str) -> str | None:
    """The name of a header in lower case; None where it is not one."""
    return name.lower() if _NAME.fullmatch(name) else None


class Connections:
    """Connections to the addresses of one job. Threads share it: each takes one for as long as an exchange lasts."""

    def __init__(self) -> None:
        """Begin without any."""
        self._idle: dict[Address, collections.deque[_Connection]]
        # Two processes on one connection would read each other's answers.
        forks.make_in_each_process(self, _idle=dict)

    def exchange(self, address: Address, request: bytes, *, has_body: bool = True, at_most: int = 2**21) -> Answer:
        """Send one request and read its answer.

        Args:
            address: where to.
            request: all of it: line, headers, body.
            has_body: False for HEAD, whose answer has a length and no body.
            at_most: bytes of body that the answer may have.

        Raises:
            WireError: anything went otherwise than expected.
        """
        idle = self._idle.setdefault(address, collections.deque())
        connection = self._kept(idle)
        try:
            connection = connection or _Connection(address)
            answer = connection.exchange(request, has_body=has_body, at_most=at_most)
        except (OSError, ValueError) as error:
            if connection is not None:
                connection.close()
            raise error if isinstance(error, WireError) else WireError(f"{type(error).__name__}: {error}") from error
        except BaseException:
            # Ctrl-C in the middle of an answer: its rest must not be read as the next one.
            if connection is not None:
                connection.close()
            raise
        if connection.is_usable:
            idle.append(connection)
        else:
            connection.close()
        return answer

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
