"""Second moments of an activation's output for normal inputs, from which gains are computed.

A layer whose weights are drawn from N(0, g^2 / fan_in) maps inputs of second moment m to pre-activations that are, given the inputs,
independent N(0, q) with ``q = g^2 m``. The scale of the signal in a deep net therefore follows the length map q -> g^2 E f(sqrt(q) z)^2
(Poole et al. 2016, arXiv:1606.05340), whose value at q = 1 gives the gain, and the fluctuation around it in a layer of finite width.
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

# Elements drawn for one sampled moment.
DRAWS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class OutputMoments:
    """Moments of the output of a function for independent N(0, q) inputs.

    Attributes:
        second_moment: E f^2, the mean over the elements of the output.
        noise: relative variance of the mean square of one layer: (kurtosis - 1) / width where outputs are independent.
        variance: of the outputs, over elements and inputs.
        variance_noise: relative variance of the sample variance of one layer.
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
    """Return whether output tokens depend on other tokens: attention, or functions along a dimension other than the last.

    Example:
        >>> sees_tokens("linear_attention"), sees_tokens("lif"), sees_tokens("softmax")
        (True, True, False)
    """
    spec = parse(spec)
    return spec.activation.kind == "vector" and spec.numbers.get("dim") != -1


def output_moments(
    spec: str | Spec, width: int = 512, tokens: int = 16, q: float = 1.0, *, draws: int = DRAWS
) -> OutputMoments:
    """Return the output moments of a function for N(0, q) inputs, in training mode and at the initial values of learned parameters.

    Formulas are integrated: in one dimension, or in two for gated functions, whose gate and value are independent. Tensor code is sampled
    with a fixed seed, and the draws are scaled so that their mean square is exactly q. Functions of complex numbers take complex normal
    inputs, whose squared moduli have the mean q; their moments are those of the moduli.

    Args:
        spec: the activation.
        width: size of the input along the dimension; gated functions return ``width / 2`` elements.
        tokens: number of tokens, for functions that mix them. The tokens are equal, the limit of weighted means in deep nets (Dong et al.
            2021, arXiv:2103.03404), at which the second moment does not depend on their number.
        q: variance of the inputs.
        draws: number of elements drawn for tensor code.

    Raises:
        SpecError: the spec is invalid, or the width is not divisible as the function needs.

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
    # Wider panels for gated functions, which are smooth on the scale of 1, and whose grid has the square of the number of nodes.
    options = {} if len(inputs) == 1 else {"width": 1.0, "order": 16}
    grids = [normal_quadrature(tuple(kink for kink in points if abs(kink) < 12), **options) for points in kinks]
    nodes = np.meshgrid(*(nodes for nodes, _ in grids), indexing="ij")
    weights = np.prod(np.meshgrid(*(weights for _, weights in grids), indexing="ij"), axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # exponentials have infinite moments at large scales
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


Key = tuple[Any, tuple[tuple[str, float], ...], int, str]


def _key(spec: Spec) -> Key:
    """Return the cache key of a sample: the code itself, since another function can be registered under the same name."""
    record = spec.activation
    numbers = dict(spec.numbers) | ({"dim": -1} if "dim" in spec.numbers else {})
    return record.tensor_code, tuple(numbers.items()), len(record.inputs), record.kind


def tensor_function(spec: Spec) -> Callable[[Any], Any]:
    """Return the tensor code as a function of one tensor in all roles, in training mode, along the dimension of the spec."""
    code, _, roles, kind = _key(spec)
    options: dict[str, Any] = dict(spec.numbers) | ({"training": True} if kind == "stochastic" else {})
    return lambda x: code(*[x] * roles, **options)


@cache
def _sampled(key: Key, shape: tuple[int, int, int], scale: float) -> OutputMoments:
    """Return sampled moments, with the same draws of inputs and noise at every scale."""
    import torch  # noqa: PLC0415 slow to import, and only tensor code needs it

    code, numbers, roles, kind = key
    rows, tokens, width = shape
    options: dict[str, Any] = dict(numbers) | ({"training": True} if kind == "stochastic" else {})
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        z = torch.randn(rows, width, dtype=torch.complex128 if kind == "complex" else torch.float64)
        z *= scale / z.abs().square().mean().sqrt()
        x = z.unsqueeze(1).expand(-1, tokens, -1) if tokens else z
        y = code(*[x] * roles, **options).flatten(1)
    energy = y.abs().square()
    second, variance = float(energy.mean()), float(y.var(correction=0))
    return OutputMoments(
        second_moment=second,
        noise=float((energy.mean(1) / second).var()) if second > 0 and isfinite(second) else nan,
        variance=variance,
        variance_noise=float(((y - y.mean()).abs().square().mean(1) / variance).var()) if variance > 0 else nan,
    )
