"""Operations of a packed net (dense, convolution, sign products, thresholds, pooling, norm)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from actlab.errors import PackError
from actlab.export.packed.bit_words import BITS_PER_WORD, binary_matmul, pack_words, unpack_words
from actlab.export.packed.thresholds import Thresholds

__all__ = ["OPS", "Bits", "Op", "Pair"]

Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bits:
    """A binary tensor between two operations.

    Attributes:
        values: bool, any shape.
        low: value of False, -1 or 0; True is 1.
    """

    values: Tensor
    low: float

    def floats(self) -> Tensor:
        """Return the values as float32."""
        return self.values.float() if self.low == 0 else self.values.float() * 2 - 1


Value: TypeAlias = Tensor | Bits


def _as_floats(x: Value) -> Tensor:
    return x.floats() if isinstance(x, Bits) else x


@dataclass(frozen=True, kw_only=True, eq=False)
class Op:
    """Base class of operations: its fields are its tensors and settings, which is all that a file stores."""

    name: ClassVar[str]

    def __call__(self, x: Value) -> Value:
        """Compute it."""
        raise NotImplementedError

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The fields that are tensors."""
        return {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}

    @property
    def settings(self) -> dict[str, Any]:
        """The other fields."""
        return {f.name: value for f in fields(self) if not isinstance(value := getattr(self, f.name), Tensor)}

    def require(self, holds: bool, problem: str) -> None:
        """Raise ``PackError`` unless a condition on the operation's fields holds."""
        if not holds:
            raise PackError(f"The operation {self.name} of this packed net is inconsistent: {problem}.")


def _require_fit(op: Op, words: Tensor, *extras: Tensor | None) -> None:
    """Require scale and bias to have one element for each output."""
    fits = all(extra is None or extra.shape == words.shape[:1] for extra in extras)
    op.require(fits, "its scale or bias does not fit its words")


