"""Render results as terminal tables, SVG charts and HTML pages, without computing any.

``actlab.report`` is the name of a line in a user's script as well, see :func:`actlab.script.report`, so that this package can be called.
"""

import sys
from types import ModuleType
from typing import Any

from actlab.script import report as _report


class _CallablePackage(ModuleType):
    """Package that is called as the function of its name."""

    def __call__(self, *, step: int | None = None, **values: Any) -> None:
        """Report values of a training step, see :func:`actlab.script.report`."""
        _report(step=step, **values)


sys.modules[__name__].__class__ = _CallablePackage
