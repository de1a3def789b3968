"""Which way a request takes, by its bucket: through an encrypting client, as it is, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from s3ec.client.encryption_client import EncryptionClient
from s3ec.materials import STORED_CONTEXT, StoredContext

__all__ = ["Door", "Doors", "OneDoor"]


@dataclass(frozen=True, slots=True, eq=False)
class Door:
    """What holds for the requests to one bucket.

    Attributes:
        client: encrypts and decrypts; None for a bucket that is declared to hold plaintext, whose requests are relayed.
        context: encryption context of what is written, and asserted of what is read; empty accepts the stored one.
    """

    client: EncryptionClient | None
    context: Mapping[str, str] = field(default_factory=dict)

    @property
    def write_context(self) -> dict[str, Any]:
        """The argument of a write that gives the context."""
        return {"EncryptionContext": dict(self.context)} if self.context else {}

    @property
    def read_context(self) -> Mapping[str, str] | StoredContext:
        """What a read asserts."""
        return dict(self.context) or STORED_CONTEXT


class Doors(Protocol):
    """Finds the door of a bucket; the same object for buckets that share everything."""

    def of(self, bucket: str) -> Door:
        """Return the door of a bucket.

        Raises:
            RefusedError: no rule lets requests to this bucket through.
        """
        ...


@dataclass(frozen=True, slots=True)
class OneDoor:
    """Every bucket is encrypted with one key."""

    door: Door

    def of(self, bucket: str) -> Door:  # noqa: ARG002 - the protocol's
        """Return the only one."""
        return self.door
