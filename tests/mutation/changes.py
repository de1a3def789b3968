"""The changes that mutation testing makes to a module, one at a time.

All changes of a module are compiled into it at once, each behind a question: ``(a != b) if __mutation__(7) else
(a == b)``. Whoever imports the module so answers the question: with False for every number it is the module as it was;
with True for one number it is the module with that change; and who keeps the numbers knows what was reached.
"""

from __future__ import annotations

import ast
import builtins
import copy
import importlib.abc
import importlib.machinery
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["ASKED", "Finder", "Module"]

ASKED = "__mutation__"
_SHOWN = 110
_LOGS = {"debug", "info", "warning", "log"}

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitXor: ast.BitOr, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.Pow: ast.Mult,
}  # fmt: skip

_Node = TypeVar("_Node", bound=ast.AST)


class Module:
    """A module with every change in it.

    Attributes:
        name: as it is imported.
        path: of its file.
        changes: text of each change, by its number; the text stays the same when lines move.
        tree: what is compiled.
    """

    def __init__(self, root: Path, path: Path, first: int) -> None:
        """Read a file below `root`; its changes are numbered from `first`."""
        self.path = path
        self.name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        self.changes: dict[int, str] = {}
        tree = ast.parse(path.read_text("utf-8"))
        self.tree = ast.fix_missing_locations(_Maker(tree, first, self.changes).visit(tree))


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports modules with their changes instead of from their files."""

    def __init__(self, modules: list[Module], asked: Callable[[int], bool]) -> None:
        """Answer each question of these modules by `asked`."""
        self._modules = {module.name: module for module in modules}
        setattr(builtins, ASKED, asked)

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Only for these modules."""
        if name not in self._modules:
            return None
        module = self._modules[name]
        is_package = module.path.name == "__init__.py"
        spec = importlib.machinery.ModuleSpec(name, self, origin=str(module.path), is_package=is_package)
        if is_package:
            spec.submodule_search_locations = [str(module.path.parent)]
        return spec

    def exec_module(self, module: Any) -> None:
        """Run the changed tree."""
        ours = self._modules[module.__name__]
        module.__file__ = str(ours.path)
        exec(compile(ours.tree, str(ours.path), "exec"), module.__dict__)  # noqa: S102 - that is what it is for


