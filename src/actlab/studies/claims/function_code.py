"""Code on which functions depend, without comments, docstrings and empty lines.

The code of a function is its definition and, transitively, all definitions that it names: of its own file, and of those modules of ActLab
that define tasks, metrics and activations without a formula. The training loop is not in it, nor are other libraries.
"""

from __future__ import annotations

import ast
import inspect
import io
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeAlias

__all__ = ["code_through_modules", "function_code", "function_files"]

#: Modules into which imports are followed.
_FOLLOWED: Final = tuple(
    f"actlab.{name}."
    for name in (
        "tasks.builtin",
        "tasks.metrics",
        "functions.tensor_code",
        "functions.catalogue",
        "studies.claims.library",
    )
)
_PLAIN: Final = (bool, int, float, str, tuple, type(None))

_Definition: TypeAlias = tuple[str, str]  # file, and name in it


@dataclass(frozen=True, kw_only=True)
class _SourceFile:
    """Definitions of a file.

    Attributes:
        code: lines without comments and docstrings, by number from 1.
        nodes: statements that define a name, in their order.
        imported: file and name behind each name that is imported from a followed module.
        modules: file behind each name of a followed module that is imported itself.
        lambdas: by the number of their first line.
    """

    code: dict[int, str]
    nodes: dict[str, list[ast.stmt]]
    imported: dict[str, _Definition]
    modules: dict[str, str]
    lambdas: dict[int, ast.Lambda]

    def text(self, node: ast.AST) -> str:
        """Return the lines of a statement or expression."""
        first = min([node.lineno, *(it.lineno for it in getattr(node, "decorator_list", ()))])  # type: ignore[attr-defined] # statements have it
        lines = (self.code.get(line) for line in range(first, (node.end_lineno or first) + 1))  # type: ignore[attr-defined] # as above
        return "\n".join(line for line in lines if line)


def function_code(*values: Any) -> str:
    """Return the code behind functions, and the plain values that are bound to them.

    Args:
        values: functions, callable objects, partials of them, or mappings and tuples with such values; all else has no code.

    Example:
        >>> "def _functions" in function_code(function_code), "Return the code behind" in function_code(function_code)
        (True, False)
    """
    return "\n".join(_texts(values, set()))


def function_files(*values: Any) -> set[str]:
    """Return the paths of the files in which the code behind functions is.

    Args:
        values: as for :func:`function_code`.

    Example:
        >>> [Path(file).name for file in function_files(function_code)]
        ['function_code.py']
    """
    seen: set[_Definition] = set()
    _texts(values, seen)
    list(_texts_through_modules(seen))
    return {file for file, _ in seen}


def code_through_modules(*values: Any) -> str:
    """Return the code that functions reach by names of modules, such as ``digits.splits``, which is not in :func:`function_code`.

    Args:
        values: as for :func:`function_code`.

    Example:
        >>> code_through_modules(function_code)
        ''
    """
    seen: set[_Definition] = set()
    _texts(values, seen)
    return "\n".join(sorted(_texts_through_modules(seen)))


def _texts_through_modules(seen: set[_Definition]) -> Iterator[str]:
    """Return the texts of definitions that those seen reach by names of modules; they are added to the set."""
    done: set[_Definition] = set()
    while left := sorted(seen - done):
        done |= set(left)
        for file, name in left:
            source = _read(file, Path(file).stat().st_mtime_ns)
            for node in source.nodes.get(name, ()):
                for module, attribute in _attributes_of_modules(source, node):
                    yield from _defined(module, attribute, seen)


def _attributes_of_modules(source: _SourceFile, node: ast.AST) -> list[_Definition]:
    """Return file and name behind each attribute of an imported module that a definition reads."""
    attributes = [it for it in ast.walk(node) if isinstance(it, ast.Attribute) and isinstance(it.value, ast.Name)]
    return [(source.modules[it.value.id], it.attr) for it in attributes if it.value.id in source.modules]  # type: ignore[attr-defined] # as checked


