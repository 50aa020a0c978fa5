"""Forecast of the activation scale in deep nets initialized at an activation's gain.

Given the previous layer, the pre-activations of a layer are independent N(0, q) for one input, so that q is a Markov chain over layers: its
mean step is the length map of :mod:`actlab.functions.analysis.length_map`, its spread the fluctuation of a mean over finitely
many units. The chain is followed as a density over log q. The gain makes q = 1 a fixed point of the length map, but a net can leave it:

- a slope above 1 makes the fixed point unstable: deviations grow by the slope per layer (gelu 1.14, swiglu 2.17);
- with heavy tails the mean square of a layer is far from its expectation;
- functions that mix tokens change the similarity of tokens, on which their second moment depends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, inf, isfinite, log, nan, sqrt

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr

from actlab.functions.analysis.length_map import OutputMoments, output_moments, sees_tokens, tensor_function
from actlab.functions.formula.evaluate import Array
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["FACTOR", "Forecast", "forecast"]

# A scale counts as kept if it changes by no more than this factor.
FACTOR = 2.0
# Standard errors allowed to a mean over nets.
ERRORS = 2.0
# Range of log q in either direction, beyond which the signal counts as lost.
REACH = 6.0
# Cell width of the density over log q.
CELL = 0.02
# Spacing in log q of the computed length map; twice that for tensor code, which is sampled.
STEP = 0.25
# Standard deviation of log q in the input of the net, sqrt(2 / 512).
INPUT_NOISE = 0.06
# Elements drawn for a sampled moment, at each of 25 scales.
DRAWS = 1 << 18
# Change of the logarithm of a second moment beyond which further products would overflow.
LOST = 50.0
# Nets over which the token kernel is averaged in each layer.
SAMPLES = 32


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Forecast of the scale of activations, last layer relative to first, with weights at the activation's gain.

    Attributes:
        spec: canonical text.
        gain: gain of the weights after each activation.
        slope: d log E f^2 / d log q at q = 1; below 1 deviations of the scale decay.
        noise: relative standard deviation of the mean square of one layer.
        layers: number of layers of the net.
        nets: number of nets whose geometric mean is compared with the factor 2.
        ratio: ratio of the second moments, geometric mean.
        spread: standard deviation of the logarithm of that ratio, over nets.
        within: probability that the ratio of one net lies within the factor 2.
        variance_ratio: ratio of the variances, geometric mean.
        variance_spread: standard deviation of the logarithm of that ratio, over nets.
        kept: largest number of layers, up to ``layers``, at which the scale is kept within the factor 2.
        reason: why the scale is not kept in all layers; None if it is.
    """

    spec: str
    gain: float
    slope: float
    noise: float
    layers: int
    nets: int
    ratio: float
    spread: float
    within: float
    variance_ratio: float
    variance_spread: float
    kept: int
    reason: str | None = None

    @property
    def holds(self) -> bool:
        """Whether the geometric mean over the nets lies within the factor 2: its expectation, plus and minus two standard errors."""
        return self.reason is None


def forecast(spec: str | Spec, *, width: int = 512, layers: int = 20, tokens: int = 16, nets: int = 3) -> Forecast:
    """Forecast the scale of the activations in deep nets whose weights are drawn at the gain of the activation.

    The forecast is for one input of N(0, 1) elements; a mean over many inputs varies less.

    Args:
        spec: the activation.
        width: elements of the activation's input; for gated functions gate and value together.
        layers: number of weight layers, each followed by the activation; at least 2.
        tokens: number of tokens, for functions that mix them; independent of each other in the input of the net.
        nets: number of nets averaged before the ratio is compared with the factor 2.

    Raises:
        SpecError: the spec is invalid, or the width is not divisible as the function needs.

    Example:
        >>> forecast("tanh").holds
        True
        >>> forecast("squared_relu").reason
        'unstable: the length map has slope 2.00, so that 19 layers make a deviation 524288 times as large'
    """
    spec = parse(spec)
    length = tokens if sees_tokens(spec) and "dim" in spec.numbers else width
    moments = output_moments(spec, length, tokens)
    if not (isfinite(moments.gain) and moments.gain > 0 and isfinite(moments.noise)):
        return _without_gain(spec, moments, layers, nets)
    chain = _Chain(spec, length, tokens, neurons=width if length != width else 1)
    shifts = _kernel_shifts(spec, moments.gain, width, tokens, layers) if sees_tokens(spec) else [0.0] * (layers - 1)
    seconds = chain.changes(chain.start @ chain.kernel, chain.grid, shifts)
    # Sampling error of the variances measured in the first and in the last layer.
    sampling = sqrt(2 * moments.variance_noise / chain.neurons)
    variances = chain.changes(chain.start, chain.log_variance, shifts, sampling)
    kept = [second.kept(nets) and variance.kept(nets) for second, variance in zip(seconds, variances, strict=True)]
    expected = Forecast(
        spec=str(spec),
        gain=moments.gain,
        slope=chain.slope,
        noise=sqrt(moments.noise / chain.neurons),
        layers=layers,
        nets=nets,
        ratio=exp(seconds[-1].mean),
        spread=seconds[-1].deviation,
        within=chain.within(shifts[-1], layers - 1),
        variance_ratio=exp(variances[-1].mean),
        variance_spread=variances[-1].deviation,
        kept=1 + (kept.index(False) if False in kept else len(kept)),
    )
    return expected if all(kept) else replace(expected, reason=_reason(expected, seconds[-1], shifts[-1], moments))


