"""Nets whose steps are those of integer nets, with gated units as products of two tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from actlab.export.integer.elementwise import (
    SAME,
    Both,
    Chain,
    Elementwise,
    Formula,
    Function,
    Line,
    Reciprocal,
    clamp_of,
    halves,
    is_rising,
    numbers_of,
    over,
    two_values,
)
from actlab.export.net.evaluate import evaluate
from actlab.export.net.layers import (
    Activation,
    Arithmetic,
    Array,
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
from actlab.export.net.net import Net
from actlab.export.refusal import Refusal

__all__ = ["Lowered", "lower"]

LONGEST_SOFTMAX = 2**15


@dataclass(frozen=True, kw_only=True, eq=False)
class Lowered:
    """Net before its numbers become codes.

    Attributes:
        net: whose layers have :class:`~actlab.export.integer.elementwise.Elementwise` in place of activations.
        refusals: layers that no integer net can have.
        parts: of products whose outputs are read in slices, and which became several: layer of the float net and first output of each.
    """

    net: Net
    refusals: tuple[Refusal, ...]
    parts: Mapping[str, tuple[str, int]]

    def tensors(self, inputs: Sequence[Array]) -> dict[str, Any]:
        """Return all tensors of a batch by name, float32."""
        net = self.net
        found: dict[str, Any] = dict(zip(net.inputs, inputs, strict=True))
        for layer in net.layers:
            values, shape = [found[name] for name in layer.inputs], net.shapes[layer.output]
            if isinstance(layer, Elementwise):
                with np.errstate(all="ignore"):  # infinities are reported by name
                    found[layer.output] = np.asarray(over(layer.function, values[0], shape)).astype(np.float32)
            else:
                found[layer.output] = evaluate(layer, values, shape)
        return found


def lower(net: Net) -> Lowered:
    """Return a net of the steps of integer nets, with what it cannot have.

    Gated functions become a table of the gate and a product, functions of one tensor that follow each other become one, clamps and binary
    functions move in front of reshapes and maxima, so that the product before can take them, padding with zeros goes into convolutions, and
    a product whose outputs are read in slices becomes one for each slice, so that gate and value have ranges of their own.
    """
    lowering = _Lowering(net)
    for layer in net.layers:
        lowering.add(layer)
    layers: list[Layer] = lowering.layers
    parts: dict[str, tuple[str, int]] = {}
    found = _split(replace(net, layers=tuple(layers), shapes=lowering.shapes), parts)
    changed = True
    while changed:
        changed = False
        for step in (_joined, _gathered, _hoisted, _padded, _before_maxima, _signs_in_weights):
            after = step(found)
            if after is not None:
                found, changed = after, True
    kept = {name for layer in found.layers for name in (*layer.inputs, layer.output)} | {*net.inputs, *net.outputs}
    shapes = {name: shape for name, shape in found.shapes.items() if name in kept}
    return Lowered(net=replace(found, shapes=shapes), refusals=tuple(lowering.refusals), parts=parts)


class _Lowering:
    """Layers one by one, each as one or several steps."""

    def __init__(self, net: Net) -> None:
        self.layers: list[Layer] = []
        self.shapes = dict(net.shapes)
        self.refusals: list[Refusal] = []

    def add(self, layer: Layer) -> None:
        if isinstance(layer, Activation):
            self._activation(layer)
        elif isinstance(layer, Scale) and len(layer.scale.values) == len(layer.shift.values) == 1:
            line = Line(scale=layer.scale, shift=layer.shift)
            self._elementwise(layer, line, "scale")
        elif isinstance(layer, Arithmetic) and layer.operation == "divide":
            inverse = self._new(layer, "inverse", layer.inputs[1])
            self.layers.append(
                Elementwise(
                    name=layer.name,
                    inputs=(layer.inputs[1],),
                    output=inverse,
                    function=Reciprocal(),
                    made_from="inverse",
                )
            )
            self.layers.append(replace(layer, operation="multiply", inputs=(layer.inputs[0], inverse)))
        elif reason := self._obstacle(layer):
            self.refusals.append(Refusal(name=type(layer).__name__.lower(), place=layer.name, reason=reason))
            self.layers.append(layer)
        else:
            self.layers.append(layer)

    def _obstacle(self, layer: Layer) -> str | None:
        if not isinstance(layer, Softmax):
            return None
        if layer.log:
            return (
                "a logarithm of probabilities has no 8-bit codes; let the model return what goes into it, or the softmax without the "
                "logarithm: the largest class is the same."
            )
        if self.shapes[layer.inputs[0]][layer.dimension] > LONGEST_SOFTMAX:
            return f"its sum over more than {LONGEST_SOFTMAX} elements exceeds 32 bits."
        return None

    def _new(self, layer: Layer, suffix: str, like: str) -> str:
        name = f"{layer.output}_{suffix}"
        while name in self.shapes:
            name += "_"
        self.shapes[name] = self.shapes[like]
        return name

    def _elementwise(self, layer: Layer, function: Function, made_from: str) -> None:
        self.layers.append(
            Elementwise(
                name=layer.name, inputs=layer.inputs[:1], output=layer.output, function=function, made_from=made_from
            )
        )

    def _activation(self, layer: Activation) -> None:
        label = str(layer.spec)
        if layer.split is None and len(layer.inputs) == 1:
            self._elementwise(layer, Formula(spec=layer.spec, learned=layer.learned), label)
            return
        factors = halves(layer.spec, layer.learned)
        if factors is None:
            reason = "it is no product of a function of the gate and one of the value, which two tables could hold."
            self.refusals.append(Refusal(name=label, place=layer.name, reason=reason))
            factors = (SAME, SAME)  # type: ignore[assignment] # to look at the rest of the net
        names = []
        for index, (part, function) in enumerate(zip(("gate", "value"), factors or (), strict=True)):
            name = layer.inputs[index] if layer.split is None else self._sliced(layer, index, part)
            if function is not SAME:
                made = self._new(layer, f"{part}_table", layer.output)
                self.layers.append(
                    Elementwise(
                        name=layer.name, inputs=(name,), output=made, function=function, made_from=f"{part} of {label}"
                    )
                )
                name = made
            names.append(name)
        self.layers.append(
            Arithmetic(name=layer.name, inputs=(names[1], names[0]), output=layer.output, operation="multiply")
        )

    def _sliced(self, layer: Activation, index: int, part: str) -> str:
        assert layer.split is not None  # noqa: S101 # the caller asked
        name = self._new(layer, part, layer.output)
        is_first = (index == 0) == layer.gate_first
        start = 0 if is_first else self.shapes[layer.output][layer.split]
        self.layers.append(Slice(name=layer.name, inputs=layer.inputs, output=name, dimension=layer.split, start=start))
        return name


def _reads(net: Net) -> Counter[str]:
    """Return how often each tensor is read; an output is read once more."""
    return Counter([name for layer in net.layers for name in layer.inputs] + list(net.outputs))


def _replaced(net: Net, old: Sequence[Layer], new: Sequence[Layer]) -> Net:
    """Return a net with other layers at the place of the last of the old ones."""
    last = max(net.layers.index(layer) for layer in old)
    layers = [layer for layer in net.layers[: last + 1] if layer not in old]
    return replace(net, layers=(*layers, *new, *net.layers[last + 1 :]))


def _pairs(net: Net) -> Any:
    """Yield each layer with the one that alone makes its first input and is read by nobody else."""
    makers, reads = {layer.output: layer for layer in net.layers}, _reads(net)
    for layer in net.layers:
        before = makers.get(layer.inputs[0])
        if before is not None and reads[before.output] == 1:
            yield before, layer


def _split(net: Net, parts: dict[str, tuple[str, int]]) -> Net:
    """Return a net in which a product whose outputs are read in slices is one product for each slice.

    Args:
        net: with the products.
        parts: receives which product and which outputs each of the new ones is.
    """
    for layer in net.layers:
        readers = [each for each in net.layers if layer.output in each.inputs]
        if not isinstance(layer, (Dense, Conv)) or layer.output in net.outputs or not readers:
            continue
        axis = 0 if isinstance(layer, Conv) else len(net.shapes[layer.output]) - 1
        slices = [each for each in readers if isinstance(each, Slice) and each.dimension == axis]
        rows = sum(net.shapes[each.output][axis] for each in slices)
        is_grouped = isinstance(layer, Conv) and layer.groups > 1
        if len(slices) < len(readers) or len(slices) == 1 or rows > len(layer.bias) or is_grouped:
            continue
        made: dict[Layer, Layer] = {}
        for each in slices:
            taken = slice(each.start, each.start + net.shapes[each.output][axis])
            made[each] = replace(layer, output=each.output, weight=layer.weight[taken], bias=layer.bias[taken])
            parts[each.output] = layer.output, each.start
        layers = [made.get(each, each) for each in net.layers if each is not layer]
        return _split(replace(net, layers=tuple(layers)), parts)
    return net


def _joined(net: Net) -> Net | None:
    """Return a net in which two functions, one behind the other, are one."""
    for before, layer in _pairs(net):
        if isinstance(before, Elementwise) and isinstance(layer, Elementwise):
            function = Chain(first=before.function, then=layer.function)
            label = f"{before.made_from} {layer.made_from}"
            one = replace(layer, inputs=before.inputs, function=function, made_from=label)
            return _replaced(net, (before, layer), (one,))
    return None


def _gathered(net: Net) -> Net | None:
    """Return a net in which an operation of two functions of one tensor, such as ``x * sigmoid(x)``, is one function."""
    makers, reads = {layer.output: layer for layer in net.layers}, _reads(net)
    for layer in net.layers:
        if not isinstance(layer, Arithmetic) or net.shapes[layer.inputs[0]] != net.shapes[layer.inputs[1]]:
            continue
        sources: list[list[tuple[str, Function, Layer | None]]] = []
        for name in layer.inputs:
            maker = makers.get(name)
            sources.append([(name, SAME, None)])
            if isinstance(maker, Elementwise) and reads[name] == layer.inputs.count(name):
                sources[-1].append((maker.inputs[0], maker.function, maker))
        for (a, f, first), (b, g, second) in product(*sources):
            if a != b:
                continue
            old = [each for each in dict.fromkeys((first, second, layer)) if each is not None]
            labels = [each.made_from for each in old if isinstance(each, Elementwise)]
            one = Elementwise(
                name=layer.name,
                inputs=(a,),
                output=layer.output,
                function=Both(operation=layer.operation, a=f, b=g),
                made_from=" ".join([*labels, layer.operation]),
            )
            return _replaced(net, old, (one,))
    return None


def _hoisted(net: Net) -> Net | None:
    """Return a net in which a function is in front of a reshape, or a clamp or a binary function in front of a maximum."""
    for before, layer in _pairs(net):
        if not isinstance(layer, Elementwise) or not _exchanges(net, before, layer):
            continue
        shapes = dict(net.shapes)
        shapes[before.output] = net.shapes[before.inputs[0]]
        first = replace(layer, inputs=before.inputs, output=before.output)
        second = replace(before, inputs=(before.output,), output=layer.output)
        return _replaced(replace(net, shapes=shapes), (before, layer), (first, second))
    return None


def _exchanges(net: Net, before: Layer, layer: Elementwise) -> bool:
    if isinstance(before, Reshape):
        return before.inputs[0] not in net.inputs
    if not isinstance(before, Pool) or before.kind != "max" or before.inputs[0] in net.inputs:
        return False
    if any(len(each.values) > 1 for each in numbers_of(layer.function)) or not is_rising(layer.function, 1):
        return False
    return two_values(layer.function, 1) is not None or clamp_of(layer.function, -8.0, 8.0, 1) is not None


def _padded(net: Net) -> Net | None:
    """Return a net in which padding with zeros is part of the convolution behind it."""
    for before, layer in _pairs(net):
        if not isinstance(before, Pad) or not isinstance(layer, Conv) or before.value != 0:
            continue
        inside, outside = net.shapes[before.inputs[0]], net.shapes[before.output]
        behind = [b - a - front for a, b, front in zip(inside, outside, before.before, strict=True)]
        if before.before[0] or behind[0]:
            continue
        window = replace(
            layer.window,
            before=tuple(a + b for a, b in zip(layer.window.before, before.before[1:], strict=True)),
            after=tuple(a + b for a, b in zip(layer.window.after, behind[1:], strict=True)),
        )
        return _replaced(net, (before, layer), (replace(layer, inputs=before.inputs, window=window),))
    return None


def _before_maxima(net: Net) -> Net | None:
    """Return a net in which a binary function of scaled maxima is computed before them, so that sums need no codes.

    Where a factor is negative, the maximum is of the function's other value, and a scale behind it exchanges the two.
    """
    makers, reads = {layer.output: layer for layer in net.layers}, _reads(net)
    for scale, layer in _pairs(net):
        pool = makers.get(scale.inputs[0])
        if not isinstance(scale, Scale) or not isinstance(layer, Elementwise) or not isinstance(pool, Pool):
            continue
        if pool.kind != "max" or reads[pool.output] > 1 or pool.inputs[0] in net.inputs:
            continue
        values = two_values(layer.function, 1) if not numbers_of(layer.function) else None
        inner, new_inner = (net.size(each) // net.shapes[each][0] for each in (pool.output, pool.inputs[0]))
        numbers = (scale.scale, scale.shift)
        if values is None or not is_rising(layer.function, 1) or any(each.inner != inner for each in numbers):
            continue
        sign = np.where(scale.scale.values < 0, -1, 1).astype(np.float32)
        other = np.where(sign < 0, sum(values), 0).astype(np.float32)
        line, exchange = (
            Line(scale=replace(a, inner=new_inner), shift=replace(b, inner=new_inner))
            for a, b in (numbers, (Numbers(values=sign), Numbers(values=other)))
        )
        function = Chain(first=Chain(first=line, then=layer.function), then=exchange)
        shapes = dict(net.shapes)
        shapes[pool.output] = shapes[pool.inputs[0]]
        early = replace(layer, inputs=pool.inputs, output=pool.output, function=function)
        late = replace(pool, inputs=(pool.output,), output=scale.output)
        back = replace(scale, inputs=(scale.output,), output=layer.output)
        back = replace(back, scale=Numbers(values=sign, inner=inner), shift=Numbers(values=other, inner=inner))
        return _replaced(replace(net, shapes=shapes), (pool, scale, layer), (early, late, back))
    return None


def _signs_in_weights(net: Net) -> Net | None:
    """Return a net in which factors of -1 and 1 by input channel are part of the weights of the layer behind them."""
    for before, layer in _pairs(net):
        if not isinstance(before, Scale) or before.shift.values.any() or (np.abs(before.scale.values) != 1).any():
            continue
        factors = before.scale.over(net.shapes[before.output])
        if isinstance(layer, Reshape) and len(net.shapes[layer.output]) == 1:
            first = replace(layer, inputs=before.inputs, output=before.output)
            values = Numbers(values=factors.reshape(-1))
            zero = Numbers(values=np.zeros(1, np.float32))
            second = replace(before, inputs=(before.output,), output=layer.output, scale=values, shift=zero)
            shapes = dict(net.shapes) | {before.output: net.shapes[layer.output]}
            return _replaced(replace(net, shapes=shapes), (before, layer), (first, second))
        if isinstance(layer, Dense) and factors.ndim == 1:
            return _replaced(
                net, (before, layer), (replace(layer, inputs=before.inputs, weight=layer.weight * factors),)
            )
        by_channel = factors.reshape(len(factors), -1)
        if isinstance(layer, Conv) and layer.groups == 1 and (by_channel == by_channel[:, :1]).all():
            channels = by_channel[:, 0].reshape(1, -1, *([1] * (layer.weight.ndim - 2)))
            return _replaced(
                net, (before, layer), (replace(layer, inputs=before.inputs, weight=layer.weight * channels),)
            )
    return None
