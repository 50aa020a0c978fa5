"""Import generated Triton source as a Python module, from a file in the kernel cache.

Triton compiles the source that ``inspect`` returns, so a kernel has to be in a file. The file is named by a hash of its content, is written
atomically, and is compared with the generated source before it is run: a modified file is rewritten. If the cache folder cannot be
written, a temporary folder of this process is used.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
from functools import cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

from actlab.system.atomic_write import write_atomically
from actlab.system.cache_folder import kernel_folder

__all__ = ["load_module"]


def load_module(name: str, text: str) -> ModuleType:
    """Return the module with the source ``text``, stored in a file.

    Args:
        name: name of what it computes, part of the file name.
        text: Python source.

    Example:
        >>> load_module("example", "answer = 6 * 7").answer
        42
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    module_name = f"actlab_kernel_{name}_{digest}"
    if module_name not in sys.modules:
        file = _source_file(f"{module_name}.py", text)
        loader = SourceFileLoader(module_name, str(file))
        module = importlib.util.module_from_spec(ModuleSpec(module_name, loader, origin=str(file)))
        module.__file__ = str(file)
        loader.exec_module(module)
        sys.modules[module_name] = module
    return sys.modules[module_name]


def _source_file(name: str, text: str) -> Path:
    """Return a file of that name whose content is the text."""
    try:
        return _write(kernel_folder(), name, text)
    except (OSError, RuntimeError):  # not writable, or no home directory
        return _write(_process_folder(), name, text)


def _write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_atomically(file, text.encode())
    return file


@cache
def _process_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="actlab-kernels-"))