def _without_gain(spec: Spec, moments: OutputMoments, layers: int, nets: int) -> Forecast:
    size = "zero" if moments.second_moment == 0 else "not finite"
    return Forecast(
        spec=str(spec),
        gain=moments.gain,
        slope=nan,
        noise=nan,
        layers=layers,
        nets=nets,
        ratio=nan,
        spread=inf,
        within=0.0,
        variance_ratio=nan,
        variance_spread=inf,
        kept=0,
        reason=f"no gain: the second moment or the fourth is {size} on N(0, 1) inputs",
    )


# --------------------------------------------------------------------------------------------- the reason


@dataclass(frozen=True, kw_only=True)
class _Change:
    """Distribution over nets of the change of a logarithm from the first layer to a later one."""

    mean: float
    deviation: float

    def kept(self, nets: int) -> bool:
        return abs(self.mean) + ERRORS * self.deviation / sqrt(nets) <= log(FACTOR)


def _reason(expected: Forecast, second: _Change, shift: float, moments: OutputMoments) -> str:
    """Return why the scale is not kept in all layers: the first cause that suffices on its own."""
    steps, nets = expected.layers - 1, expected.nets
    growth = expected.slope**steps
    is_heavy = not _Change(mean=0.0, deviation=expected.noise * sqrt(steps)).kept(nets)
    grows_alone = not _Change(mean=0.0, deviation=growth * INPUT_NOISE).kept(nets)
    if second.kept(nets) and expected.kept < expected.layers:
        share = moments.variance / moments.second_moment
        return f"offset: the variance is {share:.1%} of the second moment, and changes while the second moment is kept"
    if expected.slope > 1 and (grows_alone or not is_heavy):
        return (
            f"unstable: the length map has slope {expected.slope:.2f}, so that {steps} layers make a deviation "
            f"{growth:.{0 if growth >= 10 else 1}f} times as large"
        )
    if is_heavy:
        return f"heavy tails: the mean square of one layer deviates from its expectation by {expected.noise:.0%}"
    if _Change(mean=second.mean - shift, deviation=second.deviation).kept(nets):
        return f"tokens: they become similar with depth, which alone changes the second moment {exp(shift):.3g}-fold"
    return f"random walk: {steps} layers deviate by {expected.noise:.0%} each, and the length map does not correct it"


# ---------------------------------------------------------------------------------------------- the chain


