"""Codings of all tensors of a net, with layers that take the function behind them as their ending."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from actlab.errors import ExportError
from actlab.export.integer.coding import Bits, Codes, Coding, Index
from actlab.export.integer.elementwise import Elementwise, clamp_of, on_points, pattern_of, two_values
from actlab.export.integer.lower import Lowered
from actlab.export.integer.ranges import Sample, codes_of, fit, joined, trim
from actlab.export.integer.settings import QuantizeSettings
from actlab.export.net.layers import (
    ArgMax,
    Arithmetic,
    Concat,
    Conv,
    Dense,
    Layer,
    Pad,
    Pool,
    Reshape,
    Scale,
    Slice,
    Softmax,
)

__all__ = ["PROBABILITIES", "Codings", "pad_code"]

MOST_FUNCTIONS = 64  # of a function with a number for each channel, to which a range is fitted
PROBABILITIES = Codes(scale=1 / 256, zero=-128)


class Codings:
    """Codings of the tensors of a net.

    Args:
        lowered: the net.
        samples: of all its tensors.
        settings: of the quantisation.
    """

    def __init__(self, lowered: Lowered, samples: Mapping[str, Sample], settings: QuantizeSettings) -> None:
        self.net, self.samples, self.settings = lowered.net, samples, settings
        self.makers = {layer.output: layer for layer in self.net.layers}
        self.readers: dict[str, list[Layer]] = {}
        for layer in self.net.layers:
            for name in dict.fromkeys(layer.inputs):
                self.readers.setdefault(name, []).append(layer)
        self._fixed: dict[str, Coding] = {}
        self._group: dict[str, str] = {name: name for name in self.net.shapes}
        self._found: dict[str, Codes] = {}
        for name in self.net.inputs:
            self._fix_input(name)
        for layer in self.net.layers:
            self._fix(layer)
        for layer in self.net.layers:
            self._tie(layer)

    def of(self, name: str) -> Coding:
        """Return the coding of a tensor."""
        if name in self._fixed:
            return self._fixed[name]
        group = self._root(name)
        if group not in self._found:
            self._found[group] = self._fitted(group)
        return self._found[group]

    def reader_function(self, name: str) -> Elementwise | None:
        """Return the function that alone reads a tensor; None where there is none, or the tensor is an output."""
        readers = self.readers.get(name, [])
        alone = len(readers) == 1 and name not in self.net.outputs
        return readers[0] if alone and isinstance(readers[0], Elementwise) else None

    def ending_of(self, layer: Layer) -> Elementwise | None:
        """Return the function that becomes part of the layer in front of it; None where it is a step of its own."""
        after = self.reader_function(layer.output)
        if after is None:
            return None
        count, inner = pattern_of(after.function, self.size(layer.output))
        if count > 1 and (count, inner) != self._channels(layer):
            return None
        if isinstance(layer, (Dense, Conv, Scale)) or self._is(layer, "multiply"):
            return after
        if isinstance(layer, Pool) and layer.kind == "average":
            return None if isinstance(self.of(after.output), Bits) else after
        is_sum = self._is(layer, "add") or self._is(layer, "subtract")
        return after if is_sum and self.clamp(after) is not None else None

    def clamp(self, function: Elementwise) -> tuple[float, float] | None:
        """Return the bounds of a function that is a clamp of what its input has been; None of others."""
        sample = self.samples[function.inputs[0]]
        if isinstance(self.of(function.output), Bits):
            return None
        return clamp_of(function.function, sample.low, sample.high, self.size(function.output))

    def before(self, function: Elementwise) -> Codes:
        """Return the coding of what a function reads and nobody else, fitted to its results."""
        sample = self.samples[function.inputs[0]]
        out = self.of(function.output)
        count, inner = pattern_of(function.function, self.size(function.output))

        def values(x: Any) -> Any:
            return on_points(function.function, x, count, inner)[:: max(count // MOST_FUNCTIONS, 1)]

        def codes(x: Any) -> Any:
            return codes_of(values(x), out) if isinstance(out, Codes) else values(x)

        def rounded(x: Any) -> Any:
            found = codes(x)
            return (found.astype(np.float64) - out.zero) * out.scale if isinstance(out, Codes) else found

        return fit(trim(sample, codes), self.settings, values, rounded)

    def size(self, name: str) -> int:
        """Return the number of elements of a tensor."""
        return int(np.prod(self.net.shapes[name], dtype=np.int64))

    @staticmethod
    def _is(layer: Layer, operation: str) -> bool:
        return isinstance(layer, Arithmetic) and layer.operation == operation

    def _channels(self, layer: Layer) -> tuple[int, int] | None:
        """Return count and inner of a number for each channel of a product."""
        shape = self.net.shapes[layer.output]
        if isinstance(layer, Conv):
            return shape[0], int(np.prod(shape[1:]))
        return (shape[-1], 1) if isinstance(layer, Dense) else None

    def _root(self, name: str) -> str:
        while self._group[name] != name:
            name = self._group[name]
        return name

    def _fix_input(self, name: str) -> None:
        scale, sample = self.settings.scale_of(name), self.samples[name]
        if scale is None:
            return
        zero = -128 if sample.low >= 0 and sample.high > 127.5 * scale else 0
        low, high = (-128 - zero) * scale, (127 - zero) * scale
        if sample.low < low - scale / 2 or sample.high > high + scale / 2:
            raise ExportError(
                f"input_scale={scale!r} codes numbers from {low:g} to {high:g}; {name} has some from {sample.low:g} to {sample.high:g}. "
                "Give a larger scale, or leave it out."
            )
        self._fixed[name] = Codes(scale=scale, zero=zero)

    def _fix(self, layer: Layer) -> None:
        """Give the output its coding where it does not follow from its values."""
        fixed = self._fixed
        if isinstance(layer, Softmax):
            fixed[layer.output] = PROBABILITIES
        elif isinstance(layer, ArgMax):
            fixed[layer.output] = Index()
        elif isinstance(layer, Elementwise):
            coding = _bits(two_values(layer.function, self.size(layer.output)))
            if coding is not None:
                fixed[layer.output] = coding
        elif self._is_wide(layer):
            fixed[layer.output] = Codes(scale=1.0, width=32)  # the layer's own, see the product
        elif layer.inputs[0] in fixed and self._follows(layer):
            fixed[layer.output] = fixed[layer.inputs[0]]

    def _follows(self, layer: Layer) -> bool:
        coding = self._fixed[layer.inputs[0]]
        if isinstance(layer, Pad):
            return pad_code(layer.value, coding) is not None
        if isinstance(layer, (Reshape, Slice)) or (isinstance(layer, Pool) and layer.kind == "max"):
            return True
        return isinstance(layer, Concat) and all(self._fixed.get(name) == coding for name in layer.inputs)

    def _is_wide(self, layer: Layer) -> bool:
        if not isinstance(layer, (Dense, Conv)):
            return False
        if any(not isinstance(each, ArgMax) for each in self.readers.get(layer.output, [])):
            return False
        width = self.settings.output_width
        return width == 32 or (width is None and isinstance(self._fixed.get(layer.inputs[0]), Bits))

    def _tie(self, layer: Layer) -> None:
        """Give tensors one coding that a layer does not change."""
        same = (Reshape, Slice, Pad, Concat)
        select = self._is(layer, "maximum") or self._is(layer, "minimum")
        if isinstance(layer, same) or select or (isinstance(layer, Pool) and layer.kind == "max"):
            for name in layer.inputs:
                if not {name, layer.output} & self._fixed.keys():
                    self._group[self._root(name)] = self._root(layer.output)

    def _fitted(self, group: str) -> Codes:
        members = [name for name in self.net.shapes if self._root(name) == group]
        sample = joined([self.samples[name] for name in members])
        for name in members:
            maker = self.makers.get(name)
            if isinstance(maker, Pad) and np.isfinite(maker.value):
                sample = joined([sample, Sample(low=maker.value, high=maker.value, values=np.array([maker.value]))])
        after = self.reader_function(members[0])
        if len(members) == 1 and after is not None:
            return self.before(after)
        return fit(sample, self.settings)


def pad_code(value: float, coding: Coding) -> int | None:
    """Return the code of a number that pads; None where bits have none."""
    if isinstance(coding, Bits):
        values = [coding.low * coding.scale, coding.scale]
        return values.index(value) if value in values else None
    assert isinstance(coding, Codes)  # noqa: S101 # an index is not padded
    return int(codes_of(np.float64(value), coding))


def _bits(values: tuple[float, float] | None) -> Bits | None:
    if values is None or values[1] <= 0 or values[0] not in {0.0, -values[1]}:
        return None
    return Bits(low=0 if values[0] == 0 else -1, scale=values[1])
