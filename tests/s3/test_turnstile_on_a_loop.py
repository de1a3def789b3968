"""The turnstile under tasks, and under both drivers: the same steps, and what a cancellation leaves behind."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from s3ec.aio import driver as aio_driver
from s3ec.aio.monitors import TaskMonitor
from s3ec.algorithms import AlgorithmSuite
from s3ec.client.bodies.sources import BytesSource
from s3ec.client.calls import driver
from s3ec.client.calls.monitors import ThreadMonitor
from s3ec.client.multipart.storage import PartContent, PartRoom
from s3ec.crypto.content import ContentCipher
from s3ec.errors import MultipartStateError
from s3ec.s3.flow import Effect, Flow, Step, TakeIn, Wait, Work, step, take_in
from s3ec.s3.multipart.ledger import Ledger, PartRecord
from s3ec.s3.multipart.turnstile import Turnstile

CIPHER = ContentCipher(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF, bytes(range(32)), bytes(12))
PIECES = {1: b"first", 2: b"", 3: os.urandom(70_000), 4: b"x" * 16, 5: b"last"}


class Stream:
    """One stream, and its parts."""

    def __init__(self, monitor: Any) -> None:
        self.ledger = Ledger()
        self.room = PartRoom(monitor, 2**20, None)
        self.turnstile = Turnstile(CIPHER, self.ledger, self.room)
        self.contents: dict[int, PartContent] = {}

    def take(self, number: int, piece: bytes) -> Flow[bool]:
        """Give a part, as an upload does; False where it waits."""
        turnstile = self.turnstile
        yield from turnstile.step(lambda: turnstile.arrive(number))
        try:
            mac = self.ledger.mac_for(number)
            content = yield from take_in(self.room, BytesSource(piece), observe=mac.update, check=lambda: None)
            record, new = yield from turnstile.step(lambda: self.ledger.enter(number, len(piece), mac.digest()))
            if not new:
                return (yield from turnstile.step(lambda: turnstile.settled(record)))
            return (yield from self._first(record, content))
        finally:
            yield from turnstile.step(lambda: turnstile.arrived(number))

    def _first(self, record: PartRecord, content: PartContent) -> Flow[bool]:
        try:
            encrypted = yield from self.turnstile.encrypt(record, content)
        except BaseException:
            yield from self.turnstile.step(lambda: self._drop(record))
            raise
        finally:
            if record.offset is not None or record.waits:
                self.contents[record.number] = content
        return encrypted

    def _drop(self, record: PartRecord) -> None:
        if record.offset is None:
            self.ledger.drop(record)

    def finish(self) -> Flow[bytes]:
        """All of the ciphertext."""
        yield from self.turnstile.encrypt_rest()
        tag = yield from self.turnstile.finish()
        return b"".join(self.contents[number].body().read() for number in sorted(self.contents)) + tag


def carried_out(effect: Effect) -> object:
    """The answer to an effect for which nothing is waited."""
    if isinstance(effect, TakeIn):
        return effect.room.take_in(effect.source, effect.observe, effect.check)
    assert isinstance(effect, Work)
    return effect.function()


async def perform(effect: Effect) -> object:
    """Carry out an effect on a loop; work is done at another time."""
    if isinstance(effect, Step):
        monitor: Any = effect.monitor
        return await monitor.take(effect.function)
    answer = carried_out(effect)
    await asyncio.sleep(0)
    return answer


async def run(flow: Flow[Any], performing: Callable[[Effect], Any] = perform) -> Any:
    """Run a flow on the loop."""
    return await aio_driver.run(flow, performing)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part waits half a second for one that may come."""
    monkeypatch.setattr("s3ec.s3.multipart.turnstile._PATIENCE", 0.001)


@pytest.mark.parametrize("order", list(itertools.permutations(range(1, 5))), ids=str)
def test_tasks_in_every_order(order: Sequence[int]) -> None:
    """Begun in whatever order, all at once, they make the same object."""

    async def test() -> None:
        stream = Stream(TaskMonitor())
        await asyncio.gather(*[run(stream.take(number, PIECES[number])) for number in order])
        assert await run(stream.finish()) == CIPHER.encrypt(b"".join(PIECES[number] for number in sorted(order)))

    asyncio.run(asyncio.wait_for(test(), 60))


