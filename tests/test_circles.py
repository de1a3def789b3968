"""No module leads back to itself: not at its top, not inside a function, not for a type alone. And rooms stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import s3ec

ROOT = Path(s3ec.__file__).parents[1]


def modules() -> dict[str, Path]:
    """Every module of the package with its file."""
    found = {}
    for path in Path(s3ec.__file__).parent.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """The modules of the package that a module names in an import, wherever that stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else str(node.module)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that all lead to each other."""

    def reached_from(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = list(graph[start])
        while ahead:
            name = ahead.pop()
            if name not in seen:
                seen.add(name)
                ahead += graph[name]
        return seen

    reached = {name: reached_from(name) for name in graph}
    groups = {frozenset(other for other in reached[name] if name in reached[other]) for name in graph}
    return sorted(sorted(group) for group in groups if group)


def test_circles_are_found() -> None:
    """The search itself: a circle of three, one module that imports itself, and none where there is none."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"d"}, "e": {"a"}}) == [["a", "b", "c"], ["d"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    inside = ast.parse(
        "if TYPE_CHECKING:\n    from s3ec.a import b\ndef f():\n    import s3ec.c\n    from s3ec.d import g\n"
    )
    assert set(imported(inside, {"s3ec.a", "s3ec.a.b", "s3ec.c", "s3ec.d"})) == {"s3ec.a.b", "s3ec.c", "s3ec.d"}


def test_no_module_leads_back_to_itself() -> None:
    """Whoever reads one module never has to read it again to understand another."""
    paths = modules()
    known = set(paths)
    graph = {name: set(imported(ast.parse(path.read_text("utf-8")), known)) for name, path in paths.items()}
    assert circles(graph) == []


def test_the_largest_folders_open_on_few_things() -> None:
    """Who opens one of them sees at a glance where to go on."""
    package = Path(s3ec.__file__).parent
    for name in ("client", "migrate"):
        # A folder that moved away leaves its compiled modules behind.
        things = [path for path in (package / name).iterdir() if path.is_file() or any(path.rglob("*.py"))]
        found = {path.name for path in things} - {"__init__.py"}
        assert len(found) < 10, (name, sorted(found))
