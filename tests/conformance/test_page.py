"""The page on conformance is current and names only tests that exist."""

from __future__ import annotations

import ast
from functools import cache

import pytest
from conformance import page
from conformance.requirements import SECTIONS, Requirement

REQUIREMENTS = [
    pytest.param(requirement, id=f"{section.page}#{section.anchor}-{requirement.label}")
    for section in SECTIONS
    for requirement in section.requirements
]


@cache
def names_in(path: str) -> frozenset[str]:
    """Names of the tests in a file, those in classes with their class."""
    tree = ast.parse((page.TESTS / path).read_text(encoding="utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return frozenset(names)


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_evidence_exists(requirement: Requirement) -> None:
    """Each requirement has either tests, every one of which exists, or a reason."""
    assert bool(requirement.tests) != bool(requirement.why_not)
    for test in requirement.tests:
        path, _, name = test.partition("::")
        assert name.split("::")[-1].startswith("test_")
        assert name in names_in(path), f"{test} does not exist"


def test_page_is_current() -> None:
    """The page is what the table gives; ``python tests/conformance/page.py`` writes it."""
    assert page.PAGE.read_text(encoding="utf-8") == page.text()
