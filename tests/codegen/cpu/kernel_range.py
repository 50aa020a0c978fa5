"""Comparison of CPU kernels with extended precision over the whole range of a dtype.

python tests/codegen/cpu/kernel_range.py        # a table of all entries and dtypes, in about four minutes
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import sympy
import torch
from scipy import special

from actlab.codegen.cpu.kernel import CpuKernel
from actlab.functions.activation import names
from actlab.functions.formula import canonical, derivative
from actlab.functions.formula.evaluate import NAMES, stabilize
from actlab.functions.formula.printer import compile_source, function_source
from actlab.functions.grammar import parse

LONG = np.longdouble  # x86's 80 bits: 64 of mantissa, and exponents up to 16383, where no formula overflows early
LARGEST = np.sqrt(np.finfo(LONG).max)
PI = LONG("3.14159265358979323846264338327950288")
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
# Multiples of the unit roundoff of the computing precision: of the value, and of its condition (a rounding of the input). Then the
# absolute error that kernels are allowed, as docs/how_to/kernels.md promises.
RELATIVE = {torch.float32: 64, torch.float64: 1024}
CONDITION = 16
ABSOLUTE = {torch.float32: 1e-6, torch.float64: 5e-13}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Where a kernel differs from the formula.

    Attributes:
        name: of the entry.
        which: "value", or the symbol of the input in which the gradient is.
        at: the inputs where it does.
        got: what the kernel returns there.
        want: what the formula is there.
        largest: largest error of the others, in units of what is allowed.
    """

    name: str
    which: str
    at: np.ndarray
    got: np.ndarray
    want: np.ndarray
    largest: float


class _Special:
    """SciPy's functions in extended precision; those it has in float64 only are as exact as float64 is."""

    def expit(self, x: Any) -> Any:
        small = np.exp(-np.abs(x))
        return np.where(x > 0, 1, small) / (1 + small)

    def log_expit(self, x: Any) -> Any:
        return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))

    def erf(self, x: Any) -> Any:
        return special.erf(x.astype(np.float64)).astype(LONG)

    def ndtr(self, x: Any) -> Any:
        return special.ndtr(x.astype(np.float64)).astype(LONG)


def _sinc(x: Any) -> Any:
    return np.where(x == 0, 1, np.sin(x) / np.where(x == 0, 1, x))


LONG_NAMES = {
    **NAMES,
    "special": _Special(),
    "cardinal_sine": _sinc,
    "clamped": lambda v, side: np.clip(v, -LARGEST if side <= 0 else None, LARGEST if side >= 0 else None),
    "tamed": lambda v: np.minimum(v, np.log(LARGEST)),
    "capped": lambda v, times: np.minimum(v, LONG(11356) / int(times)),
}


def _evaluate(expression: Any, symbols: list[sympy.Symbol], points: list[np.ndarray]) -> np.ndarray:
    source = function_source("formula", symbols, stabilize(expression, symbols), "numpy")
    with np.errstate(all="ignore"):
        return np.asarray(compile_source(source, "formula", LONG_NAMES)(*points), dtype=LONG) + np.zeros_like(points[0])


@cache
def points(dtype: torch.dtype) -> torch.Tensor:
    """Return about 7800 numbers: from the smallest subnormal to the largest, in both signs, and a fine grid over [-120, 120]."""
    info = torch.finfo(dtype)
    with np.errstate(
        over="ignore"
    ):  # NumPy rounds the last power up to infinity before it puts float64's largest number there
        far = np.geomspace(float(info.smallest_normal) * float(info.eps), float(info.max), 2600)
    ends = [0.0, -0.0, float(info.max), -float(info.max)]
    grid = torch.from_numpy(np.concatenate([far, -far, np.linspace(-120, 120, 2600), ends])).to(dtype)
    return torch.unique(grid[grid.isfinite()])


def differences(name: str, dtype: torch.dtype) -> list[Difference]:
    """Return, for the value and each gradient of an entry's kernel, where it differs from the formula; gates get the value 1/2."""
    spec = parse(name)
    numbers = ", ".join(f"{key}={value!r}" for key, value in spec.numbers.items())
    spec = parse(f"{spec.activation.name}({numbers})" if numbers else name)
    record, x = spec.activation, points(dtype)
    inputs = (x, torch.full_like(x, 0.5)) if record.kind == "gated" else (x,)
    made, given = CpuKernel(spec), inputs if len(inputs) > 1 else x
    value = made.forward(given)
    slopes = made.backward(torch.ones_like(value), given)[0]
    known = {p.symbol: sympy.Float(spec.numbers[p.name], 17) for p in record.parameters}
    formula = canonical(record.formula.xreplace(known))
    forms = [formula, *(canonical(derivative(formula, symbol)) for symbol in record.inputs)]
    results = [value, *(slopes if isinstance(slopes, tuple) else (slopes,))]
    labels = ["value", *(symbol.name for symbol in record.inputs)]
    exact = [part.double().numpy().astype(LONG) for part in inputs]
    return [
        _compare(name, label, form, list(record.inputs), exact, got)
        for label, form, got in zip(labels, forms, results, strict=True)
    ]


def _compare(  # noqa: PLR0917 private
    name: str, which: str, form: Any, symbols: list, exact: list[np.ndarray], result: torch.Tensor
) -> Difference:
    dtype = result.dtype
    computed = torch.float64 if dtype == torch.float64 else torch.float32
    unit, stored = float(torch.finfo(computed).eps), torch.finfo(dtype)
    got, want = result.double().numpy().astype(LONG), _evaluate(form, symbols, exact)
    slope = _evaluate(canonical(derivative(form, symbols[0])), symbols, exact)
    with np.errstate(all="ignore"):
        condition = np.nan_to_num(np.abs(exact[0] * slope), nan=0, posinf=0)
        relative = RELATIVE[computed] * unit + (0 if dtype == computed else float(stored.eps))
        allowed = (
            relative * np.abs(want) + CONDITION * unit * condition + ABSOLUTE[computed] + float(stored.smallest_normal)
        )
        error = np.abs(got - want) / allowed
        beyond = (np.abs(want) > float(stored.max) * (1 - CONDITION * unit)) & (np.abs(got) >= float(stored.max))
        wrong = ~((error <= 1) | beyond | np.isnan(want))
        right = error[~wrong & np.isfinite(error)]
    largest = float(right.max()) if right.size else 0.0
    return Difference(name=name, which=which, at=exact[0][wrong], got=got[wrong], want=want[wrong], largest=largest)


def main() -> None:
    """Print the largest error of each dtype, and each exception."""
    entries = names("elementwise") + names("gated")
    for dtype in DTYPES:
        found = [difference for name in entries for difference in differences(name, dtype)]
        largest = max(found, key=lambda d: d.largest)
        print(f"{dtype}: {len(entries)} entries, {len(points(dtype))} points, {len(found)} values and gradients")  # noqa: T201
        print(f"  largest error {largest.largest:.2f} of the allowed one ({largest.name}, {largest.which})")  # noqa: T201
        for d in (d for d in found if d.at.size):
            first, last = float(np.abs(d.at).min()), float(np.abs(d.at).max())
            print(f"  {d.name}, {d.which}: {d.at.size} points, |x| from {first:.4g} to {last:.4g}")  # noqa: T201


if __name__ == "__main__":
    main()
