"""A KMS for benchmarks that answers at once: what is left is what a client spends on asking.

moto takes longer for one answer than a client for a whole request, which hides the clients' differences. This one knows
one key and two operations, GenerateDataKey and Decrypt, and checks neither signatures nor permissions.
"""

from __future__ import annotations

import base64
import json
import os
import socketserver
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.kms_answers import KmsHandler  # noqa: E402  # found only now that the folder of tests is on the path

__all__ = ["KEY_ARN", "serve"]

KEY_ARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
_NONCE_LENGTH = 12
_wrapping = AESGCM(os.urandom(32))


class _Handler(KmsHandler):
    def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        context = json.dumps(request.get("EncryptionContext", {}), sort_keys=True).encode()
        try:
            return 200, {"KeyId": KEY_ARN, **_OPERATIONS[operation](request, context)}
        except InvalidTag:
            return 400, {"__type": "InvalidCiphertextException"}


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
    """Print the URL, and answer until the end of the process."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    serve()
