"""Find out whether two activations are equal up to scaling and a linear term.

The relation is f(x) = a g(b x) + c x + d: in a network such functions differ by the scale of the weights around them and by a parallel
linear path. The constants are found by least squares (a, c and d are linear; b and free parameters of g by Levenberg-Marquardt from a grid
of initial values), rounded to short numbers where the relation still holds, and verified in float64 on another grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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

# Smaller constants of a linear term are rounding errors of zero; 4e-16 times 3,000 exceeded the tolerance.
NOTHING = 1e-14
# Relative to the largest term at a point, or to 1: float64 has 16 digits, and a formula may lose three.
TOLERANCE = 1e-12
# Offset from round numbers, at which kinks and jumps lie.
FIT = np.concatenate([np.linspace(-6.0, 6.0, 121), np.linspace(-0.6, 0.6, 40)]) + 0.0137
# Close to zero and far out, too: hardswish is a parabola in the middle, and tanh(1e5 x) is not the sign.
POSITIVE = np.concatenate([np.geomspace(1e-9, 1e-3, 20), np.geomspace(1.1e-3, 40, 300), np.geomspace(41, 3e3, 20)])
CHECK = np.concatenate([-POSITIVE[::-1] * 1.0007, POSITIVE])
# Share of the points at which both must be finite; exp(40 x) overflows at most of them.
DEFINED = 0.8
OCTAVES = np.arange(-5, 5.01, 0.125)
STRETCHES = np.concatenate([[1.0, -1.0], 2.0**OCTAVES, -(2.0**OCTAVES)])
FEW_STRETCHES = np.concatenate([[1.0, -1.0], 2.0 ** OCTAVES[::4], -(2.0 ** OCTAVES[::4])])
# Larger stretches only approach a limit, as tanh(1000 x) approaches the sign,
WIDEST = 400.0
# and so do smaller parameters, or larger than the inverse: celu(alpha=1e-16) is not relu.
LEAST = 1e-4
# Correlation from which on an initial value is refined; for equal functions 4 % apart in b it is 0.99, except for fast waves.
NEAR = 0.97
# From such a start an existing fit converges quadratically, so that six steps tell whether it exists.
FIRST_STEPS, PROMISING, LAST_STEPS = 6, 1e-4, 40
# A parameter is not fitted if a step of it changes the shape by less than this.
STEP, IDLE = 1e-3, 1e-9
# Number of best initial values that are refined.
STARTS = 3
# Largest number of free parameters; the initial values are a grid over all of them.
MOST_FREE = 4
# Initial values of a parameter, the likeliest first; SIZES gives how many are used by number of parameters.
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
        c: slope of the linear term.
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
        """Whether the two are equal without scaling."""
        return (self.a, self.b, self.c, self.d) == (1, 1, 0, 0)


def relation(function: str | Spec, other: str | Spec) -> Relation | None:
    """Return the relation by which ``function`` equals ``other`` up to scaling, at the values of their specs, or None.

    Raises:
        SpecError: one of the two is not elementwise, or its spec is invalid.

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
    # A stretch of 1 or -1 comes first: for homogeneous functions, such as relu, any stretch would fit.
    if max(correlation[:2]) > 1 - 1e-12:
        match = _match_at(f, g.activation, starts[np.argmax(correlation[:2])], scaled=True)
        if match:
            return match
    near = _nearest(correlation, starts)
    return next(filter(None, (_fit_match(f, g.activation, start, free=[0]) for start in near)), None)


def special_case(function: str | Spec, other: str, *, scaled: bool = True) -> Relation | None:
    """Return the parameters at which ``other`` equals ``function``, or equals it up to scaling; None if none are found.

    The search starts from a grid over at most four parameters; None does not prove that there are no such parameters.

    Args:
        function: an elementwise function, at the values of its spec.
        other: name of an elementwise activation with parameters.
        scaled: whether to search for equality up to scaling, too.

    Raises:
        SpecError: one of the two is not elementwise, or its spec is invalid.

    Example:
        >>> special_case("quick_gelu", "swish").other
        'swish(beta=1.702)'
    """
    f, g = parse_elementwise(function), parse_elementwise(other).activation
    g = replace(g, parameters=tuple(parameter for parameter in g.parameters if parameter.domain != "cutoff"))
    if not 0 < len(g.parameters) <= MOST_FREE:
        return None
    target = _curve(f)(FIT, *f.numbers.values())
    match = _equal_case(f, g, target)
    if match or not scaled:
        return match
    starts, shapes = _shapes(g, g.formula)
    for start in _nearest(_correlation(shapes, target), starts):
        for first in (1, 0):  # a stretch among the initial values is preferred to a fitted one
            match = _fit_match(f, g, start, free=range(first, start.size))
            if match:
                return match
    return None


