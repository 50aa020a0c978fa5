"""Float64 reference values, sample inputs and tolerances of the conformance checks.

The reference of a formula is its evaluation by NumPy in float64; that of tensor code is the code itself in float64. Tolerances come from
:data:`TOLERANCE`, by dtype, each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from actlab.codegen import pytorch
from actlab.functions.formula import derivative
from actlab.functions.formula.evaluate import numeric
from actlab.functions.formula.quadrature import breakpoints
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.layer import layer

__all__ = [
    "CHANNELS",
    "DTYPES",
    "TOLERANCE",
    "assert_near",
    "build_layer",
    "condition",
    "gradient_condition",
    "reference_values",
    "sample",
    "value_condition",
    "with_fixed_parameters",
]

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
TOLERANCE = {
    torch.float64: (1e-11, 1e-13),  # relative, absolute: about ten roundings, amplified by condition numbers up to 1e4
    torch.float32: (
        4e-6,
        2e-7,
    ),  # the same ten roundings; torch's gelu cancels in 1 + erf below x = -3, hence the absolute part
    torch.bfloat16: (2**-8, 2e-7),  # computed in float32 and rounded once, to 8 bits
    torch.float16: (2**-10, 6e-8),  # the same to 11 bits; 6e-8 is the smallest subnormal
}
CHANNELS = 4


def build_layer(spec: str | Spec, *, native: bool = True, dtype: torch.dtype = torch.float32) -> ActivationLayer:
    """Return the layer in evaluation mode, with 4 channels if it has parameters per channel."""
    half = dtype in pytorch.HALF  # parameters stay in float32 with half-precision inputs, as under AMP
    return layer(parse(spec), channels=CHANNELS, native=native, dtype=torch.float32 if half else dtype).eval()


def sample(spec: str | Spec, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return an input of shape (6, 4, 8): a grid over [-8, 8] that avoids breakpoints, where no derivative exists.

    The grid is sorted for elementwise functions and shuffled for the others, which may leave a sorted row unchanged. Functions of complex
    numbers get two shuffled grids, as real and imaginary parts.
    """
    parsed = parse(spec)
    grid = torch.linspace(-8, 8, 192, dtype=torch.float64) + 1e-3
    if parsed.activation.kind == "elementwise":
        expression = parsed.activation.formula.xreplace({p.symbol: p.default for p in parsed.activation.parameters})
        for point in breakpoints(expression, parsed.activation.inputs[0]):
            grid = torch.where((grid - point).abs() < 1e-2, grid + 2e-2, grid)
    else:
        grid = grid[torch.randperm(192, generator=torch.Generator().manual_seed(0))]
    if parsed.activation.kind == "complex":
        grid, dtype = torch.complex(grid, grid.flip(0).roll(7)), dtype.to_complex()
    return grid.view(6, CHANNELS, 8).to(dtype)


def with_fixed_parameters(spec: str | Spec) -> Spec:
    """Return the spec with every learned parameter fixed at its initial value."""
    parsed = parse(spec)
    return Spec(parsed.activation, tuple(parsed.numbers.items()))


def condition(spec: str | Spec, x: Tensor, order: int) -> Tensor:
    """Return ``|x g'(x)|``, where g' is the derivative of that order: the effect of a relative error of the input on g."""
    return (x.double() * reference_values(spec, x, order=order)).abs().nan_to_num()


def value_condition(spec: str | Spec, x: Tensor) -> Callable[[], Tensor] | None:
    """Return a function that computes the condition of the values, for :func:`assert_near`; None for functions that are not elementwise."""
    return partial(condition, spec, x, 1) if parse(spec).activation.kind == "elementwise" else None


def gradient_condition(spec: str | Spec, x: Tensor) -> Tensor:
    """Return the condition of the slope plus the largest slope: autograd's ``1 - tanh^2`` has no correct digit where the slope vanishes."""
    return condition(spec, x, 2) + reference_values(spec, x, order=1).abs().max()


def reference_values(spec: str | Spec, x: Tensor, *, order: int = 0) -> Tensor:
    """Return the reference of a layer at ``x`` in float64: the formula or its derivative by NumPy, or tensor code in float64."""
    parsed = parse(spec)
    record = parsed.activation
    if record.expression is None:
        value: Tensor = build_layer(parsed, dtype=torch.float64)(x.double())
        return value.detach()
    expression = record.formula.xreplace({p.symbol: parsed.numbers[p.name] for p in record.parameters})
    for _ in range(order):
        expression = derivative(expression, record.inputs[0])
    inputs = reversed(x.double().chunk(2, dim=-1)) if record.kind == "gated" else (x.double(),)
    return torch.from_numpy(numeric(expression, record.inputs)(*(part.numpy() for part in inputs)))


def assert_near(
    got: Tensor,
    want: Tensor,
    dtype: torch.dtype,
    what: str,
    *,
    scale: float = 0.0,
    condition: Callable[[], Tensor] | None = None,
) -> None:
    """Raise AssertionError unless equal within the dtype's tolerance; NaN equals NaN.

    Args:
        got: computed values.
        want: the reference.
        dtype: dtype of the computation.
        what: name of the values for the message.
        scale: for sums, the size of their terms: rounding is relative to the terms.
        condition: returns the change of the reference per relative change of the input; called only if the tolerance is exceeded. A steep
            function, such as ``sin(30 x)``, is no more accurate than its rounded argument: four roundings of it are allowed.
    """
    relative, absolute = TOLERANCE[dtype]
    absolute += relative * scale
    if condition is not None and not torch.allclose(got.double(), want.double(), relative, absolute, equal_nan=True):
        unit = torch.finfo(torch.float32 if dtype in pytorch.HALF else dtype).eps
        allowed = ((got.double() - want.double()).abs() <= absolute + 4 * unit * condition()) & got.isfinite()
        want = torch.where(allowed, got.double(), want.double())
    torch.testing.assert_close(
        got.double(), want.double(), rtol=relative, atol=absolute, equal_nan=True, msg=lambda m: f"{what}: {m}"
    )
