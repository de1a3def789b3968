"""Presigned uploads as they are handed over, and who may still use the key of one.

The first user may, once, in the process that has it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from s3ec import forks
from s3ec.crypto.content import ContentCipher
from s3ec.errors import MultipartStateError
from s3ec.s3.presigned import HandedOver, handed_over, text_of
from s3ec.secrets import Secret

__all__ = ["HeldUpload", "SpentKeys", "Ticket", "spent_keys"]

H = TypeVar("H", bound="HeldUpload")


class SpentKeys:
    """The keys that this process encrypted a body with, whichever copy of their ticket was used.

    Two bodies under one key and IV would give away the XOR of both, and the key that authenticates them.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._digests: set[bytes] = set()  # not the keys, which may go
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

    def spend(self, key: Secret[bytes]) -> None:
        """Take the right to use a key.

        Raises:
            MultipartStateError: it is already taken.
        """
        with self._lock:
            digest = self._unused(key)
            self._digests.add(digest)

    def give_back(self, key: Secret[bytes]) -> None:
        """Nothing was encrypted after all."""
        with self._lock:
            self._digests.discard(_digest(key))

    def check(self, key: Secret[bytes]) -> None:
        """Refuse a key that was used.

        Raises:
            MultipartStateError: it was.
        """
        with self._lock:
            self._unused(key)

    def _unused(self, key: Secret[bytes]) -> bytes:
        digest = _digest(key)
        if digest in self._digests:
            raise MultipartStateError("this presigned upload was used already; ask for another")
        return digest


def _digest(key: Secret[bytes]) -> bytes:
    return hashlib.sha256(key.reveal()).digest()


spent_keys = SpentKeys()


class Ticket:
    """The right of one `HeldUpload` to use its key."""

    def __init__(self, cipher: ContentCipher) -> None:
        """Note the process: a forked one has a copy of everything here, and must not use it."""
        self._key = cipher.key
        self._process = os.getpid()
        self._handed_over = False
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

    @contextmanager
    def using(self) -> Iterator[None]:
        """Use it up, before anything of the body is touched; where the body is refused in here, it stays unused.

        Raises:
            MultipartStateError: it was used, was handed over, or belongs to the process that forked this one.
        """
        with self._lock:
            self._check_is_ours()
            spent_keys.spend(self._key)
        done = False
        try:
            yield
            done = True
        finally:
            if not done:
                spent_keys.give_back(self._key)

    def hand_over(self) -> None:
        """From now on it is used elsewhere, by one holder.

        Raises:
            MultipartStateError: it was used, was handed over, or belongs to the process that forked this one.
        """
        with self._lock:
            self._check_is_ours()
            spent_keys.check(self._key)
            self._handed_over = True

    def _check_is_ours(self) -> None:
        if self._handed_over:
            raise MultipartStateError(
                "this presigned upload was handed over by to_json() and belongs to the holder of its text; ask for "
                "another"
            )
        if os.getpid() != self._process:
            raise MultipartStateError(
                "this presigned upload belongs to the process that forked this one, which may use it too; ask for "
                "another, or hand over its to_json()"
            )


@dataclass(slots=True)
class HeldUpload:
    """What the holder of a presigned upload has, who sends it from threads or from a task.

    Attributes:
        url: where to PUT, valid for a limited time.
        headers: what the request must carry; they are part of the signature.
        cipher: encrypts exactly one plaintext.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str]
    cipher: ContentCipher = field(repr=False)
    _ticket: Ticket = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take the right to use the key once."""
        self._ticket = Ticket(self.cipher)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse copies and pickles: each would be one more body under the same key."""
        raise TypeError("a PresignedUpload is used once, so it is not copied; hand over its to_json() instead")

    def to_json(self) -> str:
        """Text to hand over, once, on a channel that may carry a secret. From then on `send` is refused here.

        Raises:
            MultipartStateError: the upload was sent or handed over already, or belongs to another process.
        """
        self._ticket.hand_over()
        return text_of(HandedOver(self.url, dict(self.headers), self.cipher))

    @classmethod
    def from_json(cls: type[H], text: str) -> H:
        """Read what `to_json` wrote.

        Raises:
            ConfigurationError: it is something else.
        """
        handed = handed_over(text)
        return cls(handed.url, handed.headers, handed.cipher)
