"""Judgement of trained models on more than their metric, and audit of data.

``actlab.evaluate`` is a function as well, see :func:`actlab.diagnostics.axes.evaluate.evaluate`, so that this package can be called.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """Package that is called as the function of its name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Measure one trained model on axes; the function is in a room above this one."""
        return import_module("actlab.diagnostics.axes.evaluate").evaluate(*args, **options)


sys.modules[__name__].__class__ = _CallablePackage
