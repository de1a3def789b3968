"""An S3 in memory that keeps the bytes of headers as they come, and gives them back so: moto reads them as text."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["RawObject", "RawS3", "raw_s3"]

_KEPT = re.compile(
    "cache-control|content-(disposition|encoding|language|type)|expires|x-amz-website-redirect-location|x-amz-meta-.*"
)


@dataclass
class RawObject:
    """A body, and headers by lower-case name, in bytes."""

    body: bytes
    headers: dict[str, bytes]


@dataclass
class RawS3:
    """The server: where it is, and what it holds by ``/bucket/key``."""

    url: str = ""
    objects: dict[str, RawObject] = field(default_factory=dict)
    uploads: dict[str, RawObject] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: RawS3

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            raw = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                raw += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return raw
        pieces, rest = [], raw
        while size := int(rest.split(b"\r\n", 1)[0].split(b";")[0], 16):
            rest = rest.split(b"\r\n", 1)[1]
            pieces.append(rest[:size])
            rest = rest[size + 2 :]
        return b"".join(pieces)

    def _given(self) -> dict[str, bytes]:
        given = {name.lower(): value.encode("latin-1") for name, value in self.headers.items()}
        kept = {name: value for name, value in given.items() if _KEPT.fullmatch(name)}
        if kept.get("content-encoding") == b"aws-chunked":
            del kept["content-encoding"]
        return kept

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, bytes] | None = None) -> None:
        lines = [f"HTTP/1.1 {status} X".encode(), *(name.encode() + b": " + v for name, v in (headers or {}).items())]
        if not headers or "content-length" not in headers:
            lines.append(f"Content-Length: {len(body)}".encode())
        self.wfile.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    def _error(self, status: int, code: str) -> None:
        self._answer(status, b"" if self.command == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode())

    def _handle(self) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query, keep_blank_values=True)
        objects, uploads = self.state.objects, self.state.uploads
        if path.count("/") < 2 or {"acl", "annotation", "annotations"} & query.keys():
            return self._error(501, "NotImplemented")
        if "tagging" in query:
            return self._answer(200, b"<Tagging><TagSet></TagSet></Tagging>")
        if "uploads" in query:
            uploads[path] = RawObject(b"", self._given())
            xml = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            return self._answer(200, xml.encode())
        source = unquote(self.headers.get("x-amz-copy-source", "").split("?")[0])
        source = source if source.startswith("/") else f"/{source}"
        if "partNumber" in query and self.command == "PUT":
            if source != "/":
                first, last = self.headers["x-amz-copy-source-range"].removeprefix("bytes=").split("-")
                body = objects[source].body[int(first) : int(last) + 1]
            uploads[path].body += body
            xml = '<CopyPartResult><ETag>"p"</ETag></CopyPartResult>' if source != "/" else ""
            return self._answer(200, xml.encode(), {"ETag": b'"p"'})
        if self.command == "POST":
            objects[path] = uploads.pop(path)
            xml = f"<CompleteMultipartUploadResult><ETag>{_etag(objects[path])}</ETag></CompleteMultipartUploadResult>"
            return self._answer(200, xml.encode())
        if self.command == "PUT":
            return self._put(path, source, body)
        found = objects.get(path)
        if found is None:
            return self._error(404, "NoSuchKey")
        headers = {
            **found.headers,
            "ETag": _etag(found).encode(),
            "Last-Modified": b"Thu, 01 Jan 2026 00:00:00 GMT",
            "content-length": str(len(found.body)).encode(),
        }
        return self._answer(200, b"" if self.command == "HEAD" else found.body, headers)

    def _put(self, path: str, source: str, body: bytes) -> None:
        objects, headers = self.state.objects, self._given()
        if source != "/":
            body = objects[source].body
            if self.headers.get("x-amz-metadata-directive") != "REPLACE":
                headers = dict(objects[source].headers)
        objects[path] = RawObject(body, headers)
        etag = _etag(objects[path])
        xml = f"<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>" if source != "/" else ""
        self._answer(200, xml.encode(), {"ETag": etag.encode()})

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - the base class's names


def _etag(stored: RawObject) -> str:
    return f'"{hashlib.md5(stored.body, usedforsecurity=False).hexdigest()}"'


@contextlib.contextmanager
def raw_s3() -> Iterator[RawS3]:
    """Run one on loopback."""
    state = RawS3()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
