"""Linear and Conv2d layers with binary weights (-1 and 1).

The weights that the optimizer updates are real numbers, called latent. The forward pass uses their signs, and the gradient reaches them by
a rule, by default ``sign/clipped`` (arXiv:1602.02830). Sums of products of signs are integers, which float32 represents exactly up to
2**24; a scale per output multiplies them afterwards. So a packed net can agree with the trained one to the bit, see
:mod:`actlab.export.packed.pack`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias, TypedDict, Unpack, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.errors import LayerError
from actlab.functions.formula.evaluate import numeric
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.custom_gradient import CustomGradientLayer
from actlab.nn.layers.layer import layer
from actlab.system.options import from_options

__all__ = [
    "BinaryConv2d",
    "BinaryConvOptions",
    "BinaryConvSettings",
    "BinaryLinear",
    "BinaryOptions",
    "BinarySettings",
    "BinaryWeight",
    "binary_values",
    "custom_gradient_layers",
]

Magnitude = Literal["mean"]

_Conv2dSize: TypeAlias = int | tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class BinarySettings:
    """How the weights of a layer are binarised.

    Attributes:
        weights: ``sign`` with the rule by which the gradient reaches the latent weights; QuickNet has ``sign/clipped(c=1.25)``.
        scale: "mean" multiplies each output by the mean of its absolute latent weights (arXiv:1603.05279); a BatchNorm cancels it.
        device: of the parameters.
        dtype: of the parameters.
    """

    weights: str | Spec = "sign/clipped"
    scale: Magnitude | None = None
    device: torch.device | str | None = None
    dtype: torch.dtype | None = None


class BinaryOptions(TypedDict, total=False):
    """Fields of :class:`BinarySettings` as keyword arguments."""

    weights: str | Spec
    scale: Magnitude | None
    device: torch.device | str | None
    dtype: torch.dtype | None


@dataclass(frozen=True, kw_only=True)
class BinaryConvSettings(BinarySettings):
    """Settings of a binary convolution; the fields of :class:`BinarySettings` are part of it.

    Attributes:
        bias: whether a float bias is added; before a BatchNorm it has no effect.
        pad_value: value of the padding. With -1 inputs that are signs stay one bit each; 0 is neither of the two signs.
    """

    bias: bool = False
    pad_value: float = 0.0


class BinaryConvOptions(BinaryOptions, total=False):
    """Fields of :class:`BinaryConvSettings` as keyword arguments."""

    bias: bool
    pad_value: float


class BinaryWeight(nn.Module):
    """Base class of binary layers: latent weights, their signs, and a scale per output.

    Attributes:
        weight: latent weights, shape (outputs, ...).
        is_binary: whether forward uses the signs; False uses the latent weights, for staged binarisation.
        binariser: the layer that computes the signs; not part of ``modules()``, because it is not a site of the model.
    """

    weight: Tensor
    is_binary: bool
    binariser: ActivationLayer
    _scale: Magnitude | None

    def _init_binary(self, settings: BinarySettings) -> None:
        spec, scale = parse(settings.weights), settings.scale
        if spec.activation.name != "sign" or spec.backward is None or spec.backward.learned:
            raise LayerError(
                f"Weights are binarised by the sign with a rule of fixed parameters, such as 'sign/clipped'; got {str(spec)!r}."
            )
        if scale is not None and scale not in get_args(Magnitude):
            raise LayerError(f"scale is None or 'mean', the mean of |w| for each output; got {scale!r}.")
        object.__setattr__(self, "binariser", layer(spec, device=settings.device, dtype=settings.dtype))
        self._scale = scale
        self.is_binary = True

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self.binariser._apply(fn, recurse)  # schedules are buffers, and move with the weights
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's own

    @property
    def bound(self) -> float:
        """Size beyond which a latent weight gets no gradient: c of the clipped rule, 1 for every other rule."""
        backward = self.binariser.spec.backward
        return float(dict(backward.assigned).get("c", 1.0)) if backward is not None else 1.0  # type: ignore[arg-type]  # none is learned

    def used_weight(self) -> Tensor:
        """Return the weights of the next forward pass: -1 and 1, or the latent ones before binarisation."""
        weight: Tensor = self.binariser(self.weight) if self.is_binary else self.weight
        return weight

    def magnitude(self) -> Tensor | None:
        """Return the scale per output, shape (outputs,), without a gradient (as in Larq); None if there is none."""
        if self._scale is None or not self.is_binary:
            return None
        return self.weight.detach().abs().flatten(1).mean(1)

    def finish(self, sums: Tensor, dim: int) -> Tensor:
        """Return the layer's output: sums times the scale, plus the bias; ``dim`` is the dimension of the outputs.

        The order matters: integers are summed first and scaled once, so that every order of summation gives the same bits.
        """
        shape = [-1] + [1] * (sums.dim() - 1 - dim % sums.dim())
        magnitude, bias = self.magnitude(), self._parameters.get("bias")
        if magnitude is not None:
            sums = sums * magnitude.view(shape)
        return sums if bias is None else sums + bias.view(shape)

    def _binary_repr(self) -> str:
        scale = "" if self._scale is None else f", scale={self._scale!r}"
        return f", weights={str(self.binariser.spec)!r}{scale}{'' if self.is_binary else ', still float'}"


class BinaryLinear(BinaryWeight, nn.Linear):
    """A Linear with weights -1 and 1.

    Args:
        in_features: size of the last dimension of the input.
        out_features: size of the last dimension of the output.
        bias: whether a float bias is added; before a BatchNorm it has no effect.
        settings: see :class:`BinarySettings`.
        options: fields of ``settings`` by name, such as ``scale="mean"``; they take precedence.

    Raises:
        LayerError: ``weights`` is not ``sign`` with a rule, or the scale is unknown.

    Example:
        >>> linear = BinaryLinear(3, 1)
        >>> _ = linear.weight.data.copy_(torch.tensor([[0.1, -0.7, 0.0]]))
        >>> linear(torch.tensor([[1.0, 1.0, -1.0]]))
        tensor([[-1.]], grad_fn=<MmBackward0>)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        *,
        settings: BinarySettings | None = None,
        **options: Unpack[BinaryOptions],
    ) -> None:
        chosen = from_options(BinarySettings, settings, options)
        nn.Linear.__init__(self, in_features, out_features, bias, chosen.device, chosen.dtype)
        self._init_binary(chosen)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: shape (..., in_features) to (..., out_features)."""
        return self.finish(functional.linear(x, self.used_weight()), -1)

    def extra_repr(self) -> str:
        """Return the sizes, the spec of the weights and the scale."""
        return nn.Linear.extra_repr(self) + self._binary_repr()


class BinaryConv2d(BinaryWeight, nn.Conv2d):
    """A two-dimensional convolution with weights -1 and 1.

    Args:
        in_channels: size of dimension 1 of the input.
        out_channels: size of dimension 1 of the output.
        kernel_size: as in ``nn.Conv2d``.
        stride: as in ``nn.Conv2d``.
        padding: as in ``nn.Conv2d``.
        dilation: as in ``nn.Conv2d``.
        groups: as in ``nn.Conv2d``.
        settings: see :class:`BinaryConvSettings`.
        options: fields of ``settings`` by name, such as ``pad_value=-1.0``; they take precedence.

    Raises:
        LayerError: as :class:`BinaryLinear`.

    Example:
        >>> BinaryConv2d(8, 4, 3, padding=1, pad_value=-1.0)(torch.ones(2, 8, 5, 5)).shape
        torch.Size([2, 4, 5, 5])
    """

    def __init__(  # noqa: PLR0917 in the order of nn.Conv2d
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Conv2dSize,
        stride: _Conv2dSize = 1,
        padding: _Conv2dSize | str = 0,
        dilation: _Conv2dSize = 1,
        groups: int = 1,
        *,
        settings: BinaryConvSettings | None = None,
        **options: Unpack[BinaryConvOptions],
    ) -> None:
        chosen = from_options(BinaryConvSettings, settings, options)
        sizes = (in_channels, out_channels, kernel_size, stride, padding, dilation, groups, chosen.bias)
        nn.Conv2d.__init__(self, *sizes, device=chosen.device, dtype=chosen.dtype)
        self.pad_value = float(chosen.pad_value)
        self._init_binary(chosen)

    @property
    def edges(self) -> list[int]:
        """Padding at the left, right, top and bottom."""
        return list(self._reversed_padding_repeated_twice)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: shape (N, in_channels, H, W) to (N, out_channels, H', W')."""
        padded = functional.pad(x, self.edges, value=self.pad_value) if any(self.edges) else x
        sums = functional.conv2d(padded, self.used_weight(), None, self.stride, 0, self.dilation, self.groups)
        return self.finish(sums, -3)

    def extra_repr(self) -> str:
        """Return the sizes, the spec of the weights and the scale."""
        sizes: str = nn.Conv2d.extra_repr(self)  # type: ignore[no-untyped-call]  # torch's own
        return sizes + self._binary_repr() + (f", pad_value={self.pad_value:g}" if self.edges else "")


