"""Scaling: when two functions are one, up to stretching the axes and adding a line: f(x) = a g(b x) + c x + d.

In a network such functions differ by the scale of the weights around them and by a linear path beside them. The constants are found by
least squares (a, c and d are linear; b and free parameters of g by Levenberg-Marquardt from a grid of starts), drawn to round numbers
where these do as well, and verified in float64 on another grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import inf, isfinite
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from actlab.errors import SpecError
from actlab.functions.activation import DOMAINS, Activation, Parameter
from actlab.functions.formula import Expr
from actlab.functions.formula.evaluate import Array, numeric
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["TOLERANCE", "Relation", "relation", "special_case", "verify"]

NOTHING = 1e-14  # a constant of a line that is smaller is what rounding left of zero: 4e-16 times 3,000 was more than the tolerance
TOLERANCE = 1e-12  # of the largest term at a point, or of 1: float64 keeps 16 digits, and a formula may lose three
# Points off the round numbers, where kinks and jumps stand
FIT = np.concatenate([np.linspace(-6.0, 6.0, 121), np.linspace(-0.6, 0.6, 40)]) + 0.0137
# Far out and close in as well: a parabola is hardswish's middle, and tanh(1e5 x) is no sign
POSITIVE = np.concatenate([np.geomspace(1e-9, 1e-3, 20), np.geomspace(1.1e-3, 40, 300), np.geomspace(41, 3e3, 20)])
CHECK = np.concatenate([-POSITIVE[::-1] * 1.0007, POSITIVE])
DEFINED = 0.8  # share of the points at which both must be finite: exp(40 x) is not at most of them
OCTAVES = np.arange(-5, 5.01, 0.125)
STRETCHES = np.concatenate([[1.0, -1.0], 2.0**OCTAVES, -(2.0**OCTAVES)])
FEW_STRETCHES = np.concatenate([[1.0, -1.0], 2.0 ** OCTAVES[::4], -(2.0 ** OCTAVES[::4])])
WIDEST = 400.0  # a larger stretch only approaches a limit, as tanh(1000 x) does the sign
LEAST = 1e-4  # nor do parameters this small or so large: celu(alpha=1e-16) is no relu
NEAR = 0.97  # the correlation from which a start is refined: of equal functions 4 % apart in b it is 0.99, fast waves aside
# From a start of that correlation a fit that exists is reached quadratically: after six steps nearly, or not at all
FIRST_STEPS, PROMISING, LAST_STEPS = 6, 1e-4, 40
STEP, IDLE = 1e-3, 1e-9  # a parameter whose step moves no point's share of the shape is not fitted
STARTS = 3  # how many of the nearest starts are refined
MOST_FREE = 4  # parameters that can be set free: the starts are a grid over all of them
# Starts of a parameter, the likeliest first; with four parameters each has the first five.
VALUES = (0.0, 1.0, 0.5, -1.0, 2.0, 0.25, -0.5, 1.7, 3.0, 0.1, -2.0, 4.0, 8.0, -4.0, 0.03, 16.0)
SIZES = {1: 16, 2: 12, 3: 7, 4: 5}
ROOTS = (1.0, 2**0.5, 3**0.5, np.pi, np.pi**0.5, (2 * np.pi) ** 0.5, np.log(2), np.e)
LINE, _ = np.linalg.qr(np.stack([FIT, np.ones_like(FIT)], axis=1))


@dataclass(frozen=True, kw_only=True)
class Relation:
    """``function(x) = a other(b x) + c x + d`` for every x, to :data:`TOLERANCE`.

    Attributes:
        function: a spec.
        other: a spec.
        a: factor of the output.
        b: factor of the input.
        c: slope of the line beside it.
        d: constant.
    """

    function: str
    other: str
    a: float = 1.0
    b: float = 1.0
    c: float = 0.0
    d: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether the two are equal as they stand, without scaling."""
        return (self.a, self.b, self.c, self.d) == (1, 1, 0, 0)


