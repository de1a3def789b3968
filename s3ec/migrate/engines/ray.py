"""Ray. It runs a task again when its worker or node dies, as often as the task allows; exceptions are not retried."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ray
from ray.exceptions import NodeDiedError, ObjectLostError, RaySystemError, WorkerCrashedError

from s3ec.migrate.engines.driver import Driver, run_task

__all__ = ["RayPool", "engine"]

_LOST = (WorkerCrashedError, NodeDiedError, ObjectLostError, RaySystemError)


class RayPool:
    """Workers of the Ray cluster that this process is connected to."""

    def __init__(self, *, max_retries: int = 3, num_cpus: float = 1) -> None:
        """Say how often a task may lose its worker, and what share of a machine one task takes."""
        self._task = ray.remote(run_task).options(max_retries=max_retries, retry_exceptions=False, num_cpus=num_cpus)

    def submit(self, task: str, settings: str) -> Any:
        """Send one task."""
        return self._task.remote(task, settings)

    def finished(self, handles: Iterable[Any], timeout: float) -> list[tuple[Any, str | None]]:
        """Return what is done by now."""
        waiting = list(handles)
        if not waiting:
            return []
        done, _ = ray.wait(waiting, num_returns=1, timeout=timeout)
        if done:
            # One is done: take along whatever else is by now, without waiting.
            done, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [(reference, _result(reference)) for reference in done]

    def forget(self, handles: Iterable[Any]) -> None:
        """Cancel what has not begun."""
        for reference in handles:
            ray.cancel(reference, force=False)


def _result(reference: Any) -> str | None:
    try:
        text: str = ray.get(reference)
    except _LOST:
        return None
    return text


def engine(address: str | None = None, *, window: int = 256, num_cpus: float = 1) -> Driver:
    """An engine on a Ray cluster; s3ec, its credentials and its key files must be there.

    Args:
        address: that of the cluster (``auto``, ``ray://host:10001``); None uses the one this process is connected to,
            or starts workers on this machine.
        window: tasks that are out at a time.
        num_cpus: share of a machine that one task takes; objects wait for the network, so below 1 is sensible.
    """
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)
    return Driver(RayPool(num_cpus=num_cpus), window)
