"""moto's server with the one thing S3 does to metadata that moto leaves out.

S3 takes each byte of a metadata value for a Latin-1 character; when one is not ASCII it answers with the text as
RFC 2047 encoded-words in UTF-8, so that what was UTF-8 comes back encoded twice.
"""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

METADATA_PREFIX = "x-amz-meta-"
# RFC 2047 limits a word to 75 characters; 45 bytes are 60 characters of base64.
WORD_BYTES = 45


def as_s3_answers(value: str) -> str:
    """The header value in which S3 returns a stored metadata value (one character per byte that was sent)."""
    if value.isascii():
        return value
    data = value.encode()
    words = [data[start : start + WORD_BYTES] for start in range(0, len(data), WORD_BYTES)]
    return " ".join(f"=?UTF-8?B?{base64.b64encode(word).decode()}?=" for word in words)


class DoubleEncoding:
    """WSGI middleware that re-codes metadata in answers."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Passes a request on and re-codes the headers of the answer."""

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            recoded = [
                (name, as_s3_answers(value) if name.lower().startswith(METADATA_PREFIX) else value)
                for name, value in headers
            ]
            return start_response(status, recoded, *rest)

        return self._application(environ, start)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the name is werkzeug's
        """Says nothing: thousands of requests pass."""


@contextlib.contextmanager
def double_encoding_endpoint() -> Iterator[str]:
    """Runs moto's S3 and KMS behind the filter on a free loopback port; yields the URL."""
    application = DoubleEncoding(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
