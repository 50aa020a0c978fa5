"""Elementwise functions of one tensor as trees, and what is found about them by their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Final, TypeAlias

import numpy as np

from actlab.export.net.evaluate import OPERATIONS, activation
from actlab.export.net.layers import Layer, Numbers, Operation
from actlab.functions.spec import Spec

__all__ = [
    "SAME",
    "Both",
    "Chain",
    "Elementwise",
    "Formula",
    "Function",
    "Half",
    "Line",
    "Reciprocal",
    "apply",
    "clamp_of",
    "halves",
    "is_rising",
    "numbers_of",
    "on_points",
    "over",
    "pattern_of",
    "two_values",
]

Floats = np.ndarray[Any, Any]
Spread: TypeAlias = Callable[[Numbers], Any]

# Inputs at which functions are tested; none is a breakpoint of a function in the catalogue.
POINTS: Final = np.concatenate([[-1e4, -31.7], np.linspace(-7.3, 7.1, 289), [33.1, 1e4]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Formula:
    """Activation of one input, with its learned numbers."""

    spec: Spec
    learned: tuple[Numbers, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Half:
    """One factor of a gated function: ``factor * F(x, other)`` of the gate, or ``factor * F(other, x)`` of the value."""

    spec: Spec
    learned: tuple[Numbers, ...]
    is_gate: bool
    other: float
    factor: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """Product with constants and sum with others."""

    scale: Numbers
    shift: Numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """One function of the result of another."""

    first: Function
    then: Function


@dataclass(frozen=True, kw_only=True, eq=False)
class Both:
    """Sum, product or another operation of two functions of the same tensor."""

    operation: Operation
    a: Function
    b: Function


@dataclass(frozen=True)
class Same:
    """The tensor itself."""


@dataclass(frozen=True)
class Reciprocal:
    """One divided by the tensor."""


Function: TypeAlias = Formula | Half | Line | Chain | Both | Same | Reciprocal
SAME: Final = Same()


@dataclass(frozen=True, kw_only=True, eq=False)
class Elementwise(Layer):
    """Function of each element of a tensor."""

    function: Function
    made_from: str = ""


@singledispatch
def apply(function: Function, _x: Floats, _spread: Spread) -> Any:
    """Return a function of an array, in float64.

    Args:
        function: the tree.
        x: float64.
        spread: makes an array that broadcasts against ``x`` out of the numbers of a parameter.
    """
    raise TypeError(f"no function {type(function).__name__}")


@apply.register
def _same(_function: Same, x: Any, _spread: Any) -> Any:
    return x


@apply.register
def _reciprocal(_function: Reciprocal, x: Any, _spread: Any) -> Any:
    return 1 / x


@apply.register
def _formula(function: Formula, x: Any, spread: Any) -> Any:
    return activation(function.spec)(x, *(spread(each).astype(np.float64) for each in function.learned))


@apply.register
def _half(function: Half, x: Any, spread: Any) -> Any:
    learned = [spread(each).astype(np.float64) for each in function.learned]
    other = np.full_like(x, function.other)
    pair = (x, other) if function.is_gate else (other, x)
    return function.factor * activation(function.spec)(*pair, *learned)


@apply.register
def _line(function: Line, x: Any, spread: Any) -> Any:
    return x * spread(function.scale).astype(np.float64) + spread(function.shift).astype(np.float64)


@apply.register
def _chain(function: Chain, x: Any, spread: Any) -> Any:
    return apply(function.then, apply(function.first, x, spread), spread)


@apply.register
def _both(function: Both, x: Any, spread: Any) -> Any:
    return OPERATIONS[function.operation](apply(function.a, x, spread), apply(function.b, x, spread))


def numbers_of(function: Function) -> tuple[Numbers, ...]:
    """Return all parameters of a function that are constants."""
    match function:
        case Formula() | Half():
            return function.learned
        case Line():
            return (function.scale, function.shift)
        case Chain():
            return (*numbers_of(function.first), *numbers_of(function.then))
        case Both():
            return (*numbers_of(function.a), *numbers_of(function.b))
        case _:
            return ()


def pattern_of(function: Function, size: int) -> tuple[int, int]:
    """Return how many different functions there are over a tensor, and how many neighbours share one.

    Args:
        function: the tree.
        size: number of elements of the tensor.
    """
    found = {
        (len(each.values), each.inner) for each in numbers_of(function) if not (each.values == each.values[0]).all()
    }
    if not found:
        return 1, 1
    return found.pop() if len(found) == 1 else (size, 1)


def on_points(function: Function, points: Floats, count: int, inner: int) -> Any:
    """Return the values of each of the different functions.

    Args:
        function: the tree.
        points: float64 of shape (n,) for all, or (count, n).
        count: of the functions, as :func:`pattern_of` returns it.
        inner: likewise.

    Returns:
        float64 of shape (count, n).
    """

    def spread(numbers: Numbers) -> Any:
        return numbers.values[np.arange(count) * inner // numbers.inner % len(numbers.values)][:, None]

    wide = np.broadcast_to(np.asarray(points, np.float64), (count, points.shape[-1]))
    with np.errstate(all="ignore"):
        return np.broadcast_to(np.asarray(apply(function, wide, spread), np.float64), wide.shape)


def over(function: Function, x: Floats, shape: tuple[int, ...]) -> Any:
    """Return the function of a batch, float64 of shape (batch, *shape)."""
    return apply(function, x.astype(np.float64), lambda numbers: numbers.over(shape))


def two_values(function: Function, size: int) -> tuple[float, float] | None:
    """Return the two values of a binary function, the lower one first; None of others, and where they differ over the tensor.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> two_values(Formula(spec=parse("sign")), 4), two_values(Formula(spec=parse("relu")), 4)
        ((-1.0, 1.0), None)
    """
    values = np.unique(on_points(function, POINTS, *pattern_of(function, size)))
    return (float(values[0]), float(values[1])) if len(values) == 2 and np.isfinite(values).all() else None


def is_rising(function: Function, size: int) -> bool:
    """Whether no value of a function is smaller than one of a smaller input, at the tested points.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> is_rising(Formula(spec=parse("relu6")), 4), is_rising(Formula(spec=parse("gelu")), 4)
        (True, False)
    """
    return bool((np.diff(on_points(function, POINTS, *pattern_of(function, size))) >= 0).all())


def clamp_of(function: Function, low: float, high: float, size: int) -> tuple[float, float] | None:
    """Return between which numbers a function clamps its input; None where it does something else.

    Args:
        function: the tree.
        low: smallest input that matters.
        high: largest one.
        size: number of elements of the tensor.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> clamp_of(Formula(spec=parse("relu6")), -9.0, 9.0, 4), clamp_of(Formula(spec=parse("hardtanh")), -0.5, 9.0, 4)
        ((0.0, 6.0), (-1.0, 1.0))
    """
    width = max(high - low, 1e-30)
    points = np.unique(np.concatenate([np.linspace(low - width / 4, high + width / 4, 1023), [0.0]]))
    values = on_points(function, points, *pattern_of(function, size))
    if not (np.isfinite(values).all() and (values == values[:1]).all()):
        return None
    least, most = values[0].min(), values[0].max()
    if least >= most or not (values[0] == np.clip(points, least, most)).all():
        return None
    return (-np.inf if least == points[0] else float(least)), (np.inf if most == points[-1] else float(most))


def halves(spec: Spec, learned: tuple[Numbers, ...]) -> tuple[Half, Function] | None:
    """Return the functions of gate and value whose product is a gated function; None where there are none.

    The factor of the value is the value itself where the gated function is linear in it.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> gate, value = halves(parse("swiglu"), ())
        >>> round(float(apply(gate, np.float64(2.0), None)), 4), value
        (1.7616, Same())
    """
    points = np.linspace(-3.1, 3.3, 65)
    formula = activation(spec)
    first = [each.values[0].astype(np.float64) for each in learned]
    with np.errstate(all="ignore"):
        table = formula(points[:, None] + 0 * points, points + 0 * points[:, None], *first)
    if not np.isfinite(table).all() or not np.abs(table).max() > 0:
        return None
    row, column = np.unravel_index(np.abs(table).argmax(), table.shape)
    product = table[:, [column]] * table[[row]] / table[row, column]
    if not np.allclose(product, table, rtol=1e-9, atol=1e-12 * np.abs(table).max()):
        return None
    g, v = float(points[row]), float(points[column])
    gate = Half(spec=spec, learned=learned, is_gate=True, other=v, factor=1 / v)
    if np.allclose(table[row] * v, points * table[row, column], rtol=1e-9, atol=1e-12):
        return gate, SAME
    if learned and any(len(each.values) > 1 for each in learned):
        return None
    return gate, Half(spec=spec, learned=learned, is_gate=False, other=g, factor=v / float(table[row, column]))
