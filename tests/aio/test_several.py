"""Several things at once: nothing is begun after one has failed, and nothing is left running."""

from __future__ import annotations

import asyncio

import pytest

from s3ec.aio.work import several
from s3ec.client.calls.together import for_each


def test_none_is_begun_after_a_failure() -> None:
    """The third fails; those that ran with it come to their end, the others never begin."""
    began, ended = [], []

    def thing(number: int) -> object:
        async def go() -> int:
            began.append(number)
            if number == 2:
                raise KeyError(number)
            await asyncio.sleep(0)
            ended.append(number)
            return number

        return go

    with pytest.raises(KeyError):
        asyncio.run(several([thing(number) for number in range(1000)], 4))
    assert len(began) < 10
    assert sorted(ended) == [number for number in began if number != 2]


def test_answers_in_their_order() -> None:
    """Whichever is done first."""

    def thing(number: int) -> object:
        async def go() -> int:
            for _ in range(10 - number):
                await asyncio.sleep(0)
            return number

        return go

    assert asyncio.run(several([thing(number) for number in range(10)], 3)) == list(range(10))


def test_in_threads() -> None:
    """The same of the synchronous client's."""
    began = []

    def work(number: int) -> None:
        began.append(number)
        if number == 2:
            raise KeyError(number)

    with pytest.raises(KeyError):
        for_each(work, range(10_000), 1)
    assert began == [0, 1, 2]
