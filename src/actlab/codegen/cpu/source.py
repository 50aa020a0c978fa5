"""The text of a CPU kernel: a formula and its gradients, printed as Python that is run once, on vectors that write down LLVM code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import sympy

from actlab.codegen.forward_backward import GRAD, passes
from actlab.errors import KernelError
from actlab.functions.formula import Expr
from actlab.functions.formula.printer import function_source
from actlab.functions.spec import Spec

__all__ = ["OUTPUT", "Pass", "slope", "text"]

Pass: TypeAlias = Literal["forward", "backward", "from_output"]
OUTPUT = sympy.Symbol("y", real=True)


def text(which: Pass, spec: Spec) -> str:
    """Return the Python source of a pass: one function, named after it, that returns all results.

    Args:
        which: "forward" returns the value; "backward" the gradient in each input and in each learned parameter; "from_output" that in the
            input, given the gradient and the output.
        spec: of an elementwise or gated activation.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> print(text("forward", parse("relu")))
        def part0(x):
            return maximum(x, 0.0)
        def forward(x):
            return (part0(x),)
        <BLANKLINE>
    """
    if which == "from_output":
        return _source(which, [GRAD, OUTPUT], [GRAD * slope(spec)])
    both = passes(spec)
    if which == "forward":
        return _source(which, both.arguments, [both.value])
    return _source(which, [GRAD, *both.arguments], both.gradients)


def slope(spec: Spec) -> Expr:
    """Return the slope of an elementwise activation in terms of its output.

    Raises:
        KernelError: the output does not tell it.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> sympy.expand(slope(parse("tanh")))
        1 - y**2
    """
    from actlab.functions.formula.slope_from_output import slope_from_output  # noqa: PLC0415 few functions need it

    record = spec.activation
    found = slope_from_output(record.formula, record.inputs[0], OUTPUT)
    if found is None:
        raise KernelError(f"The output of {spec} does not tell its slope.")
    return found


def _source(name: str, arguments: Sequence[sympy.Symbol], results: Sequence[Expr]) -> str:
    """Return the source of one function that returns all results; what they share is found by the machine that runs it."""
    parts = [function_source(f"part{i}", arguments, result, "cpu") for i, result in enumerate(results)]
    signature = ", ".join(symbol.name for symbol in arguments)
    calls = ", ".join(f"part{i}({signature})" for i in range(len(parts)))
    return "".join(parts) + f"def {name}({signature}):\n    return ({calls},)\n"
