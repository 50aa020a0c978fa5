"""Source of a method as syntax tree and calls, verified to be the code that runs.

A call is identified by where it ends (line and column): no two calls of a file end at the same position, and Python records it for every
instruction (PEP 657), so the call that runs can be told from others on the same line.
"""

from __future__ import annotations
import __future__

import ast
import dis
import hashlib
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

from actlab.errors import SiteError

__all__ = ["Method", "compiled", "contains", "end_of_call", "read"]

_FUTURES: Final = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
# Instructions that change no value.
_SILENT: Final = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL", "RESUME"})
# What a callee consists of that is written out in a path, and the most characters of it.
_NAMING: Final = (ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.expr_context)
_MOST_CHARACTERS: Final = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """A method and its source.

    Attributes:
        function: the function as the class holds it.
        node: its syntax tree, with the positions of the file.
        lines: the lines of the whole file, with their ends.
        calls: every call in it, nested functions included, in the order in which they end.
    """

    function: FunctionType
    node: ast.FunctionDef
    lines: tuple[str, ...]
    calls: tuple[ast.Call, ...]

    @property
    def receiver(self) -> str | None:
        """Name of the first argument, usually ``self``."""
        arguments = [*self.node.args.posonlyargs, *self.node.args.args]
        return arguments[0].arg if arguments else None

    @property
    def rebinds_receiver(self) -> bool:
        """Whether the name of the first argument is bound to something else anywhere in the method."""
        stored = (n.id for n in ast.walk(self.node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load))
        arguments = [n.arg for n in ast.walk(self.node) if isinstance(n, ast.arg)]
        return str(self.receiver) in stored or arguments.count(str(self.receiver)) > 1

    @property
    def first_line(self) -> int:
        """Line of the file on which the method starts, decorators included."""
        return self.function.__code__.co_firstlineno

    @property
    def digest(self) -> str:
        """Fingerprint of the method's text, 12 hex digits."""
        text = "".join(self.lines[self.first_line - 1 : self.node.end_lineno])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def call_ending_at(self, end: tuple[int, int]) -> ast.Call | None:
        """Return the call that ends at this line and column of the file."""
        return next((call for call in self.calls if (call.end_lineno, call.end_col_offset) == end), None)

    def label(self, call: ast.Call) -> str:
        """Return the name of a call, with its number among those of the same name: ``F.relu@2``."""
        same = [other for other in self.calls if _callee(other) == _callee(call)]
        return f"{_callee(call)}@{same.index(call) + 1}"

    def attribute(self, call: ast.Call) -> str | None:
        """Return the name of the module's attribute that is called: ``act`` for ``self.act(x)``; else None."""
        callee = call.func
        is_own = (
            isinstance(callee, ast.Attribute)
            and isinstance(callee.value, ast.Name)
            and callee.value.id == self.receiver
        )
        return callee.attr if is_own and isinstance(callee, ast.Attribute) else None

    def statement(self, call: ast.Call) -> ast.Expr | None:
        """Return the statement that consists of this call alone, so that its result is dropped; else None."""
        return next((n for n in ast.walk(self.node) if isinstance(n, ast.Expr) and n.value is call), None)

    def is_outermost(self, node: ast.AST) -> bool:
        """Whether a node stands in the method itself, not in a function, lambda or class inside it."""
        scopes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
        inner = (scope for scope in ast.walk(self.node) if isinstance(scope, scopes) and scope is not self.node)
        return not any(node is part for scope in inner for part in ast.walk(scope))


def _callee(call: ast.Call) -> str:
    plain = all(isinstance(node, _NAMING) for node in ast.walk(call.func))
    if plain and len(ast.unparse(call.func)) <= _MOST_CHARACTERS:
        return ast.unparse(call.func)
    return f".{call.func.attr}" if isinstance(call.func, ast.Attribute) else "call"


