"""The LaTeX reading of a formula."""

from __future__ import annotations

import sympy
from sympy.printing.latex import LatexPrinter

from actlab.functions import formula
from actlab.functions.activation import Activation

__all__ = ["latex", "plain"]

GREEK = {"alpha", "beta", "gamma", "lambda", "mu"}  # parameters that SymPy prints as the letter


def latex(activation: Activation, *, derivative: bool = False) -> str:
    r"""Return the formula in LaTeX, without the left side; of the derivative in the first input if asked.

    Raises:
        TypeError: the activation is tensor code and has no formula.

    Example:
        >>> from actlab.functions.activation import get
        >>> latex(get("silu"))
        'x \\sigma\\left(x\\right)'
    """
    words = {p.symbol: _word(p.name) for p in activation.parameters if len(p.name) > 1 and p.name not in GREEK}
    return str(LatexPrinter({"symbol_names": words}).doprint(_expression(activation, derivative=derivative)))


def plain(activation: Activation, *, derivative: bool = False) -> str:
    """Return the formula as one line of text.

    Example:
        >>> from actlab.functions.activation import get
        >>> plain(get("silu"))
        'x*sigmoid(x)'
    """
    return str(_expression(activation, derivative=derivative))


def _expression(activation: Activation, *, derivative: bool) -> sympy.Expr:
    return formula.derivative(activation.formula, activation.inputs[0]) if derivative else activation.formula


def _word(name: str) -> str:
    escaped = name.replace("_", r"\_")
    return rf"\mathrm{{{escaped}}}"
