"""Import of the modules beside a task file, by the user's code only.

As an entry of ``sys.path``, the folder would also answer the imports of libraries: a ``cuda.py`` or ``triton.py`` beside the task is
run when torch looks for an optional package of that name, and in a process that is started with the same path a ``copy.py`` comes before
Python's own. The finder here is asked last, and answers only where the importing file belongs to no library.
"""

from __future__ import annotations

import ast
import importlib
import sys
import sysconfig
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

__all__ = ["allow_imports_from", "shadowed"]

_LIBRARIES = tuple(sorted({sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")}))
_IMPORT_MACHINERY = ("<frozen importlib", str(Path(importlib.__file__).parent))


class NeighbourFinder:
    """Finder for ``sys.meta_path`` that looks for top-level modules in the folders of task files.

    Attributes:
        folders: the latest first, in which order they are searched.
        found: names of the modules that were found.
    """

    def __init__(self) -> None:
        self.folders: list[str] = []
        self.found: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of the user's is, or None; modules inside packages are found by Python itself."""
        if path is not None:
            return None
        importer = _importing_file()
        folders = [folder for folder in self.folders if not _is_library(importer, folder)]
        spec = PathFinder.find_spec(name, folders, target) if folders else None
        if spec is not None:
            self.found.add(name)
        return spec

    def invalidate_caches(self) -> None:
        """Do nothing: Python's finder has its own cache."""


_finder = NeighbourFinder()


def allow_imports_from(folder: Path) -> None:
    """Let the user's code import the modules in a folder, after all installed ones; those imported before are imported anew.

    Otherwise an edited module, or one of the same name beside another task, would stay what it was.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "my_widths.py").write_text("WIDTH = 8")
        >>> allow_imports_from(folder)
        >>> importlib.import_module("my_widths").WIDTH
        8
    """
    text = str(folder.resolve())
    _finder.folders = [text, *(known for known in _finder.folders if known != text)]
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)
    for name in [name for name in sys.modules if name.partition(".")[0] in _finder.found]:
        del sys.modules[name]
    importlib.invalidate_caches()  # a file may be newer than the last look into its folder


def shadowed(folder: Path, text: str) -> list[str]:
    """Return the modules that a file imports, that exist beside it, and that are installed too; the installed ones are imported.

    Args:
        folder: of the file.
        text: of the file.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "copy.py").write_text("")
        >>> shadowed(folder, "from copy import my_function")
        ['copy']
    """
    nodes = list(ast.walk(ast.parse(text)))
    names = {alias.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        (node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom) and not node.level
    }
    beside = {file.stem for file in folder.glob("*.py")} | {file.parent.name for file in folder.glob("*/__init__.py")}
    return sorted(name for name in names & beside if name in sys.modules and not _is_in(sys.modules[name], folder))


def _is_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(folder.resolve())


def _importing_file() -> str:
    """Return the file of the code that imports; frames of the import machinery are skipped."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_IMPORT_MACHINERY):
        frame = frame.f_back  # type: ignore[assignment] # the outermost frame has none
    return "" if frame is None else frame.f_code.co_filename


def _is_library(importer: str, folder: str) -> bool:
    """Return whether the importing file is part of Python or an installed package, unless the folder is in the same place."""
    return any(importer.startswith(place) and not folder.startswith(place) for place in _LIBRARIES)
