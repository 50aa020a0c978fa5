"""Torch's own functions, with the gradient of the formula where torch's is missing or lost.

Torch 2.13 has no second derivative of hardsigmoid. In half precision it computes the gradient of tanh and sigmoid from the rounded output,
which is 0 from ``|x| = 3.5`` and 6 on. The forward mode of prelu has slope 1 at zero, where the reverse mode has the weight. Compiled elu
and selu are 0 for small numbers, as ``torch.compile`` computes ``exp(x) - 1``. All else is torch's, values included.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import sympy
import torch
from torch import Tensor
from torch.autograd import forward_ad

from actlab.codegen import pytorch
from actlab.codegen.eager_mode import is_batch, is_eager
from actlab.functions.activation import Activation
from actlab.functions.formula import canonical, derivative
from actlab.functions.spec import Spec

__all__ = ["with_exact_gradient"]

Code = Callable[..., Tensor]
EVERY: Final = frozenset({torch.float32, torch.float64, *pytorch.HALF})
COMPOSED_WHEN_COMPILED: Final = {"elu", "selu", "celu"}
# By name, the dtypes in which torch's gradient is not used.
REPLACED: Final = {"hardsigmoid": EVERY, **dict.fromkeys(("tanh", "sigmoid", "glu"), frozenset(pytorch.HALF))}


def with_exact_gradient(spec: Spec, native: Code, plain: Code) -> Code:
    """Return torch's function with the gradient of the formula where its own is missing or lost; most functions unchanged.

    Args:
        spec: what ``native`` computes.
        native: torch's own function, of the input and the learned parameters; of a packed input, gate second, for gated functions.
        plain: the same function in torch operations.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> x = torch.tensor([4.0], dtype=torch.bfloat16, requires_grad=True)
        >>> with_exact_gradient(parse("tanh"), torch.tanh, torch.tanh)(x).backward()
        >>> x.grad
        tensor([0.0013], dtype=torch.bfloat16)
    """
    if spec.activation.name == "prelu":
        return lambda x, weight: plain(x, weight) if _is_forward_mode() else native(x, weight)
    if spec.activation.name in COMPOSED_WHEN_COMPILED:
        return lambda x: plain(x) if torch.compiler.is_compiling() else native(x)
    replaced = REPLACED.get(spec.activation.name)
    if replaced is None:
        return native

    def function(x: Tensor) -> Tensor:
        if x.dtype not in replaced:
            return native(x)
        if not is_eager():
            return plain(x)
        if not (x.requires_grad and torch.is_grad_enabled() and x.layout is torch.strided and not x.is_nested):
            return native(x)
        return _apply(native, plain, spec, x)

    return function


class _NativeFunction(torch.autograd.Function):
    """Torch's function, which saves its input; the gradient is that of the formula, computed in float32 at least and rounded once."""

    @staticmethod
    def forward(ctx: Any, native: Code, plain: Code, spec: Spec, x: Tensor) -> Tensor:
        ctx.plain, ctx.spec = plain, spec
        ctx.save_for_backward(x)
        return native(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, None, Tensor]:
        (x,) = ctx.saved_tensors
        again = torch.is_grad_enabled()
        if again or is_batch(grad) or forward_ad._current_level >= 0:
            with torch.enable_grad():
                y = ctx.plain(x)
            return None, None, None, torch.autograd.grad(y, x, grad, create_graph=again)[0]
        if ctx.spec.activation.name == "hardsigmoid":
            return None, None, None, torch.ops.aten.hardsigmoid_backward(grad, x)
        wide, exact = grad.float(), x.float()
        inputs = exact.chunk(2, dim=-1)[::-1] if ctx.spec.activation.kind == "gated" else (exact,)
        of_inputs = [wide * slope(*inputs) for slope in _slopes(ctx.spec)]
        dx = torch.cat(of_inputs[::-1], dim=-1) if len(of_inputs) > 1 else of_inputs[0]
        return None, None, None, dx.to(x.dtype)


_apply: Code = super(
    torch.autograd.Function, _NativeFunction
).apply  # without the search for functorch, which is excluded here


@cache
def _slopes(spec: Spec) -> tuple[Code, ...]:
    """Return the derivative in each input, as functions of the inputs."""
    record = spec.activation
    numbers = {sympy.Symbol(name, real=True): sympy.Float(value, 17) for name, value in spec.numbers.items()}
    formula = canonical(record.formula.xreplace(numbers))
    return tuple(
        pytorch.function(
            Activation(
                name="slope",
                kind="elementwise",
                family="slope",
                doc=f"Derivative of {record.name}.",
                expression=canonical(derivative(formula, symbol)),
                inputs=record.inputs,
            )
        )
        for symbol in record.inputs
    )


def _is_forward_mode() -> bool:
    """Whether a derivative in forward mode may be taken: inside ``torch.func.jvp`` or a dual level."""
    return forward_ad._current_level >= 0
