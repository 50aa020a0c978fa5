"""Float net in torch whose tensors and weights are rounded as in the integer net, for training."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatchmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actlab.codegen import pytorch
from actlab.export.integer.coding import Bits, Codes
from actlab.export.integer.codings import Codings
from actlab.export.integer.elementwise import (
    Both,
    Chain,
    Elementwise,
    Formula,
    Function,
    Half,
    Line,
    Reciprocal,
    Same,
    numbers_of,
)
from actlab.export.net.evaluate import divisors
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
    Window,
)
from actlab.functions.parameter import Learned
from actlab.functions.spec import Spec
from actlab.nn.layers.binary import binary_values
from actlab.nn.layers.layer import layer as activation_layer

__all__ = ["FakeNet"]

OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "divide": torch.div,
}


class FakeNet(nn.Module):
    """A lowered net that rounds every tensor and weight where the integer net has codes.

    Args:
        codings: of the net's tensors.
        rounding: gradient rule of rounding, of the position in the range from -1 to 1.
        steps: gradient rule of activations with two values.
    """

    def __init__(self, codings: Codings, rounding: str, steps: str) -> None:
        super().__init__()
        self.codings, self.source = codings, codings.net
        self.rule = activation_layer(f"sign/{rounding}")
        self.steps = steps
        self.weights, self.biases = nn.ParameterDict(), nn.ParameterDict()
        self.layers: dict[Spec, Callable[..., Tensor]] = {}
        self.rounded: dict[str, Codes] = {}
        self.initial: dict[str, Any] = {}  # weights before the training
        for layer in self.source.layers:
            if isinstance(layer, (Dense, Conv)):
                self.initial[layer.output] = layer.weight
                self.weights[layer.output] = nn.Parameter(torch.from_numpy(layer.weight.copy()))
                self.biases[layer.output] = nn.Parameter(torch.from_numpy(layer.bias.copy()))
            coding = self._coding(layer)
            if coding is not None:
                self.rounded[layer.output] = coding

    def _coding(self, layer: Layer) -> Codes | None:
        """Return the coding to which the output of a layer is rounded; None where it is exact, or rounded later."""
        same = isinstance(layer, (Reshape, Slice, Concat, Pad)) or (isinstance(layer, Pool) and layer.kind == "max")
        after = self.codings.ending_of(layer)
        if after is not None and (
            isinstance(self.codings.of(after.output), Bits) or self.codings.clamp(after) is not None
        ):
            return None
        coding = self.codings.of(layer.output) if after is None else self.codings.before(after)
        return coding if isinstance(coding, Codes) and coding.width == 8 and not same else None

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs: float tensors of shape (batch, ...)."""
        found = dict(zip(self.source.inputs, inputs, strict=True))
        for name in self.source.inputs:
            given = self.codings.of(name)
            if isinstance(given, Codes):
                found[name] = self._round(found[name], given)
        for layer in self.source.layers:
            y = self._run(layer, *(found[name] for name in layer.inputs))
            coding = self.rounded.get(layer.output)
            found[layer.output] = y if coding is None else self._round(y, coding)
        return tuple(found[name] for name in self.source.outputs)

    def _round(self, x: Tensor, coding: Codes) -> Tensor:
        """Return the nearest numbers that have a code, with the gradient of the rule."""
        low, high = (-128 - coding.zero) * coding.scale, (127 - coding.zero) * coding.scale
        codes = torch.clamp(torch.round(x.detach().nan_to_num() / coding.scale) + coding.zero, -128, 127)
        half = max((high - low) / 2, 1e-30)
        through: Tensor = self.rule((x - (high + low) / 2) / half)
        result: Tensor = (codes - coding.zero) * coding.scale + half * (through - through.detach())
        return result

    def _weight(self, name: str) -> Tensor:
        weight: Tensor = self.weights[name]
        flat = weight.detach().abs().flatten(1)
        top = flat.amax(1).clamp_min(1e-30).view(-1, *[1] * (weight.dim() - 1))
        rounded: Tensor = torch.round(weight.detach() / top * 127) * top / 127
        return weight + (rounded - weight.detach())

    def _spread(self, numbers: Numbers, shape: tuple[int, ...]) -> Any:
        if len(numbers.values) == 1:
            return float(numbers.values[0])
        return torch.from_numpy(numbers.over(shape))

    @singledispatchmethod
    def _run(self, layer: Any, *_inputs: Tensor) -> Tensor:
        raise TypeError(f"no layer {type(layer).__name__}")

    @_run.register
    def _(self, layer: Dense, x: Tensor) -> Tensor:
        return F.linear(x, self._weight(layer.output), self.biases[layer.output])

    @_run.register
    def _(self, layer: Conv, x: Tensor) -> Tensor:
        window = layer.window
        padded = _padded(x, window, self.source.shapes[layer.output][1:], 0.0)
        conv = F.conv1d if len(window.size) == 1 else F.conv2d
        weight, bias = self._weight(layer.output), self.biases[layer.output]
        return conv(padded, weight, bias, window.stride, 0, window.dilation, layer.groups)

    @_run.register
    def _(self, layer: Pool, x: Tensor) -> Tensor:
        window, out = layer.window, self.source.shapes[layer.output][1:]
        is_flat = len(window.size) == 1
        if layer.kind == "max":
            highest = F.max_pool1d if is_flat else F.max_pool2d
            result: Tensor = highest(
                _padded(x, window, out, -torch.inf), window.size, window.stride, 0, window.dilation
            )
            return result
        mean: Any = F.avg_pool1d if is_flat else F.avg_pool2d
        means = mean(_padded(x, window, out, 0.0), window.size, window.stride)
        counts = divisors(layer, x.shape[2:], out).astype(np.float32)
        scaled: Tensor = means * float(np.prod(window.size)) / torch.from_numpy(counts)
        return scaled

    @_run.register
    def _(self, layer: Elementwise, x: Tensor) -> Tensor:
        return self._apply_function(layer.function, x, self.source.shapes[layer.output])

    @_run.register
    def _(self, layer: Scale, x: Tensor) -> Tensor:
        shape = self.source.shapes[layer.output]
        result: Tensor = x * self._spread(layer.scale, shape) + self._spread(layer.shift, shape)
        return result

    @_run.register
    def _(self, layer: Arithmetic, a: Tensor, b: Tensor) -> Tensor:
        shape, flat = self.source.shapes[layer.output], b.flatten(1)
        elements = torch.arange(int(np.prod(shape))) // layer.inner % flat.shape[1]
        return OPERATIONS[layer.operation](a, flat[:, elements].view(-1, *shape))

    @_run.register
    def _(self, layer: Reshape, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.source.shapes[layer.output])

    @_run.register
    def _(self, layer: Slice, x: Tensor) -> Tensor:
        return x.narrow(layer.dimension + 1, layer.start, self.source.shapes[layer.output][layer.dimension])

    @_run.register
    def _(self, layer: Concat, *tensors: Tensor) -> Tensor:
        return torch.cat(tensors, layer.dimension + 1)

    @_run.register
    def _(self, layer: Pad, x: Tensor) -> Tensor:
        pads: list[int] = []
        for before, size, out in zip(layer.before, x.shape[1:], self.source.shapes[layer.output], strict=True):
            pads = [before, out - size - before, *pads]
        return F.pad(x, pads, value=layer.value)

    @_run.register
    def _(self, layer: Softmax, x: Tensor) -> Tensor:
        return F.softmax(x, layer.dimension + 1)

    @_run.register
    def _(self, layer: ArgMax, x: Tensor) -> Tensor:
        return x.argmax(layer.dimension + 1).view(-1, *self.source.shapes[layer.output])

    def _apply_function(self, function: Function, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        match function:
            case Same():
                return x
            case Reciprocal():
                return 1 / x
            case Line():
                line: Tensor = x * self._spread(function.scale, shape) + self._spread(function.shift, shape)
                return line
            case Chain():
                return self._apply_function(function.then, self._apply_function(function.first, x, shape), shape)
            case Both():
                a, b = (self._apply_function(each, x, shape) for each in (function.a, function.b))
                return OPERATIONS[function.operation](a, b)
            case Half():
                other = torch.full_like(x, function.other)
                pair = (x, other) if function.is_gate else (other, x)
                return self._called(function, shape, *pair) * function.factor
            case Formula():
                return self._called(function, shape, x)

    def _called(self, function: Formula | Half, shape: tuple[int, ...], *inputs: Tensor) -> Tensor:
        learned = [torch.as_tensor(self._spread(each, shape)) for each in numbers_of(function)]
        if function.spec not in self.layers:
            self.layers[function.spec] = self._code(function.spec)
        return self.layers[function.spec](*inputs, *learned)

    def _code(self, spec: Spec) -> Callable[..., Tensor]:
        """Return the function in torch, with the gradient rule of steps where it has two values."""
        if binary_values(spec) is not None and not any(isinstance(value, Learned) for _, value in spec.assigned):
            return activation_layer(f"{spec.forward}/{self.steps}")
        if spec.activation.expression is None:
            return activation_layer(spec).eval()
        numbers = tuple((name, value) for name, value in spec.assigned if not isinstance(value, Learned))
        return pytorch.function(spec.activation, numbers)


def _padded(x: Tensor, window: Window, out: tuple[int, ...], value: float) -> Tensor:
    """Return what the windows read of a tensor, with padding around it."""
    pads: list[int] = []
    for length, size, stride, before, dilation, positions in zip(
        x.shape[2:], window.size, window.stride, window.before, window.dilation, out, strict=True
    ):
        needed = (positions - 1) * stride + (size - 1) * dilation + 1
        pads = [before, needed - length - before, *pads]
    return F.pad(x, pads, value=value)