class _Maker(ast.NodeTransformer):
    """Puts the changes in. Each method gives back the node with all changes of it and of what is below it."""

    def __init__(self, tree: ast.Module, first: int, changes: dict[int, str]) -> None:
        self._nodes = list(ast.walk(tree))
        self._texts = {id(node): _text(node) for node in self._nodes if isinstance(node, (ast.expr, ast.stmt))}
        self._next = first
        self._changes = changes
        self._scope: list[str] = []
        self._around: list[ast.AST] = []
        self._seen: Counter[str] = Counter()

    def _question(self, change: str) -> ast.Call:
        """A new change: `change` tells what it does."""
        text = f"{'.'.join(self._scope) or 'module'}: {change}"
        self._seen[text] += 1
        self._changes[self._next] = text if self._seen[text] == 1 else f"{text} ({self._seen[text]})"
        call = ast.Call(ast.Name(ASKED, ast.Load()), [ast.Constant(self._next)], [])
        self._next += 1
        return call

    def _either(self, change: str, changed: ast.expr, node: ast.expr) -> ast.expr:
        return ast.copy_location(ast.IfExp(self._question(change), changed, node), node)

    def _either_statement(self, change: str, changed: ast.stmt, node: ast.stmt) -> ast.stmt:
        return ast.copy_location(ast.If(self._question(change), [changed], [node]), node)

    def visit(self, node: ast.AST) -> Any:
        """Remember what is around a node."""
        self._around.append(node)
        try:
            return super().visit(node)
        finally:
            self._around.pop()

    # What is never run, or only makes a text for people.

    def _left_alone(self, node: _Node) -> _Node:
        return node

    visit_arg = visit_JoinedStr = visit_MatchValue = visit_MatchSingleton = _left_alone  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        """Not the annotation."""
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    # Scopes

    def _named(self, node: Any) -> Any:
        returns, node.returns = getattr(node, "returns", None), None
        # Defaults and decorators are run where the function is made, and belong to it all the same.
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()
        node.returns = returns
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _named  # noqa: N815

    # Statements

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        """Not raised."""
        said = "`raise` taken away" if node.exc is None else f"`raise {_called(self._texts[id(node.exc)])}` taken away"
        self.generic_visit(node)
        return self._either_statement(said, ast.Pass(), node)

    def visit_Delete(self, node: ast.Delete) -> ast.stmt:
        """Not deleted."""
        said = f"`{self._texts[id(node)]}` taken away"
        self.generic_visit(node)
        return self._either_statement(said, ast.Pass(), node)

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        """Not called."""
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        said = f"`{self._texts[id(node)]}` taken away"
        self.generic_visit(node)
        if isinstance(call, ast.Call) and not (isinstance(call.func, ast.Attribute) and call.func.attr in _LOGS):
            return self._either_statement(said, ast.Pass(), node)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        """Another operator."""
        said, swapped = self._texts[id(node)], _SWAPS.get(type(node.op))
        node.value = self.visit(node.value)
        if swapped is None:
            return node
        changed = ast.AugAssign(copy.deepcopy(node.target), swapped(), copy.deepcopy(node.value))  # type: ignore[arg-type]
        return self._either_statement(f"`{said}`: {_becomes(node.op, swapped)}", changed, node)

    def visit_Return(self, node: ast.Return) -> ast.Return:
        """None instead."""
        if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None):
            return node
        said = self._texts[id(node)]
        value = self.visit(node.value)
        node.value = self._either(f"`{said}`: returns None", ast.Constant(None), value)
        return node

    def visit_If(self, node: ast.If) -> ast.If:
        """The condition always, and never."""
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node
        return self._conditional(node)

    def visit_While(self, node: ast.While) -> ast.While:
        """Never; always would be noticed as a hang at best."""
        said, test = f"`while {self._texts[id(node.test)]}`", node.test
        self.generic_visit(node)
        if not isinstance(test, ast.Constant):
            node.test = self._either(f"{said}: never", _never(node.test), node.test)
        return node

    # Expressions

    def visit_IfExp(self, node: ast.IfExp) -> ast.IfExp:
        """The condition always, and never."""
        return self._conditional(node)

    def _conditional(self, node: Any) -> Any:
        said = f"`if {self._texts[id(node.test)]}`"
        self.generic_visit(node)
        node.test = self._decided(said, node.test)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        """Each condition always, and never."""
        said = [f"`if {self._texts[id(test)]}` of a comprehension" for test in node.ifs]
        self.generic_visit(node)
        node.ifs = [self._decided(text, test) for text, test in zip(said, node.ifs, strict=True)]
        return node

    def _decided(self, said: str, test: ast.expr) -> ast.expr:
        never = self._either(f"{said}: never", _never(test), test)
        return self._either(f"{said}: always", _always(test), never)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """Another comparison."""
        said = self._texts[id(node)]
        self.generic_visit(node)
        result: ast.expr = node
        for place, operator in enumerate(node.ops):
            swapped = _SWAPS[type(operator)]
            changed = copy.deepcopy(node)
            changed.ops[place] = swapped()  # type: ignore[call-overload]
            result = self._either(f"`{said}`: {_becomes(operator, swapped)}", changed, result)
        return result

    def _operation(self, node: Any) -> ast.expr:
        said, swapped = self._texts[id(node)], _SWAPS.get(type(node.op))
        self.generic_visit(node)
        if swapped is None:
            return node  # type: ignore[no-any-return]
        changed = copy.deepcopy(node)
        changed.op = swapped()
        return self._either(f"`{said}`: {_becomes(node.op, swapped)}", changed, node)

    visit_BoolOp = visit_BinOp = _operation  # noqa: N815

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """Without its `not`."""
        said = self._texts[id(node)]
        self.generic_visit(node)
        if not isinstance(node.op, ast.Not):
            return node
        return self._either(f"`{said}`: without `not`", copy.deepcopy(node.operand), node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Another number, or the other truth."""
        if not isinstance(node.value, int):
            return node
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        around = next(
            one for one in reversed(self._around[:-1]) if isinstance(one, (ast.expr, ast.stmt, ast.arguments))
        )
        place = "a default" if isinstance(around, ast.arguments) else f"`{self._texts[id(around)]}`"
        return self._either(f"{place}: {node.value} becomes {value}", ast.Constant(value), node)


def _always(test: ast.expr) -> ast.expr:
    """True; what the condition assigns is assigned."""
    return ast.BoolOp(ast.Or(), [copy.deepcopy(test), ast.Constant(True)])


def _never(test: ast.expr) -> ast.expr:
    return ast.BoolOp(ast.And(), [copy.deepcopy(test), ast.Constant(False)])


def _becomes(old: ast.AST, new: type[ast.AST]) -> str:
    return f"{type(old).__name__} becomes {new.__name__}"


def _called(error: str) -> str:
    return error.partition("(")[0]


def _text(node: ast.AST) -> str:
    """First line of a node's source; asked for before any change is made."""
    # Python 3.10 puts a space behind the word.
    text = ast.unparse(node).partition("\n")[0].replace("lambda :", "lambda:")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
