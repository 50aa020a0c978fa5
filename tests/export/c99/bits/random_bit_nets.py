"""Random nets of bits, with weights of all kinds, windows, groups and layers that have no kernel for bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from actlab.export.integer.coding import Bits, Codes
from actlab.export.integer.layers import (
    Affine,
    AveragePool,
    Concat,
    IntegerLayer,
    MaxPool,
    Multiply,
    Pad,
    Product,
    Requantize,
    Reshape,
    Select,
    Slice,
    Threshold,
)
from actlab.export.integer.net import IntegerNet
from actlab.export.net.layers import Window

SHAPES = [(1, 9, 7), (3, 6, 8), (40, 5, 5), (2, 30), (33, 6), (90,), (700,), (12, 64)]
WEIGHTS = ("binary", "ternary", "bytes")


class Builder:
    """A net that grows by random layers; all tensors but the input and sums are bits.

    Args:
        seed: of all choices.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.kind = WEIGHTS[seed % 3]
        self.low: Any = -(seed // 3 % 2)
        self.shapes: dict[str, tuple[int, ...]] = {"x": SHAPES[seed % len(SHAPES)]}
        self.codings: dict[str, Any] = {"x": Codes(scale=0.5, zero=int(self.whole(-128, 127)))}
        self.layers: list[IntegerLayer] = []
        self.last = "x"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shapes[self.last]

    def whole(self, low: int, high: int, size: Any = None) -> Any:
        return self.random.integers(low, high + 1, size)

    def add(self, layer: Any, shape: Any, *others: str, coding: Any = None, **settings: Any) -> None:
        name = f"t{len(self.layers)}"
        self.layers.append(layer(name=name, inputs=(self.last, *others), output=name, **settings))
        self.shapes[name], self.last = tuple(map(int, shape)), name
        self.codings[name] = coding or Bits(low=self.low)

    def weight(self, shape: Any) -> Any:
        if self.kind == "bytes":
            weight = self.whole(-127, 127, shape).astype(np.int8)
            weight[0] = 127  # sums that are as large as they can be
            return weight
        choices = [-1, 1] if self.kind == "binary" else [-1, 0, 1]
        return self.random.choice(choices, shape).astype(np.int8)

    def thresholds(self, count: int, spread: float) -> Threshold:
        """Return thresholds near zero, with some beyond all sums."""
        value = np.round(self.random.normal(0, spread, count)).astype(np.int64)
        value[self.random.random(count) < 0.1] = self.random.choice([-(2**31), 2**31 - 1])
        return Threshold(value=value.astype(np.int32), above=self.random.random(count) < 0.6)

    def product(self, shape: Any, weight: Any, *, sums: bool = False, **settings: Any) -> None:
        is_code = isinstance(self.codings[self.last], Codes)
        spread = float(np.abs(weight).max()) * weight[0].size ** 0.5 * (60 if is_code else 0.7)
        bias = np.round(self.random.normal(0, spread, len(weight))).astype(np.int32)
        ending: Any = self.thresholds(int(self.random.choice([1, len(weight)])), 1.5 * spread)
        coding = None
        if sums:
            ending = Requantize(multiplier=np.int32([2**30]), shift=np.int32([30]), low=-(2**31), high=2**31 - 1)
            coding = Codes(scale=1.0, width=32)
        self.add(Product, shape, coding=coding, weight=weight, bias=bias, ending=ending, **settings)

    def dense(self, *, sums: bool = False) -> None:
        out = int(self.whole(1, 70))
        self.product((*self.shape[:-1], out), self.weight((out, self.shape[-1])), sums=sums)

    def conv(self) -> None:
        channels, spatial = self.shape[0], self.shape[1:]
        groups = int(self.random.choice([g for g in {1, 2, channels} if channels % g == 0]))
        out = groups * int(self.whole(1, 40 // groups + 1))
        window, positions = self.window(spatial)
        weight = self.weight((out, channels // groups, *window.size))
        self.product((out, *positions), weight, window=window, groups=groups)

    def window(self, spatial: Any) -> Any:
        while True:
            size = self.whole(1, 3, len(spatial))
            stride, dilation = self.whole(1, 2, len(spatial)), self.whole(1, 2, len(spatial))
            before, after = (np.minimum(self.whole(0, 2, len(spatial)), size - 1) for _ in range(2))
            out = (np.array(spatial) + before + after - dilation * (size - 1) - 1) // stride + 1
            if (out > 0).all():
                parts = (tuple(map(int, each)) for each in (size, stride, before, after, dilation))
                return Window(**dict(zip(("size", "stride", "before", "after", "dilation"), parts, strict=True))), out

    def max_pool(self) -> None:
        window, positions = self.window(self.shape[1:])
        self.add(MaxPool, (self.shape[0], *positions), window=window)

    def flatten(self) -> None:
        self.add(Reshape, (int(np.prod(self.shape)),))

    def pad(self) -> None:
        before, after = (self.whole(0, 1, len(self.shape)) for _ in range(2))
        shape = np.array(self.shape) + before + after
        self.add(Pad, shape, before=tuple(map(int, before)), code=int(self.whole(0, 1)))

    def concat(self) -> None:
        dimension = int(self.whole(0, len(self.shape) - 1))
        shape = list(self.shape)
        shape[dimension] *= 2
        self.add(Concat, shape, self.last, dimension=dimension)

    def slice(self) -> None:
        dimension = int(self.whole(0, len(self.shape) - 1))
        start = int(self.whole(0, self.shape[dimension] - 1))
        shape = list(self.shape)
        shape[dimension] -= start
        self.add(Slice, shape, dimension=dimension, start=start)

    def affine(self) -> None:
        count = self.shape[0]
        factor, bias = (self.whole(-9, 9, count).astype(np.int32) for _ in range(2))
        inner = int(np.prod(self.shape[1:], dtype=int))
        self.add(Affine, self.shape, factor=factor, bias=bias, inner=inner, ending=self.thresholds(1, 4.0))

    def multiply(self) -> None:
        self.add(Multiply, self.shape, self.last, ending=self.thresholds(1, 1.0))

    def select(self) -> None:
        self.add(Select, self.shape, self.last, kind="maximum")

    def mean(self) -> None:
        """Append a mean of bits and thresholds of it."""
        window, positions = self.window(self.shape[1:])
        window = Window(**(vars(window) | {"dilation": (1,) * len(positions)}))
        spread = zip(self.shape[1:], window.before, window.after, window.size, window.stride, strict=True)
        positions = [(size + before + after - k) // stride + 1 for size, before, after, k, stride in spread]
        count = int(np.prod(window.size))
        ending = Requantize(multiplier=np.full(count, 2**30, np.int32), shift=np.full(count, 26, np.int32))
        self.add(AveragePool, (self.shape[0], *positions), window=window, ending=ending, coding=Codes(scale=0.1))
        self.affine()

    def net(self, *outputs: str) -> IntegerNet:
        names = {"inputs": ("x",), "outputs": outputs}
        return IntegerNet(name="R", **names, shapes=self.shapes, codings=self.codings, layers=tuple(self.layers))


def random_bit_net(seed: int, *, layers: int = 5) -> IntegerNet:
    """Return a net of random layers on bits with bits and sums as outputs.

    Args:
        seed: of all choices.
        layers: their number between the first and the last one.
    """
    builder = Builder(seed)
    (builder.conv if len(builder.shape) > 1 else builder.dense)()
    if seed % 4 == 0 and len(builder.shape) > 1:
        builder.flatten()
    for _ in range(layers):
        kinds = ["dense", "pad", "concat", "slice", "affine", "multiply", "select", "dense"]
        kinds += (
            ["conv", "conv", "max_pool", "max_pool", "max_pool", "flatten", "mean"]
            if len(builder.shape) > 1
            else ["dense"] * 3
        )
        getattr(builder, kinds[int(builder.whole(0, len(kinds) - 1))])()
        if np.prod(builder.shape) > 4000:
            builder.slice()
    middle = builder.last
    builder.dense(sums=True)
    return builder.net(middle, builder.last)
