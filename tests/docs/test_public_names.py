"""A public name costs three lines: one for readers, one for those who upgrade, one for type checkers."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import s3ec
import s3ec.errors
import s3ec.keyrings
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
    # What `s3ec` has as well is shown there.
    public |= {("s3ec.keyrings", name) for name in set(s3ec.keyrings.__all__) - set(s3ec.__all__)}
    assert entries() == public


def test_members_that_the_reference_lists_are_there() -> None:
    """Sphinx only warns of a member that a class does not have."""
    listed = re.search(r"autoclass:: EncryptionClient\n   :members: ((?:[\w, ]|\n {6,})+)\n   :", REFERENCE)
    assert listed is not None
    names = {name.strip() for name in listed[1].split(",")}
    assert "copy" in names
    assert names <= vars(s3ec.EncryptionClient).keys()


def public_modules() -> set[str]:
    """The modules that the first sentence of the reference names."""
    sentence, _, _ = REFERENCE.partition(". Everything else is private")
    return set(re.findall(r"`(s3ec[\w.]*)`", sentence))


def imports() -> set[tuple[str, str, str]]:
    """File, module and name of each import of s3ec that users are shown."""
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.py")]
    found = set()
    for path in [*files, *(ROOT / "tests" / "typing").glob("*.py")]:
        text = path.read_text("utf-8")
        for module, names in re.findall(r"^\s*from (s3ec[\w.]*) import (\([^)]*\)|[^(\n]+)", text, re.MULTILINE):
            found |= {(path.name, module, name) for name in re.findall(r"(\w+)(?: as \w+)?", names)}
        found |= {(path.name, module, "") for module in re.findall(r"^\s*import (s3ec[\w.]*)", text, re.MULTILINE)}
    return found


def test_the_reference_names_the_public_modules() -> None:
    """Each of them is there, and says itself which of its names are public."""
    listed = public_modules()
    assert {"s3ec", "s3ec.errors", "s3ec.keyrings", "s3ec.materials", "s3ec.migrate"} <= listed
    assert "Options" in s3ec.__all__
    for name in listed:
        path = ROOT.joinpath(*name.split("."))
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        assert "__all__ = [" in source.read_text("utf-8")


def test_users_are_shown_public_modules_alone() -> None:
    """Documentation, examples and typed callers import from what is public, and the names that are."""
    listed = public_modules()
    shown = imports()
    assert len(shown) > 20
    assert {(file, module) for file, module, _ in shown if module not in listed} == set()
    for file, module, name in shown:
        if name and not module.startswith("s3ec.migrate.engines"):
            names = {*importlib.import_module(module).__all__, *(m.rpartition(".")[2] for m in listed)}
            assert name in names, (file, module)
