"""What is kept of an upload outside its process, and when: before anything leaves that it does not know."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from s3ec import forks
from s3ec.client.multipart.ledger import Ledger
from s3ec.client.multipart.turnstile import Turnstile
from s3ec.crypto.own.ghash import GhashState
from s3ec.secrets import Secret, Unpicklable

__all__ = ["SnapshotKeeper", "UploadSnapshot", "ledger_of", "take_snapshot"]


@dataclass(frozen=True, slots=True)
class UploadSnapshot(Unpicklable):
    """What another process needs to go on with an upload, beside its data key. Secret.

    Attributes:
        parts: number, length and MAC of every part that is encrypted, in order: of all whose ciphertext may have left.
        mac_key: key of those MACs.
        stream: where the GCM stream stands behind them.
        sealed: True if the tag may have left; no part may follow.
    """

    parts: tuple[tuple[int, int, bytes], ...] = field(repr=False)
    mac_key: Secret[bytes] = field(repr=False)
    stream: GhashState
    sealed: bool


def take_snapshot(ledger: Ledger, turnstile: Turnstile, *, close: str | None = None) -> UploadSnapshot:
    """The state of an upload as it is now.

    Args:
        ledger: its parts.
        turnstile: its stream.
        close: let nothing pass after this moment, for this reason.

    Raises:
        MultipartStateError: the upload has ended.
    """
    with turnstile.exclusively():
        parts = tuple((record.number, record.length, record.mac) for record in ledger if record.offset is not None)
        snapshot = UploadSnapshot(parts, ledger.mac_key, turnstile.state(), ledger.sealed)
        if close is not None:
            turnstile.close(close)
        return snapshot


def ledger_of(snapshot: UploadSnapshot) -> Ledger:
    """The ledger that a snapshot was taken of, without the parts that were not encrypted then."""
    ledger = Ledger(snapshot.mac_key)
    offset = 0
    for number, length, mac in snapshot.parts:
        record, _ = ledger.enter(number, length, mac)
        record.offset = offset
        offset += length
    ledger.sealed = snapshot.sealed
    return ledger


class SnapshotKeeper:
    """Saves an upload's state ahead of what leaves, as a database writes its log ahead of its pages."""

    def __init__(self, ledger: Ledger, turnstile: Turnstile) -> None:
        """Save nothing until `begin`."""
        self._ledger = ledger
        self._turnstile = turnstile
        self._save: Callable[[UploadSnapshot], None] | None = None
        self._saved: UploadSnapshot | None = None
        self._known = 0
        self._known_sealed = False
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

    def begin(self, save: Callable[[UploadSnapshot], None]) -> None:
        """Save now, and from now on before each part leaves.

        Args:
            save: returns when the snapshot is safe; what it raises keeps the part from leaving.
        """
        with self._lock:
            self._save_now(save)
            self._save = save

    def ensure(self, number: int) -> None:
        """Return only when what is saved knows this part, and that the upload is sealed if it is."""
        with self._lock:
            if self._save is None or (number <= self._known and self._ledger.sealed == self._known_sealed):
                return
            self._save_now(self._save)

    def give_way(self, taken: UploadSnapshot, reason: str) -> bool:
        """End the upload here, since another client of this process goes on from a state.

        Args:
            taken: that state.
            reason: for whoever goes on here.

        Returns:
            False, and the upload goes on here, where that state lacks a part that may have left since: it would be
            encrypted there without being compared.
        """
        with self._lock:  # so that nothing is saved, and then sent, in between
            saved = self._saved
            if saved is not None and not (set(saved.parts) <= set(taken.parts) and taken.sealed >= saved.sealed):
                return False
            self._turnstile.close(reason)
            return True

    def _save_now(self, save: Callable[[UploadSnapshot], None]) -> None:
        snapshot = take_snapshot(self._ledger, self._turnstile)
        save(snapshot)
        self._saved = snapshot
        self._known = max((number for number, _, _ in snapshot.parts), default=0)
        self._known_sealed = snapshot.sealed
