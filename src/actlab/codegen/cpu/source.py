"""Python source of a CPU kernel's passes, printed from the formula for the LLVM IR builder.

The source is run once, on values of :mod:`actlab.codegen.cpu.ir_builder`, which emit the LLVM code of the loop body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import sympy

from actlab.codegen.forward_backward import GRAD, passes
from actlab.errors import KernelError
from actlab.functions.formula import Expr
from actlab.functions.formula.printer import function_source
from actlab.functions.formula.slope_from_output import slope_from_output
from actlab.functions.spec import Spec

__all__ = ["OUTPUT", "Pass", "slope", "text"]

Pass: TypeAlias = Literal["forward", "backward", "from_output"]
OUTPUT = sympy.Symbol("y", real=True)


def text(which: Pass, spec: Spec) -> str:
    """Return the Python source of a pass: one function, named after the pass, that returns all results.

    Args:
        which: "forward" returns the value; "backward" the gradient in each input and in each learned parameter; "from_output" the gradient
            in the input, computed from the gradient of the output and the output.
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
    """Return the slope of an elementwise activation as a function of its output.

    Raises:
        KernelError: the slope is not a function of the output.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> sympy.expand(slope(parse("tanh")))
        1 - y**2
    """
    record = spec.activation
    expression = slope_from_output(record.formula, record.inputs[0], OUTPUT)
    if expression is None:
        raise KernelError(
            f"The slope of {spec} is not a function of its output; use backward(), which takes the input."
        )
    return expression


def _source(name: str, arguments: Sequence[sympy.Symbol], results: Sequence[Expr]) -> str:
    """Return the source of one function that returns all results; the IR builder eliminates common subexpressions."""
    parts = [function_source(f"part{i}", arguments, result, "cpu") for i, result in enumerate(results)]
    signature = ", ".join(symbol.name for symbol in arguments)
    calls = ", ".join(f"part{i}({signature})" for i in range(len(parts)))
    return "".join(parts) + f"def {name}({signature}):\n    return ({calls},)\n"
