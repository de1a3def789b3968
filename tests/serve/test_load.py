"""Fifty large uploads at once stay within the memory that the endpoint was given."""

from __future__ import annotations

import re
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.aws import REGION
from support.serving import Raw, Started, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the system tells a process's memory in /proc"),
]
MIB = 1024 * 1024
SIZE = 100 * MIB
UPLOADS = 50
PATIENCE = 600  # seconds in which a busy machine gets anywhere


class _Sink(socketserver.BaseRequestHandler):
    """Takes whatever is put, and keeps none of it."""

    def handle(self) -> None:
        buffer, rest = memoryview(bytearray(MIB)), b""
        while data := self.request.recv(65536):
            rest += data
            if b"\r\n\r\n" not in rest:
                continue
            head, _, rest = rest.partition(b"\r\n\r\n")
            if b"100-continue" in head.lower():
                self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            stated = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            assert stated is not None
            left, rest = int(stated[1]) - len(rest), b""
            while left:
                count = self.request.recv_into(buffer[: min(left, MIB)])
                if not count:
                    return
                left -= count
            self.request.sendall(b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n')


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = UPLOADS


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Started]:
    """An endpoint that takes all of them at once, in front of a server that forgets them."""
    with _Server(("127.0.0.1", 0), _Sink) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        behind = {
            "endpoint_url": f"http://127.0.0.1:{server.server_address[1]}",
            "aws_access_key_id": "testing",
            "aws_secret_access_key": "testing",
            "region_name": REGION,
        }
        with started(tmp_path, behind, "--max-requests", str(UPLOADS)) as endpoint:
            yield endpoint
        server.shutdown()


def most_memory(process_id: int) -> int:
    """Bytes of memory that a process ever had in use."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{process_id}/status").read_text("ascii"))
    assert found is not None
    return int(found[1]) * 1024


def test_uploads_of_all_at_once(endpoint: Started, tmp_path: Path) -> None:
    """Each stands in its middle until all of them do."""
    path = tmp_path / "zeros"
    with path.open("wb") as file:
        file.truncate(SIZE)
    middle = threading.Barrier(UPLOADS)
    port = urlsplit(endpoint.url).port

    def upload(number: int) -> bytes:
        raw = Raw(endpoint.url, "PUT", f"/bucket/{number}", credentials=endpoint.credentials)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection, path.open("rb") as file:
            connection.sendall(raw.head(f"Content-Length: {SIZE}"))
            connection.sendfile(file, 0, SIZE // 2)
            middle.wait(PATIENCE)
            connection.sendfile(file, SIZE // 2, SIZE // 2)
            return connection.recv(65536)

    with ThreadPoolExecutor(UPLOADS) as pool:
        answers = list(pool.map(upload, range(UPLOADS)))
    assert [answer.split()[1] for answer in answers] == [b"200"] * UPLOADS
    assert most_memory(endpoint.process.pid) < 1024 * MIB
