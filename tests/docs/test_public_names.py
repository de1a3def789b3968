"""A public name costs three lines: one for readers, one for those who upgrade, one for type checkers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import s3ec

ROOT = Path(__file__).resolve().parents[2]
PAGES = "\n".join(path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
TYPED = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "tests" / "typing").glob("*.py")))


@pytest.mark.parametrize("name", s3ec.__all__)
@pytest.mark.parametrize("text", [PAGES, CHANGELOG, TYPED], ids=["documentation", "changelog", "typing"])
def test_name_has_its_line(name: str, text: str) -> None:
    """Each name in ``s3ec.__all__`` stands in the documentation, the changelog and the file that type checkers read."""
    assert re.search(rf"\b{name}\b", text)
