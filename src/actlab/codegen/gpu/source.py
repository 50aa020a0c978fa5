"""Triton source of a kernel's passes, printed from the formula.

All code that does not depend on the formula is in :mod:`actlab.codegen.gpu.triton_tiles` and :mod:`actlab.codegen.gpu.triton_math`. Printed
are the formula, its gradients, and one line for each tensor that is read or written.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from actlab.codegen.forward_backward import GRAD, passes
from actlab.functions.formula import Expr
from actlab.functions.formula.printer import print_statements
from actlab.functions.spec import Spec

__all__ = ["HEAD", "device_function", "text"]

HEAD = '''"""{spec}, printed by actlab.codegen.gpu.kernel; changes are overwritten."""

import triton
import triton.language as tl

from actlab.codegen.gpu.triton_math import *  # noqa: F403 printed code names them
from actlab.codegen.gpu.triton_tiles import *  # noqa: F403 as above

'''
GEOMETRY = "rows, width, size, repeat, channels"
CONSTANTS = ("GATE", "CHANNEL", "ROWS", "COLUMNS", "STEPS", "FLAT", "WIDE", "EXACT")
UNSPECIALIZED = ("rows", "repeat", "channels", "pitch")  # arguments whose values do not cause a new compilation


def text(spec: Spec) -> str:
    """Return the Triton source of a spec: ``forward`` and ``backward``, and for gated functions ``forward_packed`` and ``backward_packed``.

    Raises:
        TypeError: the activation is tensor code, not a formula.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> [line for line in text(parse("silu")).splitlines() if "return" in line][0].strip()
        'return (sigmoid(x, EXACT)*clamped(x, -1.0))'
    """
    both = passes(spec)
    inputs, parameters = len(both.inputs), len(both.learned)
    parts = [
        HEAD.format(spec=spec),
        device_function("formula", both.arguments, [both.value]),
        device_function("gradients", [GRAD, *both.arguments], both.gradients),
    ]
    for packed in (False, True) if inputs == 2 else (False,):
        parts += [_forward(inputs, parameters, packed=packed), _backward(inputs, parameters, packed=packed)]
    return "\n\n".join(parts)


def device_function(name: str, arguments: Sequence[sympy.Symbol], expressions: Sequence[Expr]) -> str:
    """Return a device function that computes the expressions, with common subexpressions computed once."""
    lines, values = print_statements(expressions, "triton")
    shape = arguments[0].name  # a constant has to become a block, too
    values = [
        f"(tl.zeros_like({shape}) + {value})" if expression.is_number else value
        for value, expression in zip(values, expressions, strict=True)
    ]
    head = f"@triton.jit\ndef {name}({', '.join(s.name for s in arguments)}, EXACT: tl.constexpr):\n"
    return head + "".join(f"    {line}\n" for line in [*lines, f"return {', '.join(values)}"])


def _kernel(name: str, arguments: Sequence[str], body: Sequence[str]) -> str:
    constants = ", ".join(f"{constant}: tl.constexpr" for constant in CONSTANTS)
    free = ", ".join(f'"{argument}"' for argument in UNSPECIALIZED)
    return (
        f"@triton.jit(do_not_specialize=[{free}])\n"
        f"def {name}({', '.join(arguments)}, {GEOMETRY}, {constants}):\n" + "".join(f"    {line}\n" for line in body)
    )


def _parameters(count: int) -> list[str]:
    return [piece for k in range(count) for piece in (f"p{k}_pointer", f"p{k}_spread")]


def _names(count: int, prefix: str = "x") -> list[str]:
    return [f"{prefix}{i}" for i in range(count)]


def _opening(inputs: int, parameters: int, *, packed: bool) -> list[str]:
    """Return the lines that read inputs and parameters."""
    lines = [
        "row, column, first = place(step, width, ROWS, COLUMNS, STEPS, FLAT, WIDE)",
        "inside = within(row, column, rows, width, size, FLAT)",
    ]
    if packed:
        lines.append("x0, x1 = read_packed(x_pointer, row, column, first, rows, width, inside, GATE, ROWS, COLUMNS)")
    else:
        lines += [f"{x} = read({x}_pointer, row, column, width, inside)" for x in _names(inputs)]
    lines += [
        f"p{k} = parameter(p{k}_pointer, p{k}_spread, row, column, width, repeat, channels, CHANNEL)"
        for k in range(parameters)
    ]
    return lines


def _forward(inputs: int, parameters: int, *, packed: bool) -> str:
    sources = ["x_pointer"] if packed else [f"{x}_pointer" for x in _names(inputs)]
    arguments = ", ".join([*_names(inputs), *_names(parameters, "p")])
    body = [
        "step = 0",
        *_opening(inputs, parameters, packed=packed),
        f"y = formula({arguments}, EXACT)",
        "write(y_pointer, row, column, width, inside, y)",
    ]
    return _kernel(f"forward{'_packed' * packed}", [*sources, "y_pointer", *_parameters(parameters)], body)


def _backward(inputs: int, parameters: int, *, packed: bool) -> str:
    sources = ["x_pointer"] if packed else [f"{x}_pointer" for x in _names(inputs)]
    targets = ["dx_pointer"] if packed else [f"d{x}_pointer" for x in _names(inputs)]
    arguments = ", ".join(["grad", *_names(inputs), *_names(parameters, "p")])
    gradients = ", ".join([*_names(inputs, "dx"), *_names(parameters, "dp")])
    inner = [
        *_opening(inputs, parameters, packed=packed),
        "grad = read(grad_pointer, row, column, width, inside)",
        f"{gradients} = gradients({arguments}, EXACT)",
    ]
    if packed:
        inner.append("write_packed(dx_pointer, row, column, first, rows, width, inside, dx0, dx1, GATE, ROWS, COLUMNS)")
    else:
        inner += [f"write(d{x}_pointer, row, column, width, inside, d{x})" for x in _names(inputs)]
    inner += [f"sum{k} += tl.where(inside, dp{k}, 0.0)" for k in range(parameters)]
    if not parameters:
        return _kernel(f"backward{'_packed' * packed}", ["grad_pointer", *sources, *targets], ["step = 0", *inner])
    body = [
        *(f"sum{k} = tl.zeros((ROWS, COLUMNS), tl.float32)" for k in range(parameters)),
        "for step in range(STEPS):",
        *(f"    {line}" for line in inner),
        *(
            f"write_sum(sums_pointer + {k} * pitch, sum{k}, rows, width, CHANNEL, ROWS, COLUMNS, FLAT)"
            for k in range(parameters)
        ),
    ]
    pointers = ["grad_pointer", *sources, *targets, *_parameters(parameters), "sums_pointer", "pitch"]
    return _kernel(f"backward{'_packed' * packed}", pointers, body)
