"""Simpler equal nets, with norms folded into layers and gated functions that read halves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from actlab.export.net.layers import Activation, Conv, Dense, Layer, Numbers, Pool, Scale, Slice
from actlab.export.net.net import Net

__all__ = ["fold"]


def fold(net: Net) -> Net:
    """Return a net with fewer layers that computes the same, up to rounding.

    Scales behind a dense layer or a convolution are multiplied into its weights, in float64; slices of which a gated function alone reads
    both halves become its :attr:`~actlab.export.net.layers.Activation.split`; layers whose output nobody reads are left out. Scales with
    positive factors behind a maximum are multiplied into the layer in front of it.
    """
    layers = _used(net, net.layers)
    for step in (_with_scales, _through_maxima, _with_halves):
        layers = _used(net, step(net, layers))
    kept = {name for layer in layers for name in (*layer.inputs, layer.output)} | {*net.inputs, *net.outputs}
    return replace(net, layers=tuple(layers), shapes={name: net.shapes[name] for name in net.shapes if name in kept})


def _used(net: Net, layers: Sequence[Layer]) -> list[Layer]:
    wanted, kept = set(net.outputs), []
    for layer in reversed(layers):
        if layer.output in wanted:
            kept.append(layer)
            wanted.update(layer.inputs)
    return kept[::-1]


def _reads(net: Net, layers: Sequence[Layer]) -> Counter[str]:
    """Return how often each tensor is read; an output is read once more."""
    return Counter([name for layer in layers for name in layer.inputs] + list(net.outputs))


def _through_maxima(net: Net, layers: Sequence[Layer]) -> list[Layer]:
    """Multiply scales behind a maximum into the layer before it, where they keep the order of its numbers."""
    reads, found = _reads(net, layers), list(layers)
    for index in range(len(layers) - 2):
        before, pool, scale = found[index : index + 3]
        if not isinstance(pool, Pool) or pool.kind != "max" or not isinstance(scale, Scale):
            continue
        is_chain = pool.inputs[0] == before.output and scale.inputs[0] == pool.output
        if not is_chain or max(reads[before.output], reads[pool.output]) > 1 or not (scale.scale.values > 0).all():
            continue
        sizes = [net.size(tensor) // net.shapes[tensor][0] for tensor in (pool.output, before.output)]
        factors, summands = (_of_channels(each, *sizes) for each in (scale.scale, scale.shift))
        if factors is None or summands is None:
            continue
        merged = _merged(net, before, replace(scale, output=before.output, scale=factors, shift=summands))
        if merged is not None:
            found[index : index + 3] = [merged, replace(pool, output=scale.output), _NOTHING]
    return [layer for layer in found if layer is not _NOTHING]


_NOTHING = Layer(name="", inputs=("",), output="")


def _of_channels(numbers: Numbers, pixels: int, new_pixels: int) -> Numbers | None:
    """Return the numbers of channels for another number of pixels; None where pixels of a channel differ."""
    if len(numbers.values) == 1:
        return numbers
    return replace(numbers, inner=new_pixels) if numbers.inner == pixels else None


def _with_scales(net: Net, layers: Sequence[Layer]) -> list[Layer]:
    reads, found = _reads(net, layers), dict[str, Layer]()
    for layer in layers:
        before = found.get(layer.inputs[0])
        if isinstance(layer, Scale) and before is not None and reads[layer.inputs[0]] == 1:
            merged = _merged(net, before, layer)
            if merged is not None:
                del found[before.output]
                found[merged.output] = merged
                continue
        found[layer.output] = layer
    return list(found.values())


def _merged(net: Net, before: Layer, scale: Scale) -> Layer | None:
    """Return one layer for two; None where the scale differs within an output channel."""
    if not isinstance(before, (Conv, Dense)):
        return None
    shape = net.shapes[scale.output]
    axis = 0 if isinstance(before, Conv) else len(shape) - 1
    factor, shift = (_by_channel(numbers.over(shape), axis) for numbers in (scale.scale, scale.shift))
    if factor is None or shift is None:
        return None
    weight = before.weight.astype(np.float64) * factor.reshape(-1, *([1] * (before.weight.ndim - 1)))
    bias = before.bias.astype(np.float64) * factor + shift
    return replace(before, weight=weight.astype(np.float32), bias=bias.astype(np.float32), output=scale.output)


def _by_channel(numbers: np.ndarray, axis: int) -> np.ndarray | None:
    """Return the number of each channel; None where it is not the same over a channel."""
    flat = np.moveaxis(numbers, axis, 0).reshape(numbers.shape[axis], -1).astype(np.float64)
    return flat[:, 0] if (flat == flat[:, :1]).all() else None


def _with_halves(net: Net, layers: Sequence[Layer]) -> list[Layer]:
    reads = _reads(net, layers)
    makers = {layer.output: layer for layer in layers}

    def whole(layer: Layer) -> Layer:
        if not isinstance(layer, Activation) or len(layer.inputs) != 2:
            return layer
        gate, value = (makers.get(name) for name in layer.inputs)
        if not isinstance(gate, Slice) or not isinstance(value, Slice) or gate is value:
            return layer
        half = net.shapes[gate.output][gate.dimension]
        is_half = (
            gate.inputs == value.inputs
            and gate.dimension == value.dimension
            and {gate.start, value.start} == {0, half}
            and net.shapes[gate.inputs[0]][gate.dimension] == 2 * half
        )
        if not is_half or max(reads[gate.output], reads[value.output]) > 1:
            return layer
        return replace(layer, inputs=gate.inputs, split=gate.dimension, gate_first=gate.start == 0)

    return [whole(layer) for layer in layers]
