"""Endpoints of ours, running in a thread, and what opens them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from s3ec.serve import LocalCredentials, Server

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
