"""Numbers and steps that a user's training reports, read from numbers, tensors and arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, Final

from actlab.errors import TaskError

__all__ = ["as_float", "reported_number", "reported_step"]

_STEPS: Final = ("epoch", "iteration", "global_step", "it", "iter", "i")  # names that other libraries have for the step


def as_float(value: Any) -> float | None:
    """Return a number, or a tensor or array with one element, as a float; None for anything else.

    Example:
        >>> as_float(3), as_float("3"), as_float(True), as_float(10**400)
        (3.0, None, None, inf)
    """
    try:
        number = value.item() if hasattr(value, "item") else value
        return None if isinstance(number, bool) or not isinstance(number, Real) else float(number)
    except OverflowError:  # an integer of 400 digits
        return math.inf
    except (ValueError, RuntimeError, TypeError):  # more than one element
        return None


def reported_number(name: str, value: Any, *, by: str) -> float:
    """Return a reported value as a float.

    Args:
        name: under which it is reported.
        value: a number, or a tensor or array with one element.
        by: names the function in a message.

    Raises:
        TaskError: it is anything else.

    Example:
        >>> reported_number("loss", 1, by="trial.report")
        1.0
    """
    number = as_float(value)
    if number is None:
        what = f"{type(value).__name__}: {str(value)[:60]!r}"
        raise TaskError(
            f"{by} got {name}={what}; a number is needed, or a tensor with one element, such as loss.mean()."
        )
    return number


def reported_step(step: Any, values: Mapping[str, Any], *, by: str) -> int | None:
    """Return a reported step as a whole number; None where none is given.

    Args:
        step: as it was given.
        values: reported with it, by name.
        by: names the function in a message.

    Raises:
        TaskError: it is no whole number from 0 up, or was given by another name.

    Example:
        >>> reported_step(10.0, {"loss": 1}, by="trial.report"), reported_step(None, {"loss": 1}, by="trial.report")
        (10, None)
    """
    if step is None:
        near = next((name for name in _STEPS if name in values), None)
        if near is not None:
            raise TaskError(f"{by} got {near}={values[near]!r} and no step. Did you mean step={near}?")
        return None
    number = as_float(step)
    if number is None or number < 0 or not number.is_integer():
        raise TaskError(f"{by} got step={step!r}; a whole number from 0 up is needed.")
    return int(number)
