"""PyTorch functions printed from formulas for every mode of torch, and torch's own fused kernels.

Every mode (eager, compile, func, AMP, meta) can run the code. It is printed once per formula from the spellings of the primitives.
Half-precision inputs are computed in float32 and rounded once, at the end: a chain of bfloat16 operations would round after each. The
gradient is autograd's of this code; ``derivative=True`` gives the code of the symbolic derivative, which is also right at infinite inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import sympy
import torch
import torch.nn.functional as F
from torch import Tensor

from actlab.codegen.second_order import attached
from actlab.functions import formula
from actlab.functions.activation import Activation, Learned
from actlab.functions.formula import CAPS, Expr, where
from actlab.functions.formula import maximum as maximum_of
from actlab.functions.formula import minimum as minimum_of
from actlab.functions.formula.evaluate import stabilize
from actlab.functions.formula.printer import compile_source, function_source
from actlab.functions.formula.stabilize import propagate_nan
from actlab.functions.spec import Spec

__all__ = ["function", "native", "text"]

HALF = (torch.float16, torch.bfloat16)
LARGEST = {dtype: torch.finfo(dtype).max ** 0.5 for dtype in (torch.float32, torch.float64)}
LOG_LARGEST = {dtype: math.log(largest) for dtype, largest in LARGEST.items()}


def clamped(x: Tensor, side: float) -> Tensor:
    """Clamp ``x`` to at most the square root of the largest number of its dtype, from below (-1), above (1) or on both sides (0)."""
    largest = LARGEST[x.dtype]
    return torch.clamp(x, min=-largest if side <= 0 else None, max=largest if side >= 0 else None)


def tamed(x: Tensor) -> Tensor:
    """Clamp an exponent from above so that its exponential stays within the bound of :func:`clamped`."""
    return torch.clamp(x, max=LOG_LARGEST[x.dtype])


def capped(x: Tensor, times: float) -> Tensor:
    """Clamp an exponent from above so that its exponential to the power ``times`` is near the largest number of the dtype."""
    return torch.clamp(x, max=CAPS[str(x.dtype).removeprefix("torch.")][int(times)])


def maximum(a: Tensor, b: Tensor | float) -> Tensor:
    """Return the larger value; NaN in ``a`` propagates, and at a tie the gradient goes to ``b``."""
    if isinstance(b, float) and b == 0.0:
        return torch.relu(a)  # the same value and gradient in one fused kernel
    return torch.where(a <= b, b, a)


def minimum(a: Tensor, b: Tensor | float) -> Tensor:
    """Return the smaller value; NaN in ``a`` propagates, and at a tie the gradient goes to ``b``."""
    return torch.where(a >= b, b, a)


def cardinal_sine(x: Tensor) -> Tensor:
    """Return sin(x) / x, about 0 at infinity; by its series below 1, where autograd of the quotient (and torch.sinc) loses 1e-6/x."""
    near, x = x.abs() < 1, clamped(x, 0)
    square, series = torch.where(near, x, 0.0).square(), torch.ones_like(x)
    for ratio in (272, 210, 156, 110, 72, 42, 20, 6):  # the next term is below 1e-17
        series = 1 - square / ratio * series
    away = torch.where(near, 1.0, x)
    return torch.where(near, series, torch.sin(away) / away)


def hypot(x: Tensor, r: Tensor | float) -> Tensor:
    """Return ``sqrt(x^2 + r^2)`` without overflow of the squares."""
    return torch.hypot(x, torch.full((), r, dtype=x.dtype, device=x.device) if isinstance(r, float) else r)


def error_function(x: Tensor) -> Tensor:
    """Return erf(x); ``torch.compile`` (2.13) computes it in float32 to 1e-7, which small values lose, so that it gets the series there."""
    if not torch.compiler.is_compiling() or x.dtype == torch.float64:
        return torch.erf(x)
    near = x.abs() < 0.25
    held = torch.where(near, x, 0.0)
    square, series = held.square(), torch.full_like(x, 1 / 1320)
    terms = (
        1 / 216,
        1 / 42,
        1 / 10,
        1 / 3,
        1.0,
    )  # of 2 / sqrt(pi) x (1 - x^2 / 3 + x^4 / 10 - ...); the next is below 1e-11
    for term in terms:
        series = term - square * series
    return torch.where(near, 2 / math.sqrt(math.pi) * held * series, torch.erf(x))


def log_sigmoid(x: Tensor) -> Tensor:
    """Return the logarithm of the sigmoid in the memory layout of the input, where torch's function (2.13) returns a contiguous tensor."""
    if torch.compiler.is_compiling() or x.is_contiguous():
        return F.logsigmoid(x)
    order = sorted(range(x.dim()), key=x.stride, reverse=True)
    inverse = sorted(range(x.dim()), key=order.__getitem__)
    return F.logsigmoid(x.permute(order)).permute(inverse)


def zero(x: Tensor) -> Tensor:
    """Return zeros with the dtype of ``x`` and a zero gradient, for a choice between two constants."""
    return x.sign() * 0.0


