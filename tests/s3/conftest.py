"""Uploads whose flows are carried out by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.upload_bench import Bench


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    """Makes uploads with no part, whose flows are ended with the test."""
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for bench in made:
        bench.end()


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    """One of them."""
    return make()
