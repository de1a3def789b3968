"""One connection: HTTP/1.1 as h11 parses it, behind a gate that refuses what parsers disagree about.

h11 takes some forms that the standard allows and others read differently (folded lines, a bare line feed, a length and
chunks at once). Between two readers that disagree, a request can be smuggled; so none of these gets as far as h11.
Source: RFC 9112, sections 2.2, 5.2, 6.1 and 6.3.
"""

from __future__ import annotations

import http.client
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import h11
from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from s3ec.errors import S3ECError
from s3ec.serve.refusals import Refusal, RefusedError
from s3ec.serve.requests import Answer, Request, parse_target
from s3ec.serve.settings import ServeSettings

__all__ = ["Connection"]

_log = logging.getLogger("s3ec.serve")
_HEAD_LIMIT = 64 * 1024
_MOST_HEADERS = 200
_RECEIVE = 256 * 1024
_SEND = 1024 * 1024
_DRAINED = 256 * 1024
_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
_PLAIN_HEAD = re.compile(rb"HTTP/1\.1 [^\r\n]*\r\n(?:[A-Za-z0-9._-]+: [\t\x20-\x7e\x80-\xff]*\r\n)+\r\n")
_PATH = re.compile(r"/[\x21-\x7e\x80-\xff]*")

Handle = Callable[[Request], Answer]
Fail = Callable[[Refusal], Answer]


