"""A way to a server that is as long and as narrow as the one to a real S3: latency, and a rate for each connection.

It passes bytes on as they are, so that https stays between client and server. What a client sends after it has heard
something waits for the latency, once; and no connection carries more than its rate in either direction.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

__all__ = ["distant"]

LATENCY = 0.015
"""Seconds that S3 takes to answer a request for a small object."""
RATE = 90 * 1024 * 1024
"""Bytes a second that S3 gives a connection."""
_STEP = 256 * 1024


class _Way:
    """One connection: two directions, of which each tells the other that it was used."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client, self._server = client, server
        self._heard = True

    def run(self) -> None:
        back = threading.Thread(target=self._pass_on, args=(self._server, self._client), daemon=True)
        back.start()
        self._pass_on(self._client, self._server)
        back.join()
        self._client.close()
        self._server.close()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        """Pass on until the source ends; sleeping is what the distance consists of."""
        buffer = memoryview(bytearray(_STEP))
        is_request = source is self._client
        free_at = 0.0
        with contextlib.suppress(OSError):
            while count := source.recv_into(buffer):
                now = time.monotonic()
                if is_request and self._heard:
                    self._heard = False
                    time.sleep(LATENCY)
                    now = time.monotonic()
                free_at = max(free_at, now) + count / RATE
                if free_at - now > 0.001:
                    time.sleep(free_at - now)
                target.sendall(buffer[:count])
                if not is_request:
                    self._heard = True
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def distant(port: int) -> Iterator[int]:
    """Listen on a port of loopback from which it is far to the given one; yields the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    server = socket.create_connection(("127.0.0.1", port))
                    for each in (client, server):
                        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=_Way(client, server).run, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        # Wakes the thread that accepts.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