def custom_gradient_layers(model: nn.Module) -> Iterator[tuple[str, CustomGradientLayer]]:
    """Yield every layer with a gradient rule and its path, each once; binarisers of weights have the path ``<path>.binariser``.

    Example:
        >>> net = nn.Sequential(BinaryLinear(2, 2), layer("step/rect"))
        >>> [(path, str(act.spec)) for path, act in custom_gradient_layers(net)]
        [('0.binariser', 'sign/clipped'), ('1', 'step/rect')]
    """
    for path, module in model.named_modules():
        if isinstance(module, CustomGradientLayer):
            yield path, module
        elif isinstance(module, BinaryWeight) and isinstance(module.binariser, CustomGradientLayer):
            yield f"{path}.binariser".lstrip("."), module.binariser


# Inputs at which functions are tested for two values; none is a breakpoint of a function in the catalogue.
_POINTS = np.concatenate([np.linspace(-7.3, 7.1, 289), [-1e4, 1e4]])


def binary_values(spec: str | Spec) -> tuple[float, float] | None:
    """Return the two output values of a binary activation, the lower one first; None if it has more, or several inputs.

    Example:
        >>> binary_values("sign/ede"), binary_values("step"), binary_values("relu")
        ((-1.0, 1.0), (0.0, 1.0), None)
    """
    return _two_values(parse(spec).forward)


@cache
def _two_values(spec: Spec) -> tuple[float, float] | None:
    record = spec.activation
    if record.expression is None or len(record.inputs) != 1:
        return None
    numbers = {p.name: p.default for p in record.parameters} | dict(spec.numbers)
    f = numeric(record.expression, record.inputs, [p.symbol for p in record.parameters])
    values = np.unique(f(_POINTS, *(np.float64(numbers[p.name]) for p in record.parameters)))
    return (float(values[0]), float(values[1])) if len(values) == 2 else None
