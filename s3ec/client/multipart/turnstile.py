"""Who is encrypted next: parts come from any thread in any order, and pass one by one through one GCM stream.

A part's place in the stream is the sum of the lengths of all parts before it. That is known when those are encrypted
and not earlier; a guess that turned out wrong would use a counter twice. So each part waits for its turn where that is
sure to come, for half a second where it may, and is kept where it does not.
Source: S3 Encryption Client specification, client.md: parts are encrypted "in sequence", with one cipher instance.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from s3ec import forks
from s3ec.algorithms import BLOCK_LENGTH
from s3ec.client.multipart.ledger import Ledger, PartRecord
from s3ec.client.multipart.storage import PartContent, PartMemory
from s3ec.crypto.content import ContentCipher, ContentEncryptor
from s3ec.crypto.own.ghash import GhashState, ResumableEncryptor, state_from_tag
from s3ec.errors import MultipartStateError

__all__ = ["Turnstile"]

_PATIENCE = 0.5


class Turnstile:
    """The one GCM stream of an upload.

    Attributes:
        condition: guards the ledger too; held only for moments.
        tag: tag of the finished stream, or None.
    """

    def __init__(
        self,
        cipher: ContentCipher,
        ledger: Ledger,
        memory: PartMemory,
        *,
        state: GhashState | None = None,
        observe: Callable[[memoryview], object] | None = None,
    ) -> None:
        """Take the parts' ledger.

        Args:
            cipher: cipher of the object.
            ledger: ledger whose encrypted parts lie before ``state``.
            memory: for the plaintext of parts that must wait.
            state: where an earlier process left the stream.
            observe: sees the whole plaintext, in order.
        """
        self.condition: threading.Condition
        forks.make_in_each_process(self, condition=threading.Condition)
        self.tag: bytes | None = None
        self._cipher = cipher
        self._ledger = ledger
        self._memory = memory
        self._observe = observe
        self._encryptor: ContentEncryptor | ResumableEncryptor = (
            cipher.encryptor() if state is None else ResumableEncryptor(cipher, state)
        )
        self._position = 0 if state is None else state.position
        self._last_bytes = b"" if state is None else state.tail
        self._next = 1 + max((record.number for record in ledger), default=0)
        self._arriving: Counter[int] = Counter()
        self._busy = False
        self._patience = _PATIENCE
        self._closed: str | None = None
        self._process = os.getpid()

    @property
    def passed(self) -> int:
        """The highest part number that is encrypted."""
        return self._next - 1

    def check_open(self) -> None:
        """Refuse what comes after the end.

        Raises:
            MultipartStateError: with the reason.
        """
        if self._closed is not None:
            raise MultipartStateError(self._closed)
        if os.getpid() != self._process:
            # A forked process has a copy of the ledger, so that each could give the same counters other bytes.
            raise MultipartStateError(
                "the upload was begun before this process was forked, and belongs to its parent; upload its parts "
                "there, or bring it over with export_upload and resume_upload"
            )

    def close(self, reason: str) -> None:
        """Let nothing pass any more, and wake all waiting threads."""
        with self.condition:
            self._closed = self._closed or reason
            self.condition.notify_all()

    @contextmanager
    def arriving(self, number: int) -> Iterator[None]:
        """Announce a part, so that those behind it wait for it while its body is being read."""
        with self.condition:
            self.check_open()
            self._arriving[number] += 1
        try:
            yield
        finally:
            with self.condition:
                self._arriving[number] -= 1
                self.condition.notify_all()

    def encrypt(self, record: PartRecord, content: PartContent) -> bool:
        """Encrypt a part when its turn comes, in place.

        Returns:
            False if the turn is not in sight. The record then keeps the plaintext, until the thread that closes the gap
            encrypts it.

        Raises:
            MultipartStateError: the upload ended in the meantime.
        """
        if not self._wait_for_turn(record):
            self._memory.keep(content, encrypted=False)
            if not self._take_turn_or_leave(record, content):
                return False
            self._memory.release(content)
        self._in_turn(lambda: self._encrypt_from(record, content))
        return True

    def _wait_for_turn(self, record: PartRecord) -> bool:
        deadline: float | None = None
        with self.condition:
            while not self._take_turn(record):
                remaining: float | None = None
                if self._is_missing_before(record.number):
                    now = time.monotonic()
                    deadline = now + self._patience if deadline is None else deadline
                    remaining = deadline - now
                    if remaining <= 0:
                        # A caller who sends parts in reverse order would wait with each; the sum stays a second.
                        self._patience /= 2
                        return False
                else:
                    deadline = None
                self.condition.wait(remaining)
        return True

    def _take_turn(self, record: PartRecord) -> bool:
        self.check_open()
        if self._busy or self._next != record.number:
            return False
        self._busy = True
        return True

    def _take_turn_or_leave(self, record: PartRecord, content: PartContent) -> bool:
        with self.condition:
            if self._take_turn(record):
                return True
            record.content = content
            self.condition.notify_all()
        return False

    def _is_missing_before(self, number: int) -> bool:
        return any(not self._arriving[before] for before in range(self._next, number))

    def wait_until_settled(self, record: PartRecord) -> bool:
        """Wait for another thread that has the same part in hand; False if it gave up."""
        with self.condition:
            while record.offset is None and not record.waits:
                self.check_open()
                if self._ledger.get(record.number) is not record:
                    return False
                self.condition.wait()
        return True

    def encrypt_rest(self) -> None:
        """The list of parts is final: encrypt those behind gaps in the numbering too."""
        with self.exclusively():
            for record in self._ledger:
                if record.waits and record.content is not None:
                    self._encrypt(record, record.content)

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Let no one encrypt meanwhile; a failure in here ends the upload, as the stream may have moved on."""
        with self.condition:
            self.check_open()
            while self._busy:
                self.condition.wait()
            self.check_open()
            self._busy = True
        with self._turn():
            yield

    def _in_turn(self, work: Callable[[], None]) -> None:
        with self._turn():
            work()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        done = False
        try:
            yield
            done = True
        finally:
            with self.condition:
                self._busy = False
                if not done and self._closed is None:
                    self._closed = (
                        "a part failed while it was being encrypted, so it is unknown how far the stream came; "
                        "abort the upload and start a new one"
                    )
                self.condition.notify_all()

    def _encrypt_from(self, record: PartRecord, content: PartContent) -> None:
        """Encrypt a part, and those that have been waiting for it."""
        self._encrypt(record, content)
        while (waiting := self._ledger.get(self._next)) is not None and waiting.content is not None:
            self._encrypt(waiting, waiting.content)

    def _encrypt(self, record: PartRecord, content: PartContent) -> None:
        content.encrypt(self._encryptor, self._observe)
        with self.condition:
            record.offset = self._position
            self._position += record.length
            self._last_bytes = (self._last_bytes + content.last_bytes(BLOCK_LENGTH))[-BLOCK_LENGTH:]
            self._next = record.number + 1
            self.condition.notify_all()

    def finish(self) -> bytes:
        """End the stream and give back its tag, the same whenever it is asked."""
        with self.exclusively():
            if self.tag is None:
                self.tag = self._encryptor.finalize()
        return self.tag

    def state(self) -> GhashState:
        """Where the stream stands, for another process; call it inside `exclusively`."""
        if isinstance(self._encryptor, ResumableEncryptor) and self.tag is None:
            return self._encryptor.state()
        tail = self._last_bytes[len(self._last_bytes) - self._position % BLOCK_LENGTH :]
        tag = self.tag or self._encryptor.finalize()
        state = state_from_tag(self._cipher, tag, self._position, tail)
        if self.tag is None:
            self._encryptor = ResumableEncryptor(self._cipher, state)
        return state