def verify(relation: Relation) -> bool:
    """Return whether a relation holds on the verification grid, with short parameters instead of limits of a fit.

    Example:
        >>> verify(Relation(function="sigmoid", other="tanh", a=0.5, b=0.5, d=0.5))
        True
        >>> verify(Relation(function="square", other="hardswish", a=6 * 4096.0, b=1 / 64, c=-192.0))
        False
    """
    f, g = parse_elementwise(relation.function), parse_elementwise(relation.other)
    numbers = list(g.numbers.values())
    exact = all(_decimal(value) == value for value in numbers)
    constants = relation.a, relation.c, relation.d
    return exact and _verified(f, g.activation, [relation.b, *numbers], constants) is not None


def parse_elementwise(function: str | Spec) -> Spec:
    """Return the spec of an elementwise function.

    Raises:
        SpecError: the function is of another kind, or the spec is invalid.
    """
    spec = parse(function)
    if spec.activation.kind != "elementwise":
        raise SpecError(f"{spec} is a {spec.activation.kind} function; only elementwise functions can be compared.")
    return spec


def _curve(of: Spec | Activation) -> Callable[..., Array]:
    """Return the function of the input and of all its parameters."""
    record = of.activation if isinstance(of, Spec) else of
    inner = numeric(record.formula, record.inputs, [parameter.symbol for parameter in record.parameters])
    return lambda x, *numbers: inner(x, *map(np.float64, numbers))


def _shape(curves: Array) -> Array:
    """Return curves (any, points) without their linear part, with norm 1; zeros for lines and for curves that are not finite."""
    with np.errstate(all="ignore"):  # a curve with an infinity becomes NaN, and then zeros
        bent = curves - (curves @ LINE) @ LINE.T
        norm, total = (np.linalg.norm(part, axis=-1, keepdims=True) for part in (bent, curves))
        return np.where(np.isfinite(norm) & (norm > 1e-9 * total + 1e-12), bent / norm, 0.0)


def _correlation(shapes: Array, target: Array) -> Array:
    """Return the absolute correlation of each shape with that of a curve, rounded so that mirror images tie and the first is used."""
    agreement: Array = np.abs(shapes @ _shape(target[None])[0]).round(12)
    return agreement


def _nearest(correlation: Array, starts: Array) -> Array:
    """Return the initial values of the highest correlations, if these are above ``NEAR``."""
    best = np.argsort(-correlation, kind="stable")[:STARTS]
    return starts[best[correlation[best] > NEAR]]


@lru_cache(maxsize=512)
def _stretched(g: Spec, _: Expr) -> tuple[Array, Array]:
    """Return initial values (b, parameters) of all stretches at the spec's values, and the shapes; the formula is a cache key."""
    numbers, curve = list(g.numbers.values()), _curve(g)
    starts = np.array([[b, *numbers] for b in STRETCHES])
    return starts, _shape(np.stack([curve(b * FIT, *numbers) for b in STRETCHES]))


@lru_cache(maxsize=2)  # some hold 20 MB
def _shapes(g: Activation, _: Expr) -> tuple[Array, Array]:
    """Return a grid of initial values (b, parameters), and the shapes there; the formula is a cache key."""
    curve = _curve(g)
    starts = np.array([[b, *numbers] for numbers in _grid(g) for b in FEW_STRETCHES])
    return starts, _shape(np.stack([curve(b * FIT, *numbers) for b, *numbers in starts]))


@lru_cache(maxsize=2)
def _curves(g: Activation, _: Expr) -> tuple[Array, Array]:
    """Return a grid of initial values (1, parameters), and the curves there; the formula is a cache key."""
    curve, grid = _curve(g), _grid(g)
    return np.array([[1.0, *numbers] for numbers in grid]), np.stack([curve(FIT, *numbers) for numbers in grid])


def _grid(g: Activation) -> list[tuple[float, ...]]:
    size = SIZES[len(g.parameters)]
    axes = [_starts(parameter)[:size] for parameter in g.parameters]
    return list(product(*axes))


def _starts(parameter: Parameter) -> list[float]:
    is_allowed = DOMAINS[parameter.domain][1]
    return list(dict.fromkeys(value for value in (parameter.default, *VALUES) if is_allowed(value)))


def _equal_case(f: Spec, g: Activation, target: Array) -> Relation | None:
    starts, curves = _curves(g, g.formula)
    with np.errstate(all="ignore"):
        distance = np.linalg.norm(curves - target, axis=1) / np.linalg.norm(target)
    for index in np.argsort(np.nan_to_num(distance, nan=inf), kind="stable")[:STARTS]:
        if distance[index] < 1:
            match = _fit_match(f, g, starts[index], free=range(1, starts.shape[1]), scaled=False)
            if match:
                return match
    return None


