"""Events that call their handlers without preparing a line of the log for each.

A small request calls some fifty handlers, and asks the log of each whether anyone reads it.
"""

from __future__ import annotations

import logging
from typing import Any

from botocore.hooks import HierarchicalEmitter

__all__ = ["emit_quickly"]

_LOG = logging.getLogger("botocore.hooks")
_EMIT: Any = vars(HierarchicalEmitter).get("_emit")


class _Emitter(HierarchicalEmitter):
    """Botocore's own, where no one reads the log."""

    def _emit(self, event_name: str, kwargs: dict[str, Any], stop_on_response: bool = False) -> Any:  # noqa: FBT001, FBT002
        handlers = self._lookup_cache.get(event_name)  # type: ignore[attr-defined]  # the stubs leave it out
        if handlers is None or _LOG.isEnabledFor(logging.DEBUG):
            return _EMIT(self, event_name, kwargs, stop_on_response)
        kwargs["event_name"] = event_name
        responses = []
        for handler in handlers:
            response = handler(**kwargs)
            responses.append((handler, response))
            if stop_on_response and response is not None:
                break
        return responses


def emit_quickly(client: Any) -> None:
    """Have a client's events call their handlers in a shorter way: the same ones, in the same order.

    Args:
        client: a client of boto3; one whose emitter is not botocore's own is left alone.
    """
    emitter = getattr(getattr(getattr(client, "meta", None), "events", None), "_emitter", None)
    if type(emitter) is HierarchicalEmitter and _EMIT is not None and _EMIT is vars(HierarchicalEmitter)["_emit"]:
        emitter.__class__ = _Emitter
