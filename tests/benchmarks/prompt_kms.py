"""A KMS for benchmarks that answers at once: what is left is what a client spends on asking.

moto takes longer for one answer than a client for a whole request, which hides the clients' differences. This one knows
one key and two operations, GenerateDataKey and Decrypt, and checks neither signatures nor permissions.
"""

from __future__ import annotations

import base64
import json
import os
import socketserver
from http.server import BaseHTTPRequestHandler
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KEY_ARN", "serve"]

KEY_ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
_NONCE_LENGTH = 12
_wrapping = AESGCM(os.urandom(32))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment for each answer
    disable_nagle_algorithm = True

    def do_POST(self) -> None:  # noqa: N802 - the name is http.server's
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        context = json.dumps(request.get("EncryptionContext", {}), sort_keys=True).encode()
        try:
            status, answer = 200, _OPERATIONS[operation](request, context)
        except InvalidTag:
            status, answer = 400, {"__type": "InvalidCiphertextException"}
        body = json.dumps({"KeyId": KEY_ARN, **answer}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name is http.server's
        return


def _generate_data_key(_: dict[str, Any], context: bytes) -> dict[str, str]:
    data_key, nonce = os.urandom(32), os.urandom(_NONCE_LENGTH)
    blob = nonce + _wrapping.encrypt(nonce, data_key, context)
    return {"Plaintext": base64.b64encode(data_key).decode(), "CiphertextBlob": base64.b64encode(blob).decode()}


def _decrypt(request: dict[str, Any], context: bytes) -> dict[str, str]:
    blob = base64.b64decode(request["CiphertextBlob"])
    data_key = _wrapping.decrypt(blob[:_NONCE_LENGTH], blob[_NONCE_LENGTH:], context)
    return {"Plaintext": base64.b64encode(data_key).decode()}


_OPERATIONS = {"GenerateDataKey": _generate_data_key, "Decrypt": _decrypt}


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def serve() -> None:
    """Print the URL, and answer for ever."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    serve()
