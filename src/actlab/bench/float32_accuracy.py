"""Input regions where an activation's textbook formula overflows or loses accuracy in float32.

The naive program has the operations of the formula in textbook form (softplus as ``log(1 + exp(x))``, no guarded branches, no clamping) and
autograd's gradient. It is run at all magnitudes up to 1e4 and compared with float64. Errors explained by rounding of the input alone do not
count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np
import sympy
import torch
from torch import Tensor

from actlab.codegen import pytorch
from actlab.functions import formula
from actlab.functions.analysis.affine_equivalence import parse_elementwise
from actlab.functions.formula import Expr, derivative
from actlab.functions.formula.evaluate import Array, fold_constants, numeric
from actlab.functions.formula.printer import compile_source, function_source
from actlab.functions.spec import Spec

__all__ = ["InaccurateRegion", "inaccurate_regions"]

Part = Literal["value", "gradient"]
REACH = 1e4
MAGNITUDES = np.unique(np.concatenate([np.geomspace(1e-8, REACH, 900), np.linspace(0.05, 120, 2400)]))
GRID = np.concatenate([-MAGNITUDES[::-1], [0.0], MAGNITUDES]).astype(np.float32)
EPS = float(np.finfo(np.float32).eps)
LOST = 1e-2  # relative error from which a result counts as wrong: two of seven digits are left
SMALLEST = 1e-12  # smaller values do not change float32 sums, so their errors are relative to this
GRANTED = 16  # allowed multiple of the effect of rounding the input: the operations of the formula round, too
# Perturbations of the input in units of a rounding; several, because a fast wave may return to its value after one.
NUDGES = (-1.0, -0.6, -0.3, 0.3, 0.6, 1.0)
FEWEST = 3  # points of a region of lost digits; a single point is a zero that the grid happens to contain
MOST = 3  # regions of one kind that are listed separately; more are merged into one
GAP = 8  # accurate points that do not end a region: errors by cancellation are irregular
TEXTBOOK: dict[type[formula.Primitive], Callable[..., Expr]] = {
    formula.softplus: lambda x: formula.log(1 + formula.exp(x)),
    formula.logsigmoid: lambda x: formula.log(formula.sigmoid(x)),
    formula.expm1: lambda x: formula.exp(x) - 1,
    formula.log1p: lambda x: formula.log(1 + x),
    formula.asinh: lambda x: formula.log(x + sympy.sqrt(x**2 + 1)),
    formula.normal_cdf: lambda x: (1 + formula.erf(x / sympy.sqrt(2))) / 2,
    formula.sinc: lambda x: formula.sin(x) / x,
}


@dataclass(frozen=True, kw_only=True)
class InaccurateRegion:
    """A region of inputs in which the naive program is wrong.

    Attributes:
        part: what is wrong: "value" or "gradient".
        low: lower end of the region; ``-inf`` if it includes -1e4.
        high: upper end of the region; ``inf`` if it includes 1e4.
        finite: whether the naive result is finite in the region, but inaccurate.
        truth: the largest magnitude of the correct result in the region.
        error: the largest relative error of the naive program; ``inf`` if it is not finite.
        here: the largest relative error of ActLab's code in the region; ``inf`` if it is not finite.
    """

    part: Part
    low: float
    high: float
    finite: bool
    truth: float
    error: float
    here: float


def inaccurate_regions(spec: str | Spec) -> list[InaccurateRegion]:
    """Return where the textbook form of an elementwise activation is wrong in float32, values first.

    Raises:
        SpecError: the activation is not elementwise, or the spec cannot be parsed.

    Example:
        >>> [(r.part, round(r.low), r.high, r.here < 1e-4) for r in inaccurate_regions("softplus") if not r.finite]
        [('value', 89, inf, True), ('gradient', 89, inf, True)]
        >>> inaccurate_regions("relu")
        []
    """
    spec = parse_elementwise(spec)
    x = spec.activation.inputs[0]
    expression = spec.formula
    naive, ours = (
        _run(_program(textbook(expression), x)),
        _run(pytorch.function(spec.activation, tuple(spec.numbers.items()))),
    )
    regions: list[InaccurateRegion] = []
    parts: tuple[tuple[Part, Expr], ...] = (("value", expression), ("gradient", derivative(expression, x)))
    for part, reference in parts:
        truth, granted = _truth(numeric(reference, [x]))
        errors = [_errors(program[part], truth, granted) for program in (naive, ours)]
        regions += _regions(part, errors[0], errors[1], np.isfinite(naive[part]), truth)
    return regions


def textbook(expression: Expr) -> Expr:
    """Return the expression with primitives replaced by their textbook definitions.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> textbook(x * formula.tanh(formula.softplus(x)))
        x*tanh(log(exp(x) + 1))
    """
    return expression.replace(lambda e: type(e) in TEXTBOOK, lambda e: TEXTBOOK[type(e)](*e.args))


def _program(expression: Expr, x: sympy.Symbol) -> Callable[[Tensor], Tensor]:
    return compile_source(
        function_source("naive", [x], fold_constants(expression), "torch", wrap="{0}"), "naive", pytorch.NAMES
    )


def _run(program: Callable[..., Any]) -> dict[str, Array]:
    """Return value and gradient in float32 over the grid, as float64."""
    x = torch.from_numpy(GRID).requires_grad_()
    value = program(x) + 0.0 * x.detach()  # gives a constant the shape of the grid
    gradient = torch.autograd.grad(value.sum(), x, allow_unused=True)[0] if value.requires_grad else None
    gradient = torch.zeros_like(x) if gradient is None else gradient
    return {"value": value.detach().double().numpy(), "gradient": gradient.double().numpy()}


def _truth(function: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Return the function over the grid in float64, and the allowed error: its change when the input is rounded, times :data:`GRANTED`."""
    x = GRID.astype(np.float64)
    truth = function(x)
    with np.errstate(all="ignore"):
        moved = np.maximum.reduce([np.abs(function(x * (1 + share * EPS)) - truth) for share in NUDGES])
    return truth, GRANTED * np.nan_to_num(moved, nan=inf)


def _errors(got: Array, truth: Array, granted: Array) -> Array:
    """Return relative errors; zero where the truth is not a float32 number or the error is within the allowed one."""
    with np.errstate(all="ignore"):
        fits = np.isfinite(truth) & (np.abs(truth) < np.finfo(np.float32).max)
        off = np.where(np.isfinite(got), np.abs(got - truth), inf)
        relative = off / np.maximum(np.abs(truth), SMALLEST)
        return np.where(fits & ((off > granted) | ~np.isfinite(got)), np.nan_to_num(relative, nan=inf, posinf=inf), 0.0)


def _regions(part: Part, naive: Array, ours: Array, finite: Array, truth: Array) -> list[InaccurateRegion]:
    regions = []
    for is_finite in (False, True):
        wrong = np.flatnonzero((naive > LOST) & (finite == is_finite))
        runs = np.split(wrong, np.flatnonzero(np.diff(wrong) > GAP) + 1)
        runs = [run for run in runs if run.size >= (FEWEST if is_finite else 1)]
        for run in runs if len(runs) <= MOST else [np.concatenate(runs)]:
            low, high = float(GRID[run[0]]), float(GRID[run[-1]])
            ends = {"low": -inf if low <= -REACH else low, "high": inf if high >= REACH else high}
            sizes = {"truth": np.abs(truth[run]).max(), "error": naive[run].max(), "here": ours[run].max()}
            regions.append(
                InaccurateRegion(
                    part=part, finite=is_finite, **ends, **{name: float(size) for name, size in sizes.items()}
                )
            )
    return regions
