"""Pack a trained binary net into thresholds and XOR products, bit-identical to the original.

What torch computes in floats, a packed net computes with one bit per activation and one bit per binary weight. Nets with binary activations
and float weights are packed too, with float thresholds. :func:`pack` compares both on the given inputs, and raises if one bit differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from actlab.errors import PackError
from actlab.export.packed.bit_words import pack_words
from actlab.export.packed.operations import (
    Bits,
    Conv,
    Dense,
    Flatten,
    MaxPool,
    Norm,
    Op,
    Pair,
    SignConv,
    SignDense,
    Threshold,
)
from actlab.export.packed.thresholds import LARGEST_SUM, find_thresholds
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.binary import BinaryConv2d, BinaryLinear, BinaryWeight, binary_values

__all__ = ["PackedNet", "pack"]

_Norms = nn.BatchNorm1d | nn.BatchNorm2d


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedNet:
    """A sequence of operations, built by :func:`pack`, written and read by :mod:`actlab.export.packed.file`.

    Attributes:
        ops: the operations, in order.
        input_shape: shape of one input, without the batch.
        whole_inputs: whether inputs are integers.
        largest_input: largest magnitude of integer inputs.
    """

    ops: tuple[Op, ...]
    input_shape: tuple[int, ...]
    whole_inputs: bool = False
    largest_input: int = 0

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Compute the outputs.

        Args:
            x: float32, shape (n, *input_shape).

        Returns:
            float32, shape (n, outputs); bits are converted to their values.

        Raises:
            PackError: the inputs have another shape or dtype, or are not integers up to ``largest_input`` where they should be.
        """
        if tuple(x.shape[1:]) != self.input_shape or x.dtype != torch.float32:
            raise PackError(
                f"This net takes float32 of shape (n, {', '.join(map(str, self.input_shape))}); got {x.dtype}, {tuple(x.shape)}."
            )
        if self.whole_inputs and not (bool((x == x.round()).all()) and bool((x.abs() <= self.largest_input).all())):
            raise PackError(f"This net takes whole numbers up to {self.largest_input} in size; round its inputs first.")
        value: Tensor | Bits = x
        for op in self.ops:
            value = op(value)
        return value.floats() if isinstance(value, Bits) else value

    @property
    def size(self) -> int:
        """Number of bytes of all tensors."""
        return sum(t.numel() * t.element_size() for op in self.ops for t in op.tensors.values())


