"""A round of the chaos run: whatever is killed, cut off or written in between, nothing is lost."""

from __future__ import annotations

import dataclasses
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from servers import chaos
from servers.chaos import FULL, SCENARIOS, SHORT, Arena, ChaosError, Faults, Line, Scenario, play, table

from support.servers import Server

pytestmark = pytest.mark.server

STORM = FULL if "S3EC_TEST_CHAOS" in os.environ else SHORT


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_nothing_is_lost(minio_http: Server, tmp_path: Path, scenario: Scenario) -> None:
    """Every object is there once, encrypted, with its last content, and nothing else is left behind."""
    line = play(scenario, minio_http, tmp_path / "home", seed=1, storm=STORM)
    print(table([line]))
    assert line.kills > 0
    assert line.faults > 0
    assert line.written > 0
    assert line.harm == 0, table([line])


def test_harm_is_counted() -> None:
    """Each kind of harm makes a line red."""
    kinds = ("lost", "wrong", "back", "plaintext", "uploads", "versions")
    assert all(Line("any", **{kind: 1}).harm == 1 for kind in kinds)


@pytest.fixture
def arena(minio_http: Server, tmp_path: Path) -> Arena:
    """A bucket without a run."""
    storm = dataclasses.replace(SHORT, writes=1)
    made = Arena(SCENARIOS[0], storm, 0, minio_http, tmp_path, Line("any"), Faults(0, 0), {}, set(), set())
    assert made.seconds_left() > 0
    return made


def test_a_writer_that_breaks_breaks_the_run(arena: Arena) -> None:
    """There is no bucket to write to: a run that nobody disturbs proves nothing."""

    def disturb() -> None:
        with chaos._others(arena, random.Random(1)):
            while not arena.broken and arena.seconds_left():
                time.sleep(0.01)

    with pytest.raises(ChaosError, match="another writer broke"):
        disturb()


def test_a_run_that_takes_too_long_is_an_error(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed, and counted neither as killed nor as done."""

    def sleeps(self: Arena, endpoint: str) -> list[str]:
        return ["sleep", "600"]

    monkeypatch.setattr(Arena, "command", sleeps)
    monkeypatch.setattr(chaos, "RUN_SECONDS", 1.0)
    stuck: dict[str, Any] = {"arena": arena, "rng": random.Random(1)}
    with chaos.proxy(arena.server.url) as through, pytest.raises(ChaosError, match="the run hangs"):
        chaos._storm(through=through, **stuck)
    with pytest.raises(ChaosError, match="the last run hangs"):
        chaos._finish(arena, arena.server.url, attempts=1)
    arena.end = 0.0
    with pytest.raises(ChaosError, match="not through"):
        arena.seconds_left()
    assert arena.line.kills == 0