def relation(function: str | Spec, other: str | Spec) -> Relation | None:
    """Return how ``function`` is ``other`` under scaling, each at the values of its spec, or None if it is not.

    Raises:
        SpecError: one of the two is no elementwise function, or its spec cannot be read.

    Example:
        >>> relation("sigmoid", "tanh")
        Relation(function='sigmoid', other='tanh', a=0.5, b=0.5, c=0.0, d=0.5)
        >>> relation("gelu", "silu") is None
        True
    """
    f, g = parse_elementwise(function), parse_elementwise(other)
    target = _curve(f)(FIT, *f.numbers.values())
    starts, shapes = _stretched(g, g.activation.formula)
    correlation = _correlation(shapes, target)
    if (
        max(correlation[:2]) > 1 - 1e-12
    ):  # a stretch of 1 or -1: of homogeneous functions, such as relu, any one would do
        found = _holding(f, g.activation, starts[np.argmax(correlation[:2])], scaled=True)
        if found:
            return found
    near = _nearest(correlation, starts)
    return next(filter(None, (_refined(f, g.activation, start, free=[0]) for start in near)), None)


def special_case(function: str | Spec, other: str, *, scaled: bool = True) -> Relation | None:
    """Return at which values of its parameters ``other`` is ``function``: as it stands, else scaled; None if none are found.

    The search starts from a grid over at most four parameters, so that None is no proof.

    Args:
        function: an elementwise function, at the values of its spec.
        other: name of an elementwise activation with parameters.
        scaled: whether to look for a scaled one where it is none as it stands.

    Raises:
        SpecError: one of the two is no elementwise function, or its spec cannot be read.

    Example:
        >>> special_case("quick_gelu", "swish").other
        'swish(beta=1.702)'
    """
    f, g = parse_elementwise(function), parse_elementwise(other).activation
    if not 0 < len(g.parameters) <= MOST_FREE:
        return None
    target = _curve(f)(FIT, *f.numbers.values())
    found = _equal_case(f, g, target)
    if found or not scaled:
        return found
    starts, shapes = _shapes(g, g.formula)
    for start in _nearest(_correlation(shapes, target), starts):
        for first in (1, 0):  # a stretch that is one of the starts is preferred
            found = _refined(f, g, start, free=range(first, start.size))
            if found:
                return found
    return None


def verify(one: Relation) -> bool:
    """Tell whether a relation holds on the grid of verification, with parameters that are no limits of a fit.

    Example:
        >>> verify(Relation(function="sigmoid", other="tanh", a=0.5, b=0.5, d=0.5))
        True
        >>> verify(Relation(function="square", other="hardswish", a=6 * 4096.0, b=1 / 64, c=-192.0))
        False
    """
    f, g = parse_elementwise(one.function), parse_elementwise(one.other)
    numbers = list(g.numbers.values())
    exact = all(_decimal(value) == value for value in numbers)
    return exact and _settled(f, g.activation, [one.b, *numbers], (one.a, one.c, one.d)) is not None


def parse_elementwise(function: str | Spec) -> Spec:
    """Return the spec of an elementwise function, and refuse any other kind."""
    spec = parse(function)
    if spec.activation.kind != "elementwise":
        raise SpecError(
            f"{spec} is a {spec.activation.kind} function; only elementwise ones are held against each other."
        )
    return spec


def _curve(of: Spec | Activation) -> Callable[..., Array]:
    """Return the function of the input and of all its parameters."""
    record = of.activation if isinstance(of, Spec) else of
    inner = numeric(record.formula, record.inputs, [parameter.symbol for parameter in record.parameters])
    return lambda x, *numbers: inner(x, *map(np.float64, numbers))


def _shape(curves: Array) -> Array:
    """Return curves (any, points) without their linear part and at length one; zeros for lines and what is not finite."""
    with np.errstate(all="ignore"):  # a curve with an infinity becomes NaN, and then zeros
        bent = curves - (curves @ LINE) @ LINE.T
        length, whole = (np.linalg.norm(part, axis=-1, keepdims=True) for part in (bent, curves))
        return np.where(np.isfinite(length) & (length > 1e-9 * whole + 1e-12), bent / length, 0.0)


def _correlation(shapes: Array, target: Array) -> Array:
    """Return how well each shape agrees with a curve's, rounded: where a stretch and its mirror image agree alike the first is found."""
    agreement: Array = np.abs(shapes @ _shape(target[None])[0]).round(12)
    return agreement


