"""Strength reduction of formulas, which minimizes transcendental calls before code generation.

``tanh(softplus(x))`` is ``n/(n + 2)`` with ``n = e(e + 2)`` and ``e = e^x``: one exponential and one division instead of three of each.
A slope needs ``sigmoid(x)`` and ``sigmoid(-x)``, or ``tanh(x)`` beside both at ``2x``: one exponential gives all of them. The expressions
of one pass are rewritten together, so that they share it.

Exponents are clamped (:class:`capped`) where the exponential, or its square, would be infinite, so that no quotient is infinity over
infinity. Each rewritten expression is compared with the original in float64 and float32, tails included; if one is worse, all stay as they
were.

Example:
    >>> from actlab.functions.formula import softplus, tanh
    >>> x = sympy.Symbol("x", real=True)
    >>> reduce_strength([tanh(softplus(x))], [x])
    [(exp(capped(x, 2)) + 2)*exp(capped(x, 2))*reciprocal((exp(capped(x, 2)) + 2)*exp(capped(x, 2)) + 2)]
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy
from sympy.core.relational import Relational

from actlab.functions.formula import (
    CAPS,
    Expr,
    absolute,
    capped,
    clamped,
    exp,
    expm1,
    logsigmoid,
    maximum,
    minimum,
    reciprocal,
    sigmoid,
    softplus,
    tamed,
    tanh,
    where,
)
from actlab.functions.formula.evaluate import NAMES
from actlab.functions.formula.printer import compile_source, function_source

__all__ = ["reduce_strength"]


def reduce_strength(expressions: Sequence[Expr], inputs: Sequence[sympy.Symbol]) -> list[Expr]:
    """Return the expressions rewritten together, or unchanged where a rewritten one is less accurate.

    Args:
        expressions: stabilized forms of a formula and of its derivatives.
        inputs: the symbols that stand for tensors; the others are parameters.
    """
    reduced = sympy.Tuple(*expressions)
    for rewrite in (_simplify, _rewrite_functions_of_softplus, _rewrite_sigmoid_beside_softplus, _share_exponentials):
        reduced = rewrite(reduced)
    reduced = _share_reciprocals(reduced, set(inputs))
    # All or none: expressions of which only some are rewritten share no subexpressions.
    accurate = all(
        new == old or _agrees(old, new, tuple(inputs)) for old, new in zip(expressions, reduced, strict=True)
    )
    return list(reduced) if accurate else list(expressions)


def _simplify(expressions: Expr) -> Expr:
    """Rewrite clamped exponentials as exponentials of clamped exponents, and branches that are a minimum or a maximum as such."""
    expressions = expressions.replace(
        lambda e: isinstance(e, clamped) and isinstance(e.args[0], exp) and e.args[1] == 1,
        lambda e: exp(tamed(e.args[0].args[0])),
    )
    expressions = expressions.replace(
        lambda e: isinstance(e, exp) and isinstance(-e.args[0], softplus), lambda e: sigmoid(-(-e.args[0]).args[0])
    )
    return expressions.replace(lambda e: isinstance(e, where), _as_extremum)


def _as_extremum(node: Expr) -> Expr:
    """Return ``minimum(x, c)`` for ``where(x > c, c, x)``, and ``maximum(x, c)`` for ``where(x < c, c, x)``."""
    condition, a, b = node.args
    if not isinstance(condition, Relational) or condition.rhs != a or condition.lhs != b:
        return node
    if isinstance(condition, sympy.StrictGreaterThan | sympy.GreaterThan):
        return minimum(b, a)
    return maximum(b, a) if isinstance(condition, sympy.StrictLessThan | sympy.LessThan) else node


def _times_softplus(argument: Expr) -> tuple[Expr, Expr | None]:
    """Return ``(k, u)`` for ``k softplus(u)`` for k = 1, -1, 2 or -2, else ``(0, None)``."""
    factor, rest = argument.as_coeff_Mul()
    if isinstance(rest, softplus) and factor in {1, -1, 2, -2}:
        return factor, rest.args[0]
    return 0, None


def _rewrite_functions_of_softplus(expressions: Expr) -> Expr:
    """Rewrite tanh and sigmoid of softplus(u), and sigmoid(u) beside them, as quotients of polynomials in ``e^u``."""
    composed = [node for node in expressions.atoms(tanh, sigmoid) if _times_softplus(node.args[0])[1] is not None]
    arguments = {_times_softplus(node.args[0])[1] for node in composed}

    def quotient(node: Expr) -> Expr:
        factor, u = _times_softplus(node.args[0])
        if u is None:
            u = node.args[0] if node.args[0] in arguments else -node.args[0]
            e = exp(capped(u, 2))
            return e / (1 + e) if node.args[0] in arguments else 1 / (1 + e)
        e = exp(capped(u, 2))
        n = e * (e + 2)
        if isinstance(node, tanh):
            return sympy.sign(factor) * n / (n + 2) if abs(factor) == 1 else node
        below = n + 2 if abs(factor) == 2 else e + 2
        return (1 + e) ** factor / below if factor > 0 else 1 / below

    targets = {
        node
        for node in expressions.atoms(sigmoid)
        if node.args[0] in arguments or -node.args[0] in arguments or node in composed
    }
    return expressions.xreplace({node: quotient(node) for node in targets | set(composed)})


def _rewrite_sigmoid_beside_softplus(expressions: Expr) -> Expr:
    """Rewrite sigmoid(u) by ``e^-|u|`` where softplus(u) remains, which computes ``e^-|u|`` anyway."""
    arguments = {node.args[0] for node in expressions.atoms(softplus, logsigmoid)}
    arguments |= {-argument for argument in arguments}

    def quotient(node: Expr) -> Expr:
        u = node.args[0]
        a = exp(-absolute(u if not u.could_extract_minus_sign() else -u))
        return where(u > 0, 1, a) / (1 + a)

    return expressions.xreplace(
        {node: quotient(node) for node in expressions.atoms(sigmoid) if node.args[0] in arguments}
    )


def _share_exponentials(expressions: Expr) -> Expr:
    """Rewrite sigmoid(w), sigmoid(-w) and tanh(w/2) with one exponential where two of them occur."""
    groups: defaultdict[Expr, set[Expr]] = defaultdict(set)
    for node in expressions.atoms(sigmoid, tanh):
        w = node.args[0] * (2 if isinstance(node, tanh) else 1)
        groups[-w if w.could_extract_minus_sign() else w].add(node)
    replaced: dict[Expr, Expr] = {}
    for w, nodes in groups.items():
        if len(nodes) < 2:
            continue
        exponent = capped(-w, 1)
        e = exp(exponent)
        for node in nodes:
            same = node.args[0] * (2 if isinstance(node, tanh) else 1) == w
            if isinstance(node, tanh):
                replaced[node] = expm1(exponent) / (1 + e) * (-1 if same else 1)
            else:
                replaced[node] = 1 / (1 + e) if same else e / (1 + e)
    return _replace_nested(expressions, replaced)


def _replace_nested(expressions: Expr, replaced: Mapping[Expr, Expr]) -> Expr:
    """Replace nodes that may contain one another, outer ones first."""
    for node in sorted(replaced, key=lambda n: -sympy.count_ops(n)):
        expressions = expressions.xreplace({node: replaced[node]})
    return expressions


def _share_reciprocals(expressions: Expr, inputs: set[sympy.Symbol]) -> Expr:
    """Rewrite denominators as reciprocals where they occur twice, contain a capped exponential, or are free of the inputs."""
    below = Counter(_base(power) for expression in expressions for power in _denominators(expression))

    def invert(power: Expr) -> Expr:
        base, times = _base(power)
        shared = sum(count for (other, _), count in below.items() if other == base) > 1
        if not (shared or base.has(capped) or not base.free_symbols & inputs):
            return power
        return reciprocal(base) ** times

    return expressions.replace(_is_denominator, invert)


def _is_denominator(e: Expr) -> bool:
    return bool(e.is_Pow and e.exp.is_number and e.exp.is_negative and (2 * e.exp).is_Integer and e.base.free_symbols)


def _denominators(expression: Expr) -> list[Expr]:
    return [node for node in sympy.preorder_traversal(expression) if _is_denominator(node)]


def _base(power: Expr) -> tuple[Expr, Expr]:
    """Return the base of the reciprocal and its power: for ``b^(-3/2)`` the square root of b, and 3."""
    if power.exp.is_Integer:
        return power.base, -power.exp
    return sympy.sqrt(power.base), -2 * power.exp


def _names_for(dtype: str) -> Mapping[str, Any]:
    """Return the global names of a NumPy formula, with the clamps at the limits of a dtype."""
    largest = float(np.sqrt(np.finfo(dtype).max))
    return {
        **NAMES,
        "clamped": lambda v, side: np.clip(v, -largest if side <= 0 else None, largest if side >= 0 else None),
        "tamed": lambda v: np.minimum(v, np.log(largest).astype(dtype)),
        "capped": lambda v, times: np.where(v > CAPS[dtype][int(times)], CAPS[dtype][int(times)], v).astype(dtype),
    }


def _evaluator(expression: Expr, symbols: Sequence[sympy.Symbol], dtype: str) -> Callable[..., Any]:
    function = compile_source(function_source("formula", symbols, expression, "numpy"), "formula", _names_for(dtype))

    def formula(*values: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(function(*values), dtype=dtype) + np.zeros_like(values[0])

    return formula


def _agrees(old: Expr, new: Expr, inputs: tuple[sympy.Symbol, ...]) -> bool:
    """Return whether ``new`` equals ``old`` in float64, and has an error not much larger in float32."""
    parameters = sorted((old.free_symbols | new.free_symbols) - set(inputs), key=str)
    symbols = (*inputs, *parameters)
    points = _grid(len(inputs))
    points += [np.full_like(points[0], 1 + i / 16) for i in range(1, len(parameters) + 1)]
    exact, rewritten = (_evaluator(e, symbols, "float64")(*(p.astype("float64") for p in points)) for e in (old, new))
    before, after = (_evaluator(e, symbols, "float32")(*points).astype("float64") for e in (old, new))
    with np.errstate(all="ignore"):
        allowed = 8 * np.abs(before - exact) + 4e-6 * np.abs(exact) + 1e-6
    expected = np.where(np.isfinite(before), exact, before)
    return _near(rewritten, exact, 1e-10 * np.abs(exact) + 1e-11) and _near(after, expected, allowed)


def _grid(count: int) -> list[Any]:
    """Return float32 points per input: a fine grid, both tails up to 1e30, the infinities; in another order for each input."""
    far = np.geomspace(1e-30, 1e30, 241)
    points = np.concatenate([np.linspace(-40, 40, 1603), far, -far, [0.0, np.inf, -np.inf]]).astype("float32")
    clipped = np.clip(points, -1e4, 1e4)
    return [points] + [np.random.default_rng(i).permutation(clipped) for i in range(1, count)]


def _near(got: Any, want: Any, allowed: Any) -> bool:
    with np.errstate(all="ignore"):
        same = (np.abs(got - want) <= allowed) | (got == want) | np.isnan(want) | ~np.isfinite(allowed)
    return bool(same.all())
