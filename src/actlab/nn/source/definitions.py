"""Definitions of the names in a method, followed through its assignments.

Every place where a name is read is given the expression that it stands for there. Branches are joined; what a loop assigns is known after
the loop, and unknown inside it before it is assigned.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from actlab.nn.source.method_source import Method

__all__ = ["ARGUMENT", "UNKNOWN", "Definitions", "definitions"]

ARGUMENT: Final = ast.Constant(value="an argument of the method")
UNKNOWN: Final = ast.Constant(value="a value that the source does not show")
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True, kw_only=True, eq=False)
class Definitions:
    """What the names in a method stand for.

    Attributes:
        returned: the expressions that the method returns.
        expressions: the expressions of all statements, in the order in which they are evaluated.
    """

    returned: list[ast.expr] = field(default_factory=list)
    expressions: list[ast.expr] = field(default_factory=list)
    _of: dict[int, ast.expr] = field(default_factory=dict)
    _kept: list[ast.AST] = field(default_factory=list)  # so that no other node gets their id

    def of(self, name: ast.Name) -> ast.expr | None:
        """Return the expression that a name stands for where it is read; None where it is no local name."""
        return self._of.get(id(name))

    def bind(self, name: ast.Name, value: ast.expr) -> None:
        """Set what a name stands for."""
        self._of[id(name)] = value
        self._kept.append(name)


@lru_cache(maxsize=1024)
def definitions(method: Method) -> Definitions:
    """Follow the assignments of a method.

    Example:
        >>> from torch import nn
        >>> from actlab.nn.source.method_source import read
        >>> found = definitions(read(nn.Softmax.forward))
        >>> ast.unparse(found.returned[0])
        'F.softmax(input, self.dim, _stacklevel=5)'
    """
    found = Definitions()
    arguments: dict[str, ast.expr] = {
        node.arg: ARGUMENT for node in ast.walk(method.node.args) if isinstance(node, ast.arg)
    }
    _Walk(found).block(method.node.body, arguments)
    return found


class _Walk:
    """Walks through statements in order, with the definitions of the names at each of them."""

    def __init__(self, found: Definitions) -> None:
        self.found = found

    def block(self, statements: list[ast.stmt], names: dict[str, ast.expr]) -> None:
        for statement in statements:
            self.statement(statement, names)

    def statement(self, statement: ast.stmt, names: dict[str, ast.expr]) -> None:
        if isinstance(statement, _SCOPES):
            names[statement.name] = UNKNOWN
        elif isinstance(statement, ast.If):
            self.read(statement.test, names)
            other = dict(names)
            self.block(statement.body, names)
            self.block(statement.orelse, other)
            self.join(statement.test, names, other)
        elif isinstance(statement, (ast.For, ast.AsyncFor, ast.While)):
            self.loop(statement, names)
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            for item in statement.items:
                self.read(item.context_expr, names)
                names |= dict.fromkeys(_stored(item), UNKNOWN)
            self.block(statement.body, names)
        elif isinstance(statement, ast.Try):
            for inner in (statement.body, *(handler.body for handler in statement.handlers), statement.orelse):
                self.block(inner, names)
            self.block(statement.finalbody, names)
        else:
            self.simple(statement, names)

    def simple(self, statement: ast.stmt, names: dict[str, ast.expr]) -> None:
        value = getattr(statement, "value", None)
        if not isinstance(value, ast.expr):
            names |= dict.fromkeys(_stored(statement), UNKNOWN)
            return
        if isinstance(statement, ast.AugAssign):
            value = self.augmented(statement)
        self.read(value, names)
        if isinstance(statement, ast.Return):
            self.found.returned.append(value)
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                self.assign(target, value, names)
        elif isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
            self.assign(statement.target, value, names)
        elif changed := _changed_in_place(value):
            names[changed] = value

    def augmented(self, statement: ast.AugAssign) -> ast.expr:
        """Return ``x * y`` for ``x *= y``."""
        target = statement.target
        if not isinstance(target, ast.Name):
            return statement.value
        left = ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target)
        new = ast.copy_location(ast.BinOp(left=left, op=statement.op, right=statement.value), statement)
        self.found._kept.append(new)
        return new

    def assign(self, target: ast.expr, value: ast.expr, names: dict[str, ast.expr]) -> None:
        if isinstance(target, ast.Name):
            names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
            for index, part in enumerate(target.elts):
                self.assign(part, parts[index] if len(parts) == len(target.elts) else value, names)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id in names:
            old = ast.copy_location(ast.Name(id=target.value.id, ctx=ast.Load()), target)
            self.read(old, names)
            names[target.value.id] = ast.copy_location(ast.List(elts=[old, value], ctx=ast.Load()), target)

    def loop(self, statement: ast.For | ast.AsyncFor | ast.While, names: dict[str, ast.expr]) -> None:
        self.read(statement.test if isinstance(statement, ast.While) else statement.iter, names)
        inside = names | dict.fromkeys(_stored(statement), UNKNOWN)
        self.block(statement.body, inside)
        for name in _stored(statement):
            names[name] = inside.get(name, UNKNOWN)
        self.block(statement.orelse, names)

    def join(self, test: ast.expr, names: dict[str, ast.expr], other: Mapping[str, ast.expr]) -> None:
        """Let each name stand for either of its definitions."""
        for name in {*names, *other}:
            one, two = names.get(name, UNKNOWN), other.get(name, UNKNOWN)
            if one is not two:
                either = ast.IfExp(test=test, body=one, orelse=two)
                names[name] = two if one is UNKNOWN else one if two is UNKNOWN else ast.copy_location(either, test)

    def read(self, expression: ast.expr, names: Mapping[str, ast.expr]) -> None:
        self.found.expressions.append(expression)
        for node in _outside_scopes(expression):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
                self.found.bind(node, names[node.id])


def _outside_scopes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all nodes inside it but those of lambdas and comprehensions."""
    yield node
    if not isinstance(node, (*_SCOPES, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)):
        for child in ast.iter_child_nodes(node):
            yield from _outside_scopes(child)


def _stored(node: ast.AST) -> set[str]:
    """Return the names that are assigned anywhere in a statement."""
    stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    calls = (n.value for n in ast.walk(node) if isinstance(n, ast.Expr))
    return stored | {name for call in calls if (name := _changed_in_place(call))}


def _changed_in_place(node: ast.expr) -> str | None:
    """Return the name of the tensor that a statement overwrites: ``x.relu_()``, ``F.relu(x, inplace=True)``."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    method = node.func.attr.endswith("_") and not node.func.attr.endswith("__")
    keyword = any(k.arg == "inplace" for k in node.keywords)
    value = node.args[0] if node.args else None
    if method and isinstance(node.func.value, ast.Name) and not isinstance(value, ast.Name):
        return node.func.value.id
    return value.id if (method or keyword) and isinstance(value, ast.Name) else None