@lru_cache(maxsize=1024)
def read(function: FunctionType) -> Method:
    """Read the source of a function.

    Raises:
        SiteError: there is no source, or the source is not that of the running code (the file was edited since).

    Example:
        >>> from torch import nn
        >>> read(nn.ReLU.forward).label(read(nn.ReLU.forward).calls[0])
        'F.relu@1'
    """
    code = function.__code__
    linecache.checkcache(code.co_filename)
    lines = tuple(linecache.getlines(code.co_filename, function.__globals__))
    node = _definition("".join(lines), code) if lines else None
    if node is None:
        raise SiteError(f"the source of {function.__qualname__} is not available ({code.co_filename})")
    if not _same(code, compiled(node, function, code.co_filename)):
        raise SiteError(
            f"the source of {function.__qualname__} in {code.co_filename} is not what runs (edited since the import?)"
        )
    calls = sorted(
        (n for n in ast.walk(node) if isinstance(n, ast.Call)), key=lambda n: (n.end_lineno, n.end_col_offset)
    )
    return Method(function=function, node=node, lines=lines, calls=tuple(calls))


def _definition(text: str, code: CodeType) -> ast.FunctionDef | None:
    for node in ast.walk(_parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None


@lru_cache(maxsize=64)
def _parse(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:  # edited since the import, and not finished: counts as no source
        return ast.Module(body=[], type_ignores=[])


def compiled(node: ast.FunctionDef, like: FunctionType, filename: str) -> CodeType:
    """Compile a method's syntax tree to code that can replace that of ``like``.

    The tree is compiled inside a class of the same name, inside a function with the same free variables, so that ``super()``, private
    names and closures keep their meaning.

    Args:
        node: definition of the method, with positions.
        like: the function whose code it replaces.
        filename: file name for tracebacks.
    """
    owner = like.__qualname__.split(".")[-2:-1]
    position: dict[str, Any] = {
        "lineno": node.lineno,
        "col_offset": 0,
        "end_lineno": node.end_lineno,
        "end_col_offset": 0,
    }
    inner: ast.stmt = node
    if owner and owner[0] != "<locals>":
        inner = ast.ClassDef(name=owner[0], bases=[], keywords=[], body=[node], decorator_list=[], **position)
        inner.type_params = []  # type: ignore[attr-defined] # a field from Python 3.12 on
    free = [ast.arg(arg=name, **position) for name in like.__code__.co_freevars if name != "__class__"]
    arguments = ast.arguments(posonlyargs=[], args=free, kwonlyargs=[], kw_defaults=[], defaults=[])
    outer = ast.FunctionDef(name="<scope>", args=arguments, body=[inner], decorator_list=[], **position)
    outer.type_params = []  # type: ignore[attr-defined] # a field from Python 3.12 on
    flags = like.__code__.co_flags & _FUTURES
    module_code = compile(ast.Module(body=[outer], type_ignores=[]), filename, "exec", flags=flags, dont_inherit=True)
    return next(code for code in _nested(module_code) if code.co_name == node.name)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def contains(code: CodeType, inner: CodeType) -> bool:
    """Whether ``inner`` is ``code`` or a function, lambda or comprehension inside it."""
    return any(inner is nested for nested in _nested(code))


def _same(ran: CodeType, source: CodeType) -> bool:
    """Whether two code objects do the same. Where pytest has rewritten the asserts of a test module, only names are compared."""
    if any(name.startswith("@py_") for name in ran.co_varnames):
        return set(source.co_names) - {"AssertionError"} <= set(ran.co_names)
    return _instructions(ran) == _instructions(source)


def _instructions(code: CodeType) -> list[tuple[str, str]]:
    """Return the instructions of a code object without details of the compiler, which loads ``F.relu`` in several ways."""
    instructions = []
    for step in dis.get_instructions(code):
        if step.opname in _SILENT:
            continue
        jumps = step.opcode in dis.hasjrel or step.opcode in dis.hasjabs
        value = _instructions(step.argval) if isinstance(step.argval, CodeType) else step.argval
        name = "LOAD_ATTR" if step.opname == "LOAD_METHOD" else step.opname
        instructions.append((name, "" if jumps else repr(value)))
    return instructions


def end_of_call(frame: FrameType) -> tuple[int, int] | None:
    """Return line and column where a frame's current call ends; None where Python keeps no columns (``-X no_debug_ranges``)."""
    _, line, _, column = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    return None if line is None or column is None else (line, column)