def test_both_drivers_are_asked_for_the_same() -> None:
    """Step for step, where each part comes by itself."""
    asked: dict[str, list[str]] = {"threads": [], "loop": []}
    results = []

    def by_threads(effect: Effect) -> object:
        asked["threads"].append(type(effect).__name__)
        if isinstance(effect, Step):
            monitor: Any = effect.monitor
            return monitor.take(effect.function)
        return carried_out(effect)

    async def by_loop(effect: Effect) -> object:
        asked["loop"].append(type(effect).__name__)
        return await perform(effect)

    stream = Stream(ThreadMonitor())
    found: list[object] = [driver.run(stream.take(number, PIECES[number]), by_threads) for number in (1, 3, 2, 2, 4)]
    results.append([*found, driver.run(stream.finish(), by_threads)])

    async def test() -> None:
        stream = Stream(TaskMonitor())
        found = [await run(stream.take(number, PIECES[number]), by_loop) for number in (1, 3, 2, 2, 4)]
        results.append([*found, await run(stream.finish(), by_loop)])

    asyncio.run(test())
    assert asked["threads"] == asked["loop"]
    assert results[0] == results[1]
    assert results[0][:5] == [True, False, True, True, True]


@pytest.mark.parametrize("other", [False, True], ids=["equal bytes", "other bytes"])
def test_a_task_that_is_cancelled_at_every_effect(other: bool) -> None:
    """What was encrypted stays entered, and nothing else does: no counter ever meets a second plaintext."""

    async def cancelled_at(at: int) -> bool:
        stream, asked = Stream(TaskMonitor()), 0
        seen: list[bytes] = []

        async def cancelling(effect: Effect) -> object:
            nonlocal asked
            asked += 1
            if asked == at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            return await perform(effect)

        await run(stream.take(1, b"one"))
        first, second = b"first plaintext", b"other plaintext" if other else b"first plaintext"
        giving = asyncio.ensure_future(run(stream.take(2, first), cancelling))
        await asyncio.wait([giving])
        entered = stream.ledger.get(2) is not None
        if entered:
            seen.append(stream.contents[2].body().read())
        if other and entered:
            with pytest.raises(MultipartStateError, match="other bytes"):
                await run(stream.take(2, second))
            second = first
        else:
            await run(stream.take(2, second))
        await run(stream.take(3, b"three"))
        whole = await run(stream.finish())
        assert whole == CIPHER.encrypt(b"one" + second + b"three")
        assert all(piece == whole[3 : 3 + len(first)] for piece in seen)
        return giving.cancelled()

    outcomes = [asyncio.run(asyncio.wait_for(cancelled_at(at), 60)) for at in range(1, 11)]
    assert True in outcomes
    assert False in outcomes


class TestMonitor:
    """Waiting for a step."""

    def test_who_waits_is_woken_by_another_step(self) -> None:
        """And only then: a step that says "wait" is not taken again before."""
        tried = []

        async def test() -> None:
            monitor, ready = TaskMonitor(), False

            def wanted() -> str | Wait:
                tried.append(ready)
                return "taken" if ready else Wait()

            waiting = asyncio.ensure_future(run(step(monitor, wanted)))
            for _ in range(5):
                await asyncio.sleep(0)
            assert tried == [False]

            def make_ready() -> None:
                nonlocal ready
                ready = True

            await run(step(monitor, make_ready))
            assert await waiting == "taken"
            assert tried == [False, True]

        asyncio.run(asyncio.wait_for(test(), 60))

    def test_a_step_is_taken_again_after_its_time(self) -> None:
        """Where nothing changes; and a task that is cancelled while it waits has taken none."""
        answers = iter([Wait(0.001), "taken", Wait()])

        async def test() -> None:
            monitor = TaskMonitor()
            assert await run(step(monitor, lambda: next(answers))) == "taken"
            waiting = asyncio.ensure_future(run(step(monitor, lambda: next(answers))))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert next(answers, "no more") == "no more"
            assert not monitor._waiting

        asyncio.run(asyncio.wait_for(test(), 60))

    def test_loops_of_several_threads(self) -> None:
        """A task of one loop is woken by a step of another's."""
        monitor = TaskMonitor()
        done: list[int] = []

        def give(number: int) -> bool | Wait:
            if len(done) != number:
                return Wait()
            done.append(number)
            return True

        async def test() -> None:
            threads = [asyncio.to_thread(asyncio.run, run(step(monitor, lambda n=n: give(n)))) for n in (2, 1, 0)]  # type: ignore[misc]
            await asyncio.gather(*threads)

        asyncio.run(asyncio.wait_for(test(), 60))
        assert done == [0, 1, 2]
