"""Rewrite methods so that they call a submodule where they called a function.

``h = F.relu(self.conv(x))`` becomes ``h = self.forward_F_relu_1(self.conv(x))``, for one object and no other: the object gets a class of
its own, derived from its original class, with the recompiled method. So ``isinstance``, ``super()``, closures and defaults stay the same,
the hot path has no wrapper, and ``torch.compile(fullgraph=True)`` traces it like hand-written code. The author's ``__init_subclass__`` and
metaclass do not run, so that a registry of classes keeps the author's; only a walk over ``__subclasses__()`` sees the new class.

The recompiled method keeps the line numbers of its file; ``inspect.getsource`` and tracebacks show the rewritten text.

Pickle, ``torch.save`` and ``deepcopy`` store the original class and the list of edits. Loading applies the edits again, and raises when the
method's text has changed since.
"""

from __future__ import annotations

import ast
import copyreg
import hashlib
import inspect
import linecache
import pickle
import re
from abc import ABCMeta
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from torch import nn

from actlab.errors import SiteError
from actlab.nn.sites.call_slot import input_expression
from actlab.nn.sites.slot import EDITS, Edit, below_torch, edits_of, original_class
from actlab.nn.sites.written_out import span_in, span_of, written_input
from actlab.nn.source.decorators import rewrap
from actlab.nn.source.method_source import Method, compiled, read

__all__ = ["rewritten_class"]


@lru_cache(maxsize=512)
def rewritten_class(cls: type, edits: tuple[Edit, ...]) -> type:
    """Return a subclass of ``cls`` with ``edits`` applied.

    Args:
        cls: a class as its author wrote it.
        edits: the calls to replace; their order does not matter.

    Raises:
        SiteError: a method's text has changed since the edits were made.
    """
    by_method: dict[str, list[Edit]] = defaultdict(list)
    for edit in sorted(edits):
        by_method[edit.method].append(edit)
    methods = {name: _rewrite(_function(cls, name), group) for name, group in by_method.items()}
    body = {
        **methods,
        EDITS: edits,
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__reduce_ex__": _reduce_ex,
    }
    try:
        return _derived((cls,), cls.__name__, body)
    except TypeError as error:
        raise SiteError(
            f"{cls.__qualname__} cannot be derived from, so its calls cannot be swapped: {error}"
        ) from error


class _Quiet:
    """First base of a class while it is made, in the place of the author's ``__init_subclass__``."""

    def __init_subclass__(cls, **_: Any) -> None:
        """Do nothing."""


def _derived(bases: tuple[type, ...], name: str, namespace: dict[str, Any]) -> type:
    """Return a class without running code of the authors of its bases: neither ``__init_subclass__`` nor a metaclass of theirs."""
    metaclass = type(bases[-1])
    make: Any = ABCMeta if issubclass(metaclass, ABCMeta) else type
    new: type = make.__new__(metaclass, name, (_Quiet, *bases), namespace)
    type.__dict__["__bases__"].__set__(new, bases)
    return new


def on_top(cls: type, below: type) -> type:
    """Return ``below`` with the classes on top that torch has put on ``cls``."""
    if below_torch(cls) is cls:
        return below
    *others, base = cls.__bases__
    namespace = {key: value for key, value in vars(cls).items() if key not in {"__dict__", "__weakref__"}}
    return _derived((*others, on_top(base, below)), cls.__name__, namespace)


def _function(cls: type, name: str) -> FunctionType:
    function = inspect.getattr_static(cls, name, None)
    if not isinstance(function, FunctionType):
        raise SiteError(f"{cls.__qualname__} has no plain method {name!r} (any more), in which a call was swapped.")
    return function


def _rewrite(attribute: FunctionType, edits: Sequence[Edit]) -> FunctionType:
    function: FunctionType = inspect.unwrap(attribute)
    method = read(function)
    if any(edit.digest != method.digest for edit in edits):
        raise SiteError(
            f"{function.__qualname__} was swapped when its source was another (fingerprint {edits[0].digest}, now {method.digest}). "
            "Build the model anew, load its state_dict and swap again; or use the version of the code that it was saved with."
        )
    code = _compile(method, edits)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    closure = tuple(cells[name] for name in code.co_freevars)
    new = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    new.__kwdefaults__ = function.__kwdefaults__
    new.__annotations__ = function.__annotations__
    new.__qualname__ = function.__qualname__
    new.__module__ = function.__module__
    new.__doc__ = function.__doc__
    new.__dict__.update(function.__dict__)
    decorated = rewrap(attribute, new)
    if decorated is None:
        raise SiteError(f"{function.__qualname__} is decorated (by now), and the decorator hides it.")
    return decorated


def _compile(method: Method, edits: Sequence[Edit]) -> CodeType:
    """Compile the method with its calls replaced, under a file name of its own, for which linecache has the rewritten text."""
    token = hashlib.sha256(repr((method.function.__qualname__, edits)).encode()).hexdigest()[:12]
    filename = f"<actlab: {method.function.__code__.co_filename} with {len(edits)} calls swapped, {token}>"
    text = _edited_text(method, edits)
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    tree = _Replace(method, edits).visit(_copy(method.node))
    return compiled(tree, method.function, filename)


def _copy(node: ast.FunctionDef) -> ast.FunctionDef:
    """Copy a syntax tree deeply: the parsed file is cached and shared."""

    def copy(value: Any) -> Any:
        if isinstance(value, list):
            return [copy(item) for item in value]
        if not isinstance(value, ast.AST):
            return value
        fields = {name: copy(inner) for name, inner in ast.iter_fields(value)}
        return ast.copy_location(type(value)(**fields), value)

    new: ast.FunctionDef = copy(node)
    return new


