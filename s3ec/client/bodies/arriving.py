"""A body that arrives while a service is asked for its data key.

S3 sends no more of a body than the connection's buffer holds until somebody reads it, so the time of a call to KMS and
that of the first bytes would add up. A thread reads the first chunk meanwhile. It holds ciphertext, of one object that
has passed the gate, and hands out nothing before the key is there; an error of the connection is raised where the body
is read, as it would be without.
"""

from __future__ import annotations

import threading
from typing import Any

from botocore.exceptions import IncompleteReadError

from s3ec import forks
from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.keyrings.manager import DefaultMaterialsManager
from s3ec.keyrings.prefetching import PrefetchingMaterialsManager
from s3ec.materials import MaterialsManager
from s3ec.s3.receiving import first_read

__all__ = ["ArrivingBody", "arriving"]

_AT_ONCE = 32  # threads; bodies beyond that are read when their keys are there
_PATIENCE = 0.004  # seconds: a key that comes sooner is not worth two threads that want to run at the same time


class _Threads:
    """How many more threads may read ahead; a child that is forked has none of its parent's."""

    left: threading.Semaphore

    def __init__(self) -> None:
        forks.make_in_each_process(self, left=lambda: threading.Semaphore(_AT_ONCE))


_threads = _Threads()


def arriving(body: Any, length: int, manager: MaterialsManager) -> Any:
    """Begin to read a body of tagged ciphertext, where its data key takes a call of a service.

    Args:
        body: the ``Body`` of a response, which nobody has read of.
        length: bytes of it.
        manager: is asked for the data key next.

    Returns:
        What is to be read in its place, or the body itself.
    """
    # Keyrings in this process answer in less time than a thread takes, and so does a cache.
    asks = isinstance(manager, (DefaultMaterialsManager, PrefetchingMaterialsManager))
    if not asks or not manager.capabilities.binds_encryption_context:
        return body
    left = _threads.left
    if not left.acquire(blocking=False):
        return body
    ahead = ArrivingBody(body, first_read(length), left)
    try:
        ahead.start()
    except RuntimeError:  # no more threads, or the interpreter ends
        left.release()
        return body
    return ahead


class ArrivingBody:
    """What stands in a body's place; to be read by one thread, as a body is.

    It has no lock, which a forked child might inherit locked: of two that end at the same time, each looks at the other
    after it has said so itself, and a body may be closed twice.
    """

    def __init__(self, body: Any, size: int, left: threading.Semaphore) -> None:
        """Take the body, the bytes to be read ahead, and what is released when they are."""
        self._body = body
        self._reader = CiphertextReader(body)
        self._size = size
        self._left = left
        self._thread: threading.Thread | None = threading.Thread(
            target=self._read_ahead, name="s3ec-arriving", daemon=True
        )
        self._data: bytes = b""
        self._failure: BaseException | None = None
        self._wanted = threading.Event()
        self._done = False
        self._closed = False

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: there is no thread to be had.
        """
        assert self._thread is not None  # noqa: S101 - narrows the type
        self._thread.start()

    def _read_ahead(self) -> None:
        try:
            if not self._wanted.wait(_PATIENCE):
                self._data = self._reader.read(self._size)
        except BaseException as error:  # whatever it is, it is raised where the body is read
            self._failure = error
        finally:
            self._left.release()
        self._done = True
        if self._closed:
            self._body.close()

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes, and none only at the end; raises what the body itself raises."""
        if self._thread is not None:
            self._wanted.set()
            self._thread.join()
            self._thread = None
            if not self._done:
                # A forked child has no such thread, and what comes over the connection is its parent's.
                raise IncompleteReadError(actual_bytes=0, expected_bytes=self._size)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._data:
            data, self._data = self._data[:size], self._data[size:]
            return data
        return self._reader.read(size)

    def close(self) -> None:
        """Close the connection's body; at once, or when what is read of it has come."""
        self._closed = True
        self._wanted.set()
        if self._done:
            self._body.close()

    def set_socket_timeout(self, timeout: float | None) -> None:
        """Pass the time-out on to the connection."""
        self._body.set_socket_timeout(timeout)
