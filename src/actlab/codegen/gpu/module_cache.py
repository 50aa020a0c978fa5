"""Import generated Triton source as a Python module that lives in memory.

Triton compiles the source that ``inspect`` returns. ``linecache`` holds it under a file name that does not exist, so that what is
compiled is the text that was generated, whatever other processes write to a disk.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
from types import ModuleType

__all__ = ["load_module"]


def load_module(name: str, text: str) -> ModuleType:
    """Return the module with the source ``text``.

    Args:
        name: name of what it computes, part of the module's name.
        text: Python source.

    Example:
        >>> load_module("example", "answer = 6 * 7").answer
        42
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    module_name = f"actlab_kernel_{name}_{digest}"
    if module_name not in sys.modules:
        file = f"<{module_name}>"
        # size, time, lines and name; what has no time is never read from the disk
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        module = ModuleType(module_name)
        module.__file__ = file
        exec(compile(text, file, "exec"), vars(module))  # noqa: S102 # our own generated text
        sys.modules[module_name] = module
    return sys.modules[module_name]
