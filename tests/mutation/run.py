"""Mutation testing: one small change to the code at a time, and whether a test notices.

``python tests/mutation/run.py [--sample N] [--seed S] [MODULE ...]`` takes every change that it knows, or N of them by
chance, in the modules named or in all of `TESTS`. Python, boto3 and pytest are loaded once; each change is made in a
forked process, in memory, by what imports the module there, and the module's quick tests run until the first failure.
The files are never touched. A change that no test notices is printed with its place; it exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TESTS = {
    "s3ec/crypto/own": ["tests/crypto/own"],
    "s3ec/crypto": ["tests/crypto", "tests/test_decryption.py", "tests/test_advisories_by_number.py"],
    "s3ec/formats": ["tests/formats", "tests/test_decryption.py"],
    "s3ec/keyrings": ["tests/keyrings"],
    "s3ec/decryption.py": ["tests/test_decryption.py", "tests/test_advisories_by_number.py"],
    "s3ec/encryption.py": ["tests/test_encryption.py", "tests/test_decryption.py"],
    "s3ec/s3/multipart/ledger.py": ["tests/client/test_turnstile.py", "tests/client/test_multipart.py"],
    "s3ec/s3/multipart/turnstile.py": ["tests/client/test_turnstile.py", "tests/client/test_multipart.py"],
}
"""The quick tests of each part; the longest path that fits counts. A module's own test file is asked before them."""
SECONDS = 30
TIMES_AS_LONG = 3
"""A change that makes a test hang is noticed: after so many seconds, and so many times what the tests need without."""

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitXor: ast.BitOr, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip


def changes(tree: ast.Module) -> Iterator[tuple[str, ast.AST, str, Any]]:
    """Each change as a description, a node, the field of it, and the field's new value."""
    typing = {id(part) for hint in _annotations(tree) for part in ast.walk(hint)}
    for node in ast.walk(tree):
        if id(node) in typing:
            continue
        yield from ((f"line {getattr(node, 'lineno', 0)}: {said}", node, *new) for said, *new in _of_node(node))
        for field in ("body", "orelse"):
            statements = getattr(node, field, None)
            for number, statement in enumerate(statements if isinstance(statements, list) else []):
                if isinstance(statement, (ast.Raise, ast.Delete)):
                    kept = list(statements)
                    kept[number] = ast.copy_location(ast.Pass(), statement)
                    yield f"line {statement.lineno}: {type(statement).__name__} taken away", node, field, kept


def _of_node(node: ast.AST) -> Iterator[tuple[str, str, Any]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        new = SWAPS[type(node.ops[0])]
        yield f"{type(node.ops[0]).__name__} to {new.__name__}", "ops", [new(), *node.ops[1:]]
    elif isinstance(node, (ast.BoolOp, ast.BinOp)) and type(node.op) in SWAPS:
        new = SWAPS[type(node.op)]
        yield f"{type(node.op).__name__} to {new.__name__}", "op", new()
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        yield f"{node.value} to {value}", "value", value
    elif isinstance(node, (ast.If, ast.IfExp)) and not _is_for_types(node.test):
        yield from ((f"condition always {value}", "test", ast.Constant(value)) for value in (True, False))
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield "returns None", "value", ast.Constant(None)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not taken away", "op", ast.UAdd()


def _annotations(tree: ast.Module) -> Iterator[ast.expr]:
    """What is never run: every module has ``from __future__ import annotations``."""
    for node in ast.walk(tree):
        hints = (getattr(node, "annotation", None), getattr(node, "returns", None))
        yield from (hint for hint in hints if hint is not None)


def _is_for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def mutants(path: Path) -> list[tuple[str, ast.Module]]:
    """Every changed version of a module, the annotations left alone."""
    tree = ast.parse(path.read_text("utf-8"))
    found = []
    for number, (said, *_) in enumerate(changes(tree)):
        changed = copy.deepcopy(tree)
        _, node, field, value = list(changes(changed))[number]
        setattr(node, field, value)
        found.append((said, ast.fix_missing_locations(changed)))
    return found


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a tree instead of from its file."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self._name, self._path, self._tree = name, path, tree

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self._name:
            return None
        is_package = self._path.name == "__init__.py"
        spec = importlib.machinery.ModuleSpec(name, self, origin=str(self._path), is_package=is_package)
        if is_package:
            spec.submodule_search_locations = [str(self._path.parent)]
        return spec

    def exec_module(self, module: Any) -> None:
        module.__file__ = str(self._path)
        exec(compile(self._tree, str(self._path), "exec"), module.__dict__)  # noqa: S102 - that is what it is for


def noticed(path: Path, tree: ast.Module, tests: list[str], seconds: float) -> bool:
    """Run the tests in a forked process that has the change; True if one of them fails, or all take too long."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    child = os.fork()
    if not child:
        os.setsid()
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        sys.meta_path.insert(0, _Loader(name, path, tree))
        import pytest

        code = 1
        try:
            code = pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-m", "not slow", *tests])
        finally:
            os._exit(int(code))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def own_tests(path: Path) -> list[str]:
    """The test file of a module, which notices most changes in a second; none where there is no such file."""
    parts = path.relative_to(ROOT / "s3ec").with_suffix("").parts
    own = Path("tests", *parts[:-1], f"test_{parts[-1]}.py")
    return [str(own)] if (ROOT / own).exists() else []


def all_tests(path: Path) -> list[str]:
    """The quick tests of a module's part."""
    name = path.relative_to(ROOT).as_posix()
    return TESTS[max((part for part in TESTS if name.startswith(part)), key=len)]


def _try_all(path: Path, waiting: list[tuple[str, ast.Module]], counts: Counter[tuple[str, bool]]) -> bool:
    """Try the changes of one module, print what survived and how many did not; False if its tests are unfit."""
    name, unchanged = path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))
    rounds = []
    for tests in [own_tests(path), all_tests(path)]:
        began = time.monotonic()
        if tests and noticed(path, unchanged, tests, 600):
            sys.stdout.write(f"the tests of {name} fail, or are too slow, without any change\n")
            return False
        rounds += [(tests, SECONDS + TIMES_AS_LONG * (time.monotonic() - began))] if tests else []
    for said, tree in waiting:
        found = any(noticed(path, tree, tests, seconds) for tests, seconds in rounds)
        counts[name, found] += 1
        if not found:
            sys.stdout.write(f"SURVIVED {name}: {said}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{name}: {counts[name, True]} of {len(waiting)} noticed\n")
    sys.stdout.flush()
    return True


def main() -> int:
    """Read the command line, and try the changes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("modules", nargs="*", default=list(TESTS))
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ.setdefault("HYPOTHESIS_PROFILE", "quick")
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import boto3  # noqa: F401 - loaded once, for all
    import moto.server  # noqa: F401
    import pytest  # noqa: F401

    places = [ROOT / module for module in options.modules]
    paths = sorted({path for place in places for path in (place.rglob("*.py") if place.is_dir() else [place])})
    waiting = [(path, said, tree) for path in paths for said, tree in mutants(path)]
    if options.sample:
        waiting = random.Random(options.seed).sample(waiting, min(options.sample, len(waiting)))
    counts: Counter[tuple[str, bool]] = Counter()
    for path in paths:
        own = [(said, tree) for where, said, tree in waiting if where == path]
        if own and not _try_all(path, own, counts):
            return 2
    survivors = sum(count for (_, found), count in counts.items() if not found)
    sys.stdout.write(f"{counts.total() - survivors} of {counts.total()} changes noticed\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