NAMES: Mapping[str, Any] = {
    "attached": attached,
    "torch": torch,
    "F": F,
    "HALF": HALF,
    "capped": capped,
    "clamped": clamped,
    "hypot": hypot,
    "tamed": tamed,
    "maximum": maximum,
    "minimum": minimum,
    "cardinal_sine": cardinal_sine,
    "error_function": error_function,
    "log_sigmoid": log_sigmoid,
    "zero": zero,
}


@cache
def function(
    activation: Activation, numbers: tuple[tuple[str, float], ...] = (), *, derivative: bool = False
) -> Callable[..., Tensor]:
    """Return the formula as a function of tensors: the inputs, then every parameter without a number, in the order of the record.

    Args:
        activation: an elementwise or gated activation.
        numbers: values of the constant parameters; they are folded into the code.
        derivative: return the derivative in the first input instead.

    Returns:
        A function of floating-point tensors that broadcast against each other; the result has the dtype of the first.

    Raises:
        TypeError: the activation is tensor code, not a formula.

    Example:
        >>> from actlab.functions.activation import get
        >>> function(get("mish"))(torch.tensor([-torch.inf, 0.0, 1.0]))
        tensor([0.0000, 0.0000, 0.8651])
    """
    return compile_source(text(activation, numbers, derivative=derivative), activation.name, NAMES)


def text(activation: Activation, numbers: Sequence[tuple[str, float]] = (), *, derivative: bool = False) -> str:
    """Return the Python source that :func:`function` runs.

    Raises:
        TypeError: the activation is tensor code, not a formula.
    """
    values = dict(numbers)
    known = {p.symbol: sympy.Float(values[p.name], 17) for p in activation.parameters if p.name in values}
    expression = formula.canonical(activation.formula.xreplace(known))
    inputs = activation.inputs
    expression = formula.derivative(expression, inputs[0]) if derivative else propagate_nan(expression, inputs)
    free = [parameter.symbol for parameter in activation.parameters if parameter.name not in values]
    return _source(activation, stabilize(expression, inputs), free)


def _source(activation: Activation, expression: Expr, parameters: list[sympy.Symbol]) -> str:
    first, *others = (symbol.name for symbol in activation.inputs)
    if not expression.free_symbols & set(activation.inputs):
        expression = expression + sympy.Symbol(f"torch.zeros_like({first})")  # gives a constant the shape of the input
    expression = expression.replace(
        lambda e: (
            isinstance(e, where) and not (e.args[1].free_symbols | e.args[2].free_symbols) & set(activation.inputs)
        ),
        lambda e: where(e.args[0], e.args[1] + sympy.Symbol(f"zero({first})"), e.args[2]),
    )
    casts = [f"{name} = {name}.float() if {name}.dtype in HALF else {name}" for name in (first, *others)]
    attach = [f"{first} = attached({first})"] if _is_piecewise_linear(expression, activation.inputs) else []
    prelude = [*attach, f"dtype = {first}.dtype", *casts]
    return function_source(
        activation.name, [*activation.inputs, *parameters], expression, "torch", prelude=prelude, wrap="({0}).to(dtype)"
    )


def _is_piecewise_linear(expression: Expr, inputs: Sequence[sympy.Symbol]) -> bool:
    """Whether autograd's gradient of the code of an expression would not depend on the input, though the expression has branches.

    ``maximum(x, 0)`` is torch's relu, whose gradient does.
    """
    if len(inputs) != 1 or not expression.has(where, maximum_of, minimum_of):
        return False
    if any(node.args[1] == 0 for node in expression.atoms(maximum_of)):
        return False
    return bool(formula.derivative(formula.derivative(expression, inputs[0]), inputs[0]) == 0)


def native(spec: Spec) -> Callable[..., Tensor] | None:
    """Return torch's own fused kernel for the spec as a function of the inputs (and of the learned parameters), or None.

    torch's kernel is used when every parameter is of the kind it accepts: a number, or the learned weight of ``prelu``.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> native(parse("leaky_relu(0.5)"))(torch.tensor([-1.0, 1.0]))
        tensor([-0.5000,  1.0000])
        >>> native(parse("elu(alpha=learned)")) is None
        True
    """
    record = spec.activation
    if record.torch is None or record.expression is None:  # tensor code already calls torch
        return None
    for parameter in record.parameters:
        if isinstance(spec.values[parameter.name], Learned) != parameter.learned:
            return None
    return _native(record.torch, spec)


@cache
def _native(template: str, spec: Spec) -> Callable[..., Tensor]:
    record = spec.activation
    target, _, arguments = template.partition("(")
    numbers = {name: value for name, value in spec.assigned if not isinstance(value, Learned)}
    tensors = [name for name, value in spec.assigned if isinstance(value, Learned)]
    if record.kind == "gated":
        inputs, body = ["packed"], f"{target}(packed, dim=-1)"
    elif arguments:
        inputs, body = ["x"], f"{target}({arguments}"
    else:
        # Learned weights come first: they are positional in torch.
        passed = [*tensors, *(f"{name}={value!r}" for name, value in numbers.items())]
        inputs, body = ["x"], f"{target}({', '.join(['x', *passed])})"
    name = f"native_{record.name}"
    return compile_source(f"def {name}({', '.join(inputs + tensors)}):\n    return {body}\n", name, {"torch": torch})