def _nearest(correlation: Array, starts: Array) -> Array:
    """Return the starts that correlate best, if they are near at all."""
    best = np.argsort(-correlation, kind="stable")[:STARTS]
    return starts[best[correlation[best] > NEAR]]


@lru_cache(maxsize=512)
def _stretched(g: Spec, _: Expr) -> tuple[Array, Array]:
    """Return starts (b, parameters) of every stretch at the values of the spec, and the shapes there; the formula is for the cache."""
    numbers, curve = list(g.numbers.values()), _curve(g)
    starts = np.array([[b, *numbers] for b in STRETCHES])
    return starts, _shape(np.stack([curve(b * FIT, *numbers) for b in STRETCHES]))


@lru_cache(maxsize=2)  # some hold 20 MB
def _shapes(g: Activation, _: Expr) -> tuple[Array, Array]:
    """Return starts (b, parameters) over a grid of stretches and parameters, and the shapes there; the formula is for the cache."""
    curve = _curve(g)
    starts = np.array([[b, *numbers] for numbers in _grid(g) for b in FEW_STRETCHES])
    return starts, _shape(np.stack([curve(b * FIT, *numbers) for b, *numbers in starts]))


@lru_cache(maxsize=2)
def _curves(g: Activation, _: Expr) -> tuple[Array, Array]:
    """Return starts (1, parameters), and the curves there; the formula is for the cache."""
    curve, grid = _curve(g), _grid(g)
    return np.array([[1.0, *numbers] for numbers in grid]), np.stack([curve(FIT, *numbers) for numbers in grid])


def _grid(g: Activation) -> list[tuple[float, ...]]:
    size = SIZES[len(g.parameters)]
    axes = [_starts(parameter)[:size] for parameter in g.parameters]
    return list(product(*axes))


def _starts(parameter: Parameter) -> list[float]:
    holds = DOMAINS[parameter.domain][1]
    return list(dict.fromkeys(value for value in (parameter.default, *VALUES) if holds(value)))


def _equal_case(f: Spec, g: Activation, target: Array) -> Relation | None:
    starts, curves = _curves(g, g.formula)
    with np.errstate(all="ignore"):
        distance = np.linalg.norm(curves - target, axis=1) / np.linalg.norm(target)
    for index in np.argsort(np.nan_to_num(distance, nan=inf), kind="stable")[:STARTS]:
        found = (
            _refined(f, g, starts[index], free=range(1, starts.shape[1]), scaled=False) if distance[index] < 1 else None
        )
        if found:
            return found
    return None


def _refined(f: Spec, g: Activation, start: Array, *, free: Sequence[int], scaled: bool = True) -> Relation | None:
    """Return the relation that least squares finds from a start, where it holds.

    Args:
        f: the function.
        g: the other.
        start: b and the other's parameters.
        free: which of them are fitted, by number; those that only add a line or a factor stay where they are, as a, c and d do that.
        scaled: whether a, c and d are fitted, too.
    """
    target, curve = _curve(f)(FIT, *f.numbers.values()), _curve(g)
    size = np.linalg.norm(target)
    want = _shape(target[None])[0] if scaled else target / size

    def away(at: Array) -> Array:
        got = curve(at[0] * FIT, *at[1:])
        bent = _shape(got[None])[0] if scaled else got
        got = bent * (bent @ want) if scaled else got / size
        return np.nan_to_num(got - want, nan=1e3, posinf=1e3, neginf=-1e3)

    before = away(start)
    fitted = [
        index for index in free if np.linalg.norm(away(_with(start, [index], start[index] + STEP)) - before) > IDLE
    ]
    if not fitted:
        points = [start]
    else:
        fit = _fit(lambda values: away(_with(start, fitted, values)), start[fitted], steps=FIRST_STEPS)
        if fit.cost < PROMISING:
            fit = _fit(lambda values: away(_with(start, fitted, values)), fit.x, steps=LAST_STEPS)
        if fit.cost > 1e-16:
            return None
        reached = _with(start, fitted, fit.x)
        points = [_rounded(reached), np.array([_decimal(value) for value in reached])]
    return next(filter(None, (_holding(f, g, point, scaled=scaled) for point in points)), None)