def pack(model: nn.Module, example_inputs: Tensor, *, largest_input: int | None = None) -> PackedNet:
    """Pack a net with binary activations.

    Args:
        model: an ``nn.Sequential``, nested or not, of binary or float Linears and convolutions, max pooling, BatchNorms, binary
            activations, Flatten, Dropout and Identity; float32. It is left unchanged, and converted as in eval mode.
        example_inputs: shape (n, ...), on which both are compared to the bit; more inputs are a stronger check.
        largest_input: for inputs that are integers, such as pixels from 0 to 255, their largest magnitude. Then a binary first layer is
            computed in integers, too.

    Raises:
        PackError: the model holds something that cannot be packed, or the packed net differs from it on the inputs.

    Example:
        >>> from actlab.nn.layers.layer import layer
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(BinaryLinear(64, 32), nn.BatchNorm1d(32), layer("sign/clipped"), BinaryLinear(32, 10)).eval()
        >>> x = torch.randint(0, 256, (5, 64)).float()
        >>> packed = pack(net, x, largest_input=255)
        >>> bool((packed(x) == net(x)).all()), packed.size
        (True, 456)
        >>> [op.name for op in packed.ops], packed.ops[1].value.dtype
        (['sign_dense', 'threshold', 'sign_dense'], torch.int32)
    """
    net = deepcopy(model).eval()
    parts = list(_parts(net))
    foreign = {p.dtype for p in net.parameters()} - {torch.float32}
    if foreign or not parts:
        raise PackError(
            f"Nets of float32 are packed; {type(model).__name__} has {foreign or 'no layers'}. Try model.float()."
        )
    ops = tuple(_Packer(parts, largest_input).ops())
    packed = PackedNet(
        ops=ops,
        input_shape=tuple(example_inputs.shape[1:]),
        whole_inputs=largest_input is not None,
        largest_input=largest_input or 0,
    )
    with torch.no_grad():
        wrong = int((packed(example_inputs) != net(example_inputs)).flatten(1).any(1).sum())
    if wrong:
        raise PackError(
            f"The packed net differs from {type(model).__name__} on {wrong} of {len(example_inputs)} inputs; a norm's output lies within "
            "rounding of zero, or sums exceed 2**24. Train for a few more steps, or clamp the norms' weights away from zero."
        )
    return packed


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules of nested ``nn.Sequential`` in order, without those that do nothing in eval mode."""
    if isinstance(module, nn.Sequential):
        for part in module:
            yield from _parts(part)
    elif not isinstance(module, nn.Identity | nn.modules.dropout._DropoutNd):
        yield module


class _Packer:
    """Converts a sequence of modules into operations, and folds scales, biases and norms into thresholds."""

    def __init__(self, parts: Sequence[nn.Module], largest_input: int | None) -> None:
        self.parts = parts
        # of the values between the module before and the next one
        self.integers = largest_input is not None
        self.low: float | None = None  # low value of bits; None for numbers
        self.largest = largest_input or 0
        self.pending: BinaryWeight | None = None  # layer whose scale and bias go into the next threshold
        self.dimensions = 2
        self.channels = 1

    def ops(self) -> Iterator[Op]:
        index = 0
        while index < len(self.parts):
            part = self.parts[index]
            following = self.parts[index + 1] if index + 1 < len(self.parts) else None
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) and _is_binary(following):
                yield self._threshold(part, cast("ActivationLayer", following))
                index += 1
            elif _is_binary(part):
                yield self._threshold(None, cast("ActivationLayer", part))
            else:
                yield self._op(part, index)
            index += 1

    def _op(self, part: nn.Module, index: int) -> Op:
        if isinstance(part, BinaryLinear | BinaryConv2d):
            return self._signed(part, index)
        if isinstance(part, nn.Linear | nn.Conv2d) and type(part) in {nn.Linear, nn.Conv2d}:
            self._set_values(part, integers=False)
            return _float_op(part)
        if isinstance(part, nn.MaxPool2d) and not part.return_indices:
            self.dimensions = 4
            return _pool(part)
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            self.integers, self.low = False, None
            return _norm(part)
        if isinstance(part, nn.Flatten) and (part.start_dim, part.end_dim) == (1, -1):
            self.dimensions = 2
            return Flatten()
        raise PackError(
            f"{type(part).__name__} cannot be packed. A packed net holds BinaryLinear, BinaryConv2d, Linear, Conv2d, MaxPool2d, BatchNorm, "
            "Flatten, and activations with two values."
        )

    def _set_values(self, part: nn.Linear | nn.Conv2d, *, integers: bool) -> None:
        """Set what is known of the outputs of a layer."""
        self.integers, self.low = integers, None
        self.dimensions = 4 if isinstance(part, nn.Conv2d) else 2
        self.channels = len(part.weight)

    def _signed(self, part: BinaryLinear | BinaryConv2d, index: int) -> Op:
        if not part.is_binary:
            raise PackError(
                f"{part} is in the first stage of its binarization, in which its weights are float; finish the training first."
            )
        largest = 1 if self.low is not None else self.largest
        integers = (self.low is not None or self.integers) and self._pads_integers(part)
        if integers and part.weight[0].numel() * largest >= LARGEST_SUM:
            raise PackError(f"{part} has sums of 2**24 or more, beyond which float32 does not hold every integer.")
        folds = self._folds_scale(index)
        if isinstance(part, BinaryConv2d) and self.low is not None and any(part.edges) and part.pad_value != self.low:
            raise PackError(
                f"{part} pads bits that are {self.low:g} and 1 with {part.pad_value:g}; give it pad_value={self.low:g}."
            )
        self._set_values(part, integers=integers and folds)
        self.largest = part.weight[0].numel() * largest
        self.pending = part if folds else None
        return _signed_op(part, with_scale=not folds)

    @staticmethod
    def _pads_integers(part: nn.Module) -> bool:
        return not isinstance(part, BinaryConv2d) or part.pad_value == round(part.pad_value)

    def _folds_scale(self, index: int) -> bool:
        """Whether only max pooling and a norm are between a layer and a threshold, which can take over its scale and bias."""
        rest = self.parts[index + 1 :]
        while rest and isinstance(rest[0], nn.MaxPool2d):
            rest = rest[1:]
        if rest and isinstance(rest[0], nn.BatchNorm1d | nn.BatchNorm2d):
            rest = rest[1:]
        return bool(rest) and _is_binary(rest[0])

    def _threshold(self, norm: _Norms | None, act: ActivationLayer) -> Op:
        values = binary_values(act.spec)
        if values not in {(-1.0, 1.0), (0.0, 1.0)}:
            raise PackError(f"{act.spec} has the values {values}; allowed are -1 and 1, or 0 and 1.")
        if norm is not None:
            _check_statistics(norm)
            self.channels = norm.num_features
        elif self.pending is None and all(p.numel() == 1 for p in act.parameters()):
            self.channels = 1
        integers = self.integers or self.low is not None
        thresholds = find_thresholds(
            self._until_bits(norm, act), 1.0, self.channels, self.dimensions, integers=integers
        )
        thresholds = thresholds.to_integers() if integers else thresholds
        self.pending, self.integers, self.low = None, False, values[0]
        return Threshold(value=thresholds.value, above=thresholds.above.to(torch.uint8), low=self.low)

    def _until_bits(self, norm: nn.Module | None, act: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return the function from the sums of the last layer to bits."""
        pending, dim = self.pending, 1 - self.dimensions

        def function(x: Tensor) -> Tensor:
            x = x if pending is None else pending.finish(x, dim)
            x = x if norm is None else norm(x)
            result: Tensor = act(x)
            return result

        return function


