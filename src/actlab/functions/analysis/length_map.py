"""The signal: second moments of what a function makes of normal inputs, by which layers behind it keep their scale.

A layer whose weights are drawn from N(0, g^2 / fan_in) turns inputs of second moment m into sums that are, given the inputs, independent
N(0, q) with ``q = g^2 m``. All that a deep net does to the scale of its signal therefore lies in the length map q -> g^2 E f(sqrt(q) z)^2
(Poole et al. 2016, arXiv:1606.05340), whose value at q = 1 gives the gain, and in the fluctuation around it in a layer of finite width.
:mod:`actlab.functions.analysis.depth_forecast` follows both through a net.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np

from actlab.functions.formula import Expr
from actlab.functions.formula.evaluate import Array, numeric
from actlab.functions.formula.quadrature import breakpoints, normal_quadrature
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["OutputMoments", "output_moments", "sees_tokens", "tensor_function"]

DRAWS = 1 << 20  # of one sampled moment


@dataclass(frozen=True, kw_only=True)
class OutputMoments:
    """What a function makes of independent N(0, q) inputs.

    Attributes:
        second_moment: E f^2, the mean over the elements of the output.
        noise: relative variance of one layer's mean square: (kurtosis - 1) / width where outputs are independent.
        variance: of the outputs, over elements and inputs.
        variance_noise: relative variance of one layer's measured variance.
    """

    second_moment: float
    noise: float
    variance: float
    variance_noise: float

    @property
    def gain(self) -> float:
        """He-type gain 1/sqrt(E f^2) at q = 1; infinite where the function is zero on all inputs."""
        return 1 / sqrt(self.second_moment) if self.second_moment > 0 else inf


def sees_tokens(spec: str | Spec) -> bool:
    """Tell whether a function lets tokens see each other, whose correlation then matters: attention, or a dimension other than the last.

    Example:
        >>> sees_tokens("linear_attention"), sees_tokens("lif"), sees_tokens("softmax")
        (True, True, False)
    """
    spec = parse(spec)
    return spec.activation.kind == "vector" and spec.numbers.get("dim") != -1


def output_moments(
    spec: str | Spec, width: int = 512, tokens: int = 16, q: float = 1.0, *, draws: int = DRAWS
) -> OutputMoments:
    """Measure what a function makes of N(0, q) inputs while it trains, at the initial values of learned parameters.

    Formulas are integrated: in one dimension, or in two for gated functions, whose gate and value are independent. Tensor code is sampled
    with a fixed seed, draws whose mean square is exactly q.

    Args:
        spec: the activation.
        width: size of the dimension it works along in its input; gated functions make ``width / 2`` elements of it.
        tokens: their number, for functions that mix them. Their tokens are alike, which is where weighted means end in deep nets (Dong et
            al. 2021, arXiv:2103.03404), and where their second moment does not depend on how many tokens there are.
        q: variance of the inputs.
        draws: of tensor code.

    Raises:
        SpecError: the spec cannot be read, or the width cannot be divided as the function needs.

    Example:
        >>> relu = output_moments("relu")
        >>> round(relu.second_moment, 6), round(relu.noise * 512, 6)
        (0.5, 5.0)
    """
    spec = parse(spec)
    record, units = spec.activation, spec.width(width)
    if record.expression is not None:
        return _integrated(spec.formula, record.inputs, units, sqrt(q))
    mixes = record.kind == "vector" and "dim" not in spec.numbers
    rows = max(1, draws // (width * (tokens if mixes else 1)))
    return _sampled(_key(spec), (rows, tokens if mixes else 0, width), sqrt(q))


# ------------------------------------------------------------------------------------------------ formulas


@cache
def _integrated(expression: Expr, inputs: tuple[Any, ...], units: int, scale: float) -> OutputMoments:
    kinks = [[kink / scale for kink in _breakpoints(expression, x)] for x in inputs]
    # a gated function is smooth between its kinks on the scale of 1, and its plane has the square of the line's nodes
    fine = {} if len(inputs) == 1 else {"width": 1.0, "order": 16}
    grids = [normal_quadrature(tuple(kink for kink in points if abs(kink) < 12), **fine) for points in kinks]
    nodes = np.meshgrid(*(nodes for nodes, _ in grids), indexing="ij")
    weights = np.prod(np.meshgrid(*(weights for _, weights in grids), indexing="ij"), axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # of exponentials at large scales, whose moments are infinite
        return _moments(numeric(expression, inputs)(*(scale * z for z in nodes)), weights, units)


@cache
def _breakpoints(expression: Expr, x: Any) -> list[float]:
    return breakpoints(expression, x)


def _moments(y: Array, weights: Array, units: int) -> OutputMoments:
    def mean(values: Array) -> float:
        return float(np.sum(weights * values))

    second, centre = mean(y**2), mean(y)
    variance = mean((y - centre) ** 2)
    return OutputMoments(
        second_moment=second,
        noise=max(0.0, mean((y**2 / second - 1) ** 2)) / units if second > 0 else nan,
        variance=variance,
        variance_noise=mean(((y - centre) ** 2 / variance - 1) ** 2) / units if variance > 0 else nan,
    )


# --------------------------------------------------------------------------------------------- tensor code


Key = tuple[Any, tuple[tuple[str, float], ...], int, bool]


def _key(spec: Spec) -> Key:
    """Return what a sample depends on: the code itself, since a name can be registered anew."""
    record = spec.activation
    numbers = dict(spec.numbers) | ({"dim": -1} if "dim" in spec.numbers else {})
    return record.tensor_code, tuple(numbers.items()), len(record.inputs), record.kind == "stochastic"


def tensor_function(spec: Spec) -> Callable[[Any], Any]:
    """Return the tensor code as a function of one tensor in all roles, while it trains, along the dimension that the spec says."""
    code, _, roles, is_random = _key(spec)
    options: dict[str, Any] = dict(spec.numbers) | ({"training": True} if is_random else {})
    return lambda x: code(*[x] * roles, **options)


@cache
def _sampled(key: Key, shape: tuple[int, int, int], scale: float) -> OutputMoments:
    """Sample the moments; the same draws at every scale, of the inputs and of the function's own noise."""
    import torch  # noqa: PLC0415 only tensor code needs it; everything else here runs on NumPy alone

    code, numbers, roles, is_random = key
    rows, tokens, width = shape
    options: dict[str, Any] = dict(numbers) | ({"training": True} if is_random else {})
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        z = torch.randn(rows, width, dtype=torch.float64)
        z *= scale / z.square().mean().sqrt()
        x = z.unsqueeze(1).expand(-1, tokens, -1) if tokens else z
        y = code(*[x] * roles, **options).flatten(1)
    second, variance = float(y.square().mean()), float(y.var(correction=0))
    return OutputMoments(
        second_moment=second,
        noise=float((y.square().mean(1) / second).var()) if second > 0 and isfinite(second) else nan,
        variance=variance,
        variance_noise=float(((y - y.mean()).square().mean(1) / variance).var()) if variance > 0 else nan,
    )
