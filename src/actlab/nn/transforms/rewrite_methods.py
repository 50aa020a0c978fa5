"""The rewrite: a class whose method calls a submodule where its original called a function.

``h = F.relu(self.conv(x))`` becomes ``h = self.forward_F_relu_1(self.conv(x))``, for one object and no other: the object gets a class of
its own, derived from the class it had, that carries the recompiled method. So ``isinstance``, ``super()``, closures and defaults stay what
they were, the hot path has no wrapper, and ``torch.compile(fullgraph=True)`` traces it as if it had been written by hand.

The recompiled method keeps the line numbers of its file; ``inspect.getsource`` and tracebacks show the rewritten text.

Pickle, ``torch.save`` and ``deepcopy`` store the original class and the list of edits. Loading makes the edits again, and refuses when the
method's text is no longer the one that was edited.
"""

from __future__ import annotations

import ast
import copyreg
import hashlib
import inspect
import linecache
import pickle
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from types import CodeType, FunctionType, new_class
from typing import Any

from torch import nn

from actlab.errors import SiteError
from actlab.nn.sites.call_slot import input_expression
from actlab.nn.sites.decorators import rewrap
from actlab.nn.sites.method_source import Method, compiled, read
from actlab.nn.sites.slot import EDITS, Edit, edits_of, original_class

__all__ = ["rewritten_class"]


@lru_cache(maxsize=512)
def rewritten_class(cls: type, edits: tuple[Edit, ...]) -> type:
    """Make the class that differs from ``cls`` by ``edits``.

    Args:
        cls: a class as its author wrote it.
        edits: what to replace; the order does not matter to what the class does.

    Raises:
        SiteError: a method's text is not the one the edits were made for.
    """
    by_method: dict[str, list[Edit]] = defaultdict(list)
    for edit in sorted(edits):
        by_method[edit.method].append(edit)
    methods = {name: _rewritten(_function(cls, name), group) for name, group in by_method.items()}
    body = {
        **methods,
        EDITS: edits,
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__reduce_ex__": _reduce_ex,
    }
    try:
        return new_class(cls.__name__, (cls,), exec_body=lambda namespace: namespace.update(body))
    except Exception as error:  # a metaclass or __init_subclass__ of the user's that will not have it
        raise SiteError(
            f"{cls.__qualname__} cannot be derived from, so its calls cannot be swapped: {error}"
        ) from error


def _function(cls: type, name: str) -> FunctionType:
    function = inspect.getattr_static(cls, name, None)
    if not isinstance(function, FunctionType):
        raise SiteError(f"{cls.__qualname__} has no plain method {name!r} (any more), in which a call was swapped.")
    return function


def _rewritten(held: FunctionType, edits: Sequence[Edit]) -> FunctionType:
    function: FunctionType = inspect.unwrap(held)
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
    whole = rewrap(held, new)
    if whole is None:
        raise SiteError(f"{function.__qualname__} is decorated (by now), and the decorator hides it.")
    return whole


def _compile(method: Method, edits: Sequence[Edit]) -> CodeType:
    """Compile the method with its calls replaced, under a file name of its own that shows the rewritten text."""
    token = hashlib.sha256(repr((method.function.__qualname__, edits)).encode()).hexdigest()[:12]
    filename = f"<actlab: {method.function.__code__.co_filename} with {len(edits)} calls swapped, {token}>"
    text = _edited_text(method, edits)
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    tree = _Replace(method, edits).visit(_copy(method.node))
    return compiled(tree, method.function, filename)


def _copy(node: ast.FunctionDef) -> ast.FunctionDef:
    """Copy a syntax tree, down to its last node (they are shared by everyone who reads the file)."""

    def copy(value: Any) -> Any:
        if isinstance(value, list):
            return [copy(item) for item in value]
        if not isinstance(value, ast.AST):
            return value
        fields = {name: copy(inner) for name, inner in ast.iter_fields(value)}
        return ast.copy_location(type(value)(**fields), value)

    copied: ast.FunctionDef = copy(node)
    return copied


