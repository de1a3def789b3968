"""An S3 in memory that lies on command: cuts, swaps, flips, answers 500 after the body, ignores ranges.

It speaks enough of the protocol for boto3 (put, get, head, delete, ranges, conditions, copies, multipart) over http or
https, and keeps what arrived on the wire, attempt by attempt, with botocore's aws-chunked framing taken off.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.aws import REGION


@dataclass
class Stored:
    """One object as the server holds it."""

    body: bytes
    metadata: dict[str, str]
    part_sizes: tuple[int, ...] = ()

    @property
    def etag(self) -> str:
        """Quoted MD5, as S3 gives it."""
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


@dataclass
class Attempt:
    """One request that arrived with a body (or tried to)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Lies:
    """What the server does wrong. Counters go down with each lie told.

    Attributes:
        fail_after_body: answer 500 when a body has arrived.
        fail_before_body: answer 503 before it does.
        cut_answers: close the connection ``cut_by`` bytes before the end of a body.
        cut_by: see there.
        ignore_ranges: answer every range with the whole object.
        wrong_range: answer with a range this many bytes further on, and say so.
        shifted_bytes: answer with a range this many bytes further on, and say that it is the one that was asked for.
        total: state this length of the object, and answer as if it had it.
        total_answers: in this many answers to GET.
        head_total: state this length in answers to HEAD alone.
        refuse_ranges: answer this many ranges with 416.
        without: leave out these headers; without ``Content-Length`` the connection is closed at the end.
        headers: send these in place of the true ones.
        tamper: what is done to a body on its way out.
        replace_metadata: the same for user metadata.
        on_get: called before each GET with its number.
        lose_answer: do what this request (counted from 1, from now) asks for, and answer 500 all the same.
    """

    fail_after_body: int = 0
    fail_before_body: int = 0
    cut_answers: int = 0
    cut_by: int = 1
    ignore_ranges: bool = False
    wrong_range: int = 0
    shifted_bytes: int = 0
    total: int | None = None
    total_answers: int = 1_000_000
    head_total: int | None = None
    refuse_ranges: int = 0
    without: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    tamper: Callable[[bytes], bytes] | None = None
    replace_metadata: Callable[[dict[str, str]], dict[str, str]] | None = None
    on_get: Callable[[int], None] | None = None
    lose_answer: int = 0


@dataclass
class State:
    """Everything the server knows and has seen."""

    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[str, str], dict[int, bytes]]] = field(default_factory=dict)
    upload_numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    attempts: list[Attempt] = field(default_factory=list)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    lies: Lies = field(default_factory=Lies)
    gets: int = 0
    page: int = 1000
    lock: threading.RLock = field(default_factory=threading.RLock)

    def bodies(self, method: str = "PUT") -> list[bytes]:
        """The bodies that arrived, one per attempt."""
        return [attempt.body for attempt in self.attempts if attempt.method == method]


