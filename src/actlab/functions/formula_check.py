"""Formula that a user's function returns, with a hint where it returns none."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sympy
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom, BooleanFunction

from actlab.errors import ActlabError, FormulaError
from actlab.functions.formula import Expr, canonical
from actlab.functions.formula.primitive import Primitive

__all__ = ["formula_of"]

CHOICE = (
    "Conditions are symbols here, which if, and, or, not, max, min and chains such as -1 < x < 1 cannot read. "
    "Write where(x > 0, a, b), (x > -1) & (x < 1), maximum(a, b), minimum(a, b)."
)
FUNCTIONS = (
    "The function is called once, with symbols: use exp, tanh, sigmoid, where and the others of actlab.functions.formula instead of those "
    "of math, numpy and torch. A function of tensors that has no formula is registered with kind='vector' or kind='stochastic'."
)
EQUALITY = (
    "In a formula, {operator} is answered by Python at once, True or False, and not for each element. "
    "Write where({condition}(x, 0), a, b), with {condition} of actlab.functions.formula."
)
_changing_sympy = threading.RLock()
# a symbol is a Boolean of SymPy as well
CONDITIONS = Relational | BooleanFunction | BooleanAtom
# SymPy's functions that primitives stand for
INSTEAD = {"Piecewise": "where(condition, a, b)", "Max": "maximum(a, b)", "Min": "minimum(a, b)"}


def formula_of(function: Callable[..., Any], symbols: Sequence[sympy.Symbol]) -> Expr:
    """Return the formula of a function of symbols, in primitives.

    Raises:
        FormulaError: the function raises, or returns something that is no formula in primitives; the message has a hint.
    """
    name = function.__name__
    try:
        with contextlib.nullcontext() if function.__module__.startswith("actlab.") else _equality_refused():
            value = function(*symbols)
    except ActlabError:
        raise
    except Exception as error:  # user code may raise anything
        hint = CHOICE if "truth value" in str(error) else FUNCTIONS
        raise FormulaError(f"The formula of {name} raises {type(error).__name__}: {error}. {hint}") from error
    if value is None:
        raise FormulaError(f"{name} returns nothing; it must return its formula: return x * sigmoid(x).")
    if isinstance(value, CONDITIONS):
        raise FormulaError(
            f"{name} returns the condition {value}; a number follows from one with where({value}, 1, 0)."
        )
    if not isinstance(value, int | float | sympy.Expr):
        raise FormulaError(f"{name} returns a {type(value).__name__}, which is no formula. {FUNCTIONS}")
    expression = canonical(value)
    _check_nodes(name, expression)
    return expression


@contextlib.contextmanager
def _equality_refused() -> Iterator[None]:
    """Let ``==`` and ``!=`` of symbols and terms raise in the code of a user; SymPy and the package compare as before.

    SymPy answers them by structure, so that ``where(x == 0, a, b)`` would be ``b`` without a word. The change takes 3 ms: SymPy has
    many subclasses.
    """
    methods = [(sympy.Basic, "__eq__", "=="), (sympy.Basic, "__ne__", "!="), (sympy.Expr, "__eq__", "==")]
    with _changing_sympy:
        originals = [getattr(cls, name) for cls, name, _ in methods]
        try:
            for (cls, name, operator), original in zip(methods, originals, strict=True):
                setattr(cls, name, _refusing(operator, original, threading.get_ident()))
            yield
        finally:
            for (cls, name, _), original in zip(methods, originals, strict=True):
                setattr(cls, name, original)


def _refusing(operator: str, original: Callable[[Any, Any], Any], thread: int) -> Callable[[Any, Any], Any]:
    def compare(self: Any, other: Any) -> Any:
        module = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]  # of the code that compares
        if threading.get_ident() == thread and module not in {"actlab", "mpmath", "sympy"}:
            condition = "Eq" if operator == "==" else "Ne"
            raise FormulaError(EQUALITY.format(operator=operator, condition=condition))
        return original(self, other)

    return compare


def _check_nodes(name: str, expression: Expr) -> None:
    for node in sympy.preorder_traversal(expression):
        kind = type(node).__name__
        if isinstance(node, Primitive) and kind == "where" and not isinstance(node.args[0], CONDITIONS):
            raise FormulaError(
                f"The formula of {name} has where({node.args[0]}, ...); a condition compares: where(x > 0, a, b)."
            )
        known = isinstance(node, Primitive | Relational | sympy.Add | sympy.Mul | sympy.Pow | sympy.Atom)
        if not known:
            hint = f"Write {INSTEAD[kind]}." if kind in INSTEAD else FUNCTIONS
            raise FormulaError(f"The formula of {name} uses {kind}, which no target can compute: {node}. {hint}")
