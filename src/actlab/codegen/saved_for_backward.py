"""What an activation must save for backward (nothing, bits, its output or its input).

This follows from the formula alone. A slope that takes ``n`` constant values needs ``ceil(log2 n)`` bits per element; a slope that is a
function of the value needs the output, which a following Linear or convolution saves anyway; everything else needs the input. The
gradient of a learned parameter needs the input as well.

Computing the slope from a *rounded* output costs accuracy, so each candidate is tested. In float32 its error must stay within
``16 eps max(|f'(x)|, sup |f'|)`` (1 instead of an infinite supremum), as it does in torch's own tanh and sigmoid: for large inputs,
where tanh' is 1e-9 and 1 - y^2 is 0, the error is 1e-9. In half precision small slopes would be lost entirely, so there the error must
stay within ``2 eps |f'(x)|`` of bfloat16 (``sharp``); otherwise the input must be saved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import ceil, log2
from typing import Any, Final, Literal

import numpy as np
import sympy

from actlab.functions.activation import Learned
from actlab.functions.formula import Expr, derivative
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.quadrature import GRID, breakpoints
from actlab.functions.formula.segments import segments
from actlab.functions.formula.slope_from_output import slope_from_output
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["OUTPUT", "SavedForBackward", "saved_for_backward"]

OUTPUT: Final = sympy.Symbol("y", real=True)
ERROR: Final = 16 * float(np.finfo(np.float32).eps)
HALF_ERROR: Final = 2 * 2.0**-7  # two steps of bfloat16, the coarser of the two half-precision dtypes
MOST_BITS: Final = 4  # above that, packing costs more than it saves

Form = Literal["nothing", "bits", "output", "input", "inputs"]


@dataclass(frozen=True, kw_only=True)
class SavedForBackward:
    """What the backward pass of an activation needs of each element.

    Attributes:
        levels: the values of the slope, ascending, if there are finitely many; empty otherwise.
        from_output: the slope as an expression in :data:`OUTPUT`, within the stated error; None if there is none.
        sharp: whether that expression may be used in half precision too.
        inputs: number of inputs: 2 for gated functions.
    """

    levels: tuple[float, ...] = ()
    from_output: Expr | None = None
    sharp: bool = False
    inputs: int = 1

    @property
    def bits(self) -> int | None:
        """Bits per element that determine the slope; None if no number of bits does."""
        return ceil(log2(len(self.levels))) if self.levels else None

    @property
    def form(self) -> Form:
        """The smallest form that suffices, disregarding what neighboring layers save."""
        if self.levels:
            return "bits" if self.bits else "nothing"
        if self.from_output is not None:
            return "output"
        return "input" if self.inputs == 1 else "inputs"

    def bytes(self, itemsize: int) -> float:
        """Return the bytes saved per element of the output, where an element has ``itemsize`` bytes.

        Example:
            >>> saved_for_backward("leaky_relu").bytes(4), saved_for_backward("gelu").bytes(2), saved_for_backward("swiglu").bytes(4)
            (0.125, 2, 8)
        """
        return (self.bits or 0) / 8 if self.levels else itemsize * self.inputs

    def __str__(self) -> str:
        if self.form == "nothing":
            return "nothing: its slope is the same everywhere"
        each = f"{self.bytes(4):g} bytes per element in float32, {self.bytes(2):g} in bfloat16"
        if self.form == "bits":
            plural = "s" if self.bits != 1 else ""
            also = "" if self.from_output is None else "; or its output, which a Linear or convolution keeps anyway"
            return f"{self.bits} bit{plural} per element: its slope takes {len(self.levels)} values{also}"
        if self.form == "output":
            return f"its output, {each}; a Linear or convolution after it keeps that anyway"
        if self.form == "inputs":
            return f"gate and value, {each.replace('element', 'element of the output')}"
        return f"its input, {each}"


def saved_for_backward(spec: str | Spec) -> SavedForBackward | None:
    """Return what the backward pass of an activation needs; None for tensor code, which has no formula, and for specs with a gradient rule.

    Raises:
        SpecError: the spec cannot be read.
        UnknownNameError: there is no such activation.

    Example:
        >>> print(saved_for_backward("hardsigmoid"))
        1 bit per element: its slope takes 2 values
        >>> saved_for_backward("tanh").from_output
        (1 - y)*(y + 1)
        >>> saved_for_backward("gelu").form, saved_for_backward("swiglu").form, saved_for_backward("identity").form
        ('input', 'inputs', 'nothing')
    """
    spec = parse(spec)
    record = spec.activation
    if record.expression is None or spec.backward is not None:
        return None
    if record.kind == "gated":
        return SavedForBackward(inputs=2)
    if any(isinstance(value, Learned) for value in spec.values.values()):
        return SavedForBackward()
    numbers = {p.symbol: sympy.Float(spec.numbers[p.name], 17) for p in record.parameters}
    return _analyze(record.formula.xreplace(numbers), record.inputs[0])


@cache
def _analyze(expression: Expr, x: sympy.Symbol) -> SavedForBackward:
    f, df = numeric(expression, [x]), numeric(derivative(expression, x), [x])
    grid = _grid(expression, x)
    levels = _levels(expression, x, df, grid)
    candidate = slope_from_output(expression, x, OUTPUT)
    if candidate is None:
        return SavedForBackward(levels=levels)
    error, half_error = _errors(candidate, f, df, grid)
    accurate = error <= ERROR
    return SavedForBackward(
        levels=levels, from_output=candidate if accurate else None, sharp=accurate and half_error <= HALF_ERROR
    )


def _grid(expression: Expr, x: sympy.Symbol) -> Any:
    """Return the inputs at which a candidate is tested: float32 numbers, dense, and close to the breakpoints on both sides."""
    edges = np.array([0.0, *breakpoints(expression, x)], dtype=np.float32)
    close = np.geomspace(1e-30, 1e-2, 200)
    ulps = np.arange(-32, 33) * np.spacing(np.abs(edges))[:, None]  # where rounding may carry a value across an edge
    near = [edges[:, None] + close, edges[:, None] - close, edges[:, None] + ulps]
    points = np.unique(np.concatenate([GRID, *(part.ravel() for part in near)]).astype(np.float32)).astype(np.float64)
    return points[(points == 0.0) | (np.abs(points) > 1e-35)]  # some kernels flush denormal numbers to zero


def _levels(expression: Expr, x: sympy.Symbol, df: Callable[[Any], Any], grid: Any) -> tuple[float, ...]:
    """Return the values of a slope that is constant on every segment, or nothing."""
    slopes = [sympy.expand(derivative(piece.expression, x)) for piece in segments(expression, x)]
    if any(slope.has(x) for slope in slopes):
        return ()
    levels = np.unique(np.round([float(slope) for slope in slopes], 12))  # 0.05 and 1 - 0.95 count as one
    values = df(grid)
    at_levels = np.abs(values[:, None] - levels).min(axis=1) < 1e-9  # also at kinks: no third value in between
    return tuple(map(float, levels)) if len(levels) <= 2**MOST_BITS and bool(np.all(at_levels)) else ()


def _errors(candidate: Expr, f: Callable[[Any], Any], df: Callable[[Any], Any], grid: Any) -> tuple[float, float]:
    """Return the largest error of a slope computed from a rounded output.

    Returns:
        In float32 the error relative to ``max(|f'(x)|, sup |f'|)``, of the exact value rounded and of the value that float32 arithmetic
        gives; in bfloat16 the error relative to ``|f'(x)|`` (or to 1e-30, below which slopes underflow).
    """
    derived, slope = numeric(candidate, [OUTPUT]), df(grid)
    with np.errstate(over="ignore"):  # exp overflows; tested where it is finite
        exact, computed = f(grid).astype(np.float32), f(grid.astype(np.float32)).astype(np.float32)
    size = np.maximum(np.abs(slope), 1e-30)
    fits = np.isfinite(exact) & (size < np.finfo(np.float32).max)
    largest = float(size[fits].max())
    scale = np.maximum(size, largest if largest < 1e3 else 1.0)  # exp has no largest slope
    single = max(_largest(derived(value[fits]), slope[fits], scale[fits]) for value in (exact, computed))
    return single, _largest(derived(_bfloat16(exact[fits])), slope[fits], size[fits])


def _largest(derived: Any, slope: Any, scale: Any) -> float:
    error = np.abs(derived - slope) / scale
    return float(np.inf if np.isnan(error).any() else error.max())


def _bfloat16(values: Any) -> Any:
    """Round float32 numbers to bfloat16, to the nearest even one."""
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32)
