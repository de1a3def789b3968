"""Server-side encryption of objects and buckets, asked about and changed through an asynchronous client.

The functions are those of the synchronous client, which ask S3 one thing after the other. Each runs in a thread, and
what it asks of its client is asked on the loop, over the connections of the asynchronous one.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from botocore.client import BaseClient

from s3ec.aio.client import EncryptionClient
from s3ec.aio.work import off_loop
from s3ec.client.calls.views import view_as_made
from s3ec.client.tools import buckets
from s3ec.errors import ConfigurationError

__all__ = [
    "change_server_side_encryption",
    "get_default_encryption",
    "require_encryption",
    "required_encryption",
    "set_default_encryption",
    "unrequire_encryption",
]

T = TypeVar("T")


class _OnThread:
    """A client of aiobotocore's as a thread sees it: its calls wait, and are made on the loop."""

    def __init__(self, client: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not inspect.ismethod(found):
            return found

        def call(*args: Any, **keywords: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(found(*args, **keywords), self._loop).result()

        return call


def _waited_for(function: Callable[..., T]) -> Callable[..., Coroutine[Any, Any, T]]:
    @functools.wraps(function)
    async def ask(client: BaseClient, **keywords: Any) -> T:
        if not inspect.iscoroutinefunction(getattr(client, "_make_api_call", None)):
            raise ConfigurationError(f"s3ec.aio.{function.__name__} takes a client of aiobotocore's")
        waiting = _OnThread(view_as_made(client, EncryptionClient), asyncio.get_running_loop())
        # A thread of its own: those of the loop may all be waiting for what needs one of them.
        with ThreadPoolExecutor(1, "s3ec-buckets") as executor:
            return await off_loop(functools.partial(function, waiting, **keywords), executor)

    return ask


change_server_side_encryption = _waited_for(buckets.change_server_side_encryption)
get_default_encryption = _waited_for(buckets.get_default_encryption)
require_encryption = _waited_for(buckets.require_encryption)
required_encryption = _waited_for(buckets.required_encryption)
set_default_encryption = _waited_for(buckets.set_default_encryption)
unrequire_encryption = _waited_for(buckets.unrequire_encryption)
