"""Who is encrypted next: parts come from anywhere in any order, and pass one by one through one GCM stream.

A part's place in the stream is the sum of the lengths of all parts before it. That is known when those are encrypted
and not earlier; a guess that turned out wrong would use a counter twice. So each part waits for its turn where that is
sure to come, for half a second where it may, and is kept where it does not.
Source: S3 Encryption Client specification, client.md: parts are encrypted "in sequence", with one cipher instance.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from s3ec.algorithms import BLOCK_LENGTH
from s3ec.crypto.content import ContentCipher, ContentEncryptor
from s3ec.crypto.own.ghash import GhashState, ResumableEncryptor, state_from_tag
from s3ec.errors import MultipartStateError
from s3ec.s3.flow import Flow, Wait, step, work
from s3ec.s3.multipart.ledger import Ledger, PartRecord
from s3ec.s3.multipart.room import PartContent, Room

__all__ = ["Turnstile"]

T = TypeVar("T")
_Stream: TypeAlias = ContentEncryptor | ResumableEncryptor

_PATIENCE = 0.5


@dataclass(slots=True)
class _Encryption:
    """How far the encryption of one part has come, whatever became of the flow that asked for it."""

    begun: bool = False
    done: bool = False

    def of(self, content: PartContent, stream: _Stream, observe: Callable[[memoryview], object] | None) -> None:
        self.begun = True
        content.encrypt(stream, observe)
        self.done = True


class Turnstile:
    """The one GCM stream of an upload.

    All of its state, and that of the ledger, is changed in steps of the room's monitor alone.

    Attributes:
        tag: tag of the finished stream, or None.
    """

    def __init__(
        self,
        cipher: ContentCipher,
        ledger: Ledger,
        room: Room,
        *,
        state: GhashState | None = None,
        observe: Callable[[memoryview], object] | None = None,
    ) -> None:
        """Take the parts' ledger.

        Args:
            cipher: cipher of the object.
            ledger: ledger whose encrypted parts lie before ``state``.
            room: for the plaintext of parts that must wait.
            state: where an earlier process left the stream.
            observe: sees the whole plaintext, in order.
        """
        self.tag: bytes | None = None
        self._cipher = cipher
        self._ledger = ledger
        self._room = room
        self._observe = observe
        self._encryptor: _Stream = cipher.encryptor() if state is None else ResumableEncryptor(cipher, state)
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

    @property
    def in_its_process(self) -> bool:
        """False in a process that was forked since the upload was begun."""
        return os.getpid() == self._process

    def step(self, function: Callable[[], T | Wait]) -> Flow[T]:
        """Take a step of the upload's state."""
        return step(self._room.monitor, function)

    # Steps, and parts of steps.

    def check_open(self) -> None:
        """Refuse what comes after the end.

        Raises:
            MultipartStateError: with the reason.
        """
        if self._closed is not None:
            raise MultipartStateError(self._closed)
        self.check_process()

    def check_process(self) -> None:
        """Refuse a forked process, in which nobody ends what was under way when it was forked.

        Raises:
            MultipartStateError: with the reason.
        """
        if not self.in_its_process:
            # A forked process has a copy of the ledger, so that each could give the same counters other bytes.
            raise MultipartStateError(
                "the upload was begun before this process was forked, and belongs to its parent; upload its parts "
                "there, or bring it over with export_upload and resume_upload"
            )

    def close(self, reason: str) -> None:
        """Let nothing pass any more; whoever waits is told."""
        self._closed = self._closed or reason

    def arrive(self, number: int) -> None:
        """Announce a part, so that those behind it wait for it while its body is being read."""
        self.check_open()
        self._arriving[number] += 1

    def arrived(self, number: int) -> None:
        """It is here, or does not come."""
        self._arriving[number] -= 1

    def settled(self, record: PartRecord) -> bool | Wait:
        """Wait for another flow that has the same part in hand; False if it gave up."""
        if record.offset is not None or record.waits:
            return True
        self.check_open()
        return Wait() if self._ledger.get(record.number) is record else False

    def _take_turn(self, record: PartRecord) -> bool:
        self.check_open()
        if self._busy or self._next != record.number:
            return False
        self._busy = True
        return True

    def _take_turn_or_leave(self, record: PartRecord, content: PartContent) -> bool:
        if self._take_turn(record):
            return True
        record.content = content
        return False

    def _take_stream(self) -> None | Wait:
        self.check_open()
        if self._busy:
            return Wait()
        self._busy = True
        return None

    def _give_turn(self) -> None:
        self._busy = False

    def _break(self) -> None:
        self.close(
            "a part failed while it was being encrypted, so it is unknown how far the stream came; "
            "abort the upload and start a new one"
        )

    def _is_missing_before(self, number: int) -> bool:
        return any(not self._arriving[before] for before in range(self._next, number))

    def _pass(self, record: PartRecord, last_bytes: bytes) -> None:
        record.offset = self._position
        self._position += record.length
        self._last_bytes = (self._last_bytes + last_bytes)[-BLOCK_LENGTH:]
        self._next = record.number + 1

    # Flows.

    def encrypt(self, record: PartRecord, content: PartContent) -> Flow[bool]:
        """Encrypt a part when its turn comes, in place.

        Returns:
            False if the turn is not in sight. The record then keeps the plaintext, until the flow that closes the gap
            encrypts it.

        Raises:
            MultipartStateError: the upload ended in the meantime.
        """
        if not (yield from self._wait_for_turn(record)):
            try:
                yield from work(lambda: self._room.keep(content, encrypted=False))
                has_turn = yield from self.step(lambda: self._take_turn_or_leave(record, content))
            finally:
                if record.content is None:
                    self._room.release(content)
            if not has_turn:
                return False
        yield from self._in_turn(self._encrypt_from(record, content))
        return True

    def _wait_for_turn(self, record: PartRecord) -> Flow[bool]:
        deadline: float | None = None

        def turn() -> bool | Wait:
            nonlocal deadline
            if self._take_turn(record):
                return True
            if not self._is_missing_before(record.number):
                deadline = None
                return Wait()
            now = self._room.monitor.now()
            deadline = now + self._patience if deadline is None else deadline
            if deadline > now:
                return Wait(deadline - now)
            # A caller who sends parts in reverse order would wait with each; the sum stays a second.
            self._patience /= 2
            return False

        return self.step(turn)

    def encrypt_rest(self) -> Flow[None]:
        """The list of parts is final: encrypt those behind gaps in the numbering too."""
        yield from self.exclusively(self._encrypt_waiting())

    def _encrypt_waiting(self) -> Flow[None]:
        for record in self._ledger:
            if record.waits and record.content is not None:
                yield from self._encrypt(record, record.content)

    def exclusively(self, flow: Flow[T]) -> Flow[T]:
        """Let no one encrypt while a flow runs."""
        yield from self.step(self._take_stream)
        return (yield from self._in_turn(flow))

    def _in_turn(self, flow: Flow[T]) -> Flow[T]:
        """Give the turn on after a flow, whatever becomes of it."""
        try:
            return (yield from flow)
        finally:
            yield from self.step(self._give_turn)

    def _encrypt_from(self, record: PartRecord, content: PartContent) -> Flow[None]:
        """Encrypt a part, and those that have been waiting for it."""
        yield from self._encrypt(record, content)
        while (waiting := self._ledger.get(self._next)) is not None and waiting.content is not None:
            yield from self._encrypt(waiting, waiting.content)

    def _encrypt(self, record: PartRecord, content: PartContent) -> Flow[None]:
        encryption = _Encryption()
        try:
            yield from work(lambda: encryption.of(content, self._encryptor, self._observe))
        finally:
            # The work ends by itself, also where the flow was told of something else meanwhile: what has been encrypted
            # is in the ledger before anyone else has a turn.
            if encryption.done:
                last_bytes = content.last_bytes(BLOCK_LENGTH)
                yield from self.step(lambda: self._pass(record, last_bytes))
            elif encryption.begun:
                yield from self.step(self._break)

    def finish(self) -> Flow[bytes]:
        """End the stream and give back its tag, the same whenever it is asked."""
        yield from self.step(self._take_stream)
        try:
            if self.tag is None:
                self.tag = self._encryptor.finalize()
            return self.tag
        finally:
            yield from self.step(self._give_turn)

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