def _texts(values: Any, seen: set[_Definition]) -> list[str]:
    """Return the texts of the definitions behind functions; what was seen is added to a set."""
    found: dict[str, None] = {}
    for function in _functions(values):
        file = _file_of(function)
        if file is None:
            found[f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"] = None
            continue
        found |= dict.fromkeys(_bound_values(function))
        for text in _reached(function, file, seen):
            found[text] = None
    return list(found)


def _functions(values: Any) -> Iterator[Any]:
    """Return the functions and classes behind values."""
    for value in values:
        if isinstance(value, partial):
            yield from _functions([value.func, value.args, value.keywords])
        elif isinstance(value, dict):
            yield from _functions(value.values())
        elif isinstance(value, tuple | list):
            yield from _functions(value)
        elif inspect.ismethod(value):
            yield value.__func__
        elif inspect.isfunction(value) or inspect.isclass(value) or inspect.isbuiltin(value):
            yield value
        elif callable(value):
            yield type(value)


def _bound_values(function: Any) -> Iterator[str]:
    """Return the numbers and texts that a function keeps from the one that made it, and its own defaults."""
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=True):
        if isinstance(cell.cell_contents, _PLAIN):
            yield f"{name} = {cell.cell_contents!r}"


def _file_of(function: Any) -> str | None:
    """Return the file of a function of ActLab or of a user; None for those of other libraries."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(function) if inspect.isfunction(function) else function)
    except TypeError:
        return None
    if file is None or not Path(file).is_file():
        return None
    is_library = "site-packages" in Path(file).parts or file.startswith(sysconfig.get_path("stdlib"))
    return None if is_library and not str(function.__module__).startswith("actlab.") else file


def _reached(function: Any, file: str, seen: set[_Definition]) -> Iterator[str]:
    """Return the texts of the definitions that a function reaches, without those seen before."""
    source = _read(file, Path(file).stat().st_mtime_ns)
    root = function.__qualname__.split(".")[0]
    if root not in source.nodes:
        line = getattr(getattr(function, "__code__", None), "co_firstlineno", 0)
        node = source.lambdas.get(line)
        if node is not None:
            yield source.text(node)
            yield from _named(source, file, node, seen)
        return
    yield from _defined(file, root, seen)


def _defined(file: str, name: str, seen: set[_Definition]) -> Iterator[str]:
    if (file, name) in seen:
        return
    seen.add((file, name))
    source = _read(file, Path(file).stat().st_mtime_ns)
    if name in source.imported:
        yield from _defined(*source.imported[name], seen)
    for node in source.nodes.get(name, ()):
        yield source.text(node)
        yield from _named(source, file, node, seen)


def _named(source: _SourceFile, file: str, node: ast.AST, seen: set[_Definition]) -> Iterator[str]:
    """Return the texts of what a definition names, in alphabetical order."""
    for name in sorted({it.id for it in ast.walk(node) if isinstance(it, ast.Name)}):
        if name in source.nodes or name in source.imported:
            yield from _defined(file, name, seen)


@lru_cache(maxsize=256)
def _read(file: str, changed: int) -> _SourceFile:  # noqa: ARG001 # the time of the last change is part of the key
    text = Path(file).read_text(encoding="utf-8")
    tree = ast.parse(text)
    nodes: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in _names_bound(statement):
            nodes.setdefault(name, []).append(statement)
    lambdas = {node.lineno: node for node in ast.walk(tree) if isinstance(node, ast.Lambda)}
    imported, modules = dict(_imports(tree)), dict(_imported_modules(tree))
    return _SourceFile(code=_code_lines(text, tree), nodes=nodes, imported=imported, modules=modules, lambdas=lambdas)


def _names_bound(statement: ast.stmt) -> Iterable[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [
        node.id for target in targets if target is not None for node in ast.walk(target) if isinstance(node, ast.Name)
    ]


def _imports(tree: ast.Module) -> Iterator[tuple[str, _Definition]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_FOLLOWED):
            spec = find_spec(node.module)
            if spec is not None and spec.origin:
                yield from ((alias.asname or alias.name, (spec.origin, alias.name)) for alias in node.names)


def _imported_modules(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        names: list[tuple[str, str]] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [(alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [(alias.asname, alias.name) for alias in node.names if alias.asname]
        for name, module in names:
            if module.startswith(_FOLLOWED) and (file := _module_file(module)):
                yield name, file


def _module_file(name: str) -> str | None:
    """Return the file of a module, or None where the name is not that of one."""
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:  # what it would be in is no package
        return None
    return None if spec is None else spec.origin


def _code_lines(text: str, tree: ast.Module) -> dict[int, str]:
    """Return the lines that are left of a file without comments and docstrings, by number."""
    lines = dict(enumerate(text.splitlines(), start=1))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            lines[line] = lines[line][:column]
    for node in ast.walk(tree):
        for line in _docstring_lines(node):
            lines.pop(line, None)
    return {line: code.rstrip() for line, code in lines.items() if code.strip()}


def _docstring_lines(node: ast.AST) -> range:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return range(0)
    first = node.body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return range(first.lineno, (first.end_lineno or first.lineno) + 1) if is_text else range(0)
