"""Explores the scenarios of `uploads`, and counts what was seen."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.config import Config

from s3ec import AesKeyring, EncryptionClient, resume_upload

from interleavings.scheduler import Choice, Scheduler, controlled, explore, set_everywhere
from interleavings.store import Store
from interleavings.uploads import REFUSALS, SENT_AT_ONCE, WRAPPING_KEY, Moment, Scenario, Upload, go_on
from support.aws import client_arguments
from support.forking import in_child

__all__ = ["Explorer", "Seen", "explorer"]


@dataclass
class Seen:
    """What an exploration saw.

    Attributes:
        interleavings: runs, each in another order.
        states: different states: where every thread stands, what left, what S3 has, what is saved.
        deaths: different moments of a death with a state brought back after it, and how each went.
    """

    interleavings: int = 0
    states: set[int] = field(default_factory=set)
    deaths: dict[object, str] = field(default_factory=dict)

    def __str__(self) -> str:
        ways = list(self.deaths.values())
        died = ", ".join(f"{ways.count(way)} {way}" for way in ("resumed", "refused", "outside") if way in ways)
        return f"{self.interleavings} interleavings, {len(self.states)} states" + (f", {died}" if died else "")


class Explorer:
    """Two clients with locks of the scheduler's, used for one run after another."""

    def __init__(self, world: Any, client: Any, other: Any) -> None:
        """Take the clients; the other one is that of another process."""
        self._world, self._client, self._other = world, client, other

    def explore(self, scenario: Scenario, *, preemptions: int, most: int | None = None) -> Seen:
        """Run a scenario in every order within the bound, or in so many of them, and check each."""
        seen = Seen()
        for _ in explore(lambda planned: self.run(scenario, planned, seen), preemptions=preemptions):
            seen.interleavings += 1
            if seen.interleavings == most:
                break
        return seen

    def run(
        self,
        scenario: Scenario,
        planned: tuple[int, ...],
        seen: Seen,
        at_point: Callable[[Upload], None] = lambda upload: None,
    ) -> list[Choice]:
        """One run: these decisions first."""
        store = Store()
        store.listen(self._client)
        upload = Upload(self._client, store)
        upload.begin()
        self._world.scheduler = Scheduler()
        scenario.before(upload)
        moments: list[Moment] = []

        def note() -> None:
            moments.append(Moment.of(upload))
            self._note(upload, seen)
            at_point(upload)

        scheduler = self._world.scheduler = Scheduler(planned, note)
        store.at_moment = scheduler.point
        scheduler.run(scenario.threads(upload))
        self._world.scheduler, store.at_moment = Scheduler(), lambda: None
        moments.append(Moment.of(upload))
        upload.check()
        if not scenario.dies:
            self._end(upload)
        else:
            for moment in moments:
                self._die(upload, moment, seen)
        self._client._s3ec_uploads.forget(upload.id)
        return scheduler.choices

    def fork_everywhere(self, scenario: Scenario, planned: tuple[int, ...] = ()) -> int:
        """Fork at every point of one run; no child may go on with the upload. Returns how many there were."""
        children = [0]

        def fork(upload: Upload) -> None:
            children[0] += 1
            assert in_child(lambda: self._check_child(upload)) == 0, "a forked child went on with its parent's upload"

        self.run(scenario, planned, Seen(), fork)
        return children[0]

    def _check_child(self, upload: Upload) -> None:
        self._world.scheduler, upload.store.at_moment = Scheduler(), lambda: None
        received = len(upload.store.log)
        for number in (1, 2, 3):
            assert not upload.part(number, os.urandom(SENT_AT_ONCE))
        assert not upload.complete()
        assert not upload.export(keep=True)
        assert not upload.export(keep=False)
        if upload.saved:
            # That it is resumed twice is what the caller has to prevent; it may not hang.
            upload.store.listen(self._other)
            with contextlib.suppress(*REFUSALS):
                resume_upload(self._other, upload.saved[-1], save=upload.saved.append)
        assert len(upload.store.log) == received

    def _note(self, upload: Upload, seen: Seen) -> None:
        lengths = [(number, _which(upload, number, body), len(body)) for number, body in upload.store.log]
        at_s3 = sorted(upload.store.parts.get(upload.id, {}))
        taken = sorted(upload.accepted)
        state = (self._world.scheduler.positions, lengths, at_s3, taken, len(upload.saved), upload.completed is None)
        seen.states.add(hash(repr(state)))

    def _end(self, upload: Upload) -> None:
        """What was not taken is given once more, and the object is made, where that is still possible."""
        if upload.completed is None and upload.id in upload.store.parts and upload.id in self._client._s3ec_uploads:
            for number, contents in list(upload.offered.items()):
                assert any([upload.part(number, data) for data in list(contents)]), f"part {number} cannot be given"
            assert upload.complete(), "the upload cannot be completed"
            assert upload.completed is not None
        assert (upload.completed is not None) == bool(upload.store.objects)
        upload.check()

    def _die(self, upload: Upload, moment: Moment, seen: Seen) -> None:
        """Bring back every state that was saved by then, if this moment is a new one."""
        log = tuple((number, _which(upload, number, body)) for number, body in upload.store.log[: moment.received])
        at_s3 = None if moment.at_s3 is None else tuple(sorted((n, len(body)) for n, body in moment.at_s3.items()))
        order = tuple(sorted((number, len(contents)) for number, contents in upload.offered.items()))
        for state in range(moment.saved):
            key = (log, at_s3, order, moment.saved, state, len(upload.saved[state]))
            if key not in seen.deaths:
                seen.deaths[key] = go_on(self._other, upload, moment, state)
                self._other._s3ec_uploads.forget(upload.id)


def _which(upload: Upload, number: int, body: bytes) -> int:
    """Which of the contents given for a part a body is: a name for it that does not depend on chance."""
    contents = upload.offered.get(number, [])
    found = [place for place, data in enumerate(contents) if upload._read(number, body)[1] == data]
    return found[0] if found else -1


def _one_after_another(work: Any, items: Any, threads: int) -> None:
    """For `for_each`, whose threads would be none of the scheduler's."""
    for future in [_done(work, item) for item in items]:
        future.result()


def _done(work: Any, item: Any) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(work(item))
    except Exception as error:  # given on where `for_each` gives it
        future.set_exception(error)
    return future


@contextlib.contextmanager
def explorer() -> Iterator[Explorer]:
    """Clients whose sizes are bytes instead of megabytes, and whose threads wait for the scheduler."""
    arguments = client_arguments("http://127.0.0.1:9")
    arguments["config"] = Config(retries={"total_max_attempts": 1}, request_checksum_calculation="when_required")
    with pytest.MonkeyPatch.context() as patch, controlled() as world:
        set_everywhere(patch, "MINIMUM_PART_LENGTH", 64)
        set_everywhere(patch, "CHUNK_SIZE", 48)
        set_everywhere(patch, "for_each", _one_after_another)
        clients = [EncryptionClient(keyring=AesKeyring(WRAPPING_KEY), **arguments) for _ in range(2)]
        try:
            yield Explorer(world, *clients)
        finally:
            for client in clients:
                client.close()
