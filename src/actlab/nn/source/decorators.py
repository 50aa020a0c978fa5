"""Apply the decorators of a method to another function, without running them again.

``@torch.no_grad()`` and the decorators of transformers return a function that holds the decorated one in a cell of its closure. A copy of
that function, with another function in the cell, is what the decorator would have returned for it. Counters and registrations made when
the decorator ran are not repeated, and what its cells share stays shared.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any

__all__ = ["rewrap"]


def rewrap(held: Callable[..., Any], new: FunctionType) -> FunctionType | None:
    """Return a decorated method with another function inside its decorators.

    Args:
        held: the function as its class holds it, with all its decorators.
        new: the function to run in place of the innermost one.

    Returns:
        ``new`` itself where there is no decorator; None where a wrapper does not hold the function in its closure alone, so that
        a copy might still run the old one.

    Example:
        >>> import torch
        >>> decorated = torch.no_grad()(lambda x: x + 1)
        >>> rewrap(decorated, lambda x: (x + 2, torch.is_grad_enabled()))(1)
        (3, False)
    """
    inner = getattr(held, "__wrapped__", None)
    if inner is None:
        return new
    if not isinstance(held, FunctionType) or not isinstance(inner, FunctionType):
        return None
    replacement = rewrap(inner, new)
    if replacement is None or not _only_in_cells(held, inner):
        return None
    cells = tuple(CellType(replacement) if _holds(cell, inner) else cell for cell in held.__closure__ or ())
    copy = FunctionType(held.__code__, held.__globals__, held.__name__, held.__defaults__, cells)
    copy.__kwdefaults__ = held.__kwdefaults__
    copy.__annotations__ = held.__annotations__
    copy.__qualname__, copy.__module__, copy.__doc__ = held.__qualname__, held.__module__, held.__doc__
    copy.__dict__.update(held.__dict__ | {"__wrapped__": replacement})
    return copy


def _only_in_cells(held: FunctionType, inner: FunctionType) -> bool:
    """Whether a wrapper holds the wrapped function in its closure and nowhere else."""
    cells = [cell for cell in held.__closure__ or () if _holds(cell, inner)]
    others = [cell.cell_contents for cell in held.__closure__ or () if _is_filled(cell) and cell not in cells]
    elsewhere = [*others, *(held.__defaults__ or ()), *(held.__kwdefaults__ or {}).values()]
    return bool(cells) and not any(_reaches(value, inner) for value in elsewhere)


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # an empty cell
        return False


def _holds(cell: CellType, inner: FunctionType) -> bool:
    return _is_filled(cell) and cell.cell_contents is inner


def _reaches(value: object, inner: FunctionType, depth: int = 3) -> bool:
    """Whether a function can be reached from a value through closures, attributes, lists and dicts, ``depth`` steps deep."""
    if value is inner:
        return True
    if depth == 0 or isinstance(value, type) or inspect.ismodule(value):
        return False
    if isinstance(value, FunctionType):
        parts = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        return any(_reaches(part, inner, depth - 1) for part in [*parts, *vars(value).values()])
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple, set)) else ()
    parts = [*items, *getattr(value, "__dict__", {}).values()]
    return any(_reaches(part, inner, depth - 1) for part in parts)
