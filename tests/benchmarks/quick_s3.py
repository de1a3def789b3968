"""An S3 that is quick and little more: puts and gets of small objects over https, so that clients are what is measured.

A server in the manner of those of the tests takes longer for a request than the client that makes it. It takes for
granted what botocore and aiobotocore send, and checks nothing.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import zlib
from email.utils import formatdate
from pathlib import Path
from typing import Any

from support.servers import write_certificate

__all__ = ["serve"]

_KEPT = (b"x-amz-meta-", b"content-type:")


class _Connection(asyncio.Protocol):
    """One connection; requests come one after the other."""

    _objects: dict[bytes, bytes] = {}
    """Answers to GET by path."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: bytes | None = None
        self._length: int | None = 0

    def connection_made(self, transport: Any) -> None:
        """Keep it."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is there as a whole."""
        self._buffer += data
        while self._next():
            pass

    def _next(self) -> bool:
        buffer = self._buffer
        if self._head is None:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._head = bytes(buffer[:end])
            del buffer[: end + 4]
            lower = self._head.lower()
            length = _value(lower, b"content-length")
            self._length = None if b"\r\ntransfer-encoding: chunked" in lower else int(length or 0)
            if b"\r\nexpect:" in lower:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._length is None:
            end = buffer.find(b"\r\n0\r\n\r\n")
            if end < 0:
                return False
            body = _unchunked(bytes(buffer[: end + 5]))
            del buffer[: end + 7]
        else:
            if len(buffer) < self._length:
                return False
            body = bytes(buffer[: self._length])
            del buffer[: self._length]
        head, self._head = self._head, None
        self._transport.write(self._answer(head, body))
        return True

    def _answer(self, head: bytes, body: bytes) -> bytes:
        method, target, _ = head.split(b" ", 2)
        path = target.split(b"?")[0]
        if method == b"GET":
            return self._objects[path]
        lines = head.split(b"\r\n")[1:]
        if _value(head.lower(), b"content-encoding") == b"aws-chunked":
            body = _unchunked(body)
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest().encode()
        common = b'HTTP/1.1 200 OK\r\nx-amz-request-id: 0123456789ABCDEF\r\nServer: quick\r\nETag: "%b"\r\n' % etag
        kept = [line for line in lines if line.lower().startswith(_KEPT)]
        crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big"))
        described = b"Last-Modified: %b\r\nAccept-Ranges: bytes\r\nx-amz-checksum-crc32: %b\r\n" % (
            formatdate(usegmt=True).encode(),
            crc,
        )
        answer = b"%b%bContent-Length: %d\r\n" % (common, described, len(body))
        self._objects[path] = b"\r\n".join([answer[:-2], *kept, b"", body])
        return b"%bx-amz-checksum-crc32: %b\r\nContent-Length: 0\r\n\r\n" % (common, crc)


def _value(head: bytes, name: bytes) -> bytes | None:
    at = head.find(b"\r\n" + name + b": ")
    return None if at < 0 else head[at + len(name) + 4 :].split(b"\r\n", 1)[0]


def _unchunked(framed: bytes) -> bytes:
    """The content of chunks, HTTP's or S3's."""
    pieces, at = [], 0
    while True:
        end = framed.index(b"\r\n", at)
        size = int(framed[at:end].split(b";")[0], 16)
        if not size:
            return b"".join(pieces)
        pieces.append(framed[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


async def _run(folder: str, ready: Any) -> None:
    certificate = write_certificate(Path(folder), "public.crt", "private.key")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, Path(folder) / "private.key")
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    ready.send((f"https://127.0.0.1:{port}", str(certificate)))
    await server.serve_forever()


def serve(folder: str, ready: Any) -> None:
    """Run the server, and send its URL and its certificate's path.

    Args:
        folder: for its certificate.
        ready: end of a pipe.
    """
    asyncio.run(_run(folder, ready))
