"""The format notes name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.names_of_tests import names_of_tests

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    line.strip("|").split(" | ")
    for line in (ROOT / "docs" / "format-notes.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and line.count(" | ") == 1
]
REFERENCES = sorted({reference for row in ROWS for reference in re.findall(r"`([\w/]+\.py(?:::\w+)+)`", row[1])})


@pytest.mark.parametrize("reference", REFERENCES)
def test_reference(reference: str) -> None:
    """A named test is there, so a test that is renamed or removed takes the note along."""
    path, _, name = reference.partition("::")
    assert name in names_of_tests(ROOT / "tests" / path)


def test_every_note_is_answered() -> None:
    """Each note names a test or says in a sentence why there is none."""
    assert len(REFERENCES) > 50
    for note, shown in (row for row in ROWS if row[0].strip() not in {"note", "---"}):
        assert "::test_" in shown or shown.strip(" |").endswith("."), note
