"""Stacked forms of torch functions, as matrix products and convolutions of all models in one call.

The results are those of single models to the last bits, and do not depend on how many models are in the stack.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Final, cast

import torch
from torch import Tensor
from torch.nn import functional

from actlab.studies.stacked.compiled.layer_chain import StackedLinear
from actlab.studies.stacked.stacked_attention import attend
from actlab.studies.stacked.stacked_convolutions import (
    as_channels,
    convolve_images,
    has_channels_of_all,
    model_by_model,
    of_channels,
)
from actlab.studies.stacked.stacked_tensor import RULES, StackedTensor, raw

__all__ = ["LANES", "along_models", "elementwise", "evenly"]

#: Numbers that torch's vector code takes at a time, at most.
LANES: Final = 64

_NARROW: Final = 16  # outputs of a linear layer below which their products are rows


def _rule(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            RULES[function] = rule
        return rule

    return register


# What describes a tensor of one model


def _describing(function: Any) -> Callable[..., Any]:
    def describe(*args: Any, **kwargs: Any) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **kwargs)

    return describe


_T: Any = torch.Tensor
for _name in (
    "shape",
    "dtype",
    "device",
    "ndim",
    "layout",
    "is_cuda",
    "is_cpu",
    "is_meta",
    "is_sparse",
    "is_quantized",
    "itemsize",
):
    _getter = getattr(_T, _name).__get__
    RULES[_getter] = _describing(_getter)
for _function in (_T.size, _T.dim, _T.numel, _T.nelement, _T.ndimension, _T.is_floating_point, _T.is_complex, _T.__len__, _T.element_size,
                  torch.is_floating_point, torch.is_complex, torch.numel, _T.get_device):  # fmt: skip
    RULES[_function] = _describing(_function)
RULES[_T.requires_grad.__get__] = lambda x: x.stacked.requires_grad
RULES[_T.is_leaf.__get__] = lambda x: x.stacked.is_leaf


# Element by element


def evenly(function: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Apply a function element by element, with torch's vector code for every element.

    torch computes the last few elements of a tensor by other code, whose last bit may differ. Which model has them depends on the stack.

    Example:
        >>> evenly(torch.tanh, torch.zeros(3))
        tensor([0., 0., 0.])
    """
    over = x.numel() % LANES
    if not over:
        return function(x, *args, **kwargs)
    flat = functional.pad(x.reshape(-1), (0, LANES - over))
    return function(flat, *args, **kwargs)[: x.numel()].view(x.shape)


# Functions whose vector code may round otherwise than their code for single numbers.
_ROUNDED = frozenset([
    "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "sin", "cos", "tan", "tanh", "sigmoid", "erf", "atan", "reciprocal", "gelu",
    "silu", "elu", "selu", "celu", "mish", "hardswish", "hardsigmoid", "softplus", "logsigmoid", "tanhshrink", "softsign",
])  # fmt: skip


def elementwise(function: Any) -> Callable[..., Any]:
    """Return the stacked form of a function that acts on each element, of one tensor or of several that are broadcast."""
    rounded = getattr(function, "__name__", "") in _ROUNDED

    def alone(x: Any, *others: Any, **kwargs: Any) -> Any:
        return (
            evenly(function, x, *others, **kwargs)
            if rounded and isinstance(x, Tensor)
            else function(x, *others, **kwargs)
        )

    def apply(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, Tensor) for value in kwargs.values()):
            return NotImplemented
        tensors = [value for value in args if isinstance(value, Tensor)]
        if len(tensors) == 1:
            return StackedTensor(alone(*map(raw, args), **kwargs))
        most = max(tensor.dim() for tensor in tensors)
        if not most or any(tensor.dim() == 0 and tensor.dtype != tensors[0].dtype for tensor in tensors):
            return NotImplemented if most else StackedTensor(function(*map(raw, args), **kwargs))
        return StackedTensor(function(*(_aligned(value, most) for value in args), **kwargs))

    return apply


def _aligned(value: Any, dims: int) -> Any:
    """Return stacked tensors with as many dimensions per model as the others have, so that they are broadcast model by model."""
    if not isinstance(value, StackedTensor):
        return value
    stacked = value.stacked
    missing = dims + 1 - stacked.dim()
    return stacked if missing == 0 else stacked.reshape(len(stacked), *[1] * missing, *stacked.shape[1:])


_UNARY = [
    "abs", "neg", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "sin", "cos", "tan", "tanh", "sigmoid", "relu", "erf",
    "atan", "reciprocal", "clamp", "clamp_min", "clamp_max", "clone", "detach", "contiguous", "float", "double", "to", "type_as",
    "sign",
]  # fmt: skip
_BINARY = ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "true_divide"]
for _name in (*_UNARY, *_BINARY):
    for _home in (torch, _T):
        if (_function := getattr(_home, _name, None)) is not None:
            RULES[_function] = elementwise(_function)
