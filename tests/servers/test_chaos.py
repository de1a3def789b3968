"""One round of the chaos run: whatever is killed, cut off or written in between, nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from servers.chaos import SCENARIOS, Line, Scenario, play, table

from support.servers import Server

pytestmark = pytest.mark.server


@pytest.mark.skipif("S3EC_TEST_CHAOS" not in os.environ, reason="takes minutes; set S3EC_TEST_CHAOS to play it")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_nothing_is_lost(minio_http: Server, tmp_path: Path, scenario: Scenario) -> None:
    """Every object is there once, encrypted, with its last content, and nothing else is left behind."""
    line = play(scenario, minio_http, tmp_path / "home", seed=1)
    print(table([line]))
    assert line.kills > 0
    assert line.faults > 0
    assert line.harm == 0, table([line])


def test_harm_is_counted() -> None:
    """Each kind of harm makes a line red."""
    kinds = ("lost", "wrong", "back", "plaintext", "uploads", "versions")
    assert all(Line("any", **{kind: 1}).harm == 1 for kind in kinds)
