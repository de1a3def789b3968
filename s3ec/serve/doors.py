"""Which way a request takes, by its bucket: through an encrypting client, as it is, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from s3ec.client.encryption_client import EncryptionClient
from s3ec.materials import STORED_CONTEXT, StoredContext
from s3ec.rules.bucket_rules import BucketRule, BucketRules, Mode
from s3ec.serve.refusals import RefusedError

__all__ = ["Door", "Doors", "OneDoor", "RuledDoors"]


@dataclass(frozen=True, slots=True, eq=False)
class Door:
    """What holds for the requests to one bucket.

    Attributes:
        client: encrypts and decrypts; None for a bucket that is declared to hold plaintext, whose requests are relayed.
        context: encryption context of what is written, and asserted of what is read; empty accepts the stored one.
        plaintext_sizes: every object of the bucket is declared to be encrypted: listings show the plaintext's lengths.
    """

    client: EncryptionClient | None
    context: Mapping[str, str] = field(default_factory=dict)
    plaintext_sizes: bool = False

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


class RuledDoors:
    """A door for each rule about buckets; those that no rule names stay shut."""

    def __init__(self, rules: BucketRules, make: Callable[[BucketRule], EncryptionClient]) -> None:
        """Make all clients now, so that what could never work is said before anything listens.

        Args:
            rules: what becomes of each bucket.
            make: makes the client of a rule that encrypts.

        Raises:
            ConfigurationError: a key or an option of a rule can never work.
        """
        self._rules = rules
        self._doors = {rule.origin: self._door(rule, make) for rule in (*rules.rules, rules.default)}

    @staticmethod
    def _door(rule: BucketRule, make: Callable[[BucketRule], EncryptionClient]) -> Door | None:
        if rule.mode is Mode.REFUSE:
            return None
        if rule.mode is Mode.PLAIN:
            return Door(None)
        return Door(make(rule), dict(rule.settings.context), rule.sizes == "plaintext")

    def of(self, bucket: str) -> Door:
        """Return the door of a bucket.

        Raises:
            RefusedError: its rule refuses it, or no rule names it.
        """
        door = self._doors[self._rules.of(bucket).origin]
        if door is None:
            raise RefusedError(403, "AccessDenied", str(self._rules.refusal(bucket)))
        return door