for _name in [
    "__add__",
    "__radd__",
    "__sub__",
    "__rsub__",
    "__mul__",
    "__rmul__",
    "__truediv__",
    "__rtruediv__",
    "__neg__",
    "__pow__",
    "__abs__",
]:
    RULES[getattr(_T, _name)] = elementwise(getattr(_T, _name))
for _name in [
    "relu", "relu6", "gelu", "silu", "elu", "selu", "celu", "mish", "leaky_relu", "hardtanh", "hardswish", "hardsigmoid",
    "softplus", "logsigmoid", "tanhshrink", "softsign", "softshrink", "hardshrink", "threshold", "tanh", "sigmoid",
]:  # fmt: skip
    RULES[getattr(functional, _name)] = elementwise(getattr(functional, _name))


# Shapes


@_rule(_T.view, _T.reshape, torch.reshape)
def _reshape(x: Any, *shape: Any, **kwargs: Any) -> Any:
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list | torch.Size) else shape
    if kwargs or not sizes or not all(isinstance(size, int) for size in sizes):
        return NotImplemented
    return StackedTensor(x.stacked.reshape(len(x.stacked), *sizes))


@_rule(_T.flatten, torch.flatten)
def _flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if not x.stacked.dim() - 1:
        return NotImplemented
    start, end = (dim + 1 if dim >= 0 else dim for dim in (start_dim, end_dim))
    return StackedTensor(x.stacked.flatten(start, end))


@_rule(_T.unflatten, torch.unflatten)
def _unflatten(x: Any, dim: int, sizes: Any, *names: Any) -> Any:
    if names or not isinstance(dim, int):
        return NotImplemented
    return StackedTensor(x.stacked.unflatten(dim + 1 if dim >= 0 else dim, sizes))


@_rule(_T.transpose, torch.transpose)
def _transpose(x: Any, first: Any, second: Any) -> Any:
    if not (isinstance(first, int) and isinstance(second, int)):
        return NotImplemented
    return StackedTensor(x.stacked.transpose(*(dim + 1 if dim >= 0 else dim for dim in (first, second))))