class _Chain:
    """The Markov chain of log q from layer to layer, as densities on a grid."""

    def __init__(self, spec: Spec, length: int, tokens: int, *, neurons: int) -> None:
        self.neurons = neurons
        self.grid = np.arange(-REACH, REACH + CELL / 2, CELL)
        step = STEP if spec.activation.expression is not None else 2 * STEP
        knots = np.arange(-REACH, REACH + step / 2, step)
        signals = [output_moments(spec, length, tokens, exp(knot), draws=DRAWS) for knot in knots]
        gain = output_moments(
            spec, length, tokens, draws=DRAWS
        ).gain  # from the same draws, so that q = 1 is the fixed point
        lengths = _logarithms([gain**2 * s.second_moment for s in signals])
        # Central difference of fourth order.
        self.slope = float(np.array([1, -8, 0, 8, -1]) @ lengths[len(knots) // 2 - 2 :][:5]) / (12 * step)
        self.map = np.clip(PchipInterpolator(knots, lengths)(self.grid), -REACH, REACH)
        noise = [s.noise / neurons if isfinite(s.noise) else 1.0 for s in signals]
        self.noise = np.exp(PchipInterpolator(knots, _logarithms(noise))(self.grid))
        self.log_variance = PchipInterpolator(knots, _logarithms([s.variance for s in signals]))(self.grid)
        self.start = self._normal(np.array([-1 / length]), np.array([sqrt(2 / length)]))[0]

    @cached_property
    def kernel(self) -> Array:
        """Transition probabilities from cell (row) to cell (column): a mean square is about log-normal around its expectation."""
        variance = np.log1p(self.noise)
        return self._normal(self.map - variance / 2, np.sqrt(variance))

    def changes(self, start: Array, values: Array, shifts: list[float], sampling: float = 0.0) -> list[_Change]:
        """Return the changes of ``values`` of the state over 1, 2, ... steps from a density, with shifts and a measurement error."""
        later, squares = values, values**2
        changes = []
        for shift in shifts:
            later, squares = self.kernel @ later, self.kernel @ squares  # expectations, given the state at the start
            mean = float(start @ (later - values))
            square = float(start @ (squares - 2 * values * later + values**2))
            changes.append(_Change(mean=mean + shift, deviation=sqrt(max(0.0, square - mean**2) + sampling**2)))
        return changes

    def within(self, shift: float, steps: int) -> float:
        """Return the probability that the second moment changes by no more than ``FACTOR``."""
        joint = (self.start @ self.kernel)[:, None] * np.linalg.matrix_power(self.kernel, steps)
        return float(np.sum(joint[np.abs(self.grid[None, :] - self.grid[:, None] + shift) <= log(FACTOR)]))

    def _normal(self, means: Array, deviations: Array) -> Array:
        """Return normal densities over the cells; each point is split between its two neighbors, which keeps the mean exactly."""
        edges = np.concatenate([[self.grid[0] - CELL], self.grid, [self.grid[-1] + CELL]])
        distances = edges[None, :] - means[:, None]
        scaled = distances / np.maximum(deviations, 1e-9)[:, None]
        ramps = distances * ndtr(scaled) + deviations[:, None] * np.exp(-(scaled**2) / 2) / sqrt(2 * np.pi)
        cells = np.maximum(np.diff(ramps, 2, axis=1), 0.0)
        return np.asarray(cells / cells.sum(axis=1, keepdims=True))


def _logarithms(values: list[float]) -> Array:
    """Return logarithms, clamped to [-40, 40] for moments that are zero or overflow."""
    finite = np.nan_to_num(np.array(values), nan=np.exp(40.0), posinf=np.exp(40.0))
    return np.asarray(np.log(np.clip(finite, np.exp(-40.0), np.exp(40.0))))


# ------------------------------------------------------------------------------------ the kernel of tokens


def _kernel_shifts(spec: Spec, gain: float, width: int, tokens: int, layers: int) -> list[float]:
    """Return the change of the log second moment in each later layer as tokens, independent at first, become similar.

    Given the previous layer, the pre-activations of all tokens are jointly normal, independent over features, with the Gram matrix of the
    tokens as covariance (the kernel of Lee et al. 2018, arXiv:1711.00165); its expectation is followed from layer to layer.
    """
    import torch  # noqa: PLC0415 slow to import, and only tensor code needs it

    function = tensor_function(spec)
    gram = torch.eye(tokens, dtype=torch.float64)
    logs: list[float] = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for _ in range(layers):
            values, vectors = torch.linalg.eigh(gram)
            root = vectors * values.clamp_min(0).sqrt()
            y = function(root @ torch.randn(SAMPLES, tokens, width, dtype=torch.float64))
            gram = gain**2 * (y @ y.transpose(-2, -1)).mean(0) / y.shape[-1]
            logs.append(log(max(float(gram.trace()), 1e-300)))
            if abs(logs[-1] - logs[0]) > LOST:
                logs += [logs[-1]] * (layers - len(logs))
                break
    return [float(np.clip(value - logs[0], -LOST, LOST)) for value in logs[1:]]
