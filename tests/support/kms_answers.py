"""The HTTP side of a KMS for tests and benchmarks: JSON in, JSON out; what it says is for each of them to decide."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

__all__ = ["KmsHandler"]


class KmsHandler(BaseHTTPRequestHandler):
    """Reads requests and writes answers; a subclass has `answer`."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment for each answer
    disable_nagle_algorithm = True

    def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and content for a request, such as ``Decrypt``."""
        raise NotImplementedError

    def do_POST(self) -> None:  # noqa: N802 - the name is http.server's
        """Answer one request."""
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, content = self.answer(operation, request)
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""
