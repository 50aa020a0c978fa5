"""Formula of an activation or of its slope as MathML, which browsers typeset without scripts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from html import escape
from itertools import pairwise

import sympy
from sympy.core.relational import Relational

from actlab.functions import formula
from actlab.functions.activation import Activation
from actlab.functions.formula import Expr, Primitive, as_written, derivative, where

__all__ = ["mathml"]

SUM, PRODUCT, POWER, ATOM = range(4)  # operator precedence of a printed part
LETTER_NAMES = (
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "eta",
    "theta",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "rho",
    "sigma",
    "tau",
)
LETTERS = dict(zip((*LETTER_NAMES, "phi", "omega"), "αβγδεηθκλμνξρστφω", strict=True))
GREEK = {**LETTERS, "lambd": LETTERS["lambda"]}
SIGMA = LETTERS["sigma"]
PI = "<mi>π</mi>"
# Numbers in formulas that readers know by a name
CONSTANTS = (
    (math.pi, PI),
    (math.pi**2, f"<msup>{PI}<mn>2</mn></msup>"),
    (math.pi / 2, f"<mfrac>{PI}<mn>2</mn></mfrac>"),
    (1 / math.pi, f"<mfrac><mn>1</mn>{PI}</mfrac>"),
    (2 / math.pi, f"<mfrac><mn>2</mn>{PI}</mfrac>"),
    (math.log(2), "<mrow><mi>ln</mi><mn>2</mn></mrow>"),
)
SIGNS = {"StrictGreaterThan": "&gt;", "GreaterThan": "≥", "StrictLessThan": "&lt;", "LessThan": "≤"}
CALLS: Mapping[type[Primitive], str] = {
    formula.log: "log",
    formula.asinh: "arsinh",
    formula.sigmoid: SIGMA,
    formula.tanh: "tanh",
    formula.softplus: "softplus",
    formula.erf: "erf",
    formula.normal_cdf: "Φ",
    formula.sin: "sin",
    formula.cos: "cos",
    formula.sinc: "sinc",
    formula.atan: "arctan",
    formula.sign: "sgn",
    formula.rounded: "round",
    formula.maximum: "max",
    formula.minimum: "min",
}
MINUS, PLUS, THIN = "<mo>−</mo>", "<mo>+</mo>", '<mspace width="0.17em"></mspace>'  # noqa: RUF001 MathML needs the minus sign, not the hyphen


def mathml(activation: Activation, *, slope: bool = False) -> str:
    """Return the right-hand side of the formula as a ``<math>`` element.

    Args:
        activation: elementwise or gated.
        slope: return the derivative in the first input instead.

    Raises:
        TypeError: the activation is tensor code and has no formula.

    Example:
        >>> from actlab.functions.activation import get
        >>> mathml(get("square"))
        '<math display="block"><msup><mi>x</mi><mn>2</mn></msup></math>'
    """
    expression = activation.formula
    printed = derivative(expression, activation.inputs[0]) if slope else expression
    return f'<math display="block">{_print(as_written(printed))[0]}</math>'


def _print(part: Expr) -> tuple[str, int]:
    """Return a part as MathML, and its precedence."""
    if part.is_Symbol:
        return _name(part.name), ATOM
    if part.is_number and part.is_Atom:
        return _number(part)
    if isinstance(part, Primitive):
        return _primitive(part)
    if isinstance(part, Relational):
        return _row(_within(part.lhs, SUM), f"<mo>{SIGNS[type(part).__name__]}</mo>", _within(part.rhs, SUM)), SUM
    if part.is_Add:
        return _sum(part), SUM
    if part.is_Mul:
        return _product(part)
    if part.is_Pow:
        return _power(part)
    raise TypeError(f"{type(part).__name__} has no MathML form: {part}.")


def _within(part: Expr, level: int) -> str:
    """Return a part as MathML, in parentheses if its precedence is below ``level``."""
    text, precedence = _print(part)
    return text if precedence >= level else _row("<mo>(</mo>", text, "<mo>)</mo>")


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>" if len(parts) > 1 else parts[0]


def _name(name: str) -> str:
    split = re.fullmatch(r"([a-z]+?)_?(\d+)", name)
    if split:
        return f"<msub>{_name(split[1])}<mn>{split[2]}</mn></msub>"
    return f"<mi>{GREEK.get(name, escape(name))}</mi>"


def _number(number: Expr) -> tuple[str, int]:
    if number < 0:
        return _row(MINUS, _number(-number)[0]), SUM
    if number.is_Rational and not number.is_Integer:
        return f"<mfrac><mn>{number.p}</mn><mn>{number.q}</mn></mfrac>", PRODUCT
    if number.is_Float:
        known = next((text for value, text in CONSTANTS if abs(float(number) / value - 1) < 1e-14), None)
        if known:
            return known, PRODUCT
        digits, _, exponent = f"{float(number):.10g}".partition("e")
        mantissa = f"<mn>{digits}</mn>"
        power = f"<msup><mn>10</mn><mn>{int(exponent or 0)}</mn></msup>".replace("-", "−")  # noqa: RUF001 minus sign, as above
        return (_row(mantissa, "<mo>·</mo>", power), PRODUCT) if exponent else (mantissa, ATOM)
    named = {sympy.pi: PI, sympy.E: "<mi>e</mi>"}
    return named.get(number, f"<mn>{number}</mn>"), ATOM


def _sum(part: Expr) -> str:
    first, *others = part.as_ordered_terms()
    texts = [_within(first, SUM)]
    for term in others:
        negative = term.could_extract_minus_sign()
        texts += [MINUS if negative else PLUS, _within(-term if negative else term, PRODUCT)]
    return _row(*texts)


def _product(part: Expr) -> tuple[str, int]:
    if part.as_coeff_Mul()[0] < 0:
        return _row(MINUS, _within(-part, PRODUCT)), SUM
    above, below = sympy.fraction(part, exact=True)
    if below != 1:
        return f"<mfrac>{_within(above, SUM)}{_within(below, SUM)}</mfrac>", PRODUCT
    factors = [factor for factor in part.as_ordered_factors() if factor != 1]
    texts = [_within(factors[0], PRODUCT)]
    for before, factor in pairwise(factors):
        sign = (factor.is_number and before.is_number) or any(map(_is_word, (before, factor)))
        times = "<mo>·</mo>" if sign else THIN
        texts += [times, _within(factor, POWER)]
    return _row(*texts), PRODUCT


def _is_word(factor: Expr) -> bool:
    """Return whether a factor is a name of several letters, which reads as one word with what stands beside it."""
    base = factor.base if factor.is_Pow else factor
    letters = re.sub(r"_?\d+$", "", base.name) if base.is_Symbol else ""  # digits at the end are an index
    return len(letters) > 1 and letters not in GREEK


def _power(part: Expr) -> tuple[str, int]:
    base, exponent = part.args
    if exponent == sympy.Rational(1, 2):
        return f"<msqrt>{_within(base, SUM)}</msqrt>", ATOM
    if exponent.could_extract_minus_sign() and exponent.is_number:
        return f"<mfrac><mn>1</mn>{_within(base**-exponent, SUM)}</mfrac>", PRODUCT
    return f"<msup>{_within(base, ATOM)}{_within(exponent, SUM)}</msup>", POWER


def _primitive(node: Primitive) -> tuple[str, int]:
    special = SPECIAL.get(type(node))
    if special:
        return special(node)
    arguments = "<mo>,</mo>".join(_within(argument, SUM) for argument in node.args)
    return _row(f"<mi>{CALLS[type(node)]}</mi>", "<mo>(</mo>", arguments, "<mo>)</mo>"), ATOM


def _exp(node: Primitive) -> tuple[str, int]:
    return f"<msup><mi>e</mi>{_within(node.args[0], SUM)}</msup>", POWER


def _expm1(node: Primitive) -> tuple[str, int]:
    return _row(_exp(node)[0], MINUS, "<mn>1</mn>"), SUM


def _log1p(node: Primitive) -> tuple[str, int]:
    argument = node.args[0]
    negative = argument.could_extract_minus_sign()
    added = _within(-argument if negative else argument, PRODUCT)
    return _row("<mi>log</mi>", "<mo>(</mo>", "<mn>1</mn>", MINUS if negative else PLUS, added, "<mo>)</mo>"), ATOM


def _logsigmoid(node: Primitive) -> tuple[str, int]:
    return _row(
        "<mi>log</mi>", THIN, f"<mi>{SIGMA}</mi>", "<mo>(</mo>", _within(node.args[0], SUM), "<mo>)</mo>"
    ), PRODUCT


def _absolute(node: Primitive) -> tuple[str, int]:
    return _row("<mo>|</mo>", _within(node.args[0], SUM), "<mo>|</mo>"), ATOM


def _where(node: Primitive) -> tuple[str, int]:
    rows = []
    rest: Expr = node
    while isinstance(rest, where):  # a nested case distinction becomes one more row
        condition, value, rest = rest.args
        rows.append(f"<mtr><mtd>{_within(value, SUM)}</mtd><mtd>{_within(condition, SUM)}</mtd></mtr>")
    rows.append(f"<mtr><mtd>{_within(rest, SUM)}</mtd><mtd><mtext>otherwise</mtext></mtd></mtr>")
    return _row("<mo>{</mo>", f"<mtable>{''.join(rows)}</mtable>"), SUM


SPECIAL: Mapping[type[Primitive], Callable[[Primitive], tuple[str, int]]] = {
    formula.exp: _exp,
    formula.expm1: _expm1,
    formula.log1p: _log1p,
    formula.logsigmoid: _logsigmoid,
    formula.absolute: _absolute,
    where: _where,
}