class LyingS3:
    """A running server."""

    def __init__(self, url: str, state: State, certificate: str | None) -> None:
        """Take where it is and what it knows."""
        self.url = url
        self.state = state
        self.certificate = certificate

    @property
    def lies(self) -> Lies:
        """What it does wrong; assign to change."""
        return self.state.lies

    def arguments(self, **more: Any) -> dict[str, Any]:
        """Arguments for ``boto3.client`` or ``EncryptionClient``."""
        from botocore.config import Config

        config = Config(s3={"addressing_style": "path"}).merge(more.pop("config", Config()))
        return {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": "lying",
            "aws_secret_access_key": "lying",
            "verify": self.certificate,
            "config": config,
            **more,
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait for an acknowledgement
    state: State
    loses_answer = False

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def handle_expect_100(self) -> bool:
        """Refuse before the body, where the script says so."""
        with self.state.lock:
            if self.state.lies.fail_before_body > 0:
                self.state.lies.fail_before_body -= 1
                self.close_connection = True
                self._answer(503, _error("SlowDown"))
                return False
        return super().handle_expect_100()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self._line().split(b";")[0], 16):
                pieces.append(self._exactly(size))
                self.rfile.readline()
            self.rfile.readline()
            raw = b"".join(pieces)
        else:
            raw = self._exactly(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            raw = unframe(raw)
        return raw

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionAbortedError("the client gave up in the middle of a body")
        return data

    def _line(self) -> bytes:
        line = self.rfile.readline()
        if not line:
            raise ConnectionAbortedError("the client gave up in the middle of a body")
        return line

    def handle(self) -> None:
        """Serve until either side has had enough."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            super().handle()

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        if self.loses_answer:
            status, body, headers = 500, _error("InternalError"), {}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    @property
    def _query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def _metadata(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-")}

    def _record(self) -> None:
        with self.state.lock:
            self.state.requests.append((self.command, self._key, self.headers.get("Range")))
            self.loses_answer = self.state.lies.lose_answer == 1
            self.state.lies.lose_answer -= 1

    def do_PUT(self) -> None:
        self._record()
        body = self._body()
        state = self.state
        with state.lock:
            state.attempts.append(Attempt("PUT", self.path, dict(self.headers), body))
            if state.lies.fail_after_body > 0:
                state.lies.fail_after_body -= 1
                return self._answer(500, _error("InternalError"))
            if "x-amz-copy-source" in self.headers:
                return self._copy()
            if "partNumber" in self._query:
                upload = state.uploads.get(self._query["uploadId"][0])
                if upload is None:
                    return self._answer(404, _error("NoSuchUpload"))
                upload[2][int(self._query["partNumber"][0])] = body
                return self._answer(200, ETag=Stored(body, {}).etag)
            if self.headers.get("If-None-Match") == "*" and self._key in state.objects:
                return self._answer(412, _error("PreconditionFailed"))
            if "/" in self._key:
                state.objects[self._key] = Stored(body, self._metadata())
        return self._answer(200, ETag=Stored(body, {}).etag)

    def _copy(self) -> None:
        source = unquote(self.headers["x-amz-copy-source"]).lstrip("/").split("?")[0]
        stored = self.state.objects[source]
        replace = self.headers.get("x-amz-metadata-directive") == "REPLACE"
        self.state.objects[self._key] = Stored(stored.body, self._metadata() if replace else stored.metadata)
        return self._answer(200, f"<CopyObjectResult><ETag>{stored.etag}</ETag></CopyObjectResult>".encode())

    def do_POST(self) -> None:
        self._record()
        body = self._body()
        state = self.state
        with state.lock:
            if "uploads" in self._query:
                upload_id = f"upload-{next(state.upload_numbers)}"
                state.uploads[upload_id] = (self._key, self._metadata(), {})
                text = (
                    f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
                )
                return self._answer(200, text.encode())
            if "uploadId" in self._query:
                state.attempts.append(Attempt("POST", self.path, dict(self.headers), body))
                if state.lies.fail_after_body > 0:
                    state.lies.fail_after_body -= 1
                    return self._answer(500, _error("InternalError"))
                return self._complete(body)
            if "delete" in self._query:
                bucket = self._key.rstrip("/")
                for key in re.findall(rb"<Key>(.*?)</Key>", body):
                    state.objects.pop(f"{bucket}/{unquote(key.decode())}", None)
                return self._answer(200, b"<DeleteResult></DeleteResult>")
        return self._answer(400, _error("NotImplemented"))

    def _complete(self, body: bytes) -> None:
        upload = self.state.uploads.get(self._query["uploadId"][0])
        if upload is None:
            return self._answer(404, _error("NoSuchUpload"))
        key, metadata, parts = upload
        numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
        etags = [etag.decode().replace("&quot;", '"') for etag in re.findall(rb"<ETag>(.*?)</ETag>", body)]
        if not numbers:
            return self._answer(400, _error("MalformedXML"))
        if etags != [Stored(parts[number], {}).etag if number in parts else None for number in numbers]:
            return self._answer(400, _error("InvalidPart"))
        stored = Stored(b"".join(parts[number] for number in numbers), metadata)
        self.state.objects[key] = stored
        del self.state.uploads[self._query["uploadId"][0]]
        text = f"<CompleteMultipartUploadResult><ETag>{stored.etag}</ETag></CompleteMultipartUploadResult>"
        return self._answer(200, text.encode())

    def do_DELETE(self) -> None:
        self._record()
        with self.state.lock:
            if "uploadId" in self._query:
                self.state.uploads.pop(self._query["uploadId"][0], None)
            else:
                self.state.objects.pop(self._key, None)
        return self._answer(204)

    def do_HEAD(self) -> None:
        self._record()
        with self.state.lock:
            stored = self.state.objects.get(self._key)
        if stored is None:
            return self._answer(404)
        if self.headers.get("If-Match") not in (None, stored.etag):
            return self._answer(412)
        body = self._as_stated(stored.body) if self.state.lies.total_answers > 1000 else stored.body
        body = body[: self.state.lies.head_total]
        wanted = None if self.state.lies.ignore_ranges else self.headers.get("Range")
        if wanted is None:
            return self._give(stored, body, 200, {})
        span = _span(wanted, len(body))
        if span is None:
            return self._answer(416)
        extra = {"Content_Range": f"bytes {span[0]}-{span[1]}/{len(body)}"}
        return self._give(stored, body[span[0] : span[1] + 1], 206, extra)

    def do_GET(self) -> None:
        self._record()
        state = self.state
        with state.lock:
            state.gets += 1
            if state.lies.on_get is not None:
                state.lies.on_get(state.gets)
            stored = state.objects.get(self._key)
            lies = state.lies
        if "uploadId" in self._query:
            return self._list_parts()
        if stored is None:
            return self._answer(404, _error("NoSuchKey"))
        if self.headers.get("If-Match") not in (None, stored.etag):
            return self._answer(412, _error("PreconditionFailed"))
        body = lies.tamper(stored.body) if lies.tamper is not None else stored.body
        body = self._as_stated(body)
        wanted = None if lies.ignore_ranges else self.headers.get("Range")
        counted = {}
        if "partNumber" in self._query and stored.part_sizes:
            number = int(self._query["partNumber"][0])
            if number > len(stored.part_sizes):
                return self._answer(416, _error("InvalidPartNumber"))
            start = sum(stored.part_sizes[: number - 1])
            wanted = f"bytes={start}-{start + stored.part_sizes[number - 1] - 1}"
            counted = {"x_amz_mp_parts_count": str(len(stored.part_sizes))}
        if wanted is None:
            return self._give(stored, body, 200, {})
        span = _span(wanted, len(body))
        with state.lock:
            refused = lies.refuse_ranges > 0
            lies.refuse_ranges -= refused
        if span is None or refused:
            return self._answer(416, _error("InvalidRange", ActualObjectSize=len(body), RangeRequested=wanted))
        first, last = span
        if lies.wrong_range:
            first, last = min(first + lies.wrong_range, len(body) - 1), min(last + lies.wrong_range, len(body) - 1)
        extra = {"Content_Range": f"bytes {first}-{last}/{len(body)}", **counted}
        shift = lies.shifted_bytes
        return self._give(stored, body[shift:][first : last + 1].ljust(last + 1 - first, b"?"), 206, extra)

    def _as_stated(self, body: bytes) -> bytes:
        """The object as long as the server says that it is."""
        lies = self.state.lies
        with self.state.lock:
            if lies.total is None or lies.total_answers < 1:
                return body
            lies.total_answers -= 1
        return body[: lies.total].ljust(lies.total, b"?")

    def _list_parts(self) -> None:
        upload = self.state.uploads.get(self._query["uploadId"][0])
        if upload is None:
            return self._answer(404, _error("NoSuchUpload"))
        after = int(self._query.get("part-number-marker", ["0"])[0])
        numbers = sorted(number for number in upload[2] if number > after)
        page = "".join(
            f"<Part><PartNumber>{number}</PartNumber><Size>{len(upload[2][number])}</Size>"
            f"<ETag>{Stored(upload[2][number], {}).etag}</ETag></Part>"
            for number in numbers[: self.state.page]
        )
        more = len(numbers) > self.state.page
        marker = f"<NextPartNumberMarker>{numbers[self.state.page - 1]}</NextPartNumberMarker>" if more else ""
        text = f"<IsTruncated>{str(more).lower()}</IsTruncated>{marker}{page}"
        return self._answer(200, f"<ListPartsResult>{text}</ListPartsResult>".encode())

    def _give(self, stored: Stored, body: bytes, status: int, extra: dict[str, str]) -> None:
        lies = self.state.lies
        metadata = lies.replace_metadata(stored.metadata) if lies.replace_metadata is not None else stored.metadata
        with self.state.lock:
            # Before a byte is sent: who has read the headers may ask for what is to be lied about in another way.
            cut = lies.cut_answers > 0 and self.command != "HEAD"
            lies.cut_answers -= cut
        self.send_response(status)
        extra = {name.replace("_", "-"): value for name, value in extra.items()}
        headers = {**metadata, "ETag": stored.etag, "Accept-Ranges": "bytes", **extra, "Content-Length": str(len(body))}
        headers |= lies.headers
        for name, value in headers.items():
            if name not in lies.without:
                self.send_header(name, value)
        self.end_headers()
        self.close_connection |= "Content-Length" in lies.without
        if self.command == "HEAD":
            return
        if cut:
            self.wfile.write(body[: -lies.cut_by])
            self.close_connection = True
            return
        self.wfile.write(body)


def _span(text: str, length: int) -> tuple[int, int] | None:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    assert match is not None
    first, last = match.groups()
    # As servers do whose offsets have 64 bits: none of ours may meet a number that does not fit.
    assert int(first or 0) < 2**63, text
    assert int(last or 0) < 2**63, text
    if not first:
        return (max(length - int(last), 0), length - 1) if int(last) and length else None
    if int(first) >= length:
        return None
    return int(first), min(int(last), length - 1) if last else length - 1


def _error(code: str, **details: object) -> bytes:
    more = "".join(f"<{name}>{value}</{name}>" for name, value in details.items())
    return f"<Error><Code>{code}</Code><Message>{code}</Message>{more}</Error>".encode()


def unframe(raw: bytes) -> bytes:
    """Take botocore's aws-chunked framing off."""
    pieces, offset = [], 0
    while True:
        end = raw.index(b"\r\n", offset)
        size = int(raw[offset:end].split(b";")[0], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(raw[end + 2 : end + 2 + size])
        offset = end + 2 + size + 2


@contextlib.contextmanager
def lying_s3(*, certificate: str | None = None, key_file: str | None = None) -> Iterator[LyingS3]:
    """Run a server on loopback; https where a certificate and its key are given."""
    state = State()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key_file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield LyingS3(f"{scheme}://127.0.0.1:{server.server_address[1]}", state, certificate)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def serve(ready: Any) -> None:
    """Run a server in a process of its own, whose memory is not the test's.

    Args:
        ready: end of a pipe; it gets what `LyingS3.arguments` gives.
    """
    with lying_s3() as server:
        ready.send(server.arguments())
        threading.Event().wait()
