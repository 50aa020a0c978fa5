"""Description of a torch call that applies a weight to its input (linear, convolution, product)."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import FrameType
from typing import Any, Final

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

__all__ = [
    "CHANNEL_NORMS",
    "LAST_DIMENSION_NORMS",
    "LAYERS",
    "NORMS",
    "LinearCall",
    "WeightPaths",
    "calling_module",
    "fan_in_of",
    "linear_call",
]

LAYERS: Final = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
"""Layers with weights."""

CHANNEL_NORMS: Final = frozenset({"batch_norm", "group_norm", "instance_norm"})
LAST_DIMENSION_NORMS: Final = frozenset({"layer_norm", "rms_norm"})
NORMS: Final = CHANNEL_NORMS | LAST_DIMENSION_NORMS

_CONVOLUTIONS: Final = {f"conv{transposed}{n}d": n for n in (1, 2, 3) for transposed in ("", "_transpose")}
_PRODUCTS: Final = frozenset({"addmm", "baddbmm", "bmm", "einsum", "matmul", "__matmul__", "__rmatmul__", "mm"})
_WITH_BIAS: Final = frozenset({"addmm", "baddbmm"})


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearCall:
    """One call of a function of torch that applies a weight.

    Attributes:
        name: of the function: ``linear``, ``conv2d``, ``conv_transpose1d``, ``addmm``, ...
        input: what the weight is applied to: a tensor, or a value that is still to be computed.
        weight: the weight, as the function gets it.
        bias: the bias, or None.
        fan_in: number of products that are summed into an output, on average over the outputs.
        equation: of an einsum; else "".
        weight_first: whether the weight is the first factor of a product of matrices.
    """

    name: str
    input: Any
    weight: Tensor
    bias: Tensor | None = None
    fan_in: float = 0.0
    equation: str = ""
    weight_first: bool = False

    @property
    def is_layer(self) -> bool:
        """Whether it is a linear layer or a convolution, whose weight has a known layout, and no general product."""
        return self.name == "linear" or self.name in _CONVOLUTIONS

    def unit_dim(self, result: Tensor) -> int:
        """Return the dimension of the units in the result, counted from the end."""
        if self.name in _CONVOLUTIONS:
            return -_CONVOLUTIONS[self.name] - 1
        if self.equation:
            terms, _, output = self.equation.replace(" ", "").partition("->")
            inputs = terms.split(",")
            others = "".join(inputs[1:] if self.weight_first else inputs[:-1])
            own = inputs[0] if self.weight_first else inputs[-1]
            new = [index - len(output) for index, letter in enumerate(output) if letter in own and letter not in others]
            return new[-1] if new and "." not in self.equation else -1
        return -2 if self.weight_first and self.input.dim() > 1 and result.dim() > 1 else -1


def fan_in_of(weight: Tensor, stride: Sequence[int] = (), groups: int = 1) -> float:
    """Return the number of products that are summed into an output, on average over the outputs.

    Args:
        weight: of a linear layer or convolution; of a transposed one, whose first dimension is that of the inputs, with ``stride``.
        stride: of a transposed convolution, which has ``prod(stride)`` outputs for each input position; else empty.
        groups: of a transposed convolution, each of whose outputs gets the inputs of one group.

    Example:
        >>> import torch
        >>> fan_in_of(torch.empty(8, 4, 3, 3)), fan_in_of(torch.empty(16, 8, 4, 4), (2, 2))
        (36.0, 64.0)
    """
    if stride:
        return len(weight) * prod(weight.shape[2:]) / (prod(stride) * groups)
    return float(prod(weight.shape[1:]))


def linear_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], known: Container[int]) -> LinearCall | None:
    """Describe a call that applies a weight; None for any other call.

    Args:
        name: of the function.
        args: its positional arguments.
        kwargs: its keyword arguments.
        known: ``id`` of the parameters of the model; a general product (``matmul``) counts only where a factor is one of them.
    """
    if name == "linear" or name in _CONVOLUTIONS:
        return _layer_call(name, args, kwargs)
    return _product_call(name, args, kwargs, known) if name in _PRODUCTS else None


def _layer_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> LinearCall | None:
    names = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups")
    bound = dict(zip(names, args, strict=False)) | dict(kwargs)
    if not isinstance(bound.get("weight"), Tensor):  # a function of torch.ops with packed weights
        return None
    stride: Sequence[int] = ()
    if "transpose" in name:
        given = bound.get("stride", 1)
        stride = (
            given if isinstance(given, (tuple, list)) and len(given) > 1 else [_number(given)] * _CONVOLUTIONS[name]
        )
    weight = bound["weight"]
    fan_in = fan_in_of(weight, stride, bound.get("groups", 1)) if stride else fan_in_of(weight)
    return LinearCall(name=name, input=bound["input"], weight=weight, bias=bound.get("bias"), fan_in=fan_in)


def _number(value: Any) -> int:
    return int(value[0] if isinstance(value, (tuple, list)) else value)


def _product_call(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], known: Container[int]
) -> LinearCall | None:
    leaves = tree_leaves((list(args), dict(kwargs)))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    bias = tensors.pop(0) if name in _WITH_BIAS and len(tensors) > 2 else None
    weight = next((factor for factor in tensors if id(factor) in known), None)
    other = next((factor for factor in tensors if factor is not weight), None)
    if weight is None or other is None:
        return None
    weight_first = (tensors[0] is weight) != (name == "__rmatmul__")
    equation = next((leaf for leaf in leaves if isinstance(leaf, str)), "") if name == "einsum" else ""
    summed = weight.shape[-1 if weight_first or weight.dim() < 2 else -2] if weight.dim() else 1
    if equation:
        terms, _, output = equation.replace(" ", "").partition("->")
        letters = terms.split(",")[0 if weight_first else -1]
        sizes = zip(letters, weight.shape, strict=False)
        summed = prod(size for letter, size in sizes if letter not in output)
    return LinearCall(
        name=name,
        input=other,
        weight=weight,
        bias=bias,
        fan_in=float(summed),
        equation=equation,
        weight_first=weight_first,
    )


def calling_module(frame: FrameType | None, parts: Container[int]) -> nn.Module | None:
    """Return the innermost module of a model in whose method a frame runs; None where there is none.

    Args:
        frame: where the search begins, outwards.
        parts: ``id`` of every module of the model.
    """
    while frame is not None:
        code = frame.f_code
        first = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if isinstance(first, nn.Module) and id(first) in parts:
            return first
        frame = frame.f_back
    return None


class WeightPaths:
    """Paths of the layers of a model, by the weights that are applied.

    Args:
        model: any module.

    Example:
        >>> model = nn.Sequential(nn.Linear(1, 1))
        >>> WeightPaths(model).of_call(model[0].weight, None)
        '0'
    """

    def __init__(self, model: nn.Module) -> None:
        named = list(model.named_parameters(remove_duplicate=False))
        self.parameters = {id(p): name.rpartition(".")[0] or name for name, p in reversed(named)}
        self._modules = {id(module): name for name, module in model.named_modules()}

    def of(self, weight: Tensor, frame: FrameType | None) -> str | None:
        """Return the path of the layer that a weight belongs to: of one that is computed from others, the module that applies it.

        Args:
            weight: as it is applied.
            frame: of the call.
        """
        if id(weight) in self.parameters:
            return self.parameters[id(weight)]
        return self.of_call(weight, calling_module(frame, self._modules))

    def of_call(self, weight: Tensor, owner: nn.Module | None) -> str | None:
        """Return the path of the layer that a weight belongs to: of one that is computed from others, ``owner``."""
        return self.parameters.get(id(weight)) or self._modules.get(id(owner))

    def of_module(self, module: nn.Module) -> str | None:
        """Return the path of a layer, as that of its weight."""
        weight = module._parameters.get("weight")
        return self._modules.get(id(module)) if weight is None else self.of_call(weight, module)