class Connection:
    """Serves one client until it, or the endpoint, has had enough.

    Attributes:
        busy: a request is being worked on.
    """

    def __init__(
        self, connected: socket.socket, settings: ServeSettings, handle: Handle, fail: Fail, stopping: threading.Event
    ) -> None:
        """Take an accepted socket, after the handshake of TLS."""
        self.busy = False
        self._socket = connected
        self._settings = settings
        self._handle = handle
        self._fail = fail
        self._stopping = stopping
        self._lock = threading.Lock()
        self._rest = b""
        self._left = 0
        self._begun = False
        self._chunk: memoryview | None = None
        self._empty = False
        self._wants_no_body = False
        self._lasts = False
        self._is_answered = False
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT)

    def close_if_idle(self) -> None:
        """Let a client that rests between requests go; one whose request has begun is served to its end."""
        with self._lock, suppress(OSError):
            if not self.busy:
                socket.socket.shutdown(self._socket, socket.SHUT_RD)

    def serve(self) -> None:
        """Answer requests one after the other."""
        try:
            while self._serve_one():
                pass
        except (OSError, h11.ProtocolError) as error:
            # The client went away, or took too long: there is nobody to tell.
            _log.debug("connection closed: %s", type(error).__name__)
        except (S3ECError, BotoCoreError, HTTPError) as error:
            # In the middle of an answer: the client sees that it is too short, since the connection ends.
            _log.warning("an answer was cut off: %s", type(error).__name__)

    def _serve_one(self) -> bool:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT)
        self._left, self._begun, self._empty, self._chunk = 0, False, False, None
        self._wants_no_body = self._lasts = self._is_answered = False
        try:
            request = self._next_request()
        except (RefusedError, h11.RemoteProtocolError) as error:
            refusal = error.refusal if isinstance(error, RefusedError) else _refusal_of(error)
            self._send(self._fail(refusal), None)
            self._linger()
            return False
        if request is None:
            return False
        self._send(self._handle(request), request)
        return self._may_go_on()

    def _next_request(self) -> Request | None:
        head = self._receive_head()
        if head is None:
            return None
        _refuse_ambiguous(head)
        self._http.receive_data(head)
        self._rest = self._rest[len(head) :]
        event = self._http.next_event()
        if not isinstance(event, h11.Request):
            raise RefusedError(400, "BadRequest", "The request cannot be read")
        # Also where nothing else of the request makes sense.
        self._wants_no_body = event.method == b"HEAD"
        request = self._request(event)
        # h11 has read the head, and says by it where the body ends: at a number of bytes, or where its own reading of
        # chunks ends. Through its buffer a number of bytes would be copied three times only to be counted.
        self._left = request.content_length or 0
        self._chunk = memoryview(b"") if "transfer-encoding" in request.headers else None
        self._empty = self._chunk is None and not self._left
        return request

    def _request(self, event: h11.Request) -> Request:
        headers: dict[str, str] = {}
        if len(event.headers) > _MOST_HEADERS:
            raise RefusedError(400, "BadRequest", f"The request has more than {_MOST_HEADERS} headers")
        for name, value in event.headers:
            key, text = name.decode("ascii"), _text(value)
            if key in headers and key in ("host", "authorization", "x-amz-content-sha256", "x-amz-date"):
                raise RefusedError(400, "BadRequest", f"The header {key} is there twice")
            headers[key] = f"{headers[key]},{text}" if key in headers else text
        if event.http_version not in (b"1.0", b"1.1"):
            raise RefusedError(400, "BadRequest", "The request is not HTTP/1.1")
        if event.http_version == b"1.0" and "transfer-encoding" in headers:
            raise RefusedError(400, "BadRequest", "HTTP/1.0 has no Transfer-Encoding")
        self._lasts = event.http_version == b"1.1" and "close" not in headers.get("connection", "").lower()
        path, _, query = event.target.decode("latin-1").partition("?")
        if not _PATH.fullmatch(path):
            raise RefusedError(400, "InvalidURI", "The request's target must be a path")
        bucket, key_name, arguments = parse_target(path, query)
        secure = self._settings.tls is not None
        return Request(event.method.decode("ascii"), path, query, headers, self, secure, bucket, key_name, arguments)

    def _receive_head(self) -> bytes | None:
        """Wait for a request and for the whole of its head; None if the client is done."""
        deadline = time.monotonic() + self._settings.idle_timeout
        while b"\r\n\r\n" not in self._rest:
            _refuse_large(len(self._rest))
            if self._stopping.is_set() and not self._rest:
                return None
            self._socket.settimeout(max(deadline - time.monotonic(), 0.01))
            data = self._socket.recv(_RECEIVE)
            if not data:
                return None
            if not self._rest:
                # All of the head within this time, however slowly it drips.
                deadline = time.monotonic() + self._settings.head_timeout
                with self._lock:
                    self.busy = True
            self._rest += data
        length = self._rest.index(b"\r\n\r\n") + 4
        _refuse_large(length)
        return self._rest[:length]

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Receive the next bytes of the request's body; see `s3ec.serve.requests.Body`.

        Raises:
            RefusedError: the client left, took too long, or broke the framing; an error of ours ends a request to S3.
        """
        view = memoryview(buffer)
        try:
            return self._next_counted(view) if self._chunk is None else self._next_of_chunks(view)
        except TimeoutError:
            raise RefusedError(408, "RequestTimeout", "The body did not go on in time; nothing was stored") from None
        except (OSError, h11.RemoteProtocolError):
            raise RefusedError(400, "IncompleteBody", "The body did not arrive whole; nothing was stored") from None

    def _next_counted(self, view: memoryview) -> int:
        view = view[: self._left]
        if not view:
            return 0
        count = min(len(self._rest), len(view))
        if count:
            view[:count] = self._rest[:count]
            self._rest = self._rest[count:]
        else:
            self._ready_for_more()
            count = self._socket.recv_into(view)
            if not count:
                raise ConnectionError("the client ended its side")
        self._left -= count
        self._begun = True
        return count

    def _next_of_chunks(self, view: memoryview) -> int:
        while not self._chunk:
            event = self._http.next_event()
            if isinstance(event, h11.Data):
                self._chunk = memoryview(event.data)
            elif event is not h11.NEED_DATA:
                return 0
            elif self._rest:
                self._http.receive_data(self._rest)
                self._rest = b""
            else:
                self._ready_for_more()
                self._http.receive_data(self._socket.recv(_RECEIVE))
        count = min(len(self._chunk), len(view))
        view[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return count

    def _is_waited_for(self) -> bool:
        """True if the client sends its body only when it is told to, which h11 has not seen begin either."""
        return self._http.they_are_waiting_for_100_continue and not self._begun

    def _ready_for_more(self) -> None:
        if self._is_waited_for():
            self._say_continue()
        self._socket.settimeout(self._settings.transfer_timeout)

    def _say_continue(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            # Older ones of botocore do not recognise it without its word.
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self._transmit(self._http.send(go_on))

    def _transmit(self, data: bytes | None) -> None:
        if data:
            self._socket.settimeout(self._settings.transfer_timeout)
            self._socket.sendall(data)

    def _send(self, answer: Answer, request: Request | None) -> None:
        body = answer.body
        try:
            if self._unread():
                self._drain()
            elif self._empty:
                # Nobody asked for more of it. An answer in the place of 100 stays with botocore before 1.44: it gives
                # that status to the next answer on the connection, and then waits for that one's end.
                self._say_continue()
            head = self._plain_head(answer)
            if head:
                self._send_plainly(head, answer)
            else:
                self._send_by_h11(answer, ends=request is None)
        finally:
            if not isinstance(body, bytes):
                body.close()  # type: ignore[attr-defined]  # `Answer.body` says what it has

    def _send_by_h11(self, answer: Answer, *, ends: bool) -> None:
        head = self._http.send(self._head(answer, ends=ends)) or b""
        silent = self._wants_no_body and isinstance(answer.body, bytes)
        for piece in () if silent else _pieces(answer):
            # What fits into one write is one: a client wakes up for each.
            self._transmit(head + (self._http.send(h11.Data(data=piece)) or b""))
            head = b""
        self._transmit(head)
        self._transmit(self._http.send(h11.EndOfMessage()))

    def _plain_head(self, answer: Answer) -> bytes:
        """The head of what was asked for, on a connection that goes on; nothing for all other answers.

        Here HTTP has nothing to decide, and h11 would take a tenth of a small read to find that out.
        """
        if not self._lasts or self._wants_no_body or self._chunk is not None or self._unread():
            return b""
        if answer.status not in (200, 206) or answer.length is None or self._stopping.is_set():
            return b""
        lines = [b"HTTP/1.1 %d %b" % (answer.status, _reason(answer)), *map(b": ".join, self._headers(answer))]
        head = b"\r\n".join((*lines, b"", b""))
        return head if _PLAIN_HEAD.fullmatch(head) else b""

    def _send_plainly(self, head: bytes, answer: Answer) -> None:
        left = answer.length or 0
        for piece in _pieces(answer):
            left -= len(piece)
            if left < 0:
                break
            self._transmit(head + piece)
            head = b""
        if left:
            raise h11.LocalProtocolError("the body is not as long as its answer says")
        self._transmit(head)
        self._is_answered = True

    def _head(self, answer: Answer, *, ends: bool) -> h11.Response:
        headers = self._headers(answer)
        if ends or self._stopping.is_set() or self._unread():
            headers.append((b"Connection", b"close"))
        return h11.Response(status_code=answer.status, headers=headers, reason=_reason(answer))

    def _headers(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        headers = [(name.encode("latin-1"), _octets(value)) for name, value in answer.headers]
        if not any(name.lower() == b"date" for name, _ in headers):
            headers.append((b"Date", formatdate(usegmt=True).encode()))
        if answer.length is not None and answer.status not in (204, 304):
            headers.append((b"Content-Length", b"%d" % answer.length))
        return headers

    def _unread(self) -> bool:
        return self._left > 0 or (self._chunk is not None and self._http.their_state is h11.SEND_BODY)

    def _drain(self) -> None:
        """Read a little of what nobody wanted, so that the connection can go on; more is not worth it."""
        if self._is_waited_for():
            return
        taken, buffer = 0, bytearray(_DRAINED)
        with suppress(RefusedError):
            while taken < _DRAINED and self._unread() and (count := self.readinto(buffer)):
                taken += count

    def _may_go_on(self) -> bool:
        is_answered = self._is_answered or self._http.our_state is h11.DONE
        if not is_answered or self._unread() or self._stopping.is_set():
            self._linger()
            return False
        if self._chunk is not None:
            # What h11 was given behind the last chunk; the next request begins with it.
            self._rest = self._http.trailing_data[0] + self._rest
        with self._lock:
            self.busy = bool(self._rest)
        return True

    def _linger(self) -> None:
        """End our side and let the client read the answer; closing at once would throw it away with a reset."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
            deadline, taken = time.monotonic() + 2.0, 0
            while taken < 64 * _RECEIVE and (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                data = self._socket.recv(_RECEIVE)
                taken += len(data)
                if not data:
                    return


def _pieces(answer: Answer) -> Iterator[bytes]:
    """The body, in writes."""
    body: Any = answer.body
    if isinstance(body, bytes):
        if body:
            yield body
        return
    while piece := body.read(_SEND):
        yield piece


def _reason(answer: Answer) -> bytes:
    """Without words after the status botocore does not recognise an answer that comes instead of 100 Continue."""
    return http.client.responses.get(answer.status, "Unknown").encode()


def _refuse_large(length: int) -> None:
    if length > _HEAD_LIMIT:
        raise RefusedError(431, "RequestHeaderSectionTooLarge", "The request's headers are too large")


def _refuse_ambiguous(head: bytes) -> None:
    """Refuse what another reader of the same bytes could take for a different request.

    Raises:
        RefusedError: 400.
    """
    lines = head[:-4].split(b"\r\n")
    found = [name.lower() for name in _FRAMING.findall(head)]
    if any(b"\n" in line or b"\r" in line or b"\0" in line for line in lines):
        raise RefusedError(400, "BadRequest", "The request's lines must end in CR LF")
    if any(line[:1] in (b" ", b"\t") for line in lines):
        raise RefusedError(400, "BadRequest", "The request has a folded or indented line")
    if len(found) > 1:
        raise RefusedError(400, "BadRequest", "Content-Length and Transfer-Encoding: one of them, once")


def _refusal_of(error: h11.RemoteProtocolError) -> Refusal:
    status = error.error_status_hint
    return Refusal(status if status in (400, 413, 414, 431, 501) else 400, "BadRequest", "The request is not HTTP/1.1")


def _text(value: bytes) -> str:
    """A header's value: UTF-8 as SDKs send it, and anything else byte for byte."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _octets(value: Any) -> bytes:
    text = str(value).replace("\r", " ").replace("\n", " ").strip()
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")
