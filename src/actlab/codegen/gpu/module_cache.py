"""Printed files: source that Triton reads from disk, kept where the other kernels are.

Triton compiles what ``inspect`` reads back, so a kernel has to be a file. It is named by its content, appears whole or not at all, and is
compared with what was printed before it is run: a file that somebody changed is written anew. Where the folder of kernels cannot be
written to, a folder of this process alone takes its place.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

from actlab.system.atomic_write import write_atomically
from actlab.system.cache_folder import kernel_folder

__all__ = ["imported"]


def imported(name: str, text: str) -> ModuleType:
    """Return the module of the source ``text``, kept in a file.

    Args:
        name: of what it computes; part of the file's name.
        text: Python source.

    Example:
        >>> imported("example", "answer = 6 * 7").answer
        42
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    module_name = f"actlab_kernel_{name}_{digest}"
    if module_name not in sys.modules:
        file = _kept(f"{module_name}.py", text)
        spec = importlib.util.spec_from_file_location(module_name, file)
        assert spec is not None  # noqa: S101 only a suffix that is not Python's gives None
        assert spec.loader is not None  # noqa: S101 a spec from a file has a loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[module_name] = module
    return sys.modules[module_name]


def _kept(name: str, text: str) -> Path:
    """Return the file of that name whose content is the text."""
    try:
        return _written(kernel_folder(), name, text)
    except (OSError, RuntimeError):  # not writable, or no home directory
        return _written(_own_folder(), name, text)


def _written(where: Path, name: str, text: str) -> Path:
    file = where / name
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_atomically(file, text.encode())
    return file


@cache
def _own_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="actlab-kernels-"))
