"""Which tests there are, for pages that name them."""

from __future__ import annotations

import ast
from pathlib import Path

__all__ = ["names_of_tests"]


def names_of_tests(file: Path) -> set[str]:
    """The tests of a module as pytest names them."""
    found = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {node.name}
            found |= {f"{node.name}::{member.name}" for member in node.body if isinstance(member, ast.FunctionDef)}
    return found
