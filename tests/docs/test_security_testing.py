"""The page on security testing names tests that exist, and each advisory that it should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.names_of_tests import names_of_tests

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security-testing.md").read_text("utf-8")
REFERENCES = sorted(set(re.findall(r"`tests/([\w/]+\.py)((?:::\w+)*)`", PAGE)))


@pytest.mark.parametrize(("path", "name"), REFERENCES)
def test_reference(path: str, name: str) -> None:
    """A named test is there, so that one that is renamed or removed takes the page along."""
    assert (ROOT / "tests" / path).exists()
    assert not name or name.removeprefix("::") in names_of_tests(ROOT / "tests" / path)


@pytest.mark.parametrize(
    "advisory",
    [
        "CVE-2020-8911",
        "CVE-2020-8912",
        "CVE-2022-2582",
        *(f"CVE-2025-{number}" for number in range(14759, 14765)),
        "CVE-2026-6550",
        "CVE-2026-110310",
    ],
)
def test_every_advisory_has_a_row(advisory: str) -> None:
    """Each one is named beside a test."""
    assert any(advisory in line and "`tests/" in line for line in PAGE.splitlines())
    assert len(REFERENCES) > 25
