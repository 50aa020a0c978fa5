"""Table of 256 codes of an activation between two quantised int8 tensors.

Every code is the exact one: the formula is evaluated in float64, divided by the output's scale, rounded half to even, moved by the output's
zero point, and saturated. A result that is NaN, such as the logarithm of a negative number, becomes the output's zero point, which stands
for 0. A gated unit is a product of two tensors, which no table holds; its gate alone, such as the sigmoid of ``glu``, has one.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actlab.errors import ExportError
from actlab.functions.activation import Activation
from actlab.functions.formula.evaluate import numeric
from actlab.functions.grammar import parse
from actlab.functions.mean_formula import mean_formula
from actlab.functions.parameter import Learned
from actlab.functions.spec import Spec

__all__ = ["int8_table"]

Codes = np.ndarray[Any, np.dtype[np.int8]]
LOWEST, HIGHEST = -128, 127
REASONS: Final = {
    "gated": "it takes two tensors; tabulate the gate and multiply by the value",
    "vector": "its outputs mix elements",
    "complex": "it is a function of complex numbers",
}


def int8_table(
    spec: Spec | Activation | str, *, input_scale: float, input_zero: int, output_scale: float, output_zero: int
) -> Codes:
    """Return the output's code for each input's code, at the index ``code + 128``.

    Args:
        spec: an elementwise activation, or a stochastic one, which becomes its mean; a gradient rule has no part in it.
        input_scale: what one step of the input's codes stands for; above 0.
        input_zero: code of 0, from -128 to 127.
        output_scale: as ``input_scale``, of the output.
        output_zero: as ``input_zero``, of the output.

    Returns:
        256 codes.

    Raises:
        ExportError: the activation has no table, or a scale or zero point is out of range.

    Example:
        >>> table = int8_table("leaky_relu(0.5)", input_scale=0.1, input_zero=0, output_scale=0.1, output_zero=0)
        >>> [int(table[code + 128]) for code in (-128, -3, -1, 127)]
        [-64, -2, 0, 127]
    """
    spec = parse(spec).forward
    _check_scales(input_scale, input_zero, output_scale, output_zero)
    _check_spec(spec)
    record = spec.activation
    formula = spec.formula if record.tensor_code is None else mean_formula(spec)
    codes = np.arange(LOWEST, HIGHEST + 1, dtype=np.float64)
    values = numeric(formula, record.inputs)((codes - input_zero) * input_scale)
    with np.errstate(over="ignore"):  # to infinity, which saturates
        results = np.rint(values / output_scale) + output_zero
    results = np.where(np.isnan(results), output_zero, results)
    table: Codes = np.clip(results, LOWEST, HIGHEST).astype(np.int8)
    return table


def _check_scales(input_scale: float, input_zero: int, output_scale: float, output_zero: int) -> None:
    for name, scale in (("input_scale", input_scale), ("output_scale", output_scale)):
        if not (np.isfinite(scale) and scale > 0):
            raise ExportError(
                f"{name} is {scale!r}; a scale is a finite number above 0, what one step of the codes stands for."
            )
    for name, zero in (("input_zero", input_zero), ("output_zero", output_zero)):
        if zero != int(zero) or not LOWEST <= zero <= HIGHEST:
            raise ExportError(f"{name} is {zero!r}; the code of 0 is a whole number from {LOWEST} to {HIGHEST}.")


def _check_spec(spec: Spec) -> None:
    if reason := REASONS.get(spec.activation.kind):
        raise ExportError(f"{spec} has no table of 256 codes: {reason}.")
    learned = {name: spec.numbers[name] for name, value in spec.assigned if isinstance(value, Learned)}
    if learned:
        numbers = ", ".join(f"{name}={number!r}" for name, number in learned.items())
        raise ExportError(
            f"{spec} has no table of 256 codes before its parameters are numbers: give those of the trained layer, as in "
            f"{spec.activation.name}({numbers}), and one table for each channel if there is one number for each."
        )
