"""How the calls of a KMS client are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

__all__ = ["Calls", "PlainCalls"]


class Calls(Protocol):
    """Makes the calls of one KMS client; threads share it."""

    def call(self, method: str, parameters: Mapping[str, Any]) -> Any:
        """Return what ``client.<method>(**parameters)`` would return, or raise what it would raise."""
        ...

    def begin(self, method: str, several: Sequence[Mapping[str, Any]]) -> list[Callable[[], Any]] | None:
        """Send the requests of several calls before the first answer is read.

        Args:
            method: a method of the client.
            several: arguments of each call. The very same object again is the same request again.

        Returns:
            For each call what reads the answer, once: it returns or raises what `call` would. None where nothing was
            sent, because this client makes one call at a time.
        """
        ...


class PlainCalls:
    """Those of any client: its own methods."""

    __slots__ = ("_client",)

    def __init__(self, client: Any) -> None:
        """Take whatever has the methods."""
        self._client = client

    def call(self, method: str, parameters: Mapping[str, Any]) -> Any:
        """See `Calls`."""
        return getattr(self._client, method)(**parameters)

    def begin(self, method: str, several: Sequence[Mapping[str, Any]]) -> None:  # noqa: ARG002 - as it is asked
        """Nothing: a method returns when its answer is there."""
