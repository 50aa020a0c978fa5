"""Source files of a task (its file and the modules it imports) and their digests.

The files are found in the text of the imports, at module level and inside functions; nothing is run. Installed packages, the standard
library and ActLab are no source files: their versions are recorded with every trial.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import sys
import sysconfig
import types
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from actlab.tasks.scripts.command import named_files, split
from actlab.tasks.task import Task

__all__ = ["current_digests", "source_digests", "source_files"]

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = (
    _PACKAGE,
    *(Path(sysconfig.get_paths()[key]).resolve() for key in ("stdlib", "platstdlib", "purelib", "platlib")),
)
_FUNCTIONS = (
    "model",
    "data",
    "loss",
    "metric",
    "optimizer",
    "curve_metric",
    "step",
    "predict",
    "scheduler",
    "train",
    "example_inputs",
)
_digests: weakref.WeakKeyDictionary[Task, dict[str, str]] = weakref.WeakKeyDictionary()


def source_digests(task: Task) -> dict[str, str]:
    """Return the digest of each source file of a task but its own file, by the file's path from the task's folder.

    They are computed once for each task object, when it has just been loaded, and describe the code that this process runs. The task's
    own text is part of the plan.

    Example:
        >>> from actlab.tasks import resolve
        >>> source_digests(resolve("digits"))
        {}
    """
    if task not in _digests:
        own = None if task.file is None else Path(task.file).resolve()
        _digests[task] = _digests_by_path([file for file in source_files(task) if file != own], own)
    return _digests[task]


def current_digests(task: Task) -> dict[str, str]:
    """Return the digest of each source file of a script, its own file too, as they are now: every trial reads them anew."""
    return _digests_by_path(source_files(task), None if task.file is None else Path(task.file).resolve())


def _digests_by_path(files: list[Path], own: Path | None) -> dict[str, str]:
    folder = Path.cwd() if own is None else own.parent
    return {Path(os.path.relpath(file, folder)).as_posix(): _digest(file) for file in files}


def _digest(file: Path) -> str:
    with suppress(OSError):
        return hashlib.sha256(file.read_bytes()).hexdigest()
    return "unreadable"


def source_files(task: Task) -> list[Path]:
    """Return the task's file and the user's modules that it imports, directly or through each other, in the order of their paths."""
    if task.script is not None:
        return sorted(_closure(named_files(split(task.script)), Path.cwd()))
    if task.file is not None:
        return sorted(_closure([Path(task.file).resolve()]))
    functions = [function for name in _FUNCTIONS if (function := getattr(task, name)) is not None]
    functions += (task.metrics or {}).values()
    return sorted(_closure([file for function in functions for file in _files_behind(function, set())]))


def _closure(roots: list[Path], *folders: Path) -> set[Path]:
    """Return the files and all that they import, from their folders, from others, and as this process does."""
    found: set[Path] = set()
    waiting = list(roots)
    while waiting:
        file = waiting.pop()
        if file not in found and file.is_file() and not _is_installed(file):
            found.add(file)
            waiting += _imported_files(file, folders)
    return found


def _is_installed(file: Path) -> bool:
    return any(file.is_relative_to(folder) for folder in _INSTALLED) or "site-packages" in file.parts


# Files behind the functions of a Task that was built in code


def _files_behind(function: Any, seen: set[int]) -> Iterator[Path]:
    """Yield the files of the modules that a function is from or uses; of the main script and of notebooks only what it uses."""
    code, namespace = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    if id(function) in seen:
        return
    seen.add(id(function))
    module = getattr(function, "__module__", None)
    if module != "__main__":
        yield from _file_of_module(module)
    elif isinstance(code, types.CodeType):
        for name in _names(code):
            value = namespace.get(name)
            if isinstance(value, types.ModuleType):
                yield from _file_of_module(value.__name__)
            elif callable(value):
                yield from _files_behind(value, seen)


def _names(code: types.CodeType) -> set[str]:
    """Return the global names and imports of a function, those of functions inside it too."""
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _file_of_module(name: str | None) -> Iterator[Path]:
    file = getattr(sys.modules.get(name or ""), "__file__", None)
    if file is not None:
        yield Path(file).resolve()


# Files that a file imports


def _imported_files(file: Path, folders: Iterable[Path]) -> Iterator[Path]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):  # an extension module, say
        return
    for name in _imported_names(tree, _package_of(file)):
        yield from _files_of_import(name, [str(file.parent), *map(str, folders)])
    yield from _relative_files(tree, file)


def _relative_files(tree: ast.AST, file: Path) -> Iterator[Path]:
    """Yield the files of relative imports, by their folder: a package need not have an ``__init__.py``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(file.parents):
            base = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            modules = [*([base] if node.module else []), *(base / alias.name for alias in node.names)]
            candidates = (
                found for path in modules for found in (path.parent / f"{path.name}.py", path / "__init__.py")
            )
            yield from (found.resolve() for found in candidates if found.is_file())


def _imported_names(tree: ast.AST, package: list[str]) -> Iterator[str]:
    """Yield the dotted names that are imported; of ``from a import b`` both ``a`` and ``a.b``, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ([base] if base else [])
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
        elif isinstance(node, ast.Call) and _calls_import(node.func) and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value


def _calls_import(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    return name in {"import_module", "__import__"}


def _package_of(file: Path) -> list[str]:
    """Return the names of the packages that a file is in, outermost first."""
    names: list[str] = []
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            break
        names.insert(0, folder.name)
    return names


def _files_of_import(name: str, folders: list[str]) -> Iterator[Path]:
    """Yield the file of a dotted name and the ``__init__.py`` of the packages around it."""
    parts = name.split(".")
    search: list[str] | None = None
    for end in range(1, len(parts) + 1):
        spec = _find(".".join(parts[:end]), search, folders)
        if spec is None:
            return
        if spec.has_location and spec.origin:
            yield Path(spec.origin).resolve()
        if spec.submodule_search_locations is None:
            return
        search = list(spec.submodule_search_locations)


def _find(name: str, search: list[str] | None, folders: list[str]) -> Any:
    """Return the spec of a module without importing it: the one that is loaded, else where it would be found."""
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None:
        return loaded
    if "." not in name and name in sys.stdlib_module_names:
        return None
    with suppress(Exception):  # a finder of another package may raise anything
        if search is not None:
            return PathFinder.find_spec(name, search)
        return importlib.util.find_spec(name) or PathFinder.find_spec(name, folders)
    return None