class _Replace(ast.NodeTransformer):
    """Replaces calls of a method by calls of submodules; every other node keeps its place in the file."""

    def __init__(self, method: Method, edits: Iterable[Edit]) -> None:
        self.receiver = method.receiver
        self.edits = {_absolute(method, edit): edit for edit in edits}

    def _edit(self, node: ast.AST) -> Edit | None:
        if not isinstance(node, ast.Call):
            return None
        return self.edits.get((node.end_lineno or 0, node.end_col_offset or 0))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        edit = self._edit(node)
        value = input_expression(node, edit.style) if edit else None
        if edit is None or value is None:
            return self.generic_visit(node)
        layer = ast.Attribute(
            value=ast.Name(id=str(self.receiver), ctx=ast.Load()), attr=edit.submodule, ctx=ast.Load()
        )
        return _placed(ast.Call(func=layer, args=[self.visit(value)], keywords=[]), node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Turn ``x.relu_()`` into ``x = self.layer(x)``: the layer does not overwrite its input."""
        edit = self._edit(node.value)
        name = input_expression(node.value, edit.style) if edit and isinstance(node.value, ast.Call) else None
        new = self.generic_visit(node)
        if not isinstance(name, ast.Name):
            return new
        return _placed(ast.Assign(targets=[ast.Name(id=name.id, ctx=ast.Store())], value=node.value), node)


def _placed(new: ast.AST, old: ast.AST) -> ast.AST:
    return ast.fix_missing_locations(ast.copy_location(new, old))


def _absolute(method: Method, edit: Edit) -> tuple[int, int]:
    return edit.end[0] + method.first_line, edit.end[1]


def _edited_text(method: Method, edits: Iterable[Edit]) -> str:
    """Return the file's text with the calls replaced, every line where it was."""
    text = "".join(method.lines).encode()
    cuts = sorted(cut for edit in edits for cut in _cuts(method, edit))
    pieces, position = [], 0
    for start, end, new in cuts:
        if start >= position:  # else it lies in an argument that is dropped already
            lines = b"".join(re.findall(rb"\n[ \t]*", text[start:end]))
            pieces += [text[position:start], new + lines if new.endswith(b"(") else lines + new]
            position = end
    return b"".join([*pieces, text[position:]]).decode()


def _cuts(method: Method, edit: Edit) -> list[tuple[int, int, bytes]]:
    """Return what to cut out of the file (from byte, to byte) and what blend_sites there instead: before the input, and after it."""
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


def _span(method: Method, node: ast.expr) -> tuple[int, int]:
    ends = [(node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)]
    start, end = (sum(len(line.encode()) for line in method.lines[: line - 1]) + column for line, column in ends)
    return start, end


def _reduce_ex(self: nn.Module, protocol: Any) -> tuple[Any, ...]:
    """Reduce a rewritten module to its original class, its edits and its state."""
    cls: Any = next(c for c in type(self).__mro__ if edits_of(c))
    parts = super(cls, self).__reduce_ex__(max(int(protocol), 2))
    plain = parts[:1] == (copyreg.__newobj__,) and parts[1][0] is cls  # type: ignore[attr-defined] # typeshed leaves it out
    if type(self) is not cls or not plain:
        raise pickle.PicklingError(
            f"{original_class(cls).__qualname__} has its own way of being pickled, which does not know of the swapped calls in it. "
            "Save its state_dict(), or undo() the swap before saving."
        )
    return (_rebuild, (original_class(cls), edits_of(cls), *parts[1][1:]), *parts[2:])


def _rebuild(cls: Any, edits: tuple[Edit, ...], *arguments: Any) -> nn.Module:
    made: Any = rewritten_class(cls, edits)
    new: nn.Module = made.__new__(made, *arguments)
    return new
