"""Numbers for plots of an activation (function, slope, quantiles of draws, vectors, token maps).

Elementwise: the function and its slope. Gated: the same in the gate, at three values. Stochastic: quantiles of training draws, and
evaluation. Vector: one vector before and after. Mixing tokens: how strongly each token's output depends on each token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import sympy
import torch
from torch import Tensor

from actlab.functions.formula import Expr, derivative
from actlab.functions.formula.evaluate import Array, numeric
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.layer import layer

__all__ = ["Bars", "Lines", "Map", "Picture", "picture"]

REACH = 4.0
VALUES = (1.0, 0.5, -1.0)  # second inputs of a gated unit
HEIGHTS = (0.5, 0.0, -1.0)  # imaginary parts of the inputs of a function of complex numbers
VECTOR = (-1.5, 0.3, 2.0, -0.4, 1.1, 0.6, -2.2, 0.9)
DRAWS, TOKENS, WIDTH = 2000, 8, 16


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Curves over one axis.

    Attributes:
        title: what they show, such as "f(x)".
        axis: name of the input.
        x: inputs, ascending.
        curves: values by name; the first is the main curve.
        band: 10 % and 90 % quantiles of the draws; None where nothing is random.
    """

    title: str
    axis: str
    x: list[float]
    curves: Mapping[str, list[float]]
    band: tuple[list[float], list[float]] | None = None


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A vector before and after."""

    title: str
    before: list[float]
    after: list[float]


@dataclass(frozen=True, kw_only=True)
class Map:
    """How strongly each output (row) depends on each input (column), from 0 to 1."""

    title: str
    rows: list[list[float]] = field(repr=False)


Picture = Lines | Bars | Map


def picture(spec: str | Spec, points: int = 161) -> list[Picture]:
    """Return the numbers of one or two plots of an activation, at the parameters of its spec.

    Args:
        spec: an activation of any kind.
        points: number of inputs of a curve, over [-4, 4].

    Raises:
        SpecError: the spec is invalid.

    Example:
        >>> [panel.title for panel in picture("gelu")], picture("relu", points=3)[0].curves
        (['f(x)', "f'(x)"], {'f': [0.0, 0.0, 4.0]})
        >>> round(sum(picture("softmax")[0].after), 6)
        1.0
    """
    spec = parse(spec)
    record = spec.activation
    x = np.linspace(-REACH, REACH, points)
    if record.kind == "elementwise":
        forward, slope = _slices(spec, x, {"f": ()})
        return [forward, slope if spec.backward is None else _factor(spec, x)]
    if record.kind == "gated":
        return _slices(spec, x, {f"value {value:g}": (value,) for value in VALUES})
    if record.mixes_tokens:
        return [_map(spec)]
    if record.kind == "stochastic" and "dim" not in spec.values:
        return [_draws(spec, x)]
    if record.kind == "complex":
        return _parts(spec, x)
    return [_bars(spec)]


def _slices(spec: Spec, x: Array, others: Mapping[str, tuple[float, ...]]) -> list[Picture]:
    record = spec.activation
    first = record.inputs[0]
    inputs = ", ".join(symbol.name for symbol in record.inputs)
    slope = f"f'({inputs})" if len(record.inputs) == 1 else "slope in the gate"
    return [
        Lines(title=title, axis=first.name, x=x.tolist(), curves=_curves(part, record.inputs, x, others))
        for title, part in ((f"f({inputs})", spec.formula), (slope, derivative(spec.formula, first)))
    ]


def _factor(spec: Spec, x: Array) -> Lines:
    """Return the gradient of a gradient rule for an incoming gradient of 1, with the quantiles of a random rule."""
    module = layer(spec, channels=x.size)
    rows = torch.from_numpy(x).float().repeat(DRAWS, 1).requires_grad_()
    draws = _seeded(lambda: torch.autograd.grad(module(rows).sum(), rows)[0])
    low, middle, high = np.quantile(draws.double().numpy(), [0.1, 0.5, 0.9], axis=0)
    is_noisy = bool(np.any(low != high))
    return Lines(
        title=f"backward: {spec.backward}",
        axis="x",
        x=x.tolist(),
        curves={"median draw" if is_noisy else "f": middle.tolist()},
        band=(low.tolist(), high.tolist()) if is_noisy else None,
    )


def _curves(
    part: Expr, inputs: tuple[sympy.Symbol, ...], x: Array, others: Mapping[str, tuple[float, ...]]
) -> dict[str, list[float]]:
    function = numeric(part, inputs)
    return {
        name: function(x, *(np.full_like(x, value) for value in values)).tolist() for name, values in others.items()
    }


def _draws(spec: Spec, x: Array) -> Lines:
    module = layer(spec, channels=x.size)
    rows = torch.from_numpy(x).float().repeat(DRAWS, 1)
    draws = _seeded(lambda: module.train()(rows)).double().numpy()
    low, middle, high = np.quantile(draws, [0.1, 0.5, 0.9], axis=0)
    evaluation = module.eval()(rows[:1])[0].detach().double()
    curves = {"evaluation": evaluation.tolist(), "median draw": middle.tolist()}
    return Lines(
        title="f(x), and where 8 of 10 draws lie",
        axis="x",
        x=x.tolist(),
        curves=curves,
        band=(low.tolist(), high.tolist()),
    )


def _parts(spec: Spec, x: Array) -> list[Picture]:
    """Return real and imaginary part of a function of complex numbers on lines parallel to the real axis."""
    module = layer(spec, channels=x.size).eval()
    lines = {f"imaginary part {height:g} of the input": torch.from_numpy(x + 1j * height)[None] for height in HEIGHTS}
    values = {name: module(line)[0].detach().numpy() for name, line in lines.items()}
    return [
        Lines(
            title=f"{title} of f(x + iy)",
            axis="x",
            x=x.tolist(),
            curves={name: part(y).tolist() for name, y in values.items()},
        )
        for title, part in (("real part", np.real), ("imaginary part", np.imag))
    ]


def _bars(spec: Spec) -> Bars:
    shape = [1, 1, 1, 1]
    shape[int(spec.numbers.get("dim", -1))] = len(VECTOR)
    module = layer(spec, channels=shape[1]).eval()
    after = _seeded(lambda: module(torch.tensor(VECTOR).view(shape)))
    return Bars(title="a vector before and after", before=list(VECTOR), after=after.flatten().tolist())


def _map(spec: Spec) -> Map:
    """Return the size of the Jacobian's blocks, token by token, at one draw of tokens from N(0, 1)."""
    module = layer(spec, channels=TOKENS).eval()
    x = torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(0))
    jacobian = torch.func.jacrev(lambda tokens: module(tokens[None])[0])(x)
    size = jacobian.square().sum(dim=(1, 3)).sqrt()
    return Map(
        title="how strongly each token's output (row) depends on each token (column)", rows=(size / size.max()).tolist()
    )


def _seeded(run: Callable[[], Tensor]) -> Tensor:
    """Return the result at a fixed seed, and restore the generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return run().detach()
