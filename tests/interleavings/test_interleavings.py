"""The multipart and resumable protocol in every interleaving up to a bound; `tests/interleavings/run.py` goes further.

What is explored and what must hold stands in `interleavings.uploads`, the figures of the long run in
docs/security-testing.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from s3ec.crypto.own.mac import ChunkMac
from s3ec.errors import MultipartStateError

from interleavings.explorer import Explorer, Seen, explorer
from interleavings.scheduler import Choice, DeadlockError, Scheduler, explore
from interleavings.store import Store
from interleavings.uploads import SCENARIOS, Upload
from support.forking import forks

QUICK = ("other bytes for one part", "die amid other bytes for one part")


@pytest.fixture
def model() -> Iterator[Explorer]:
    """Clients whose threads wait for the scheduler."""
    with explorer() as found:
        yield found


@pytest.mark.parametrize("name", QUICK)
def test_every_order_without_preemption(model: Explorer, name: str) -> None:
    """The same in everyday runs, where each thread goes on as long as it can."""
    seen = model.explore(SCENARIOS[name], preemptions=0)
    assert seen.interleavings >= 2
    assert len(seen.states) > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order(model: Explorer, name: str) -> None:
    """One preemption where there are two threads, and none, in every order, where there are three."""
    seen = model.explore(SCENARIOS[name], preemptions=int(SCENARIOS[name].number_of_threads == 2))
    assert seen.interleavings >= 10
    assert not SCENARIOS[name].dies or "resumed" in seen.deaths.values()


@forks
@pytest.mark.slow
def test_forks_at_every_point(model: Explorer) -> None:
    """A child may neither encrypt, nor complete, nor hand over, wherever its parent stood."""
    assert model.fork_everywhere(SCENARIOS["two parts"], (1,)) > 20
    assert model.fork_everywhere(SCENARIOS["complete, and one more part"]) > 10
    assert model.fork_everywhere(SCENARIOS["die amid other bytes for one part"]) > 10


def test_it_notices_other_bytes(model: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where parts are not compared, the second content of a part is taken, or leaves in the place of the first."""
    monkeypatch.setattr(ChunkMac, "equal", staticmethod(lambda one, two: True))
    with pytest.raises(AssertionError, match="two contents|two plaintexts"):
        model.explore(SCENARIOS["other bytes for one part"], preemptions=0)


def test_it_notices_a_state_that_is_saved_too_late(model: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a part may leave before the state that knows it is safe, a death gives its place to other bytes."""
    save = Upload._save
    monkeypatch.setattr(Upload, "_save", lambda upload, state: upload.saved or save(upload, state))
    with pytest.raises(AssertionError, match="the newest state was refused|two plaintexts"):
        model.explore(SCENARIOS["die amid other bytes for one part"], preemptions=0)


def test_it_notices_two_tags(model: Explorer) -> None:
    """And a body that is no piece of the stream."""
    seen = Seen()

    def add(upload: Upload) -> None:
        tags = [body for _, body in upload.store.log if len(body) == 37]
        if tags:
            upload.store.log.append((2, tags[0][:-1] + bytes([tags[0][-1] ^ 1])))

    with pytest.raises(AssertionError, match="two tags"):
        model.run(SCENARIOS["complete twice"], (), seen, add)
    upload = Upload(None, Store())
    with pytest.raises(AssertionError, match="no piece of the stream"):
        upload._read(1, b"anything")


class TestScheduler:
    """The explorer by itself."""

    def test_all_orders_of_two_threads(self) -> None:
        """Three steps each: twenty orders, of which two need no preemption."""

        def orders(preemptions: int) -> set[str]:
            found = set()

            def run(planned: tuple[int, ...]) -> list[Choice]:
                scheduler, steps = Scheduler(planned), list[str]()

                def work(name: str) -> None:
                    for step in range(3):
                        steps.append(name)
                        if step < 2:
                            scheduler.point()

                scheduler.run([lambda: work("a"), lambda: work("b")])
                found.add("".join(steps))
                return scheduler.choices

            runs = sum(1 for _ in explore(run, preemptions=preemptions))
            assert runs == len(found)
            return found

        assert orders(0) == {"aaabbb", "bbbaaa"}
        assert len(orders(1)) == 6
        assert len(orders(9)) == 20

    def test_a_deadlock(self) -> None:
        """Two threads that wait for each other end with an error each."""
        scheduler, failures = Scheduler(), list[str]()

        def work() -> None:
            try:
                scheduler.point(lambda: False)
            except DeadlockError as error:
                failures.append(str(error))

        scheduler.run([work, work])
        assert failures == ["every thread waits for another"] * 2

    def test_an_error_in_a_thread(self) -> None:
        """It is the error of the run."""

        def work() -> None:
            raise MultipartStateError(os.urandom(4).hex())

        with pytest.raises(MultipartStateError):
            Scheduler().run([work])
