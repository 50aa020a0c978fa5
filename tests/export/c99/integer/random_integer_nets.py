"""Random nets in integer arithmetic, of all layers on codes that C kernels exist for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from actlab.export.integer.coding import Codes, Index
from actlab.export.integer.layers import (
    Affine,
    ArgMax,
    AveragePool,
    Combine,
    Concat,
    IntegerLayer,
    Lookup,
    MaxPool,
    Multiply,
    Pad,
    Product,
    Requantize,
    Reshape,
    Select,
    Slice,
    Softmax,
)
from actlab.export.integer.net import IntegerNet
from actlab.export.net.layers import Window

SHAPES = [(1, 9, 7), (3, 6, 8), (5, 8, 5), (8, 4, 4), (6, 11), (33, 5), (7,), (41,), (3, 10)]


class Builder:
    """A net that grows by random layers.

    Args:
        seed: of all choices.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        shape = SHAPES[seed % len(SHAPES)]
        self.shapes: dict[str, tuple[int, ...]] = {"x": shape}
        self.codings: dict[str, Any] = {"x": self.codes()}
        self.layers: list[IntegerLayer] = []
        self.last = "x"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shapes[self.last]

    def whole(self, low: int, high: int, size: Any = None) -> Any:
        return self.random.integers(low, high + 1, size)

    def codes(self) -> Codes:
        return Codes(scale=float(self.random.uniform(0.01, 1)), zero=int(self.whole(-128, 127)))

    def ending(self, count: int, bound: float, *, tables: int = 1) -> Requantize:
        """Return an ending that takes sums up to a bound to all codes, with small and large shifts."""
        spread = self.random.uniform(0.3, 3, count) * 128 / bound
        shift = np.minimum(30 - np.floor(np.log2(spread)).astype(int), 62)
        if self.random.random() < 0.2:
            shift = np.maximum(shift - self.whole(0, 28), 1)
        multiplier = np.clip(np.round(spread * 2.0**shift), 0, 2**31 - 1).astype(np.int32)
        low, high = sorted(self.whole(-128, 127, 2)) if self.random.random() < 0.3 else (-128, 127)
        is_table = tables and self.random.random() < 0.5
        table = self.whole(-128, 127, (256,) if tables == 1 else (tables, 256)).astype(np.int8) if is_table else None
        return Requantize(
            multiplier=multiplier,
            shift=shift.astype(np.int32),
            zero=int(self.whole(-128, 127)),
            low=int(low),
            high=int(high),
            table=table,
        )

    def add(self, layer: Callable[..., IntegerLayer], shape: tuple[int, ...], *others: str, **settings: Any) -> None:
        name = f"t{len(self.layers)}"
        coding = settings.pop("coding", None) or self.codes()
        self.layers.append(layer(name=name, inputs=(self.last, *others), output=name, **settings))
        self.shapes[name], self.codings[name], self.last = tuple(map(int, shape)), coding, name

    def window(self, largest: int = 3) -> tuple[Window, tuple[int, ...]]:
        """Return a window over the positions of the last tensor, and the positions of its output."""
        while True:
            spatial = self.shape[1:]
            size = self.whole(1, largest, len(spatial))
            stride, dilation = self.whole(1, 2, len(spatial)), self.whole(1, 2, len(spatial))
            before, after = (np.minimum(self.whole(0, 2, len(spatial)), size - 1) for _ in range(2))
            out = (np.array(spatial) + before + after - dilation * (size - 1) - 1) // stride + 1
            if (out > 0).all():
                parts = (tuple(map(int, each)) for each in (size, stride, before, after, dilation))
                return Window(**dict(zip(("size", "stride", "before", "after", "dilation"), parts, strict=True))), out

    def product(self) -> None:
        inputs = self.shape[-1]
        out = int(self.whole(1, 40))
        weight = self.whole(-127, 127, (out, inputs)).astype(np.int8)
        self._product((*self.shape[:-1], out), weight, window=None, groups=1)

    def conv(self) -> None:
        channels = self.shape[0]
        groups = int(self.random.choice([g for g in {1, channels, 2, 3} if channels % g == 0]))
        out = groups * int(self.whole(1, 3 if groups > 1 else 11))
        window, positions = self.window()
        weight = self.whole(-127, 127, (out, channels // groups, *window.size)).astype(np.int8)
        self._product((out, *positions), weight, window=window, groups=groups)

    def _product(self, shape: tuple[int, ...], weight: Any, **settings: Any) -> None:
        out = len(weight)
        bias = self.whole(-20000, 20000, out).astype(np.int32)
        bound = 20000 + 64 * 128 * weight[0].size ** 0.5
        tables = int(self.random.choice([1, out]))
        ending = self.ending(int(self.random.choice([1, out])), bound, tables=tables)
        self.add(Product, shape, weight=weight, bias=bias, ending=ending, **settings)

    def repeated(self) -> tuple[int, int]:
        """Return a count of numbers and how many neighbours share one: one for all, by channel, by element, or by column."""
        size, channels = int(np.prod(self.shape)), self.shape[0]
        return [(1, 1), (channels, size // channels), (size, 1), (self.shape[-1], 1)][int(self.whole(0, 3))]

    def lookup(self) -> None:
        count, inner = self.repeated()
        table = self.whole(-128, 127, (count, 256) if count > 1 else 256).astype(np.int8)
        self.add(Lookup, self.shape, table=table, inner=inner)

    def affine(self) -> None:
        count, inner = self.repeated()
        factor, bias = self.whole(-(2**15), 2**15, count), self.whole(-(2**20), 2**20, count)
        ending = self.ending(1, 2**21)
        self.add(
            Affine, self.shape, factor=factor.astype(np.int32), bias=bias.astype(np.int32), inner=inner, ending=ending
        )

    def other(self) -> tuple[str, int]:
        """Return another tensor that broadcasts to the last one, and how many neighbours share an element."""
        size, channels = int(np.prod(self.shape)), self.shape[0]
        shared = [(name, 1) for name, shape in self.shapes.items() if shape == self.shape]
        shared += [(name, 1) for name, shape in self.shapes.items() if shape == (self.shape[-1],)]
        by_channel = {(channels,), (channels, *(1 for _ in self.shape[1:]))}
        shared += [(name, size // channels) for name, shape in self.shapes.items() if shape in by_channel]
        return shared[int(self.whole(0, len(shared) - 1))]

    def combine(self) -> None:
        other, inner = self.other()
        factors = tuple(map(int, self.whole(-(2**21), 2**21, 2)))
        numbers = {"shift": int(self.whole(20, 22)), "zero": int(self.whole(-128, 127))}
        self.add(Combine, self.shape, other, factors=factors, inner=inner, **numbers)

    def multiply(self) -> None:
        other, inner = self.other()
        self.add(Multiply, self.shape, other, ending=self.ending(1, 2**13), inner=inner)

    def select(self) -> None:
        other, inner = self.other()
        coding = self.codings[self.last]
        self.add(
            Select, self.shape, other, kind=str(self.random.choice(["maximum", "minimum"])), inner=inner, coding=coding
        )

    def max_pool(self) -> None:
        window, positions = self.window()
        self.add(MaxPool, (self.shape[0], *positions), window=window, coding=self.codings[self.last])

    def average_pool(self) -> None:
        window, positions = self.window()
        window = Window(**(vars(window) | {"dilation": (1,) * len(positions)}))
        spread = zip(self.shape[1:], window.before, window.after, window.size, window.stride, strict=True)
        positions = [(size + before + after - k) // stride + 1 for size, before, after, k, stride in spread]
        ending = self.ending(int(np.prod(window.size)), 128)
        counts = bool(self.whole(0, 1))
        self.add(AveragePool, (self.shape[0], *positions), window=window, ending=ending, counts_padding=counts)

    def reshape(self) -> None:
        size = int(np.prod(self.shape))
        shapes = [(size,), *(s for s in self.shapes.values() if np.prod(s) == size), self.shape[::-1]]
        self.add(Reshape, shapes[int(self.whole(0, len(shapes) - 1))], coding=self.codings[self.last])

    def slice(self) -> None:
        dimension = int(self.whole(0, len(self.shape) - 1))
        start = int(self.whole(0, self.shape[dimension] - 1))
        end = int(self.whole(start + 1, self.shape[dimension]))
        shape = (*self.shape[:dimension], end - start, *self.shape[dimension + 1 :])
        self.add(Slice, shape, dimension=dimension, start=start, coding=self.codings[self.last])

    def concat(self) -> None:
        dimension = int(self.whole(0, len(self.shape) - 1))

        def fits(shape: tuple[int, ...]) -> bool:
            rest = [s[:dimension] + s[dimension + 1 :] for s in (shape, self.shape)]
            return len(shape) == len(self.shape) and rest[0] == rest[1]

        names = [name for name, shape in self.shapes.items() if fits(shape)]
        other = str(self.random.choice(names))
        size = self.shape[dimension] + self.shapes[other][dimension]
        shape = (*self.shape[:dimension], size, *self.shape[dimension + 1 :])
        self.add(Concat, shape, other, dimension=dimension, coding=self.codings[self.last])

    def pad(self) -> None:
        before, after = (self.whole(0, 2, len(self.shape)) for _ in range(2))
        shape = np.array(self.shape) + before + after
        code = int(self.whole(-128, 127))
        self.add(Pad, shape, before=tuple(map(int, before)), code=code, coding=self.codings[self.last])

    def softmax(self) -> None:
        table = np.round(2**16 * np.exp(-np.arange(256) * self.random.uniform(0.001, 0.5))).astype(np.int32)
        dimension = int(self.whole(0, len(self.shape) - 1))
        self.add(Softmax, self.shape, dimension=dimension, table=table)

    def argmax(self) -> None:
        dimension = int(self.whole(0, len(self.shape) - 1))
        shape = self.shape[:dimension] + self.shape[dimension + 1 :]
        self.add(ArgMax, shape, dimension=dimension, coding=Index())

    def long_product(self) -> None:
        """Append a dense layer to 32-bit codes."""
        out = int(self.whole(1, 9))
        weight = self.whole(-127, 127, (out, self.shape[-1])).astype(np.int8)
        multiplier = self.whole(2**30, 2**31 - 1, out).astype(np.int32)
        ending = Requantize(
            multiplier=multiplier, shift=self.whole(28, 36, out).astype(np.int32), low=-(2**31), high=2**31 - 1
        )
        bias = self.whole(-20000, 20000, out).astype(np.int32)
        coding = Codes(scale=0.001, zero=0, width=32)
        self.add(Product, (*self.shape[:-1], out), weight=weight, bias=bias, ending=ending, coding=coding)

    def net(self, *outputs: str) -> IntegerNet:
        return IntegerNet(
            name="Random",
            inputs=("x",),
            outputs=outputs or (self.last,),
            shapes=self.shapes,
            codings=self.codings,
            layers=tuple(self.layers),
        )


SPATIAL = ["conv", "conv", "conv", "max_pool", "average_pool"]
ANY = ["lookup", "affine", "combine", "multiply", "select", "reshape", "slice", "concat", "pad", "softmax", "product"]
LAST = ["argmax", "long_product", "softmax", "product"]


def random_integer_net(seed: int, *, layers: int = 7) -> IntegerNet:
    """Return a net of random layers with a second output in its middle.

    Args:
        seed: of all choices.
        layers: their number before the last one.
    """
    builder, outputs = Builder(seed), []
    for step in range(layers):
        kinds = ANY + (SPATIAL if len(builder.shape) > 1 else ["product"] * 3)
        getattr(builder, kinds[int(builder.whole(0, len(kinds) - 1))])()
        if step == layers // 2:
            outputs.append(builder.last)
    getattr(builder, LAST[int(builder.whole(0, len(LAST) - 1))])()
    return builder.net(*outputs, builder.last)


def random_convolutions(seed: int) -> IntegerNet:
    """Return a net that is a row of convolutions and a pool, each of which is an output."""
    builder, outputs = Builder(seed), []
    for kind in ("conv", "conv", "max_pool", "conv", "average_pool"):
        getattr(builder, kind)()
        outputs.append(builder.last)
    return builder.net(*outputs)
