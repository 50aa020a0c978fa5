"""Depth: what many layers at the gain of an activation do to the scale of a signal, forecast from the function alone.

Given the layer below, the sums of a layer are independent N(0, q) for one input, so that q is a Markov chain from layer to layer: its
mean step is the length map of :mod:`actlab.functions.analysis.length_map`, its spread the fluctuation of a mean over finitely
many units. The chain is followed as a density over log q. The gain makes q = 1 a fixed point of the length map; whether a net stays near
it is another matter:

- a slope above 1 makes the fixed point unstable: every deviation grows by the slope per layer (gelu 1.14, swiglu 2.17);
- heavy tails make a layer's mean square miss its expectation, whatever comes next;
- functions that mix tokens change how alike the tokens are, on which their second moment depends.
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

FACTOR = 2.0  # by which a scale may change and still count as kept
ERRORS = 2.0  # standard errors granted to a mean over nets
REACH = 6.0  # of log q in either direction: a signal that is off by e^6 is lost
CELL = 0.02  # of the density over log q
STEP = 0.25  # of log q at which the length map of a formula is computed; that of tensor code, which is sampled, at twice that
INPUT_NOISE = 0.06  # deviation of log q in the net's input alone, sqrt(2 / 512)
DRAWS = 1 << 18  # of a sampled moment, at each of 25 scales
LOST = 50.0  # of the logarithm of a second moment, beyond which further products would overflow
SAMPLES = 32  # nets over which the kernel of the tokens is averaged in each layer


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What is to be expected of the scale of activations, last layer over first, with weights at the activation's gain.

    Attributes:
        spec: canonical text.
        gain: of the weights behind each activation.
        slope: d log E f^2 / d log q at q = 1; below 1 deviations of the scale die out.
        noise: relative standard deviation of one layer's mean square.
        layers: of the net.
        nets: whose geometric mean is judged.
        ratio: of the second moments, geometric mean.
        spread: standard deviation of the logarithm of that ratio, from net to net.
        within: probability that it lies within the factor 2 in one net.
        variance_ratio: of the variances.
        variance_spread: likewise.
        kept: largest number of layers, up to ``layers``, at which the scale is kept within the factor 2.
        reason: why it is not in all of them; None where it is.
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
        """Whether the geometric mean over the nets lies within the factor 2: its expectation, give or take two standard errors."""
        return self.reason is None


def forecast(spec: str | Spec, *, width: int = 512, layers: int = 20, tokens: int = 16, nets: int = 3) -> Forecast:
    """Forecast the scale of the activations in deep nets whose weights are drawn at the gain of the activation.

    The statement is about one input of N(0, 1) elements; a mean over many inputs spreads less.

    Args:
        spec: the activation.
        width: elements of the activation's input; of gated functions gate and value together.
        layers: of weights, each with the activation behind it; at least 2.
        tokens: of functions that mix them; independent of each other in the net's input.
        nets: how many nets are averaged before the ratio is held against the factor 2.

    Raises:
        SpecError: the spec cannot be read, or the width cannot be divided as the function needs.

    Example:
        >>> forecast("tanh").holds
        True
        >>> forecast("squared_relu").reason
        'unstable: the length map has slope 2.00, so that 19 layers make a deviation 524288 times as large'
    """
    spec = parse(spec)
    length = tokens if sees_tokens(spec) and "dim" in spec.numbers else width
    here = output_moments(spec, length, tokens)
    if not (isfinite(here.gain) and here.gain > 0 and isfinite(here.noise)):
        return _hopeless(spec, here, layers, nets)
    chain = _Chain(spec, length, tokens, neurons=width if length != width else 1)
    shifts = _kernel_shifts(spec, here.gain, width, tokens, layers) if sees_tokens(spec) else [0.0] * (layers - 1)
    seconds = chain.changes(chain.start @ chain.kernel, chain.grid, shifts)
    sampling = sqrt(
        2 * here.variance_noise / chain.neurons
    )  # of the variances measured in the first layer and in the last
    variances = chain.changes(chain.start, chain.log_variance, shifts, sampling)
    kept = [second.kept(nets) and variance.kept(nets) for second, variance in zip(seconds, variances, strict=True)]
    expected = Forecast(
        spec=str(spec),
        gain=here.gain,
        slope=chain.slope,
        noise=sqrt(here.noise / chain.neurons),
        layers=layers,
        nets=nets,
        ratio=exp(seconds[-1].mean),
        spread=seconds[-1].deviation,
        within=chain.within(shifts[-1], layers - 1),
        variance_ratio=exp(variances[-1].mean),
        variance_spread=variances[-1].deviation,
        kept=1 + (kept.index(False) if False in kept else len(kept)),
    )
    return expected if all(kept) else replace(expected, reason=_reason(expected, seconds[-1], shifts[-1], here))


def _hopeless(spec: Spec, here: OutputMoments, layers: int, nets: int) -> Forecast:
    size = "zero" if here.second_moment == 0 else "not finite"
    return Forecast(
        spec=str(spec),
        gain=here.gain,
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
    """How a logarithm changes from the first layer to a later one, over nets."""

    mean: float
    deviation: float

    def kept(self, nets: int) -> bool:
        return abs(self.mean) + ERRORS * self.deviation / sqrt(nets) <= log(FACTOR)


def _reason(expected: Forecast, second: _Change, shift: float, here: OutputMoments) -> str:
    """Return why the scale is not kept in all layers: the first of the causes that suffices on its own."""
    steps, nets = expected.layers - 1, expected.nets
    growth = expected.slope**steps
    is_heavy = not _Change(mean=0.0, deviation=expected.noise * sqrt(steps)).kept(nets)
    grows_alone = not _Change(mean=0.0, deviation=growth * INPUT_NOISE).kept(nets)
    if second.kept(nets) and expected.kept < expected.layers:
        share = here.variance / here.second_moment
        return f"offset: the variance is {share:.1%} of the second moment, and moves while that is kept"
    if expected.slope > 1 and (grows_alone or not is_heavy):
        return (
            f"unstable: the length map has slope {expected.slope:.2f}, so that {steps} layers make a deviation "
            f"{growth:.{0 if growth >= 10 else 1}f} times as large"
        )
    if is_heavy:
        return f"heavy tails: one layer's mean square misses its expectation by {expected.noise:.0%}"
    if _Change(mean=second.mean - shift, deviation=second.deviation).kept(nets):
        return f"tokens: they become alike with depth, which alone changes the second moment {exp(shift):.3g}-fold"
    return f"random walk: {steps} layers that miss by {expected.noise:.0%} each, and nothing that pulls back"


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
        ).gain  # of the same draws, so that q = 1 is the fixed point
        lengths = _logarithms([gain**2 * s.second_moment for s in signals])
        self.slope = float(np.array([1, -8, 0, 8, -1]) @ lengths[len(knots) // 2 - 2 :][:5]) / (
            12 * step
        )  # of fourth order
        self.map = np.clip(PchipInterpolator(knots, lengths)(self.grid), -REACH, REACH)
        noise = [s.noise / neurons if isfinite(s.noise) else 1.0 for s in signals]
        self.noise = np.exp(PchipInterpolator(knots, _logarithms(noise))(self.grid))
        self.log_variance = PchipInterpolator(knots, _logarithms([s.variance for s in signals]))(self.grid)
        self.start = self._normal(np.array([-1 / length]), np.array([sqrt(2 / length)]))[0]

    @cached_property
    def kernel(self) -> Array:
        """Probabilities of going from each cell (row) to each (column): a mean square is about log-normal around its expectation."""
        variance = np.log1p(self.noise)
        return self._normal(self.map - variance / 2, np.sqrt(variance))

    def changes(self, start: Array, values: Array, shifts: list[float], sampling: float = 0.0) -> list[_Change]:
        """Return how ``values`` of the state change over 1, 2, ... steps from a density of it, shifted and measured with an error."""
        later, squares = values, values**2
        found = []
        for shift in shifts:
            later, squares = self.kernel @ later, self.kernel @ squares  # expectations, given the state at the start
            mean = float(start @ (later - values))
            square = float(start @ (squares - 2 * values * later + values**2))
            found.append(_Change(mean=mean + shift, deviation=sqrt(max(0.0, square - mean**2) + sampling**2)))
        return found

    def within(self, shift: float, steps: int) -> float:
        """Return the probability that the second moment changes by no more than the factor."""
        joint = (self.start @ self.kernel)[:, None] * np.linalg.matrix_power(self.kernel, steps)
        return float(np.sum(joint[np.abs(self.grid[None, :] - self.grid[:, None] + shift) <= log(FACTOR)]))

    def _normal(self, means: Array, deviations: Array) -> Array:
        """Return normal densities in the cells: each point is split between its two neighbours, which keeps the mean exactly."""
        edges = np.concatenate([[self.grid[0] - CELL], self.grid, [self.grid[-1] + CELL]])
        away = edges[None, :] - means[:, None]
        scaled = away / np.maximum(deviations, 1e-9)[:, None]
        ramps = away * ndtr(scaled) + deviations[:, None] * np.exp(-(scaled**2) / 2) / sqrt(2 * np.pi)
        cells = np.maximum(np.diff(ramps, 2, axis=1), 0.0)
        return np.asarray(cells / cells.sum(axis=1, keepdims=True))


def _logarithms(values: list[float]) -> Array:
    """Return logarithms, held where a moment is zero or has overflowed."""
    held = np.nan_to_num(np.array(values), nan=np.exp(40.0), posinf=np.exp(40.0))
    return np.asarray(np.log(np.clip(held, np.exp(-40.0), np.exp(40.0))))


# ------------------------------------------------------------------------------------ the kernel of tokens


def _kernel_shifts(spec: Spec, gain: float, width: int, tokens: int, layers: int) -> list[float]:
    """Return by how much the logarithm of the second moment has moved in each later layer as tokens, independent at first, become alike.

    Given the layer below, the sums of all tokens are jointly normal, independent over features, with the tokens' Gram matrix as their
    covariance (the kernel of Lee et al. 2018, arXiv:1711.00165); its expectation is followed from layer to layer.
    """
    import torch  # noqa: PLC0415 only tensor code needs it; everything else here runs on NumPy alone

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
