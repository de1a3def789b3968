"""Dask distributed: it runs a task again when its worker dies, three times by default, and never promises once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from typing import Any

import distributed
from distributed.scheduler import KilledWorker

from s3ec.migrate.engines.driver import Driver, run_task

__all__ = ["DaskPool", "engine"]


class DaskPool:
    """Workers of one Dask cluster."""

    def __init__(self, client: distributed.Client) -> None:
        """Take a connected client, which its maker closes."""
        self._client = client

    def submit(self, task: str, settings: str) -> Any:
        """Send one task; the key is random, since Dask would take equal keys for equal results."""
        return self._client.submit(run_task, task, settings, pure=False, key=f"s3ec-{uuid.uuid4().hex}")

    def finished(self, handles: Iterable[Any], timeout: float) -> list[tuple[Any, str | None]]:
        """Return what is done by now."""
        waiting = list(handles)
        if not waiting:
            return []
        try:
            done = distributed.wait(waiting, timeout=timeout, return_when="FIRST_COMPLETED").done
        except (asyncio.TimeoutError, TimeoutError):
            return []
        except distributed.CancelledError:
            done = {future for future in waiting if future.done()}
        return [(future, _result(future)) for future in done]

    def forget(self, handles: Iterable[Any]) -> None:
        """Let go of the futures; Dask drops tasks that have no holder."""
        for future in handles:
            future.release()


def _result(future: Any) -> str | None:
    try:
        text: str = future.result()
    except (KilledWorker, distributed.CancelledError):
        return None
    return text


def engine(address: str | None = None, *, client: distributed.Client | None = None, window: int = 256) -> Driver:
    """An engine on a Dask cluster; s3ec, its credentials and its key files must be there.

    Args:
        address: address of the scheduler (``tcp://host:8786``); None starts workers on this machine.
        client: a client that is connected already.
        window: tasks that are out at a time.
    """
    return Driver(DaskPool(client or distributed.Client(address)), window)
