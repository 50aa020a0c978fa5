"""Elementary functions in C99 that printed formulas call, cut out of one C file."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["elementary_source"]


def elementary_source(needs: Iterable[str]) -> str:
    """Return the C99 text of elementary functions and of those that they call in turn, each once, in an order that compiles.

    All are ``static``, in float32, and call no library; the text includes ``<stdint.h>`` and ``<float.h>`` alone.

    Args:
        needs: names, such as ``f32_exp``: the union of :attr:`CFunction.needs` over the functions of a file.

    Raises:
        ExportError: there is no elementary function of a name.
    """
    raise NotImplementedError