def _is_binary(module: nn.Module | None) -> bool:
    return isinstance(module, ActivationLayer) and binary_values(module.spec) is not None


def _check_statistics(norm: _Norms) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise PackError(f"{norm} has no running statistics, so that its output depends on the batch.")


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _optional_copy(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else _copy(tensor)


def _pair(value: Any) -> Pair:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _float_op(part: nn.Linear | nn.Conv2d) -> Op:
    weight, bias = _copy(part.weight), _optional_copy(part.bias)
    if isinstance(part, nn.Linear):
        return Dense(weight=weight, bias=bias)
    if part.padding_mode != "zeros":
        raise PackError(f"{part} pads with {part.padding_mode!r}; allowed is padding_mode='zeros'.")
    padding = part.padding if isinstance(part.padding, str) else _pair(part.padding)
    return Conv(
        weight=weight,
        bias=bias,
        stride=_pair(part.stride),
        padding=padding,
        dilation=_pair(part.dilation),
        groups=part.groups,
    )


def _signed_op(part: BinaryLinear | BinaryConv2d, *, with_scale: bool) -> Op:
    with torch.no_grad():
        bits = part.used_weight() > 0
        scale = part.magnitude() if with_scale else None
    bias = _optional_copy(part.bias) if with_scale else None
    if isinstance(part, BinaryLinear):
        return SignDense(words=pack_words(bits), inputs=part.in_features, scale=scale, bias=bias)
    if part.groups != 1:
        raise PackError(f"{part} has groups={part.groups}; allowed is groups=1.")
    return SignConv(
        words=pack_words(bits.movedim(1, -1)),
        channels=part.in_channels,
        scale=scale,
        bias=bias,
        stride=_pair(part.stride),
        dilation=_pair(part.dilation),
        edges=cast("tuple[int, int, int, int]", tuple(part.edges)),
        pad_value=part.pad_value,
    )


def _pool(part: nn.MaxPool2d) -> Op:
    return MaxPool(
        kernel=_pair(part.kernel_size),
        stride=_pair(part.stride),
        padding=_pair(part.padding),
        dilation=_pair(part.dilation),
        ceil=part.ceil_mode,
    )


def _norm(part: _Norms) -> Op:
    _check_statistics(part)
    return Norm(
        mean=_copy(cast("Tensor", part.running_mean)),
        variance=_copy(cast("Tensor", part.running_var)),
        weight=_optional_copy(part.weight),
        bias=_optional_copy(part.bias),
        eps=part.eps,
    )
