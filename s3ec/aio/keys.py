"""Data keys, asked for without holding the loop.

Keyrings and materials managers, a user's own among them, are asked in threads of their own: a call of KMS, a lock or a
private key takes as long as it takes. Those of AWS KMS that were given no client or session of their own reach it
through aiobotocore: with the credentials, the region and the connections of the client that asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

from s3ec import forks
from s3ec.aio.work import off_loop
from s3ec.client.options import Options
from s3ec.decryption import Checked
from s3ec.keyrings import AesKeyring, DefaultMaterialsManager, KmsDiscoveryKeyring, KmsKeyring
from s3ec.materials import (
    DecryptionMaterials,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    MaterialsManager,
)
from s3ec.secrets import Secret

__all__ = ["KmsOnLoop", "kms_through", "new_data_key", "unwrapped"]

_AT_ONCE = 64


class _Threads:
    """Those that keyrings are asked in: what waits for a key keeps nothing else waiting."""

    executor: Executor

    def __init__(self) -> None:
        forks.make_in_each_process(self, executor=partial(ThreadPoolExecutor, _AT_ONCE, "s3ec-keys"))


_threads = _Threads()


async def new_data_key(manager: MaterialsManager, request: EncryptionMaterialsRequest) -> Secret[EncryptionMaterials]:
    """Have a data key made.

    Raises:
        KeyringError: it could not be.
    """

    def ask() -> Secret[EncryptionMaterials]:
        return Secret(manager.get_encryption_materials(request))

    return ask() if _takes_no_time(manager) else await off_loop(ask, _threads.executor)


async def unwrapped(checked: Checked) -> Secret[DecryptionMaterials]:
    """Have a data key opened.

    Raises:
        KeyringError: as the materials manager raises it.
    """
    if _takes_no_time(checked.materials_manager):
        return checked.ask()
    return await off_loop(checked.ask, _threads.executor)


def _takes_no_time(manager: MaterialsManager) -> bool:
    # A few microseconds, in which another thread would not even have begun.
    return type(manager) is DefaultMaterialsManager and type(manager._keyring) is AesKeyring


class KmsOnLoop:
    """A KMS client of aiobotocore's, to be called from threads while its loop runs.

    It is made at the first call, and closed with the client whose keyring it is of.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        """Take what makes the client, an asynchronous context manager; the loop that runs now is the client's."""
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._making = asyncio.Lock()
        self._client: Any = None
        self._open = contextlib.AsyncExitStack()

    def generate_data_key(self, **parameters: Any) -> Any:
        """See AWS KMS."""
        return self._call("generate_data_key", parameters)

    def decrypt(self, **parameters: Any) -> Any:
        """See AWS KMS."""
        return self._call("decrypt", parameters)

    def _call(self, method: str, parameters: Mapping[str, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(self._ask(method, parameters), self._loop).result()

    async def _ask(self, method: str, parameters: Mapping[str, Any]) -> Any:
        async with self._making:
            if self._client is None:
                self._client = await self._open.enter_async_context(self._make())
        return await getattr(self._client, method)(**parameters)

    async def close(self) -> None:
        """Close its connections."""
        await self._open.aclose()


def kms_through(
    options: Options, make: Callable[[Mapping[str, Any]], Any], **arguments: Any
) -> tuple[Options, KmsOnLoop | None]:
    """Return options whose KMS keyring reaches KMS as the client reaches S3, if it was not told how.

    Args:
        options: the client's.
        make: makes a KMS client of arguments, an asynchronous context manager.
        **arguments: region, credentials, ``config`` and ``verify`` that the client is made with.

    Returns:
        The options, and what is to be closed with the client.
    """
    keyring = options.keyring
    if not isinstance(keyring, (KmsKeyring, KmsDiscoveryKeyring)):
        return options, None
    made: list[KmsOnLoop] = []

    def client(own: Mapping[str, Any]) -> KmsOnLoop:
        made.append(KmsOnLoop(partial(make, own)))
        return made[0]

    through = keyring.with_client_made_by(client, **arguments)
    return dataclasses.replace(options, keyring=through), made[0] if made else None
