"""Names of the results that a training function returns or reports, read from its source."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["ReturnedNames", "plain_function", "read_names"]


@dataclass(frozen=True, kw_only=True)
class ReturnedNames:
    """Names of the results of a training function.

    Attributes:
        names: those in the mappings that it returns, then those that it reports, in order.
        is_all: whether it returns and reports no others.
    """

    names: tuple[str, ...] = ()
    is_all: bool = False


def plain_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with code behind a partial function, a decorated one, a method or a callable object.

    Example:
        >>> from functools import partial
        >>> def train(model, width): return width
        >>> plain_function(partial(train, width=3)) is train
        True
    """
    while (inner := _inside(function)) is not None:
        function = inner
    return function


def _inside(function: Any) -> Callable[..., Any] | None:
    """Return what a function calls, or None where it has code of its own."""
    for name in ("func", "__wrapped__", "__func__"):
        if (inner := getattr(function, name, None)) is not None:
            return inner  # type: ignore[no-any-return] # a function, by the protocols of these names
    if hasattr(function, "__code__") or isinstance(function, type):
        return None
    called = vars(type(function)).get("__call__")
    return called if hasattr(called, "__code__") else None


def read_names(function: Callable[..., Any]) -> ReturnedNames:
    """Return the names that can be read in the source of a function; none where there is no source.

    Example:
        >>> read_names(read_names).names
        ()
    """
    body = _body(function)
    if body is None:
        return ReturnedNames()
    own = list(_own_nodes(body))
    returned = [node.value for node in own if isinstance(node, ast.Return) and node.value is not None]
    named = {
        target.id: node.value
        for node in own
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    mappings = [named.get(value.id, value) if isinstance(value, ast.Name) else value for value in returned]
    reports = [keyword.arg for call in _reports(body) for keyword in call.keywords if keyword.arg != "step"]
    names = [name for name in (*(key for mapping in mappings for key in _keys(mapping)), *reports) if name is not None]
    is_all = bool(returned) and None not in reports and all(_is_literal(value) for value in returned)
    return ReturnedNames(names=tuple(dict.fromkeys(names)), is_all=is_all)


def _body(function: Callable[..., Any]) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(plain_function(function))))
    except (
        OSError,
        TypeError,
        SyntaxError,
        ValueError,
    ):  # defined at a prompt, built in, a lambda in the middle of a call
        return None
    return next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)), None)


def _own_nodes(body: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of functions and classes inside it."""
    for node in ast.iter_child_nodes(body):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield node
            yield from _own_nodes(node)


def _reports(body: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(body):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "report":
            yield node


def _keys(value: ast.expr) -> Iterator[str | None]:
    """Yield the names in a dict that is written out; None for what is not known."""
    if isinstance(value, ast.Dict):
        yield from (
            key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None for key in value.keys
        )
    elif isinstance(value, ast.Call) and getattr(value.func, "id", None) == "dict" and not value.args:
        yield from (keyword.arg for keyword in value.keywords)
    else:
        yield None


def _is_literal(value: ast.expr) -> bool:
    return None not in list(_keys(value))
