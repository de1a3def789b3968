"""Events of an asynchronous client, without asking of each answer whether it has to be waited for.

A small request calls some forty handlers, nearly all of them botocore's own and with nothing to answer. aiobotocore
looks at each answer three times over to see that it is no coroutine, and prepares a line of the log that nobody reads.
"""

from __future__ import annotations

import logging
from inspect import isawaitable
from typing import Any

from aiobotocore.hooks import AioHierarchicalEmitter

__all__ = ["emit_quickly"]

_LOG = logging.getLogger("botocore.hooks")
_EMIT: Any = vars(AioHierarchicalEmitter).get("_emit")


class _Emitter(AioHierarchicalEmitter):  # type: ignore[misc]  # aiobotocore has no types
    """aiobotocore's own, where no one reads the log."""

    async def _emit(self, event_name: str, kwargs: dict[str, Any], stop_on_response: bool = False) -> Any:
        handlers = self._lookup_cache.get(event_name)
        if handlers is None or _LOG.isEnabledFor(logging.DEBUG):
            return await _EMIT(self, event_name, kwargs, stop_on_response)
        kwargs["event_name"] = event_name
        responses = []
        for handler in handlers:
            response = handler(**kwargs)
            if response is not None and isawaitable(response):
                response = await response
            responses.append((handler, response))
            if stop_on_response and response is not None:
                return responses
        return responses


def emit_quickly(client: Any) -> None:
    """Have a client's events call their handlers in a shorter way: the same ones, in the same order.

    Args:
        client: an aiobotocore client; one whose emitter is not aiobotocore's own is left alone.
    """
    emitter = getattr(client.meta.events, "_emitter", None)
    if type(emitter) is AioHierarchicalEmitter and _EMIT is vars(AioHierarchicalEmitter)["_emit"]:
        emitter.__class__ = _Emitter
