"""What an upload keeps its parts in, as its rules see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from s3ec.s3.flow import Monitor

__all__ = ["PartContent", "Room"]


class PartContent(Protocol):
    """The bytes of one part: plaintext, until `encrypt` makes them ciphertext in place.

    Attributes:
        length: bytes of plaintext.
    """

    length: int

    @property
    def ciphertext_length(self) -> int:
        """Bytes to send."""
        ...

    def encrypt(self, cipher: Any, observe: Callable[[memoryview], object] | None = None) -> None:
        """Turn the plaintext into ciphertext; takes its time."""
        ...

    def append_tag(self, tag: bytes) -> None:
        """Let the object's tag follow the ciphertext."""
        ...

    def last_bytes(self, count: int) -> bytes:
        """The end of the ciphertext, or all of it where it is shorter."""
        ...

    def body(self, source: Any = None) -> Any:
        """The ciphertext as the body of a request; the source is told how far it has come."""
        ...

    def close(self) -> None:
        """Drop the bytes."""
        ...


class Room(Protocol):
    """Where the parts of one upload are kept, and what guards their state.

    Attributes:
        monitor: guards the upload's state.
    """

    @property
    def monitor(self) -> Monitor:
        """Guards the upload's state."""
        ...

    def empty(self) -> PartContent:
        """A part without bytes."""
        ...

    def keep(self, content: Any, *, encrypted: bool) -> None:
        """Count a part that has to wait, or write it to disk; takes its time."""
        ...

    def release(self, content: Any) -> None:
        """It waits no more."""
        ...

    def close(self) -> None:
        """Drop everything; a body that is still being sent from here fails."""
        ...
