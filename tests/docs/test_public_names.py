"""A public name costs three lines: one for readers, one for those who upgrade, one for type checkers."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import s3ec
import s3ec.errors
import s3ec.materials
import s3ec.migrate

ROOT = Path(__file__).resolve().parents[2]
PAGES = "\n".join(path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
REFERENCE = (ROOT / "docs" / "api.md").read_text("utf-8")
TYPED = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "tests" / "typing").glob("*.py")))


@pytest.mark.parametrize("name", s3ec.__all__)
@pytest.mark.parametrize("text", [PAGES, CHANGELOG, TYPED], ids=["documentation", "changelog", "typing"])
def test_name_has_its_line(name: str, text: str) -> None:
    """Each name in ``s3ec.__all__`` stands in the documentation, the changelog and the file that type checkers read."""
    assert re.search(rf"\b{name}\b", text)


def entries() -> set[tuple[str, str]]:
    """Module and name of everything that the reference shows: by a directive of its own, or with all of its module."""
    found: set[tuple[str, str]] = set()
    module = ""
    for directive in re.finditer(r"^\.\. (\w+):: (\S+)\n((?: +\S.*\n)*)", REFERENCE, re.MULTILINE):
        kind, name, options = directive.groups()
        if kind in ("currentmodule", "automodule"):
            module = name
        if kind in ("autoclass", "autofunction", "autodata"):
            found.add((module, name))
        if kind == "automodule" and ":members:" in options:
            found |= {(module, public) for public in importlib.import_module(name).__all__}
    return found


def test_reference_shows_each_public_name_and_no_other() -> None:
    """``docs/api.md`` has an entry for each name of the public modules; submodules have their own headings."""
    modules = (s3ec, s3ec.errors, s3ec.materials, s3ec.migrate)
    public = {(module.__name__, name) for module in modules for name in module.__all__} - {("s3ec", "errors")}
    assert entries() == public


def test_members_that_the_reference_lists_are_there() -> None:
    """Sphinx only warns of a member that a class does not have."""
    listed = re.search(r"autoclass:: EncryptionClient\n   :members: ((?:[\w, ]|\n {6,})+)\n   :", REFERENCE)
    assert listed is not None
    names = {name.strip() for name in listed[1].split(",")}
    assert "copy" in names
    assert names <= vars(s3ec.EncryptionClient).keys()