def _fit_match(f: Spec, g: Activation, start: Array, *, free: Sequence[int], scaled: bool = True) -> Relation | None:
    """Return the relation found by least squares from initial values, if it is verified.

    Args:
        f: the function.
        g: the other one.
        start: initial values of b and the parameters of g.
        free: indices of those that are fitted, except where they only add a line or a factor, which a, c and d cover.
        scaled: whether a, c and d are fitted, too.
    """
    target, curve = _curve(f)(FIT, *f.numbers.values()), _curve(g)
    size = np.linalg.norm(target)
    expected = _shape(target[None])[0] if scaled else target / size

    def residuals(at: Array) -> Array:
        values = curve(at[0] * FIT, *at[1:])
        bent = _shape(values[None])[0] if scaled else values
        values = bent * (bent @ expected) if scaled else values / size
        return np.nan_to_num(values - expected, nan=1e3, posinf=1e3, neginf=-1e3)

    before = residuals(start)
    fitted = [
        index for index in free if np.linalg.norm(residuals(_with(start, [index], start[index] + STEP)) - before) > IDLE
    ]
    if not fitted:
        points = [start]
    else:
        fit = _fit(lambda values: residuals(_with(start, fitted, values)), start[fitted], steps=FIRST_STEPS)
        if fit.cost < PROMISING:
            fit = _fit(lambda values: residuals(_with(start, fitted, values)), fit.x, steps=LAST_STEPS)
        if fit.cost > 1e-16:
            return None
        reached = _with(start, fitted, fit.x)
        decimals = np.array([_decimal(value) for value in reached])
        # The fitted stretch itself comes last: it may be close to a short number without being equal to it.
        points = [_rounded(reached), decimals, _with(decimals, [0], reached[0])]
    return next(filter(None, (_match_at(f, g, point, scaled=scaled) for point in points)), None)


def _with(at: Array, indices: Sequence[int], values: Array | float) -> Array:
    changed = np.array(at)
    changed[list(indices)] = values
    return changed


def _fit(residuals: Callable[[Array], Array], start: Array, *, steps: int) -> Any:
    evaluations = steps * (start.size + 1)  # each step needs the derivative in every unknown
    with np.errstate(all="ignore"):
        return least_squares(residuals, start, method="lm", xtol=1e-15, ftol=1e-10, gtol=1e-15, max_nfev=evaluations)


def _match_at(f: Spec, g: Activation, at: Array, *, scaled: bool) -> Relation | None:
    """Return the relation at these values of b and the parameters, with short constants if possible, if it is verified."""
    if not 1 / WIDEST < abs(at[0]) < WIDEST or any(value and not LEAST < abs(value) < 1 / LEAST for value in at[1:]):
        return None
    for parameter, value in zip(g.parameters, at[1:], strict=True):
        if not DOMAINS[parameter.domain][1](value):
            return None
    line = _line(f, g, at) if scaled else (1.0, 0.0, 0.0)
    if line is None:
        return None
    return _verified(f, g, at, _rounded(np.array(line))) or _verified(f, g, at, line)


def _line(f: Spec, g: Activation, at: Array) -> tuple[float, ...] | None:
    """Return a, c and d by least squares, weighted by the size of the terms at each point, so that large ones do not dominate d."""
    target, values = _curve(f)(CHECK, *f.numbers.values()), _curve(g)(at[0] * CHECK, *at[1:])
    terms = np.stack([values, CHECK, np.ones_like(CHECK)], axis=1)
    known = np.isfinite(target) & np.isfinite(values)
    if known.mean() < DEFINED:
        return None
    size = np.maximum(1.0, np.maximum(np.abs(target[known]), np.abs(terms[known]).max(axis=1)))
    scaled, line = terms[known] / size[:, None], np.zeros(3)
    # Twice, the second time for the residual: once, c = 1/256 had an error of 3e-12, above the tolerance.
    for _ in range(2):
        residual = (target[known] - terms[known] @ line) / size
        line = line + np.linalg.lstsq(scaled, residual, rcond=None)[0]
    line[np.abs(line) < NOTHING] = 0.0
    return tuple(line.tolist())


def _verified(f: Spec, g: Activation, at: Sequence[float] | Array, line: Sequence[float] | Array) -> Relation | None:
    """Return the relation with these constants if it holds on the verification grid."""
    (b, *numbers), (a, c, d) = map(float, at), map(float, line)
    target, values = _curve(f)(CHECK, *f.numbers.values()), a * _curve(g)(b * CHECK, *numbers)
    known = np.isfinite(target) & np.isfinite(values)
    size = np.maximum.reduce([np.ones_like(CHECK), *(np.abs(term) for term in (target, values, c * CHECK))])
    error = np.abs(target - values - c * CHECK - d) / size
    if a == 0 or known.mean() < DEFINED or error[known].max() > TOLERANCE:
        return None
    names = (parameter.name for parameter in g.parameters)
    return Relation(function=str(f), other=str(Spec(g, tuple(zip(names, numbers, strict=True)))), a=a, b=b, c=c, d=d)


def _rounded(values: Array) -> Array:
    return np.array([_round(float(value)) for value in values])


def _round(value: float) -> float:
    """Return a short number if one is near: a decimal, or a fraction times or over a root, π, ln 2 or e."""
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
    """Return a decimal of five digits if one is near, such as 1 for 0.9999999999999999."""
    if not isfinite(value) or abs(value) < 1e-9:
        return 0.0
    decimal = float(f"{value:.5g}")
    return decimal if abs(decimal - value) < 1e-7 * abs(value) else value
