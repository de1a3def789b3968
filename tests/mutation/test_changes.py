"""The changes of mutation testing themselves: none by default, each alone as it says, and explained ones exist."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from mutation.changes import ASKED, Module
from mutation.explained import EXPLAINED

ROOT = Path(__file__).resolve().parents[2]
SOURCE = '''
LIMIT = 3

def checked(value, seen=None, last=False):
    """A text."""
    seen = [] if seen is None else seen
    if not value or value > LIMIT:
        raise ValueError(f"{value + 1} is no value")
    seen.append(value)
    total = 0
    while total < value:
        total += 1
    return [one for one in [total, *seen] if one]
'''
CHANGED = [
    ("module: `LIMIT = 3`: 3 becomes 4", 4, [4, 4]),
    ("checked: `raise ValueError` taken away", 5, [5, 5]),
    ("checked: `if not value or value > LIMIT`: never", 5, [5, 5]),
    ("checked: `if not value or value > LIMIT`: always", 1, ValueError),
    ("checked: `value > LIMIT`: Gt becomes GtE", 3, ValueError),
    ("checked: `not value`: without `not`", 2, ValueError),
    ("checked: `not value or value > LIMIT`: Or becomes And", 5, [5, 5]),
    ("checked: `seen.append(value)` taken away", 2, [2]),
    ("checked: `total = 0`: 0 becomes 1", 1, [1, 1]),
    ("checked: `while total < value`: never", 2, [2]),
    ("checked: `total < value`: Lt becomes LtE", 2, [3, 2]),
    ("checked: `total += 1`: 1 becomes 2", 1, [2, 1]),
    ("checked: `if one` of a comprehension: never", 2, []),
    ("checked: `return [one for one in [total, *seen] if one]`: returns None", 2, None),
]


@pytest.fixture
def module(tmp_path: Path) -> Module:
    """The source above with its changes."""
    path = tmp_path / "changed.py"
    path.write_text(SOURCE, "utf-8")
    return Module(tmp_path, path, 100)


def _run(module: Module, on: int | None, value: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(builtins, ASKED, lambda number: number == on, raising=False)
    names: dict[str, Any] = {}
    exec(compile(module.tree, "changed.py", "exec"), names)  # noqa: S102 - what is tested
    return names["checked"](value)


@pytest.mark.parametrize("value", [1, 2, 3])
def test_nothing_is_changed_by_default(module: Module, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All switched off."""
    assert _run(module, None, value, monkeypatch) == [value, value]
    with pytest.raises(ValueError, match="^6 is no value$"):
        _run(module, None, 5, monkeypatch)


@pytest.mark.parametrize(("change", "value", "result"), CHANGED, ids=[change for change, *_ in CHANGED])
def test_one_thing_is_changed(
    module: Module, change: str, value: int, result: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is switched on, as its text says."""
    [number] = [number for number, text in module.changes.items() if text == change]
    if isinstance(result, type):
        with pytest.raises(result):
            _run(module, number, value, monkeypatch)
    else:
        assert _run(module, number, value, monkeypatch) == result


def test_numbers_follow_each_other(module: Module) -> None:
    """So that modules can be counted through; and no two changes of a module have the same text."""
    assert list(module.changes) == list(range(100, 100 + len(module.changes)))
    assert len(set(module.changes.values())) == len(module.changes)


@pytest.mark.parametrize("name", EXPLAINED)
def test_what_is_explained_exists(name: str) -> None:
    """An explanation of code that is gone is taken away."""
    changes = set(Module(ROOT, ROOT / name, 0).changes.values())
    assert set(EXPLAINED[name]) - changes == set()
    assert all(EXPLAINED[name].values())
