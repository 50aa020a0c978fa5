"""Print formulas as Python or C source, for any target the primitives have a spelling for.

Constants are folded to numbers, shared subexpressions are computed once, and primitives print by their own spelling. A target decides
only how powers and divisions are written.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import sympy
from sympy.core.relational import Relational

from actlab.functions.formula import Expr, Primitive, capped, clamped, exp, maximum, minimum, tamed, where

__all__ = ["c_number", "compile_source", "function_source", "print_expression", "print_statements"]


class Powers(NamedTuple):
    """How a target without a power operator calls a square root, a square, a whole power and a power."""

    root: str
    square: str
    whole: str
    general: str


# Division, where a target does not use the operator.
QUOTIENTS = {"triton": "quotient({0}, {1}, EXACT)"}
# Targets whose code has no autograd and no power operator: kernels, and C.
KERNELS = {"cpu", "triton", "c99"}
POWERS = {
    "cpu": Powers("sqrt", "square", "power", "power({0}, {1})"),
    "triton": Powers("sqrt", "square", "power", "real_power({0}, {1}, EXACT)"),
    "c99": Powers("f32_sqrt", "f32_square", "f32_power_whole", "f32_power({0}, {1})"),
}
SIGNS = {"StrictGreaterThan": ">", "GreaterThan": ">=", "StrictLessThan": "<", "LessThan": "<="}


def print_expression(expression: Any, target: str) -> str:
    """Return the source text of an expression for a target.

    Args:
        expression: a SymPy expression over the primitives.
        target: key of the primitives' ``spelling``: "torch", "numpy", "cpu", "triton" or "c99".

    Raises:
        TypeError: the expression contains a function that is not a primitive.

    Example:
        >>> x = sympy.Symbol("x", real=True)
        >>> print_expression(x * sympy.Rational(1, 2), "numpy")
        '(0.5*x)'
    """
    if not expression.free_symbols and not expression.is_Boolean:
        return (
            _number(float(expression), target)
            if not isinstance(expression, Primitive)
            else _primitive(expression, target)
        )
    if expression.is_Symbol:
        return str(expression.name)
    if isinstance(expression, Primitive):
        return _primitive(expression, target)
    if isinstance(expression, Relational):
        sign = SIGNS[type(expression).__name__]
        return f"({print_expression(expression.lhs, target)} {sign} {print_expression(expression.rhs, target)})"
    if expression.is_Add:
        return "(" + " + ".join(print_expression(term, target) for term in expression.args) + ")"
    if expression.is_Mul:
        return _product(expression, target)
    if expression.is_Pow:
        return _power(print_expression(expression.base, target), expression.exp, target)
    raise TypeError(
        f"{type(expression).__name__} has no spelling for {target}: {expression}. Use the primitives of actlab.functions.formula."
    )


def _number(value: float, target: str) -> str:
    return c_number(value) if target == "c99" else repr(value)


def c_number(value: float) -> str:
    """Return the C literal of the float32 number nearest to a value.

    Raises:
        OverflowError: it is not finite in float32.

    Example:
        >>> c_number(0.1), c_number(-2)
        ('0.1f', '-2.0f')
    """
    with np.errstate(over="ignore"):
        nearest = np.float32(value)
    if not np.isfinite(nearest):
        raise OverflowError(f"The number {value!r} is beyond float32, in which C code computes.")
    return f"{nearest!s}f"


def _primitive(node: Primitive, target: str) -> str:
    arguments = [print_expression(argument, target) for argument in node.args]
    if target == "c99" and target not in node.spelling:
        return f"f32_{type(node).__name__}({', '.join(arguments)})"
    return node.spelling[target].format(*arguments)


def _product(expression: Expr, target: str) -> str:
    numbers = [factor for factor in expression.args if factor.is_number]
    others = [factor for factor in expression.args if not factor.is_number]
    over = [power for power in others if power.is_Pow and power.exp.is_number and power.exp.is_negative]
    # Clamped factors come last: the exact zero of the other factors has to be multiplied in before anything can overflow.
    ordered = [factor for factor in sorted(others, key=_magnitude_rank) if factor not in over]
    constant = float(sympy.Mul(*numbers))
    ordered = _with_power_split(ordered, constant, target)
    upper = [print_expression(factor, target) for factor in ordered]
    if constant != 1.0 or not upper:
        # After capped exponentials: a tenth of 1 / (1 + e^87) is flushed to zero before e^87 can balance it.
        balanced = sum(_magnitude_rank(factor) == 0 for factor in ordered)
        upper.insert(balanced if balanced > 1 and abs(constant) != 1.0 else 0, _number(constant, target))
    text = "*".join(upper)
    if over:
        below = "*".join(_power(print_expression(power.base, target), -power.exp, target) for power in over)
        return QUOTIENTS.get(target, "({0} / ({1}))").format(text, below)
    return f"({text})" if len(upper) > 1 else text


def _with_power_split(factors: list[Expr], constant: float, target: str) -> list[Expr]:
    """Return the factors with one factor of a one-sided power moved to the end: c r^2 as (c r) r, finite where r^2 alone is not.

    In kernels only, where it costs nothing; autograd would save one tensor more.
    """
    if target not in KERNELS or constant < 0 or (len(factors) == 1 and constant == 1.0):
        return factors
    powers = [factor for factor in factors if factor.is_Pow and factor.exp.is_Integer and factor.exp > 1]
    if len(powers) != 1 or not isinstance(powers[0].base, maximum | minimum | where):
        return factors
    base, exponent = powers[0].args
    return [base ** (exponent - 1) if factor is powers[0] else factor for factor in factors] + [base]


def _magnitude_rank(factor: Expr) -> int:
    """Return the place of a factor in a product: 0 for capped exponents, which balance one another, 2 for factors that may be huge."""
    if isinstance(factor, clamped) or (isinstance(factor, exp) and factor.has(tamed)):
        return 2
    if factor.is_Symbol and factor.name.startswith("huge_"):
        return 2
    return 0 if factor.has(capped) or any(symbol.name.startswith("held_") for symbol in factor.free_symbols) else 1


def _power(base: str, exponent: Expr, target: str) -> str:
    if target in KERNELS:
        return _called_power(base, exponent, target)
    module = {"numpy": "np", "torch": "torch"}[target]
    if exponent == sympy.Rational(1, 2):
        return f"{module}.sqrt({base})"
    if exponent == 1:
        return base
    if exponent == 2:
        return f"{module}.square({base})"
    if exponent.is_number and exponent.is_negative:
        return f"(1.0 / {_power(base, -exponent, target)})"
    power = str(int(exponent)) if exponent.is_Integer else print_expression(exponent, target)
    return f"({base})**{power}"


def _called_power(base: str, exponent: Expr, target: str) -> str:
    """Return a power for a target without a power operator: multiplications for integer exponents, else a function call."""
    named = POWERS[target]
    if exponent.is_Float and (2 * float(exponent)).is_integer():  # a parameter's value, such as 2.0
        exponent = sympy.Rational(int(2 * exponent), 2)
    if exponent == sympy.Rational(1, 2):
        return f"{named.root}({base})"
    if exponent == 1:
        return base
    if exponent == 2:
        return f"{named.square}({base})"
    if exponent.is_number and exponent.is_negative:
        one, below = _number(1.0, target), _called_power(base, -exponent, target)
        return QUOTIENTS.get(target, "({0} / {1})").format(one, below)
    if exponent.is_Integer:
        return f"{named.whole}({base}, {int(exponent)})"
    if exponent.is_number and (2 * exponent).is_Integer and exponent < 8:
        return f"({named.whole}({base}, {int(exponent)})*{named.root}({base}))"
    return named.general.format(base, print_expression(exponent, target))


def function_source(
    name: str,
    arguments: Sequence[sympy.Symbol],
    expression: Expr,
    target: str,
    *,
    prelude: Sequence[str] = (),
    wrap: str = "{0}",
) -> str:
    """Return the source of a Python function of ``arguments`` that computes ``expression``, with shared subexpressions computed once.

    Args:
        name: name of the function.
        arguments: symbols, in order.
        expression: the formula.
        target: key of the primitives' spelling.
        prelude: statements at the start of the body.
        wrap: template around the returned value.
    """
    lines, (result,) = print_statements([expression], target)
    lines = [*prelude, *lines, "return " + wrap.format(result)]
    return f"def {name}({', '.join(symbol.name for symbol in arguments)}):\n" + "".join(
        f"    {line}\n" for line in lines
    )


def print_statements(expressions: Sequence[Expr], target: str) -> tuple[list[str], list[str]]:
    """Return statements that assign the shared subexpressions, and the text of each expression.

    Example:
        >>> x, y = sympy.symbols("x y", real=True)
        >>> print_statements([(x + y) ** 2, x + y], "numpy")
        (['t0 = (x + y)'], ['np.square(t0)', 't0'])
    """
    shared, reduced = sympy.cse(expressions, symbols=sympy.numbered_symbols("t"), order="none", optimizations=[])
    shared, reduced = _named_by_magnitude(*_with_conditions_inline(shared, sympy.Tuple(*reduced)))
    statements = [f"{symbol} = {print_expression(part, target)}" for symbol, part in shared]
    return statements, [print_expression(expression, target) for expression in reduced]


def _with_conditions_inline(
    shared: list[tuple[sympy.Symbol, Any]], result: Any
) -> tuple[list[tuple[sympy.Symbol, Any]], Any]:
    """Undo the sharing of conditions and clamps: SymPy takes no symbol for a Boolean, and products are ordered by their clamps."""
    inline: dict[Any, Any] = {}
    remaining = []
    for symbol, part in shared:
        replaced = part.xreplace(inline)
        if replaced.is_Boolean or isinstance(replaced, Relational | clamped):
            inline[symbol] = replaced
        else:
            remaining.append((symbol, replaced))
    return remaining, result.xreplace(inline)


def _named_by_magnitude(
    shared: list[tuple[sympy.Symbol, Any]], result: Any
) -> tuple[list[tuple[sympy.Symbol, Any]], Any]:
    """Prefix the names of shared parts with their magnitude, by which :func:`_magnitude_rank` places them in a product."""
    names: dict[Any, Any] = {}
    renamed_parts = []
    for symbol, part in shared:
        renamed = part.xreplace(names)
        prefix = {0: "held_", 1: "", 2: "huge_"}[_magnitude_rank(renamed)]
        names[symbol] = sympy.Symbol(f"{prefix}{symbol}")
        renamed_parts.append((names[symbol], renamed))
    return renamed_parts, result.xreplace(names)


def compile_source(text: str, name: str, names: Mapping[str, Any]) -> Callable[..., Any]:
    """Execute the source ``text`` with the given globals and return its function ``name``; tracebacks show the source."""
    file = f"<actlab {name} {abs(hash(text)):x}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope = dict(names)
    exec(compile(text, file, "exec"), scope)  # noqa: S102 the text is printed from a SymPy expression, never from a user's string
    function: Callable[..., Any] = scope[name]
    return function
