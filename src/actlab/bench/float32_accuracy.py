"""The trap: where a function written down as its paper prints it goes wrong in float32, found by running it.

The naive program has the formula's operations in textbook spelling (softplus as ``log(1 + exp(x))``, no branch guarded, no product
held) and autograd's gradient. It runs at every magnitude up to 1e4 and is held against float64. What rounding of the input alone
explains is no trap.
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
LOST = 1e-2  # a relative error from which a result is called wrong: two digits are left, of seven
SMALLEST = 1e-12  # below this a wrong digit changes no sum it enters in float32
GRANTED = 16  # roundings of the input that may be amplified: the formula's own operations round, too
NUDGES = (
    -1.0,
    -0.6,
    -0.3,
    0.3,
    0.6,
    1.0,
)  # of a rounding; several, because a fast wave may return to its value after one
FEWEST = 3  # points that make a region of lost digits: a single one is a zero that the grid happens to hit
MOST = 3  # regions of one kind that are told apart; more are told as one
GAP = 8  # so many good points inside a region do not end it: errors by cancellation come and go
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
        part: of what: "value" or "gradient".
        low: where the region begins; ``-inf`` if it reaches to -1e4.
        high: where it ends; ``inf`` if it reaches to 1e4.
        finite: whether the naive result is finite there, only without correct digits.
        truth: the largest correct result in the region, by size.
        error: the largest relative error of the naive program; ``inf`` where it is not finite.
        here: the largest relative error of ActLab's formula in the same region; ``inf`` where that is not finite.
    """

    part: Part
    low: float
    high: float
    finite: bool
    truth: float
    error: float
    here: float


def inaccurate_regions(spec: str | Spec) -> list[InaccurateRegion]:
    """Return where the textbook form of an elementwise activation goes wrong in float32, values first.

    Raises:
        SpecError: no elementwise activation, or the spec cannot be read.

    Example:
        >>> [(trap.part, round(trap.low), trap.high, trap.here < 1e-4) for trap in inaccurate_regions("softplus") if not trap.finite]
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
    found: list[InaccurateRegion] = []
    parts: tuple[tuple[Part, Expr], ...] = (("value", expression), ("gradient", derivative(expression, x)))
    for part, wanted in parts:
        truth, granted = _truth(numeric(wanted, [x]))
        errors = [_errors(program[part], truth, granted) for program in (naive, ours)]
        found += _regions(part, errors[0], errors[1], np.isfinite(naive[part]), truth)
    return found


def textbook(expression: Expr) -> Expr:
    """Return the expression in operations that a textbook has.

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
    value = program(x) + 0.0 * x.detach()  # of a constant, too
    gradient = torch.autograd.grad(value.sum(), x, allow_unused=True)[0] if value.requires_grad else None
    gradient = torch.zeros_like(x) if gradient is None else gradient
    return {"value": value.detach().double().numpy(), "gradient": gradient.double().numpy()}


def _truth(function: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Return the function over the grid in float64, and how far roundings of the input move it."""
    x = GRID.astype(np.float64)
    truth = function(x)
    with np.errstate(all="ignore"):
        moved = np.maximum.reduce([np.abs(function(x * (1 + share * EPS)) - truth) for share in NUDGES])
    return truth, GRANTED * np.nan_to_num(moved, nan=inf)


def _errors(got: Array, truth: Array, granted: Array) -> Array:
    """Return relative errors; zero where the truth is none, too small or too large for float32, or rounding explains it."""
    with np.errstate(all="ignore"):
        fits = np.isfinite(truth) & (np.abs(truth) < np.finfo(np.float32).max)
        off = np.where(np.isfinite(got), np.abs(got - truth), inf)
        relative = off / np.maximum(np.abs(truth), SMALLEST)
        return np.where(fits & ((off > granted) | ~np.isfinite(got)), np.nan_to_num(relative, nan=inf, posinf=inf), 0.0)


def _regions(part: Part, naive: Array, ours: Array, finite: Array, truth: Array) -> list[InaccurateRegion]:
    found = []
    for is_finite in (False, True):
        wrong = np.flatnonzero((naive > LOST) & (finite == is_finite))
        runs = np.split(wrong, np.flatnonzero(np.diff(wrong) > GAP) + 1)
        runs = [run for run in runs if run.size >= (FEWEST if is_finite else 1)]
        for run in runs if len(runs) <= MOST else [np.concatenate(runs)]:
            low, high = float(GRID[run[0]]), float(GRID[run[-1]])
            ends = {"low": -inf if low <= -REACH else low, "high": inf if high >= REACH else high}
            sizes = {"truth": np.abs(truth[run]).max(), "error": naive[run].max(), "here": ours[run].max()}
            found.append(
                InaccurateRegion(
                    part=part, finite=is_finite, **ends, **{name: float(size) for name, size in sizes.items()}
                )
            )
    return found
