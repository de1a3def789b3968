"""Endpoints of ours, running in a thread, and what opens them."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3ec.serve import LocalCredentials, Server
from s3ec.serve.credentials_file import credentials_in

from support.aws import REGION

CREDENTIALS = LocalCredentials("S3ECTESTING", "a-secret-for-this-endpoint-only")


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Serve in a thread until the block ends."""
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


@dataclass(frozen=True)
class Started:
    """An endpoint that is a process of its own."""

    url: str
    credentials: LocalCredentials
    process: subprocess.Popen[bytes]

    def arguments(self) -> dict[str, Any]:
        """Arguments for ``boto3.client``."""
        pair = self.credentials
        return {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": pair.access_key,
            "aws_secret_access_key": pair.secret_key,
        }


@contextlib.contextmanager
def started(home: Path, behind: Mapping[str, Any], *words: str) -> Iterator[Started]:
    """Start ``s3ec serve`` as a user does, with an AES key; it ends with the block.

    Args:
        home: a folder for the key and the credentials, which stay the same when it is started there again.
        behind: arguments for ``boto3.client`` that lead to the server behind it.
        words: more options.
    """
    (home / "key").write_bytes(bytes(range(128, 160)))
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL_S3": behind["endpoint_url"],
        "AWS_ACCESS_KEY_ID": behind["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": behind["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": behind["region_name"],
    }
    command = [sys.executable, "-m", "s3ec", "serve", "--port", "0", "--aes-key-file", str(home / "key")]
    command += ["--credentials", str(home / "own"), *words]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().decode().strip().partition("=")[2]
            yield Started(url, credentials_in(home / "own"), process)
        finally:
            process.terminate()


class _Auth(S3SigV4Auth):
    """botocore's signing, for whatever payload a test says."""

    def __init__(self, credentials: LocalCredentials, mode: str) -> None:
        super().__init__(Credentials(credentials.access_key, credentials.secret_key), "s3", REGION)
        self.mode = mode

    def payload(self, request: AWSRequest) -> str:
        return self.mode


@dataclass
class Raw:
    """One request, byte by byte, signed by botocore and not by what is tested."""

    url: str
    method: str
    path: str
    mode: str = "UNSIGNED-PAYLOAD"
    headers: dict[str, str] = field(default_factory=dict)
    credentials: LocalCredentials = CREDENTIALS

    def __post_init__(self) -> None:
        """Sign it."""
        request = AWSRequest(self.method, self.url + self.path, headers=self.headers)
        request.context["payload_signing_enabled"] = True
        _Auth(self.credentials, self.mode).add_auth(request)
        self.signed = {"Host": self.url.partition("//")[2], **dict(request.headers.items())}
        self.date = self.signed["X-Amz-Date"]
        self.signature = self.signed["Authorization"].rpartition("=")[2]

    def head(self, *more: str) -> bytes:
        """The head of the request; ``more`` are whole lines."""
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{k}: {v}" for k, v in self.signed.items()), *more]
        return "\r\n".join([*lines, "", ""]).encode()

    def _sign(self, *lines: str) -> str:
        scope = f"{self.date[:8]}/{REGION}/s3/aws4_request"
        key = ("AWS4" + self.credentials.secret_key).encode()
        for word in scope.split("/"):
            key = hmac.digest(key, word.encode(), "sha256")
        text = "\n".join((lines[0], self.date, scope, *lines[1:]))
        return hmac.digest(key, text.encode(), "sha256").hex()

    def chunks(self, *pieces: bytes, trailer: dict[str, str] | None = None, sign: bool = True) -> bytes:
        """A body in S3's chunks, the empty one at the end included."""
        previous, body = self.signature, b""
        for piece in (*pieces, b""):
            head = f"{len(piece):x}"
            if sign:
                hashes = hashlib.sha256(b"").hexdigest(), hashlib.sha256(piece).hexdigest()
                previous = self._sign("AWS4-HMAC-SHA256-PAYLOAD", previous, *hashes)
                head += f";chunk-signature={previous}"
            body += head.encode() + b"\r\n" + piece + (b"\r\n" if piece else b"")
        for name, value in (trailer or {}).items():
            body += f"{name}:{value}\r\n".encode()
        if sign and trailer is not None:
            lines = "".join(f"{name}:{value}\n" for name, value in trailer.items())
            digest = hashlib.sha256(lines.encode()).hexdigest()
            signature = self._sign("AWS4-HMAC-SHA256-TRAILER", previous, digest)
            body += f"x-amz-trailer-signature:{signature}\r\n".encode()
        return body + b"\r\n"


def converse(url: str, *data: bytes, end: bool = False) -> bytes:
    """Send bytes on a connection of its own; answers with everything that comes back until the other side ends it.

    Args:
        url: of the endpoint.
        data: sent one after the other.
        end: end our side afterwards, as a client that goes away.
    """
    host, _, port = url.partition("//")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        for piece in data:
            connection.sendall(piece)
        if end:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        # The endpoint may close a connection while we still send to it.
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                received += piece
        return received


def status_and_code(answer: bytes) -> tuple[int, str]:
    """Status and S3's error code of the last answer in what came back."""
    head = answer[answer.rindex(b"HTTP/1.1 ") :]
    code = re.search(rb"<Code>([^<]*)</Code>", head)
    return int(head[9:12]), code[1].decode() if code else ""
