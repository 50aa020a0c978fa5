"""Endings of sums in an integer net, with the function that is behind the sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from actlab.export.integer.coding import Bits, Codes
from actlab.export.integer.codings import Codings
from actlab.export.integer.elementwise import Elementwise, on_points, pattern_of
from actlab.export.integer.layers import Requantize, Threshold
from actlab.export.integer.ranges import codes_of
from actlab.export.integer.weights import multipliers, thresholds
from actlab.export.net.layers import Layer

__all__ = ["Endings"]


class Endings:
    """Endings of the layers of a net.

    Args:
        codings: of its tensors.
    """

    def __init__(self, codings: Codings) -> None:
        self._codings = codings

    def requantize(
        self, layer: Layer, function: Elementwise | None, scale: Any
    ) -> tuple[Requantize, Elementwise | None]:
        """Return the ending of sums, and the function that it takes in.

        Args:
            layer: that makes the sums.
            function: behind it; None of none. One with two values is not taken in.
            scale: what one step of a sum stands for, one number or one for each channel.
        """
        if function is None or isinstance(self._codings.of(function.output), Bits):
            out = self._codings.of(layer.output)
            assert isinstance(out, Codes)  # noqa: S101 # bits come from functions
            multiplier, shift = multipliers(np.asarray(scale) / out.scale)
            return Requantize(multiplier=multiplier, shift=shift, zero=out.zero), None
        out = self._codings.of(function.output)
        assert isinstance(out, Codes)  # noqa: S101 # as above
        clamp = self._codings.clamp(function)
        if clamp is not None:
            multiplier, shift = multipliers(np.asarray(scale) / out.scale)
            low, high = (int(codes_of(np.float64(each), out)) for each in clamp)
            return Requantize(multiplier=multiplier, shift=shift, zero=out.zero, low=low, high=high), function
        between = self._codings.before(function)
        multiplier, shift = multipliers(np.asarray(scale) / between.scale)
        table = self.table(function, between)
        return Requantize(multiplier=multiplier, shift=shift, zero=between.zero, table=table), function

    def table(self, function: Elementwise, coding: Codes) -> Any:
        """Return the codes, or bits, of a function for each code of its input: (256,), or (count, 256)."""
        out = self._codings.of(function.output)
        count, inner = pattern_of(function.function, self._codings.size(function.output))
        points = (np.arange(-128, 128) - coding.zero) * coding.scale
        values = on_points(function.function, points, count, inner)
        if isinstance(out, Bits):
            table: Any = values == out.scale
        else:
            assert isinstance(out, Codes)  # noqa: S101 # an argmax is no function
            table = codes_of(values, out)
        return table[0] if count == 1 else table

    def threshold(self, function: Elementwise, scale: Any, bias: Any, bound: Any) -> Threshold | None:
        """Return the ending from sums to bits; None where the function switches more than once.

        Args:
            function: with two values.
            scale: what one step of a sum stands for, of shape (channels,).
            bias: that is part of the function's input, but not of the sum, likewise.
            bound: largest magnitude of a sum, int64, likewise.
        """
        out = self._codings.of(function.output)
        assert isinstance(out, Bits)  # noqa: S101 # the caller asked
        count, inner = pattern_of(function.function, self._codings.size(function.output))
        scale, bias = (np.asarray(each, np.float64).reshape(-1, 1) for each in (scale, bias))

        def high(sums: Any) -> Any:
            x = sums * scale + bias
            points = x.reshape(1, -1) if count == 1 else x
            return on_points(function.function, points, count, inner).reshape(x.shape) == out.scale

        found = thresholds(high, bound)
        return None if found is None else Threshold(value=found[0], above=found[1])
