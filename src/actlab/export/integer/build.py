"""Layers of an integer net from those of a float net and the codings of its tensors."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import Any

import numpy as np

from actlab.export.integer import layers as whole
from actlab.export.integer.coding import Bits, Codes, Coding
from actlab.export.integer.codings import Codings, pad_code
from actlab.export.integer.elementwise import Elementwise, pattern_of
from actlab.export.integer.endings import Endings
from actlab.export.integer.evaluate import largest_value
from actlab.export.integer.net import IntegerNet
from actlab.export.integer.ranges import codes_of
from actlab.export.integer.weights import LARGEST_SUM, Rows, is_coarse, multipliers, quantize_rows
from actlab.export.net.layers import (
    ArgMax,
    Arithmetic,
    Concat,
    Conv,
    Dense,
    Layer,
    Numbers,
    Pad,
    Pool,
    Reshape,
    Scale,
    Slice,
    Softmax,
)

__all__ = ["Builder"]

WIDE = Codes(scale=1.0, width=32)
ONE = np.array([2], np.int32), np.array([1], np.int32)  # multiplier and shift that keep a sum as it is
LARGEST_FACTOR = 2**15  # of an affine layer
ROOM = 2.0**30 - 2**20  # for each of the two summands of an affine layer
LARGEST_SHARE = 2.0**21  # factors of a sum of two tensors


class Builder:
    """Builder of an integer net, layer by layer.

    Args:
        codings: of the tensors of a lowered net.
    """

    def __init__(self, codings: Codings) -> None:
        self.source, self.codings = codings.net, codings
        self.endings = Endings(codings)
        self.shapes = dict(codings.net.shapes)
        self.coded: dict[str, Coding] = {name: codings.of(name) for name in self.source.inputs}
        self.bounds: dict[str, int] = {}  # of the values of 32-bit codes
        self.layers: list[whole.IntegerLayer] = []
        self.taken: set[str] = set()  # functions that are endings
        self.recoded: dict[tuple[str, Coding], str] = {}

    def net(self) -> IntegerNet:
        """Return the net of the layers so far."""
        kept = {name for layer in self.layers for name in (*layer.inputs, layer.output)}
        kept |= {*self.source.inputs, *self.source.outputs}
        return IntegerNet(
            name=self.source.name,
            inputs=self.source.inputs,
            outputs=self.source.outputs,
            shapes={name: shape for name, shape in self.shapes.items() if name in kept},
            codings={name: coding for name, coding in self.coded.items() if name in kept},
            layers=tuple(self.layers),
        )

    def add_all(self) -> None:
        """Add all layers of the float net."""
        for layer in self.source.layers:
            if layer.output not in self.taken:
                self._add(layer)

    @singledispatchmethod
    def _add(self, layer: Any) -> None:
        raise TypeError(f"no integer form of {type(layer).__name__}")

    def _append(
        self, step: type[whole.IntegerLayer], like: Layer, inputs: tuple[str, ...], coding: Coding, /, **fields: Any
    ) -> None:
        """Add a layer; its name and output are those of the float layer unless given."""
        fields = {"name": like.name, "output": like.output, "made_from": _label(like)} | fields
        self.layers.append(step(inputs=inputs, **fields))
        self.coded[fields["output"]] = coding

    def _new(self, name: str, suffix: str) -> str:
        found = f"{name}_{suffix}"
        while found in self.shapes:
            found += "_"
        self.shapes[found] = self.shapes[name]
        return found

    def _as(self, name: str, coding: Coding) -> str:
        """Return the name of a tensor in another coding, which a layer makes where it has not that one."""
        found = self.coded[name]
        if found == coding:
            return name
        if (name, coding) not in self.recoded:
            assert isinstance(coding, Codes)  # noqa: S101 # bits are made by functions only
            output = self._new(name, "recoded")
            self.recoded[name, coding] = output
            like = Layer(name=name, inputs=(name,), output=output)
            if isinstance(found, Codes) and found.width == 8:
                table = codes_of((np.arange(-128, 128) - found.zero) * found.scale, coding)
                self._append(whole.Lookup, like, (name,), coding, table=table, made_from="recode")
            else:
                self._affine(
                    like, Numbers(values=np.ones(1, np.float32)), Numbers(values=np.zeros(1, np.float32)), coding
                )
        return self.recoded[name, coding]

    def _as_codes(self, name: str) -> str:
        """Return the name of a tensor as 8-bit codes."""
        found = self.coded[name]
        if isinstance(found, Codes) and found.width == 8:
            return name
        assert isinstance(found, Bits)  # noqa: S101 # nobody reads 32-bit codes but an argmax
        return self._as(name, Codes(scale=found.scale))

    # Products

    @_add.register
    def _(self, layer: Dense) -> None:
        self._product(layer, None, 1)

    @_add.register
    def _(self, layer: Conv) -> None:
        self._product(layer, layer.window, layer.groups)

    def _product(self, layer: Dense | Conv, window: Any, groups: int) -> None:
        name = layer.inputs[0]
        coding = self.coded[name]
        assert isinstance(coding, (Codes, Bits))  # noqa: S101 # an index is read by nobody
        rows = quantize_rows(layer.weight, layer.bias, coding.scale, largest_value(coding))
        function = self.codings.ending_of(layer)
        fields: dict[str, Any] = {"weight": rows.weight, "bias": rows.bias, "window": window, "groups": groups}
        if function is not None and isinstance(self.codings.of(function.output), Bits):
            ending = self.endings.threshold(function, rows.scale, layer.bias, rows.bound)
            if ending is not None:
                fields["bias"] = np.zeros_like(rows.bias)  # it is part of the threshold, without rounding
                self._append_ended(whole.Product, layer, (name,), function, ending, **fields)
                return
            function = None
        if isinstance(coding, Bits) and is_coarse(rows) and layer.bias.any():
            self._coarse_product(layer, rows, function, fields)
            return
        if self.codings.of(layer.output) == WIDE and function is None:
            self._wide_product(layer, rows, fields)
            return
        requantize, function = self.endings.requantize(layer, function, rows.scale)
        self._append_ended(whole.Product, layer, (name,), function, requantize, **fields)

    def _wide_product(self, layer: Dense | Conv, rows: Rows, fields: dict[str, Any]) -> None:
        """Add a product with 32-bit codes, so fine that no sum saturates."""
        top = np.maximum(rows.bound + np.abs(rows.bias.astype(np.int64)), 1)
        scale = float((rows.scale * top).max() / 2**30)
        multiplier, shift = multipliers(rows.scale / scale)
        ending = _wide(multiplier, shift)
        self.bounds[layer.output] = 2**30
        self._append(whole.Product, layer, layer.inputs, Codes(scale=scale, width=32), ending=ending, **fields)

    def _coarse_product(
        self, layer: Dense | Conv, rows: Rows, function: Elementwise | None, fields: dict[str, Any]
    ) -> None:
        """Add a product of bits with weights of -1, 0 and 1, whose sums have few steps, and scale and bias as a layer of its own."""
        sums = self._new(layer.output, "sums")
        self.bounds[sums] = int(rows.bound.max())
        fields["bias"] = np.zeros_like(rows.bias)
        ending = _wide(*ONE)
        self._append(whole.Product, layer, layer.inputs, WIDE, output=sums, ending=ending, **fields)
        shape = self.shapes[layer.output]
        inner = int(np.prod(shape[1:])) if isinstance(layer, Conv) else 1
        like = Scale(
            name=layer.name,
            inputs=(sums,),
            output=layer.output,
            scale=Numbers(values=rows.scale.astype(np.float32), inner=inner),
            shift=Numbers(values=layer.bias, inner=inner),
        )
        if function is not None and pattern_of(function.function, self.codings.size(layer.output))[0] > 1:
            function = None
        self._affine(like, like.scale, like.shift, None, function)

    def _append_ended(
        self,
        kind: type[whole.IntegerLayer],
        layer: Layer,
        inputs: tuple[str, ...],
        function: Elementwise | None,
        ending: whole.Ending,
        **fields: Any,
    ) -> None:
        """Add a layer whose ending takes in the function behind it."""
        if function is not None:
            self.taken.add(function.output)
            fields |= {"output": function.output, "made_from": f"{_label(layer)} {function.made_from}"}
        output = layer.output if function is None else function.output
        self._append(kind, layer, inputs, self.codings.of(output), ending=ending, **fields)

    # Layers with two tensors, or own factors

    @_add.register
    def _(self, layer: Scale) -> None:
        self._affine(layer, layer.scale, layer.shift, None, self.codings.ending_of(layer))

    def _affine(
        self,
        layer: Layer,
        scale: Numbers,
        shift: Numbers,
        coding: Codes | None,
        function: Elementwise | None = None,
    ) -> None:
        """Add a layer with own factors; ``coding`` is that of the output where it is not that of the float net's tensor."""
        name = layer.inputs[0]
        found = self.coded[name]
        assert isinstance(found, (Codes, Bits))  # noqa: S101 # an index is read by nobody
        factor, bias, inner = _together(scale, shift, self.codings.size(layer.output) if coding is None else 1)
        factor = factor * found.scale
        largest = self.bounds.get(name, largest_value(found))
        top = np.abs(factor).max()
        step = max(top / LARGEST_FACTOR, top * largest / ROOM, np.abs(bias).max() / ROOM, 1e-300)
        factors, summands = np.rint(factor / step), np.rint(bias / step)
        fields = {"factor": factors.astype(np.int32), "bias": summands.astype(np.int32), "inner": inner}
        if coding is not None:
            multiplier, by = multipliers(step / coding.scale)
            ending = whole.Requantize(multiplier=multiplier, shift=by, zero=coding.zero)
            self._append(whole.Affine, layer, (name,), coding, ending=ending, made_from="recode", **fields)
            return
        if function is not None and isinstance(self.codings.of(function.output), Bits):
            threshold = self.endings.threshold(function, [step], [0.0], np.array([LARGEST_SUM - 1]))
            if threshold is not None:
                self._append_ended(whole.Affine, layer, (name,), function, threshold, **fields)
                return
            function = None
        if self.codings.of(layer.output) == WIDE and function is None:
            wide = _wide(*ONE)
            self._append(whole.Affine, layer, (name,), Codes(scale=step, width=32), ending=wide, **fields)
            return
        requantize, function = self.endings.requantize(layer, function, step)
        self._append_ended(whole.Affine, layer, (name,), function, requantize, **fields)

    @_add.register
    def _(self, layer: Arithmetic) -> None:
        if layer.operation in {"maximum", "minimum"}:
            coding = self.codings.of(layer.output)
            inputs = tuple(self._as(name, coding) for name in layer.inputs)
            fields: dict[str, Any] = {"kind": layer.operation, "inner": layer.inner}
            self._append(whole.Select, layer, inputs, coding, **fields)
        elif layer.operation == "multiply":
            self._multiply(layer)
        else:
            self._combine(layer)

    def _scales(self, layer: Layer) -> list[float]:
        found = [self.coded[name] for name in layer.inputs]
        return [each.scale for each in found if isinstance(each, (Codes, Bits))]

    def _multiply(self, layer: Arithmetic) -> None:
        scale, function = float(np.prod(self._scales(layer))), self.codings.ending_of(layer)
        if function is not None and isinstance(self.codings.of(function.output), Bits):
            threshold = self.endings.threshold(function, [scale], [0.0], np.array([2**16]))
            if threshold is not None:
                self._append_ended(whole.Multiply, layer, layer.inputs, function, threshold, inner=layer.inner)
                return
            function = None
        ending, function = self.endings.requantize(layer, function, scale)
        self._append_ended(whole.Multiply, layer, layer.inputs, function, ending, inner=layer.inner)

    def _combine(self, layer: Arithmetic) -> None:
        function = self.codings.ending_of(layer)
        out = self.codings.of(layer.output if function is None else function.output)
        assert isinstance(out, Codes)  # noqa: S101 # bits come from functions
        sign = -1 if layer.operation == "subtract" else 1
        ratios = np.array(self._scales(layer)) / out.scale * [1, sign]
        shift = int(np.clip(np.floor(np.log2(LARGEST_SHARE / np.abs(ratios).max())), 1, 30))
        factors = np.clip(np.rint(ratios * 2.0**shift), -LARGEST_SHARE, LARGEST_SHARE)
        fields: dict[str, Any] = {"zero": out.zero, "shift": shift, "inner": layer.inner}
        fields["factors"] = tuple(int(each) for each in factors)
        if function is not None:
            clamp = self.codings.clamp(function)
            assert clamp is not None  # noqa: S101 # others are no ending of a sum
            fields |= dict(zip(("low", "high"), (int(codes_of(np.float64(each), out)) for each in clamp), strict=True))
            self.taken.add(function.output)
            fields |= {"output": function.output, "made_from": f"{_label(layer)} {function.made_from}"}
        self._append(whole.Combine, layer, layer.inputs, out, **fields)

    # One tensor

    @_add.register
    def _(self, layer: Elementwise) -> None:
        name = self._as_codes(layer.inputs[0])
        found = self.coded[name]
        assert isinstance(found, Codes)  # noqa: S101 # made so
        inner = pattern_of(layer.function, self.codings.size(layer.output))[1]
        out, table = self.codings.of(layer.output), self.endings.table(layer, found)
        self._append(whole.Lookup, layer, (name,), out, table=table, inner=inner)

    @_add.register
    def _(self, layer: Pool) -> None:
        name = layer.inputs[0]
        found = self.coded[name]
        if layer.kind == "max":
            self._append(whole.MaxPool, layer, (name,), found, window=layer.window)
            return
        assert isinstance(found, (Codes, Bits))  # noqa: S101 # an index is read by nobody
        divisors = np.arange(1, int(np.prod(layer.window.size)) + 1)
        ending, function = self.endings.requantize(layer, self.codings.ending_of(layer), found.scale / divisors)
        fields = {"window": layer.window, "counts_padding": layer.counts_padding}
        self._append_ended(whole.AveragePool, layer, (name,), function, ending, **fields)

    @_add.register
    def _(self, layer: Reshape) -> None:
        self._append(whole.Reshape, layer, layer.inputs, self.coded[layer.inputs[0]])

    @_add.register
    def _(self, layer: Slice) -> None:
        coding = self.coded[layer.inputs[0]]
        self._append(whole.Slice, layer, layer.inputs, coding, dimension=layer.dimension, start=layer.start)

    @_add.register
    def _(self, layer: Concat) -> None:
        coding = self.codings.of(layer.output)
        inputs = tuple(self._as(name, coding) for name in layer.inputs)
        self._append(whole.Concat, layer, inputs, coding, dimension=layer.dimension)

    @_add.register
    def _(self, layer: Pad) -> None:
        coding = self.codings.of(layer.output)
        name = self._as(layer.inputs[0], coding)
        self._append(whole.Pad, layer, (name,), coding, before=layer.before, code=pad_code(layer.value, coding))

    @_add.register
    def _(self, layer: Softmax) -> None:
        name = self._as_codes(layer.inputs[0])
        found = self.coded[name]
        assert isinstance(found, Codes)  # noqa: S101 # made so
        table = np.rint(2**16 * np.exp(-np.arange(256) * found.scale)).astype(np.int32)
        coding = self.codings.of(layer.output)
        self._append(whole.Softmax, layer, (name,), coding, dimension=layer.dimension, table=table)

    @_add.register
    def _(self, layer: ArgMax) -> None:
        coding = self.codings.of(layer.output)
        self._append(whole.ArgMax, layer, layer.inputs, coding, dimension=layer.dimension)


def _wide(multiplier: Any, shift: Any) -> whole.Requantize:
    """Return the ending to 32-bit codes."""
    return whole.Requantize(multiplier=multiplier, shift=shift, low=-(2**31), high=2**31 - 1)


def _label(layer: Layer) -> str:
    if isinstance(layer, Elementwise):
        return layer.made_from
    if isinstance(layer, Pool):
        return f"{layer.kind} pool"
    if isinstance(layer, Arithmetic):
        return layer.operation
    return {"Conv": "convolution", "ArgMax": "argmax"}.get(type(layer).__name__, type(layer).__name__.lower())


def _together(scale: Numbers, shift: Numbers, size: int) -> tuple[Any, Any, int]:
    """Return factors and summands that are repeated alike, float64, and how many neighbours share one."""
    patterns = {(len(each.values), each.inner) for each in (scale, shift) if len(each.values) > 1}
    count, inner = patterns.pop() if len(patterns) == 1 else (size, 1) if patterns else (1, 1)
    elements = np.arange(count) * inner
    factor, summand = (
        each.values[elements // each.inner % len(each.values)].astype(np.float64) for each in (scale, shift)
    )
    return factor, summand, inner
