"""What is kept of an upload outside its process, and when: before anything leaves that it does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from s3ec.crypto.own.ghash import GhashState
from s3ec.s3.flow import Flow, Wait, work
from s3ec.s3.multipart.ledger import Ledger
from s3ec.s3.multipart.turnstile import Turnstile
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


def take_snapshot(ledger: Ledger, turnstile: Turnstile, *, close: str | None = None) -> Flow[UploadSnapshot]:
    """The state of an upload as it is now.

    Args:
        ledger: its parts.
        turnstile: its stream.
        close: let nothing pass after this moment, for this reason.

    Raises:
        MultipartStateError: the upload has ended.
    """

    def take() -> UploadSnapshot:
        parts = tuple((record.number, record.length, record.mac) for record in ledger if record.offset is not None)
        snapshot = UploadSnapshot(parts, ledger.mac_key, turnstile.state(), ledger.sealed)
        if close is not None:
            turnstile.close(close)
        return snapshot

    return turnstile.exclusively(turnstile.step(take))


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
        self._save: Callable[[UploadSnapshot], object] | None = None
        self._saved: UploadSnapshot | None = None
        self._known = 0
        self._known_sealed = False
        self._saving = False

    def begin(self, save: Callable[[UploadSnapshot], object]) -> Flow[None]:
        """Save now, and from now on before each further part leaves.

        Args:
            save: returns when the snapshot is safe; what it raises keeps the part from leaving.
        """
        yield from self._turnstile.step(self._begin_saving)
        yield from self._save_now(save)

    def ensure(self, number: int) -> Flow[None]:
        """Return only when what is saved knows this part, and that the upload is sealed if it is."""
        if self._save is None and not self._saving:
            return  # Whoever begins to save from now on will know this part, which is encrypted.

        def begin_unless_known() -> Callable[[UploadSnapshot], object] | None | Wait:
            known = number <= self._known and self._ledger.sealed == self._known_sealed
            if not self._saving and (self._save is None or known):
                return None
            waits = self._begin_saving()
            return self._save if waits is None else waits

        save = yield from self._turnstile.step(begin_unless_known)
        if save is not None:
            yield from self._save_now(save)

    def give_way(self, taken: UploadSnapshot, reason: str) -> Flow[bool]:
        """End the upload here, since another client of this process goes on from a state.

        Args:
            taken: that state.
            reason: for whoever goes on here.

        Returns:
            False, and the upload goes on here, where that state lacks a part that may have left since: it would be
            encrypted there without being compared.
        """

        def give() -> bool | Wait:
            # So that nothing is saved, and then sent, in between; what a forked process inherited never ends there.
            if self._saving and self._turnstile.in_its_process:
                return Wait()
            saved = self._saved
            if saved is not None and not (set(saved.parts) <= set(taken.parts) and taken.sealed >= saved.sealed):
                return False
            self._turnstile.close(reason)
            return True

        return self._turnstile.step(give)

    def _begin_saving(self) -> Wait | None:
        if self._saving:
            self._turnstile.check_process()
            return Wait()
        self._saving = True
        return None

    def _end_saving(self) -> None:
        self._saving = False

    def _save_now(self, save: Callable[[UploadSnapshot], object]) -> Flow[None]:
        try:
            snapshot = yield from take_snapshot(self._ledger, self._turnstile)
            yield from work(lambda: save(snapshot))
            self._save = save
            self._saved = snapshot
            self._known = max((number for number, _, _ in snapshot.parts), default=0)
            self._known_sealed = snapshot.sealed
        finally:
            yield from self._turnstile.step(self._end_saving)
