"""Modules with own activations, named by ``--import``, an environment variable or entry points.

A module registers its activations and gradient rules when it is imported. The registries import the named modules before the first
look-up, in the process of the user as in every worker, which inherits the variable.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import import_module, invalidate_caches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from actlab.errors import ActlabError

__all__ = ["ENTRY_POINTS", "VARIABLE", "add_own_module", "has_own_modules", "import_own_modules", "own_modules"]

ENTRY_POINTS = "actlab.activations"  # group of a package's entry points; each names a module
VARIABLE = "ACTLAB_IMPORT"  # names of modules or paths of files, separated as in PATH

_imported: set[str] = set()


def own_modules() -> tuple[str, ...]:
    """Return the modules and files that the environment variable names."""
    return tuple(filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)))


def add_own_module(source: str) -> None:
    """Name a module for this process and the workers that it starts.

    Args:
        source: name of an importable module, or path of a Python file; a name that stands for a file of this folder is that file.
    """
    file = Path(source if source.endswith(".py") else f"{source}.py")
    named = str(file.resolve()) if file.is_file() else source
    if named not in own_modules():
        os.environ[VARIABLE] = os.pathsep.join([*own_modules(), named])


def has_own_modules() -> bool:
    """Return whether there are activations besides the built-in ones."""
    return bool(own_modules() or _entry_points())


def import_own_modules() -> None:
    """Import every named module that has not been imported yet.

    Raises:
        ActlabError: there is no such module or file, or it raises.
    """
    if "" not in _imported:
        _imported.add("")
        for point in _entry_points():
            _import(point.value.partition(":")[0], f"the entry point {point.name!r} of {_package(point)}")
    for source in own_modules():
        if source not in _imported:
            _imported.add(source)  # before the import, in which the module may look up a function itself
            try:
                _import(source, f"--import or ${VARIABLE}")
            except BaseException:
                _imported.discard(source)  # the next look-up tells it as well
                raise


def _entry_points() -> list[EntryPoint]:
    return list(entry_points(group=ENTRY_POINTS))


def _package(point: EntryPoint) -> str:
    return "a package" if point.dist is None else str(point.dist.name)


def _import(source: str, named_by: str) -> None:
    try:
        if source.endswith(".py"):
            _import_file(Path(source))
        else:
            import_module(source)
    except ActlabError:
        raise
    except ModuleNotFoundError as error:
        is_source = error.name is not None and source.split(".", maxsplit=1)[0] == error.name
        what = (
            f"There is no module {source!r}"
            if is_source
            else f"The module {source!r} imports {error.name!r}, which is not installed"
        )
        raise ActlabError(
            f"{what} (named by {named_by}). Give the name of an installed module, or the path of a Python file, such as my_act.py."
        ) from error
    except Exception as error:  # user code may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise ActlabError(
            f"The module {source!r} (named by {named_by}) raises when it is imported: {reason}"
        ) from error


def _import_file(file: Path) -> None:
    """Import a file under its own name, or under a longer one where another module has that name."""
    if not file.is_file():
        raise ActlabError(
            f"There is no file {file} with activations; give the path of a Python file, such as my_act.py."
        )
    loaded = sys.modules.get(file.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file):
        return
    taken = loaded is not None or importlib.util.find_spec(file.stem) is not None
    name = f"actlab_import_{file.stem}" if taken else file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # noqa: PT018, S101 both hold, as the file ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    invalidate_caches()
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
