"""The listening socket: one thread for each connection, up to a number; and an end that cuts nobody off."""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import threading
import time
from contextlib import closing, suppress

from s3ec.serve.connection import Connection
from s3ec.serve.gateway import Gateway
from s3ec.serve.settings import ServeSettings

__all__ = ["Server"]

_log = logging.getLogger("s3ec.serve")
_BACKLOG = 128
_PAUSE = 0.5


class Server:
    """An endpoint that listens.

    Attributes:
        address: host and port that it really has.
    """

    def __init__(self, settings: ServeSettings, gateway: Gateway) -> None:
        """Bind and listen; requests are taken from `serve` on.

        Raises:
            OSError: the address is in use, or is not this machine's.
        """
        self._settings = settings
        self._gateway = gateway
        self._stopping = threading.Event()
        self._connections: set[Connection] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(settings.max_connections)
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self._listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._wakes, self._wake = socket.socketpair()
        self.address: tuple[str, int] = self._listener.getsockname()[:2]

    @property
    def url(self) -> str:
        """The URL for clients."""
        host = f"[{self.address[0]}]" if ":" in self.address[0] else self.address[0]
        return f"{'http' if self._settings.tls is None else 'https'}://{host}:{self.address[1]}"

    def stop(self) -> None:
        """Take no more requests; `serve` returns when those in flight are finished. Safe in a signal handler."""
        self._stopping.set()
        with suppress(OSError):
            self._wake.send(b"x")

    def serve(self) -> bool:
        """Serve until `stop`.

        Returns:
            True if all that was in flight was finished in time.
        """
        with closing(self._listener), closing(self._wake), closing(self._wakes), selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            ready.register(self._wakes, selectors.EVENT_READ)
            while not self._stopping.is_set():
                ready.select()
                try:
                    connected, _ = self._listener.accept()
                except BlockingIOError:
                    continue
                except OSError as error:
                    # No file descriptors left, or a client that was gone already: neither ends the endpoint.
                    _log.warning("a connection could not be accepted: %s", error)
                    self._stopping.wait(_PAUSE)
                    continue
                self._start(connected)
        finished = self._finish()
        self._gateway.close()
        return finished

    def _start(self, connected: socket.socket) -> None:
        if not self._free.acquire(blocking=False):
            _log.warning("a connection was closed: --max-connections are open")
            connected.close()
            return
        thread = threading.Thread(target=self._run, args=(connected,), name="s3ec-serve", daemon=True)
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads: one connection less, and not the end
            _log.warning("a connection was closed: %s", error)
            connected.close()
            self._forget(thread)

    def _run(self, connected: socket.socket) -> None:
        try:
            with closing(connected):
                self._serve_connection(connected)
        finally:
            self._forget(threading.current_thread())

    def _forget(self, thread: threading.Thread) -> None:
        self._free.release()
        with self._lock:
            self._threads.discard(thread)

    def _serve_connection(self, connected: socket.socket) -> None:
        try:
            connected.settimeout(self._settings.head_timeout)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._settings.tls is not None:
                connected = self._settings.tls.wrap_socket(connected, server_side=True)
        except (OSError, ssl.SSLError) as error:
            _log.info("no TLS connection: %s", error)
            return
        with closing(connected):
            connection = Connection(connected, self._settings, self._gateway.handle, self._gateway.fail, self._stopping)
            with self._lock:
                self._connections.add(connection)
            try:
                connection.serve()
            finally:
                with self._lock:
                    self._connections.discard(connection)

    def _finish(self) -> bool:
        deadline = time.monotonic() + self._settings.grace
        while time.monotonic() < deadline:
            with self._lock:
                threads, connections = list(self._threads), list(self._connections)
            if not threads:
                return True
            for connection in connections:
                connection.close_if_idle()
            threads[0].join(0.1)
        return False