def _with(at: Array, indices: Sequence[int], values: Array | float) -> Array:
    changed = np.array(at)
    changed[list(indices)] = values
    return changed


def _fit(distance: Callable[[Array], Array], start: Array, *, steps: int) -> Any:
    evaluations = steps * (start.size + 1)  # each step needs the slope in every unknown
    with np.errstate(all="ignore"):
        return least_squares(distance, start, method="lm", xtol=1e-15, ftol=1e-10, gtol=1e-15, max_nfev=evaluations)


def _holding(f: Spec, g: Activation, at: Array, *, scaled: bool) -> Relation | None:
    if not 1 / WIDEST < abs(at[0]) < WIDEST or any(value and not LEAST < abs(value) < 1 / LEAST for value in at[1:]):
        return None
    for parameter, value in zip(g.parameters, at[1:], strict=True):
        if not DOMAINS[parameter.domain][1](value):
            return None
    line = _line(f, g, at) if scaled else (1.0, 0.0, 0.0)
    if line is None:
        return None
    return _settled(f, g, at, _rounded(np.array(line))) or _settled(f, g, at, line)


def _line(f: Spec, g: Activation, at: Array) -> tuple[float, ...] | None:
    """Return a, c and d, by least squares relative to the size of the terms at each point, so that far ones do not drown d."""
    target, got = _curve(f)(CHECK, *f.numbers.values()), _curve(g)(at[0] * CHECK, *at[1:])
    terms = np.stack([got, CHECK, np.ones_like(CHECK)], axis=1)
    known = np.isfinite(target) & np.isfinite(got)
    if known.mean() < DEFINED:
        return None
    size = np.maximum(1.0, np.maximum(np.abs(target[known]), np.abs(terms[known]).max(axis=1)))
    scaled, found = terms[known] / size[:, None], np.zeros(3)
    for _ in range(
        2
    ):  # what the first solution leaves is solved for again: c = 1/256 came with an error of 3e-12, which is no equality
        left = (target[known] - terms[known] @ found) / size
        found = found + np.linalg.lstsq(scaled, left, rcond=None)[0]
    found[np.abs(found) < NOTHING] = 0.0
    return tuple(found.tolist())


def _settled(f: Spec, g: Activation, at: Sequence[float] | Array, line: Sequence[float] | Array) -> Relation | None:
    """Return the relation with these constants if it holds on the grid."""
    (b, *numbers), (a, c, d) = map(float, at), map(float, line)
    target, got = _curve(f)(CHECK, *f.numbers.values()), a * _curve(g)(b * CHECK, *numbers)
    known = np.isfinite(target) & np.isfinite(got)
    size = np.maximum.reduce([np.ones_like(CHECK), *(np.abs(term) for term in (target, got, c * CHECK))])
    off = np.abs(target - got - c * CHECK - d) / size
    if a == 0 or known.mean() < DEFINED or off[known].max() > TOLERANCE:
        return None
    names = (parameter.name for parameter in g.parameters)
    return Relation(function=str(f), other=str(Spec(g, tuple(zip(names, numbers, strict=True)))), a=a, b=b, c=c, d=d)


def _rounded(values: Array) -> Array:
    return np.array([_round(float(value)) for value in values])


def _round(value: float) -> float:
    """Return a short number where one is near: a decimal, a fraction, or such a one times or over a root, π, ln 2 or e."""
    short = _decimal(value)
    if short != value or not short:
        return short
    for root in ROOTS:
        for unit in (root, 1 / root):
            near = float(Fraction(value / unit).limit_denominator(60)) * unit
            if abs(near - value) < 1e-7 * abs(value):
                return near
    return value


def _decimal(value: float) -> float:
    """Return a decimal of five digits where one is near: 0.9999999999999999 is a limit of a fit, and means 1."""
    if not isfinite(value) or abs(value) < 1e-9:
        return 0.0
    decimal = float(f"{value:.5g}")
    return decimal if abs(decimal - value) < 1e-7 * abs(value) else value
