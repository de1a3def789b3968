"""A KMS that answers at once, or after as long as it is told, over https: a client's own cost is what shows.

It knows one key and two operations, GenerateDataKey and Decrypt, counts the calls, and checks neither signatures nor
permissions.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clients import KEY_ARN
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Kms", "kms"]

_NONCE_LENGTH = 12


class Kms:
    """What is known of the running KMS.

    Attributes:
        url: where it is.
        calls: answers given so far.
        seconds: how long each is held back.
    """

    def __init__(self) -> None:
        """Begin with a key that nobody else has."""
        self.url = ""
        self.calls = 0
        self.seconds = 0.0
        self._key = AESGCM(os.urandom(32))
        self._lock = threading.Lock()

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, str]:
        """The content of an answer.

        Raises:
            cryptography.exceptions.InvalidTag: the blob or its context is not what was given out.
        """
        with self._lock:
            self.calls += 1
        if self.seconds:
            time.sleep(self.seconds)  # the distance that is asked for, not a wait for something
        context = json.dumps(request.get("EncryptionContext", {}), sort_keys=True).encode()
        if operation == "GenerateDataKey":
            data_key, nonce = os.urandom(32), os.urandom(_NONCE_LENGTH)
            blob = nonce + self._key.encrypt(nonce, data_key, context)
            return {"KeyId": KEY_ARN, "Plaintext": _text(data_key), "CiphertextBlob": _text(blob)}
        blob = base64.b64decode(request["CiphertextBlob"])
        data_key = self._key.decrypt(blob[:_NONCE_LENGTH], blob[_NONCE_LENGTH:], context)
        return {"KeyId": KEY_ARN, "Plaintext": _text(data_key)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, state: Kms, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = state
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is none."""


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer until the connection ends; the standard library's HTTP server takes three times as long for each."""
        assert isinstance(self.server, _Server)
        while self.rfile.readline():
            headers: dict[bytes, bytes] = {}
            while line := self.rfile.readline().strip():
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            request = json.loads(self.rfile.read(int(headers[b"content-length"])))
            operation = headers[b"x-amz-target"].decode().rpartition(".")[2]
            body = json.dumps(self.server.state.answer(operation, request)).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: %d\r\n\r\n"
            self.wfile.write(head % len(body) + body)


@contextlib.contextmanager
def kms(certificate: Path, key: Path) -> Iterator[Kms]:
    """Run the KMS in a thread of this process, which has nothing else to do meanwhile."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    state = Kms()
    with _Server(state, context) as server:
        state.url = f"https://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
