"""In the middle of an upload through the endpoint one of three processes is killed: nothing of it is ever stored."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from support import servers
from support.servers import Server
from support.serving import Raw, Started, converse, started, status_and_code

MIB = 1024 * 1024
SIZE = 64 * MIB
CONTENT = b"what only its owner should read\n"
HALF = CONTENT * (SIZE // 2 // len(CONTENT))
BUCKET = "killed"


def begin_upload(endpoint: Started) -> socket.socket:
    """Send half of an object; more than the buffers on the way hold, so that the server has got some of it."""
    raw = Raw(endpoint.url, "PUT", f"/{BUCKET}/k", credentials=endpoint.credentials)
    connection = socket.create_connection(("127.0.0.1", int(endpoint.url.rpartition(":")[2])), timeout=300)
    connection.sendall(raw.head(f"Content-Length: {SIZE}"))
    connection.sendall(HALF)
    return connection


def is_empty(server: Server, direct: Any) -> bool:
    """True if there is neither an object nor an upload, and no plaintext on its disk."""
    assert direct.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert "Uploads" not in direct.list_multipart_uploads(Bucket=BUCKET)
    return not server.disk_contains(CONTENT)


def finish_what_runs(endpoint: Started) -> None:
    """Wait until the endpoint has nothing to do but to answer this."""
    ask = b"GET /-/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    while b"in_flight 1\n" not in converse(endpoint.url, ask):
        pass


def goes_on(endpoint: Started, direct: Any) -> None:
    """Store something and take it away again."""
    with contextlib.closing(boto3.client("s3", **endpoint.arguments())) as through:
        through.put_object(Bucket=BUCKET, Key="whole", Body=CONTENT)
        assert through.get_object(Bucket=BUCKET, Key="whole")["Body"].read() == CONTENT
    direct.delete_object(Bucket=BUCKET, Key="whole")


def test_nothing_is_stored(tmp_path: Path) -> None:
    """And whoever is left, or begins again, goes on."""
    home = tmp_path / "minio"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(servers.minio(home, tls=False))
        direct = stack.enter_context(contextlib.closing(boto3.client("s3", **server.arguments())))
        direct.create_bucket(Bucket=BUCKET)
        with started(tmp_path, server.arguments()) as endpoint:
            # The client, whose connection the system resets.
            with begin_upload(endpoint) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            finish_what_runs(endpoint)
            assert is_empty(server, direct)
            goes_on(endpoint, direct)
            with begin_upload(endpoint) as connection:
                endpoint.process.kill()
                endpoint.process.wait(timeout=300)
                with contextlib.suppress(ConnectionError):
                    assert connection.recv(1) == b""
            assert is_empty(server, direct)
        with started(tmp_path, server.arguments()) as endpoint:
            goes_on(endpoint, direct)
            assert server.process is not None
            with begin_upload(endpoint) as connection:
                server.process.kill()
                server.process.wait(timeout=300)
                with contextlib.suppress(ConnectionError):
                    connection.sendall(HALF)
                assert status_and_code(connection.recv(65536)) == (503, "ServiceUnavailable")
            stack.enter_context(servers.minio(home, tls=False, port=urlsplit(server.url).port))
            assert is_empty(server, direct)
            goes_on(endpoint, direct)