@_rule(torch.cat)
def _cat(tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    if kwargs or not all(isinstance(it, StackedTensor) for it in tensors) or not isinstance(dim, int):
        return NotImplemented
    return StackedTensor(torch.cat([it.stacked for it in tensors], dim + 1 if dim >= 0 else dim))


# Layers


@_rule(functional.linear)
def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    if not all(isinstance(it, StackedTensor) for it in (x, weight)) or not (
        bias is None or isinstance(bias, StackedTensor)
    ):
        return NotImplemented
    layer = weight.linear
    if layer is None or layer.weight is not weight.stacked or layer.bias is not raw(bias):
        layer = weight.linear = StackedLinear(weight.stacked, raw(bias), _plain_linear)
    if (y := x.through(layer)) is not None:
        return y
    return StackedTensor(_plain_linear(x.stacked, layer.weight, layer.bias))


def _plain_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if x.dim() == 3:
        return cast("Tensor", _products(x, weight, bias))
    count, *lead, size = x.shape
    y: Tensor = _products(x.reshape(count, prod(lead), size), weight, bias)
    return y.view(count, *lead, y.shape[2])


class _Products(torch.autograd.Function):
    """``x @ weight.T + bias`` for each model; torch would compute the gradient of the weight transposed, and copy it.

    Few outputs, such as classes, are computed as rows instead of columns, in half the time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        if weight.shape[1] < _NARROW:
            rows = x.transpose(1, 2)
            y = torch.bmm(weight, rows) if bias is None else torch.baddbmm(bias.unsqueeze(2), weight, rows)
            return y.transpose(1, 2)
        columns = weight.transpose(1, 2)
        return torch.bmm(x, columns) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, columns)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            torch.bmm(grad, weight) if of_x else None,
            torch.bmm(grad.transpose(1, 2), x) if of_weight else None,
            grad.sum(1) if of_bias else None,
        )


# Without the search for functorch's transforms, which takes as long as a small product.
_products: Callable[..., Any] = super(torch.autograd.Function, _Products).apply


for _function in (torch.conv1d, torch.conv3d, torch.conv_transpose1d, torch.conv_transpose2d):
    RULES[_function] = model_by_model(_function)
RULES[torch.conv2d] = convolve_images
RULES[functional.scaled_dot_product_attention] = attend


@_rule(functional.batch_norm)
def _batch_norm(  # noqa: PLR0917 # torch's
    x: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Normalise the channels of all models as channels of one; running means and variances are changed in place."""
    stacked = [it for it in (running_mean, running_var, weight, bias) if it is not None]
    if not isinstance(x, StackedTensor) or not all(isinstance(it, StackedTensor) for it in stacked):
        return NotImplemented
    count, batch, channels, *rest = x.stacked.shape
    mean, variance = (None if it is None else it.stacked.view(-1) for it in (running_mean, running_var))
    scale, shift = (None if it is None else it.stacked.reshape(-1) for it in (weight, bias))
    together = x.stacked.transpose(0, 1).reshape(batch, count * channels, *rest)
    y = functional.batch_norm(together, mean, variance, scale, shift, training=training, momentum=momentum, eps=eps)
    return StackedTensor(y.view(batch, count, channels, *rest).transpose(0, 1))


@_rule(functional.layer_norm)
def _layer_norm(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    if not isinstance(x, StackedTensor):
        return NotImplemented
    y: Any = StackedTensor(functional.layer_norm(x.stacked, normalized_shape, eps=eps))
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@_rule(functional.embedding)
def _embedding(
    index: Any, weight: Any, padding_idx: Any = None, max_norm: Any = None, *others: Any, **kwargs: Any
) -> Any:
    if (
        padding_idx is not None
        or max_norm is not None
        or any(others[1:])
        or any(kwargs.get(it) for it in ("scale_grad_by_freq", "sparse"))
    ):
        return NotImplemented
    if not all(isinstance(it, StackedTensor) for it in (index, weight)):
        return NotImplemented
    count, rows = weight.stacked.shape[:2]
    first = torch.arange(0, count * rows, rows, device=index.device).view(-1, *[1] * index.dim())
    return StackedTensor(functional.embedding(index.stacked + first, weight.stacked.flatten(0, 1)))


def along_models(function: Any) -> Callable[..., Any]:
    """Return the stacked form of a function that treats every example and channel alike: those of all models are those of one."""

    def apply(x: Any, *args: Any, **kwargs: Any) -> Any:
        models = len(x.stacked)
        if x.stacked.dim() < 4 or kwargs.get("return_indices"):  # one example without a batch; two results
            return NotImplemented
        are_channels = x.stacked.dim() == 5 and has_channels_of_all(x.stacked)
        result = function(as_channels(x.stacked) if are_channels else x.stacked.flatten(0, 1), *args, **kwargs)
        return StackedTensor(
            of_channels(result, models) if are_channels else result.view(models, -1, *result.shape[1:])
        )

    return apply


for _function in (functional.max_pool2d, functional.avg_pool2d, functional.adaptive_avg_pool2d):
    RULES[_function] = along_models(_function)


# Losses


@_rule(functional.cross_entropy)
def _cross_entropy(output: Any, target: Any, **options: Any) -> Any:
    given = {name for name, value in options.items() if value not in (None, -100, "mean", 0.0)}
    if given or not all(isinstance(it, StackedTensor) for it in (output, target)):
        return NotImplemented
    scores, labels = output.stacked, target.stacked
    if scores.dim() < 3 or labels.dim() != scores.dim() - 1:  # a single example, or shares of classes
        return NotImplemented
    if scores.dim() == 3:  # examples next to each other, so that torch computes many at a time: a fifth of the time
        losses = functional.cross_entropy(scores.transpose(1, 2), labels, reduction="none")
    else:
        losses = functional.cross_entropy(scores.flatten(0, 1), labels.flatten(0, 1), reduction="none")
    return StackedTensor(losses.view(len(labels), -1).sum(1) / (labels != -100).flatten(1).sum(1))


def _loss_of_elements(function: Any) -> Callable[..., Any]:
    def apply(output: Any, target: Any, *args: Any, reduction: str = "mean", **options: Any) -> Any:
        others = [*args, *(it for it in options.values() if isinstance(it, Tensor))]
        if others or not all(isinstance(it, StackedTensor) for it in (output, target)):
            return NotImplemented
        if output.shape != target.shape or reduction not in {"mean", "sum"}:
            return NotImplemented
        losses = function(output.stacked, target.stacked, reduction="none", **options).flatten(1)
        return StackedTensor(losses.mean(1) if reduction == "mean" else losses.sum(1))

    return apply


for _name in [
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
]:
    RULES[getattr(functional, _name)] = _loss_of_elements(getattr(functional, _name))


@_rule(torch.autograd.grad)
def _grad(outputs: Any, inputs: Any, grad_outputs: Any = None, *args: Any, **options: Any) -> Any:
    """Differentiate all models at once: an output of one model depends on nothing of another."""
    tupled = [it if isinstance(it, tuple | list) else (it,) for it in (outputs, inputs)]
    given = grad_outputs if isinstance(grad_outputs, tuple | list) else [grad_outputs] * len(tupled[0])
    if any(one is None and it.dim() for one, it in zip(given, tupled[0], strict=True)):
        raise RuntimeError("grad can be implicitly created only for scalar outputs")
    ones = [torch.ones_like(raw(it)) if one is None else raw(one) for one, it in zip(given, tupled[0], strict=True)]
    found = torch.autograd.grad(list(map(raw, tupled[0])), list(map(raw, tupled[1])), ones, *args, **options)
    return tuple(None if it is None else StackedTensor(it) for it in found)


@_rule(_T.requires_grad_)
def _requires_grad(x: Any, requires_grad: bool = True) -> Any:
    x.stacked.requires_grad_(requires_grad)
    return x
