"""Who may keep how much in memory: every request its share, and the first to come a large object.

A machine that serves one program has memory to spare, and a spool costs a pass over the file for each direction. So two
requests at a time get a view of the client that buffers more; whoever finds both seats taken spools, as ciphertext.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack

from s3ec.client.encryption_client import EncryptionClient, with_buffer_size
from s3ec.serve.settings import ROOMY_SEATS, ServeSettings

__all__ = ["Seats"]


class Seats:
    """The seats of one endpoint."""

    def __init__(self, settings: ServeSettings) -> None:
        """Take how much there is."""
        self._share = settings.buffer_size
        self._roomy = settings.roomy_buffer_size
        self._free = threading.BoundedSemaphore(ROOMY_SEATS)
        self._views: dict[EncryptionClient, EncryptionClient] = {}

    def client_for(self, client: EncryptionClient, length: int | None, stack: ExitStack) -> EncryptionClient:
        """Return the client for one request.

        Args:
            client: that of the bucket; where its rule names a buffer of its own, it is the one.
            length: bytes of content, if they are known yet.
            stack: closed when the request is over; frees the seat.
        """
        fits = length is not None and length < self._share
        if fits or client._s3ec_wire.options.buffer_size != self._share or not self._free.acquire(blocking=False):
            return client
        stack.callback(self._free.release)
        view = self._views.get(client)
        if view is None:
            view = self._views[client] = with_buffer_size(client, self._roomy)
        return view