class _Replace(ast.NodeTransformer):
    """Replaces calls in a method by calls of submodules; other nodes keep their line and column."""

    def __init__(self, method: Method, edits: Iterable[Edit]) -> None:
        self.method = method
        self.receiver = method.receiver
        self.edits = {_absolute(method, edit): edit for edit in edits if not edit.start}
        self.expressions = {span_of(edit): edit for edit in edits if edit.start}

    def visit(self, node: ast.AST) -> Any:
        edit = self.expressions.get(span_in(self.method, node)) if isinstance(node, ast.expr) else None
        if edit is None:
            return super().visit(node)
        return self._call(edit, written_input(self.method, node, edit), node)

    def _call(self, edit: Edit, value: ast.expr, old: ast.AST) -> ast.AST:
        layer = ast.Attribute(
            value=ast.Name(id=str(self.receiver), ctx=ast.Load()), attr=edit.submodule, ctx=ast.Load()
        )
        return _with_location(ast.Call(func=layer, args=[self.visit(value)], keywords=[]), old)

    def _edit(self, node: ast.AST) -> Edit | None:
        if not isinstance(node, ast.Call):
            return None
        return self.edits.get((node.end_lineno or 0, node.end_col_offset or 0))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        edit = self._edit(node)
        value = input_expression(node, edit.style) if edit else None
        if edit is None or value is None:
            return self.generic_visit(node)
        return self._call(edit, value, node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Turn ``x.relu_()`` into ``x = self.layer(x)``: the layer does not overwrite its input."""
        edit = self._edit(node.value)
        name = input_expression(node.value, edit.style) if edit and isinstance(node.value, ast.Call) else None
        new = self.generic_visit(node)
        if not isinstance(name, ast.Name):
            return new
        return _with_location(ast.Assign(targets=[ast.Name(id=name.id, ctx=ast.Store())], value=node.value), node)


def _with_location(new: ast.AST, old: ast.AST) -> ast.AST:
    return ast.fix_missing_locations(ast.copy_location(new, old))


def _absolute(method: Method, edit: Edit) -> tuple[int, int]:
    return edit.end[0] + method.first_line, edit.end[1]


def _edited_text(method: Method, edits: Iterable[Edit]) -> str:
    """Return the file's text with the calls replaced; every line keeps its number."""
    text = "".join(method.lines).encode()
    cuts = sorted(cut for edit in edits for cut in _cuts(method, edit))
    pieces, position = [], 0
    for start, end, new in cuts:
        if start >= position:  # otherwise it lies in an argument that was cut already
            lines = b"".join(re.findall(rb"\n[ \t]*", text[start:end]))
            pieces += [text[position:start], new + lines if new.endswith(b"(") else lines + new]
            position = end
    return b"".join([*pieces, text[position:]]).decode()


def _cuts(method: Method, edit: Edit) -> list[tuple[int, int, bytes]]:
    """Return the bytes to cut, from start to end, each with its replacement: before the call's input, and after it."""
    if edit.start:
        return _cuts_of_expression(method, edit)
    call = method.call_ending_at(_absolute(method, edit))
    value = input_expression(call, edit.style) if call else None
    if call is None or value is None:
        raise SiteError(
            f"{method.function.__qualname__} has no call that ends at line {_absolute(method, edit)[0]}, column {edit.end[1]}."
        )
    (call_start, call_end), (value_start, value_end) = _span(method, call), _span(method, value)
    target = f"{value.id} = " if method.statement(call) and isinstance(value, ast.Name) else ""
    opening = f"{target}{method.receiver}.{edit.submodule}("
    return [(call_start, value_start, opening.encode()), (value_end, call_end, b")")]


def _cuts_of_expression(method: Method, edit: Edit) -> list[tuple[int, int, bytes]]:
    nodes = (node for node in ast.walk(method.node) if isinstance(node, ast.expr))
    node = next((node for node in nodes if span_in(method, node) == span_of(edit)), None)
    if node is None:
        raise SiteError(
            f"{method.function.__qualname__} has no expression that ends at line {_absolute(method, edit)[0]}."
        )
    (start, end), (value_start, value_end) = _span(method, node), _span(method, written_input(method, node, edit))
    return [(start, value_start, f"{method.receiver}.{edit.submodule}(".encode()), (value_end, end, b")")]


def _span(method: Method, node: ast.expr) -> tuple[int, int]:
    ends = [(node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)]
    start, end = (sum(len(line.encode()) for line in method.lines[: line - 1]) + column for line, column in ends)
    return start, end


def _reduce_ex(self: nn.Module, protocol: Any) -> tuple[Any, ...]:
    """Pickle a rewritten module as its original class, its edits and its state."""
    cls: Any = next(c for c in type(self).__mro__ if EDITS in vars(c))
    parts = super(cls, self).__reduce_ex__(max(int(protocol), 2))
    plain = parts[:1] == (copyreg.__newobj__,) and parts[1][0] is cls  # type: ignore[attr-defined] # typeshed leaves it out
    if type(self) is not cls or not plain:
        raise pickle.PicklingError(
            f"{original_class(cls).__qualname__} defines its own pickling, which would lose the swapped calls in it. "
            "Save its state_dict(), or undo() the swap before saving."
        )
    return (_rebuild, (original_class(cls), edits_of(cls), *parts[1][1:]), *parts[2:])


def _rebuild(cls: Any, edits: tuple[Edit, ...], *arguments: Any) -> nn.Module:
    rewritten: Any = rewritten_class(cls, edits)
    new: nn.Module = rewritten.__new__(rewritten, *arguments)
    return new