def _scale_and_add(sums: Tensor, scale: Tensor | None, bias: Tensor | None, dim: int) -> Tensor:
    """Return sums times the scale, plus the bias, in the order of binary layers."""
    shape = (-1, *([1] * (-dim - 1)))
    sums = sums if scale is None else sums * scale.view(shape)
    return sums if bias is None else sums + bias.view(shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Op):
    """A Linear with float weights.

    Attributes:
        weight: float32, shape (outputs, inputs).
        bias: float32, shape (outputs,), or None.
    """

    name = "dense"
    weight: Tensor
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        self.require(self.weight.dim() == 2, f"its weight has {self.weight.dim()} dimensions instead of 2")
        self.require(self.bias is None or self.bias.shape == self.weight.shape[:1], "its bias does not fit its weight")

    def __call__(self, x: Value) -> Tensor:
        """Compute it on shape (..., inputs)."""
        return functional.linear(_as_floats(x), self.weight, self.bias)


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Op):
    """A convolution with float weights, padded with zeros.

    Attributes:
        weight: float32, shape (outputs, inputs / groups, height, width).
        bias: float32, shape (outputs,), or None.
        stride: rows and columns.
        padding: rows and columns at each side, or "same" or "valid".
        dilation: rows and columns.
        groups: number of groups of channels.
    """

    name = "conv"
    weight: Tensor
    bias: Tensor | None = None
    stride: Pair = (1, 1)
    padding: Pair | str = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        self.require(self.weight.dim() == 4, f"its weight has {self.weight.dim()} dimensions instead of 4")
        self.require(self.bias is None or self.bias.shape == self.weight.shape[:1], "its bias does not fit its weight")

    def __call__(self, x: Value) -> Tensor:
        """Compute it on shape (n, inputs, height, width)."""
        return functional.conv2d(
            _as_floats(x), self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SignDense(Op):
    """A Linear with weights -1 and 1.

    Bits are multiplied by XOR and population count; other numbers by the signs as floats.

    Attributes:
        words: int32, shape (outputs, ceil(inputs / 32)), see :mod:`actlab.export.packed.bit_words`.
        inputs: number of inputs.
        scale: float32, shape (outputs,), or None.
        bias: float32, shape (outputs,), or None.
    """

    name = "sign_dense"
    words: Tensor
    inputs: int
    scale: Tensor | None = None
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        wanted = -(-self.inputs // BITS_PER_WORD)
        self.require(
            self.words.dim() == 2 and self.words.shape[1] == wanted,
            f"{self.inputs} inputs take {wanted} words, and its words have shape {tuple(self.words.shape)}",
        )
        _require_fit(self, self.words, self.scale, self.bias)

    def __call__(self, x: Value) -> Tensor:
        """Compute it on shape (..., inputs)."""
        if isinstance(x, Bits):
            self.require(
                x.values.shape[-1] == self.inputs, f"it gets {x.values.shape[-1]} inputs instead of {self.inputs}"
            )
            rows = pack_words(x.values.flatten(0, -2) if x.values.dim() > 1 else x.values[None])
            sums = binary_matmul(rows, self.words, self.inputs, x.low).float()
            sums = sums.view(*x.values.shape[:-1], len(self.words))
        else:
            sums = functional.linear(x, self.signs)
        return _scale_and_add(sums, self.scale, self.bias, -1)

    @property
    def signs(self) -> Tensor:
        """The weights as float32, shape (outputs, inputs)."""
        return unpack_words(self.words, self.inputs).float() * 2 - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class SignConv(Op):
    """A convolution with weights -1 and 1.

    Attributes:
        words: int32, shape (outputs, height, width, ceil(channels / 32)): the channels of a kernel position are contiguous.
        channels: number of channels of the input.
        scale: float32, shape (outputs,), or None.
        bias: float32, shape (outputs,), or None.
        stride: rows and columns.
        dilation: rows and columns.
        edges: padding at the left, right, top and bottom.
        pad_value: value of the padding; the low value, where the inputs are bits.
    """

    name = "sign_conv"
    words: Tensor
    channels: int
    scale: Tensor | None = None
    bias: Tensor | None = None
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    edges: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_value: float = 0.0

    def __post_init__(self) -> None:
        wanted = -(-self.channels // BITS_PER_WORD)
        self.require(
            self.words.dim() == 4 and self.words.shape[3] == wanted,
            f"{self.channels} channels take {wanted} words, and its words have shape {tuple(self.words.shape)}",
        )
        _require_fit(self, self.words, self.scale, self.bias)

    def __call__(self, x: Value) -> Tensor:
        """Compute it on shape (n, channels, height, width)."""
        if isinstance(x, Bits):
            self.require(
                not any(self.edges) or self.pad_value == x.low,
                f"its edges hold {self.pad_value:g}, and its inputs are {x.low:g} and 1",
            )
            return _scale_and_add(self._sums(x), self.scale, self.bias, -3)
        padded = functional.pad(x, self.edges, value=self.pad_value) if any(self.edges) else x
        return _scale_and_add(
            functional.conv2d(padded, self.signs, None, self.stride, 0, self.dilation), self.scale, self.bias, -3
        )

    def _sums(self, x: Bits) -> Tensor:
        """Return the sum over all kernel positions of products of packed pixels."""
        words = pack_words(functional.pad(x.values, self.edges).movedim(1, -1))
        outputs, rows, columns, _ = self.words.shape
        high, wide = (
            (size - (kernel - 1) * dilation - 1) // stride + 1
            for size, kernel, dilation, stride in zip(
                words.shape[1:3], (rows, columns), self.dilation, self.stride, strict=True
            )
        )
        sums = torch.zeros(len(words) * high * wide, outputs, dtype=torch.int32, device=words.device)
        for row in range(rows):
            for column in range(columns):
                top, left = row * self.dilation[0], column * self.dilation[1]
                pixels = words[:, top :: self.stride[0], left :: self.stride[1]][:, :high, :wide]
                sums += binary_matmul(pixels.flatten(0, 2), self.words[:, row, column], self.channels, x.low)
        return sums.float().view(len(words), high, wide, outputs).movedim(-1, 1).contiguous()

    @property
    def signs(self) -> Tensor:
        """The weights as float32, shape (outputs, channels, height, width)."""
        return (unpack_words(self.words, self.channels).float() * 2 - 1).movedim(-1, 1).contiguous()


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Op):
    """Max pooling in two dimensions, of bits or of numbers.

    Attributes:
        kernel: rows and columns.
        stride: rows and columns.
        padding: rows and columns at each side.
        dilation: rows and columns.
        ceil: whether windows may reach over the edge.
    """

    name = "max_pool"
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False

    def __call__(self, x: Value) -> Value:
        """Compute it on shape (n, channels, height, width)."""
        pooled = functional.max_pool2d(_as_floats(x), self.kernel, self.stride, self.padding, self.dilation, self.ceil)
        return Bits(values=pooled == 1, low=x.low) if isinstance(x, Bits) else pooled


@dataclass(frozen=True, kw_only=True, eq=False)
class Threshold(Op):
    """A norm and a binary activation, from numbers to bits.

    Attributes:
        value: int32 where the numbers are integers, else float32; shape (channels,), or (1,).
        above: uint8, shape as ``value``: 1 where a unit is high from the value up, 0 where it is from the value down.
        low: value of low units, -1 or 0.
    """

    name = "threshold"
    value: Tensor
    above: Tensor
    low: float

    def __post_init__(self) -> None:
        self.require(self.value.shape == self.above.shape and self.value.dim() == 1, "value and above differ in shape")
        self.require(self.low in {-1.0, 0.0}, f"low is {self.low}, and only -1 and 0 are known")

    def __call__(self, x: Value) -> Bits:
        """Compute it on shape (n, channels, ...)."""
        return Bits(values=Thresholds(value=self.value, above=self.above.bool())(_as_floats(x)), low=self.low)


@dataclass(frozen=True, kw_only=True, eq=False)
class Norm(Op):
    """A BatchNorm whose output stays a number.

    Attributes:
        mean: float32, shape (channels,).
        variance: float32, shape (channels,).
        weight: float32, shape (channels,), or None.
        bias: float32, shape (channels,), or None.
        eps: added to the variance.
    """

    name = "norm"
    mean: Tensor
    variance: Tensor
    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 1e-5

    def __call__(self, x: Value) -> Tensor:
        """Compute it on shape (n, channels, ...)."""
        return functional.batch_norm(
            _as_floats(x), self.mean, self.variance, self.weight, self.bias, training=False, eps=self.eps
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Op):
    """Flatten all dimensions but the first, in the order channels, rows, columns."""

    name = "flatten"

    def __call__(self, x: Value) -> Value:
        """Compute it on shape (n, ...)."""
        return Bits(values=x.values.flatten(1), low=x.low) if isinstance(x, Bits) else x.flatten(1)


OPS: dict[str, type[Op]] = {op.name: op for op in (Dense, Conv, SignDense, SignConv, MaxPool, Threshold, Norm, Flatten)}
"""Every operation by its name in files."""
