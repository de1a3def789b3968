"""The S3 of the model: in memory, behind botocore's own last step before the network, with every moment observable."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.awsrequest import AWSResponse

from support.lying_s3 import unframe

__all__ = ["Store"]


class _Raw(io.BytesIO):
    def stream(self, **_: object) -> list[bytes]:
        return [self.read()]


@dataclass
class Store:
    """What S3 has, and what it ever received.

    Attributes:
        metadata: user metadata of each upload.
        parts: of each upload that is neither completed nor aborted.
        objects: plain bodies, by key.
        log: number and body of each part that left the client, whether S3 has it or not.
        fails_after: operations that are done and then answered with 500, once each.
        at_moment: called when a request arrives, when its body has left, and before its answer does.
    """

    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    log: list[tuple[int, bytes]] = field(default_factory=list)
    fails_after: set[str] = field(default_factory=set)
    at_moment: Callable[[], None] = lambda: None

    def listen(self, client: Any) -> None:
        """Answer all of a client's requests from here on, in place of the store before."""
        client.meta.events.unregister("before-send.s3", unique_id="store")
        client.meta.events.register("before-send.s3", self._answer, unique_id="store")

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        self.at_moment()
        url = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        status, headers, body = self._take(request, url.path, query)
        self.at_moment()
        name = f"{request.method} {'part' if 'partNumber' in query else 'upload'}"
        if name in self.fails_after:
            self.fails_after.discard(name)
            status, headers, body = 500, {}, b"<Error><Code>InternalError</Code></Error>"
        return AWSResponse(request.url, status, headers, _Raw(body))

    def _take(self, request: Any, path: str, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if "uploads" in query:
            name = f"upload{len(self.metadata)}"
            self.metadata[name] = {
                key: _text(value) for key, value in request.headers.items() if key.lower().startswith("x-amz-meta-")
            }
            self.parts[name] = {}
            return 200, {}, f"<R><Bucket>b</Bucket><Key>k</Key><UploadId>{name}</UploadId></R>".encode()
        name, body = query["uploadId"], b""
        if request.method == "PUT":
            body = _body(request)
            self.log.append((int(query["partNumber"]), body))
            self.at_moment()  # it left, and S3 does not have it yet
        if name not in self.parts:
            return 404, {}, b"<Error><Code>NoSuchUpload</Code><Message>gone</Message></Error>"
        parts = self.parts[name]
        if request.method == "PUT":
            parts[int(query["partNumber"])] = body
            return 200, {"ETag": _etag(body)}, b""
        if request.method == "GET":
            return 200, {}, _list(parts)
        del self.parts[name]
        if request.method == "DELETE":
            return 204, {}, b""
        listed = re.findall(rb"<PartNumber>(\d+)</PartNumber>", _body(request))
        self.objects[path] = b"".join(parts[int(number)] for number in listed)
        return 200, {}, b'<R><ETag>"whole"</ETag></R>'


def _list(parts: dict[int, bytes]) -> bytes:
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{_etag(body)}</ETag><Size>{len(body)}</Size></Part>"
        for number, body in sorted(parts.items())
    )
    return f"<R><IsTruncated>false</IsTruncated>{listed}</R>".encode()


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _body(request: Any) -> bytes:
    body = request.body or b""
    pieces = [body] if isinstance(body, (bytes, bytearray)) else list(iter(lambda: body.read(65536), b""))
    whole = b"".join(pieces)
    framed = "aws-chunked" in _text(request.headers.get("Content-Encoding", ""))
    return unframe(whole) if framed else whole
