"""Export of trained models for other runtimes, as ONNX graphs, C99 projects and packed binary nets.

``actlab.export`` is a function as well, see :func:`actlab.export.front.export`, so that this package can be called.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """Package that is called as the function of its name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Export a model, see :func:`actlab.export.front.export`."""
        return import_module("actlab.export.front").export(*args, **options)


sys.modules[__name__].__class__ = _CallablePackage
