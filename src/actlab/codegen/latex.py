"""Formula of an activation or of its derivative, in LaTeX or as one line of text."""

from __future__ import annotations

import sympy
from sympy.printing.latex import LatexPrinter

from actlab.functions import formula
from actlab.functions.activation import Activation

__all__ = ["latex", "plain"]

GREEK = {"alpha", "beta", "gamma", "lambda", "mu"}  # names that SymPy prints as Greek letters


def latex(activation: Activation, *, derivative: bool = False) -> str:
    r"""Return the right-hand side of the formula in LaTeX.

    Args:
        activation: elementwise or gated.
        derivative: return the derivative in the first input instead.

    Raises:
        TypeError: the activation is tensor code and has no formula.

    Example:
        >>> from actlab.functions.activation import get
        >>> latex(get("silu"))
        'x \\sigma\\left(x\\right)'
        >>> latex(get("reglu"))
        '\\mathrm{value} \\cdot \\max\\left(\\mathrm{gate},\\,0\\right)'
    """
    expression = _expression(activation, derivative=derivative)
    symbols = [*(parameter.symbol for parameter in activation.parameters), *activation.inputs]
    names = {symbol: _upright(symbol.name) for symbol in symbols if len(symbol.name) > 1 and symbol.name not in GREEK}
    # gate and value read as one word without a sign between them
    sign = "dot" if names.keys() & set(activation.inputs) else None
    return str(LatexPrinter({"symbol_names": names, "mul_symbol": sign}).doprint(expression))


def plain(activation: Activation, *, derivative: bool = False) -> str:
    """Return the right-hand side of the formula as one line of text; arguments as for :func:`latex`.

    Example:
        >>> from actlab.functions.activation import get
        >>> plain(get("silu"))
        'x*sigmoid(x)'
    """
    return str(_expression(activation, derivative=derivative))


def _expression(activation: Activation, *, derivative: bool) -> sympy.Expr:
    expression = formula.derivative(activation.formula, activation.inputs[0]) if derivative else activation.formula
    return formula.as_written(expression)


def _upright(name: str) -> str:
    escaped = name.replace("_", r"\_")
    return rf"\mathrm{{{escaped}}}"
