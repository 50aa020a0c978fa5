"""The reference: what a layer of an activation is held against by the judge, and how near it must come.

Of a formula the reference is its own reading in NumPy float64, of tensor code the code itself in float64. Tolerances come from
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
    "built",
    "expected",
    "gradient_sway",
    "sample",
    "sway",
    "swayed",
    "with_numbers",
]

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
TOLERANCE = {
    torch.float64: (1e-11, 1e-13),  # relative, absolute: about ten roundings, amplified by condition numbers up to 1e4
    torch.float32: (4e-6, 2e-7),  # the same ten roundings; natives cancel 1 + erf below x = -3, hence the absolute part
    torch.bfloat16: (2**-8, 2e-7),  # computed in float32 and rounded once, to 8 bits
    torch.float16: (2**-10, 6e-8),  # the same to 11 bits; 6e-8 is the smallest subnormal
}
CHANNELS = 4


def built(spec: str | Spec, *, native: bool = True, dtype: torch.dtype = torch.float32) -> ActivationLayer:
    """Return the layer in evaluation mode, with 4 channels where it needs them."""
    half = dtype in pytorch.HALF  # parameters stay in float32 beside half-precision inputs, as under AMP
    return layer(parse(spec), channels=CHANNELS, native=native, dtype=torch.float32 if half else dtype).eval()


def sample(spec: str | Spec, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return an input of shape (6, 4, 8): a grid over [-8, 8] that avoids the breakpoints, where no derivative exists.

    In order for elementwise functions; shuffled for the others, which may do nothing to a sorted row.
    """
    parsed = parse(spec)
    grid = torch.linspace(-8, 8, 192, dtype=torch.float64) + 1e-3
    if parsed.activation.kind == "elementwise":
        expression = parsed.activation.formula.xreplace({p.symbol: p.default for p in parsed.activation.parameters})
        for point in breakpoints(expression, parsed.activation.inputs[0]):
            grid = torch.where((grid - point).abs() < 1e-2, grid + 2e-2, grid)
    else:
        grid = grid[torch.randperm(192, generator=torch.Generator().manual_seed(0))]
    return grid.view(6, CHANNELS, 8).to(dtype)


def with_numbers(spec: str | Spec) -> Spec:
    """Return the spec with every learned parameter held at its initial value."""
    parsed = parse(spec)
    return Spec(parsed.activation, tuple(parsed.numbers.items()))


def swayed(spec: str | Spec, x: Tensor, order: int) -> Tensor:
    """Return ``|x g'(x)|``, where g is the derivative before ``order``: what a relative error of the input does to it."""
    return (x.double() * expected(spec, x, order=order)).abs().nan_to_num()


def sway(spec: str | Spec, x: Tensor) -> Callable[[], Tensor] | None:
    """Return what computes the sway of the function itself, for :func:`assert_near`; None of what has no formula in one symbol."""
    return partial(swayed, spec, x, 1) if parse(spec).activation.kind == "elementwise" else None


def gradient_sway(spec: str | Spec, x: Tensor) -> Tensor:
    """Return the sway of the slope, and its largest value: autograd's ``1 - tanh^2`` keeps no digit where the slope vanishes."""
    return swayed(spec, x, 2) + expected(spec, x, order=1).abs().max()


def expected(spec: str | Spec, x: Tensor, *, order: int = 0) -> Tensor:
    """Return the reference of a layer at ``x`` in float64: the formula's derivative of that order by NumPy; tensor code by itself."""
    parsed = parse(spec)
    record = parsed.activation
    if record.expression is None:
        value: Tensor = built(parsed, dtype=torch.float64)(x.double())
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
    sway: Callable[[], Tensor] | None = None,
) -> None:
    """Raise AssertionError unless equal within the dtype's tolerance; NaN equals NaN.

    Args:
        got: what was computed.
        want: the reference.
        dtype: what it was computed for.
        what: words for the message.
        scale: size of the terms whose sum the values are, where they are sums: rounding is relative to the terms.
        sway: how much the reference moves where the input moves by a relative 1, asked for only if the tolerance is not kept. A steep
            function, such as ``sin(30 x)``, cannot be known better than its rounded argument: four roundings of it are granted.
    """
    relative, absolute = TOLERANCE[dtype]
    absolute += relative * scale
    if sway is not None and not torch.allclose(got.double(), want.double(), relative, absolute, equal_nan=True):
        unit = torch.finfo(torch.float32 if dtype in pytorch.HALF else dtype).eps
        granted = ((got.double() - want.double()).abs() <= absolute + 4 * unit * sway()) & got.isfinite()
        want = torch.where(granted, got.double(), want.double())
    torch.testing.assert_close(
        got.double(), want.double(), rtol=relative, atol=absolute, equal_nan=True, msg=lambda m: f"{what}: {m}"
    )
