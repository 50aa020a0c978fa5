"""Functions of torch that are exported as formulas instead of the exporter's textbook forms.

Each entry replaces an operator of the traced graph. torch's exporter writes ``logaddexp(x, 0)`` as ``Log(Exp(x) + Exp(0))``, infinite from
89 on, ``log1p`` as ``Log(1 + x)``, and moves the conversion of ``softmax(x, dtype=float32)`` behind the softmax; others, such as Softplus,
Mish and PRelu, are right and slow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import sympy
import torch
from torch import Tensor

from actlab.export.capture.formulas import Formulas
from actlab.functions.formula import Expr, absolute, asinh, expm1, hypot, log1p, logsigmoid, maximum, sigmoid, softplus
from actlab.functions.grammar import parse

__all__ = ["decompositions"]

aten = torch.ops.aten
HALF = (torch.float16, torch.bfloat16)
X, Y = sympy.symbols("x y", real=True)

# Operators without parameters: the activation of the catalogue, or a formula in x and y. A call in a symbol's name is printed as it is.
ACTIVATIONS = {aten.mish.default: "mish", aten.silu.default: "silu", aten.hardswish.default: "hardswish"}
EXPRESSIONS: dict[Any, tuple[Expr, tuple[sympy.Symbol, ...]]] = {
    aten.sigmoid.default: (sigmoid(X), (X,)),
    aten.log_sigmoid.default: (logsigmoid(X), (X,)),
    aten.log1p.default: (log1p(X), (X,)),
    aten.expm1.default: (expm1(X), (X,)),
    aten.asinh.default: (asinh(X), (X,)),
    aten.logaddexp.default: (maximum(X, Y) + softplus(-absolute(X - Y)), (X, Y)),
    aten.hypot.default: (hypot(X, Y), (X, Y)),
    aten.erfc.default: (sympy.Symbol("erfc(x)", real=True), (X,)),
    aten.special_erfcx.default: (sympy.Symbol("erfcx(x)", real=True), (X,)),
    aten.special_log_ndtr.default: (sympy.Symbol("log_ndtr(x)", real=True), (X,)),
}


def decompositions(formulas: Formulas) -> dict[Any, Callable[..., Any]]:
    """Return what replaces torch's operators in a traced graph.

    Args:
        formulas: where the formulas are kept.
    """
    table: dict[Any, Callable[..., Any]] = {}
    for operator, name in ACTIVATIONS.items():
        table[operator] = partial(_without_parameters, partial(formulas.of_spec, parse(name)))
    for operator, (expression, inputs) in EXPRESSIONS.items():
        label = operator.name().removeprefix("aten::")
        table[operator] = partial(_without_parameters, partial(formulas.of_expression, label, expression, inputs))
    with_parameters: dict[Any, Callable[..., Any]] = {
        aten.gelu.default: _gelu,
        aten.softplus.default: _softplus,
        aten.elu.default: _elu,
        aten.celu.default: _celu,
        aten.selu.default: _selu,
        aten.glu.default: _glu,
        aten.prelu.default: _prelu,
        aten._prelu_kernel.default: _prelu_kernel,
        aten.softshrink.default: _softshrink,
        aten.hardshrink.default: _hardshrink,
        aten.threshold.default: _threshold,
        aten.rrelu.default: _rrelu,
        aten.rrelu_with_noise.default: _rrelu_with_noise,
    }
    for operator, function in with_parameters.items():
        table[operator] = partial(function, formulas)
    softmax = {aten.softmax.int: aten._softmax.default, aten.log_softmax.int: aten._log_softmax.default}
    return table | {operator: partial(_softmax, inner) for operator, inner in softmax.items()}


def _without_parameters(build: Callable[[], Callable[..., Tensor]], *tensors: Tensor) -> Tensor:
    dtype = torch.result_type(*tensors) if len(tensors) > 1 else tensors[0].dtype
    if not dtype.is_floating_point:  # torch computes on integers as on numbers of the default dtype
        dtype = torch.get_default_dtype()
    return build()(*(tensor.to(dtype) for tensor in tensors))


def _gelu(formulas: Formulas, x: Tensor, *, approximate: str = "none") -> Tensor:
    return formulas.of_spec(parse("gelu" if approximate == "none" else "gelu_tanh"))(x)


def _softplus(formulas: Formulas, x: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    spec = f"softplus(beta={beta!r}, threshold={threshold!r})"
    return formulas.of_spec(parse(spec))(x)


def _elu(formulas: Formulas, x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    below = alpha * expm1(input_scale * sympy.Symbol("minimum(x, 0.0)", real=True))
    expression = scale * (maximum(X, 0) + below)
    label = f"elu({alpha!r})" if scale == input_scale == 1 else f"elu({alpha!r}, {scale!r}, {input_scale!r})"
    return formulas.of_expression(label, expression, (X,))(x)


def _celu(formulas: Formulas, x: Tensor, alpha: float = 1) -> Tensor:
    return formulas.of_spec(parse(f"celu({alpha!r})"))(x)


def _selu(formulas: Formulas, x: Tensor) -> Tensor:
    return formulas.of_spec(parse("selu"))(x)


def _glu(formulas: Formulas, x: Tensor, dim: int = -1) -> Tensor:
    value, gate = x.chunk(2, dim)
    return formulas.of_spec(parse("glu"))(gate, value)


def _prelu(formulas: Formulas, x: Tensor, weight: Tensor) -> Tensor:
    if weight.numel() > 1:
        weight = weight.view(-1, *([1] * (x.dim() - 2)))
    return _prelu_kernel(formulas, x, weight)


def _prelu_kernel(formulas: Formulas, x: Tensor, weight: Tensor) -> Tensor:
    return formulas.of_spec(parse("prelu(weight=learned)"))(x, weight)


def _softshrink(formulas: Formulas, x: Tensor, lambd: float = 0.5) -> Tensor:
    return formulas.of_spec(parse(f"softshrink({lambd!r})"))(x)


def _hardshrink(formulas: Formulas, x: Tensor, lambd: float = 0.5) -> Tensor:
    return formulas.of_spec(parse(f"hardshrink({lambd!r})"))(x)


def _threshold(formulas: Formulas, x: Tensor, threshold: float, value: float) -> Tensor:
    return formulas.of_spec(parse(f"threshold({threshold!r}, {value!r})"))(x)


def _rrelu(formulas: Formulas, x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, *options: Any) -> Any:
    """Return the mean slope's leaky ReLU, what it is in eval mode; the exporter has no form for it."""
    if any(options):  # training
        return NotImplemented  # random: refused with all other random operators
    return formulas.of_spec(parse(f"leaky_relu({(lower + upper) / 2!r})"))(x)


def _rrelu_with_noise(formulas: Formulas, x: Tensor, _noise: Tensor, *options: Any) -> Any:
    return _rrelu(formulas, x, *options)


def _softmax(inner: Any, x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """Return a softmax of half precision, or to be computed in another dtype, with the conversion before it."""
    result = dtype or x.dtype
    computed = torch.float32 if result in HALF else result
    converted: Tensor = inner(x.to(computed), dim, False).to(result)
    return converted
