"""Compiled calls of a chain of linear layers and activations of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, NamedTuple, TypeAlias

import torch
from torch import Tensor

from actlab.codegen.cpu import jit
from actlab.codegen.cpu.kernel import kernel
from actlab.codegen.cpu.small_products import BYTES, VECTOR, module_text
from actlab.codegen.cpu.source import Pass
from actlab.functions.spec import Spec
from actlab.studies.stacked.compiled.model_sweep import ModelSweep, NativeCall, Pointer

__all__ = ["LARGEST", "ActivationForm", "ChainProgram", "LinearForm", "has_compiler"]

#: Width of a layer; the products of larger ones are faster in blocks, which torch's library makes.
LARGEST: Final = 512
# Numbers of the tensors of a sweep. Weight and bias of each linear layer follow, then, in the backward pass, their gradients and that of
# the input.
_INPUT, _OUTPUT, _SAVED, _ROOM, _CONSTANTS, _FIRST = range(6)


class LinearForm(NamedTuple):
    """A linear layer without its numbers.

    Attributes:
        outputs: number of outputs.
        weight_step: numbers in memory from the weight of one model to that of the next.
        bias_step: the same of the bias, or None for no bias.
    """

    outputs: int
    weight_step: int
    bias_step: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ActivationForm:
    """Elementwise functions of groups of adjacent models.

    Attributes:
        specs: of each group.
        sizes: models of each group.
    """

    specs: tuple[Spec, ...]
    sizes: tuple[int, ...]


Form: TypeAlias = LinearForm | ActivationForm


@cache
def has_compiler() -> bool:
    """Whether there is a compiler, and the processor has vectors of 512 bits; with shorter ones torch's products are as fast."""
    try:
        return jit.writes_lines() and all(map(_multiply, BYTES))
    except jit.NoCompilerError:
        return False


@cache
def _multiply(dtype: torch.dtype) -> int:
    text = module_text(dtype)
    return jit.address(text, lambda: text, "multiply")


class ChainProgram:
    """Compiled calls of a chain, for tensors of certain shapes.

    Args:
        dtype: of all tensors.
        shape: of the input: models, rows, inputs.
        layers: the first is a linear one.
    """

    def __init__(self, dtype: torch.dtype, shape: tuple[int, int, int], layers: tuple[Form, ...]) -> None:
        (self._models, self._rows, inputs), self._dtype, self._layers = shape, dtype, layers
        self._size = BYTES[self._dtype]
        self._widths = [inputs]
        for layer in self._layers:
            self._widths.append(layer.outputs if isinstance(layer, LinearForm) else self._widths[-1])
        #: Numbers that the backward pass needs of the forward pass: the outputs of all layers but the last.
        self.saved = self._models * self._rows * sum(self._widths[1:-1])
        activations = [layer.sizes for layer in self._layers if isinstance(layer, ActivationForm)]
        self._sizes = activations[0] if activations else (self._models,)
        lanes = VECTOR // self._size
        whole = -(-max(self._widths) // lanes) * lanes
        #: Numbers of each thread: two outputs of layers, which take turns, and a second factor of a product.
        self._area, self._room = self._rows * whole, 2 * self._rows * whole + whole * whole
        self._sweeps: dict[tuple[str, bool], ModelSweep] = {}

    @staticmethod
    @lru_cache(maxsize=256)
    def of(dtype: torch.dtype, shape: tuple[int, int, int], layers: tuple[Form, ...]) -> ChainProgram:
        """Return the program of layers, which is kept."""
        return ChainProgram(dtype, shape, layers)

    def forward(self, x: Tensor, parameters: Sequence[Tensor | None], saved: Tensor | None) -> Tensor:
        """Return the output of the last layer.

        Args:
            x: input, contiguous.
            parameters: weight and bias of each linear layer.
            saved: for what the backward pass needs; None for no backward pass.
        """
        sweep = self._sweep("forward", saved is not None)
        y = x.new_empty(self._models, self._rows, self._widths[-1])
        room, constants = x.new_empty(sweep.threads * self._room), _constants(self._dtype)
        sweep.run([x, y, room if saved is None else saved, room, constants, *_present(parameters, constants)])
        return y

    def backward(
        self, grad: Tensor, x: Tensor, parameters: Sequence[Tensor | None], saved: Tensor, *, of_x: bool
    ) -> list[Tensor | None]:
        """Return the gradients of the input, or None, and of the parameters."""
        sweep = self._sweep("backward", of_x)
        room, constants = x.new_empty(sweep.threads * self._room), _constants(self._dtype)
        of_input = torch.empty_like(x) if of_x else None
        found = [None if it is None else it.new_empty(it.shape) for it in parameters]
        given = [*_present(parameters, constants), *_present([*found, of_input], constants)]
        sweep.run([x, grad, saved, room, constants, *given])
        return [of_input, *found]

    def _sweep(self, which: str, option: bool) -> ModelSweep:
        if (which, option) not in self._sweeps:
            calls = self._forward_calls(is_saved=option) if which == "forward" else self._backward_calls(of_x=option)
            widths = [
                (a, b)
                for a, b, layer in zip(self._widths, self._widths[1:], self._layers, strict=False)
                if isinstance(layer, LinearForm)
            ]
            work = self._models * self._rows * sum(a * b for a, b in widths)
            self._sweeps[which, option] = ModelSweep(calls, self._sizes, work)
        return self._sweeps[which, option]

    def _forward_calls(self, *, is_saved: bool) -> list[NativeCall]:
        calls, last, parameter = [], len(self._layers) - 1, _FIRST
        for place, layer in enumerate(self._layers):
            source = self._output(place - 1) if is_saved or place == 0 else self._in_turn(place - 1)
            target = (
                self._rows_of(_OUTPUT, last + 1)
                if place == last
                else self._output(place)
                if is_saved
                else self._in_turn(place)
            )
            if isinstance(layer, LinearForm):
                calls.append(self._linear(place, source, target, parameter))
                parameter += 2
            else:
                calls.append(self._activation("forward", layer, (source, target), place))
        return calls

    def _backward_calls(self, *, of_x: bool) -> list[NativeCall]:
        calls, count = [], 2 * sum(isinstance(layer, LinearForm) for layer in self._layers)
        parameter, grad = _FIRST + count, self._rows_of(_OUTPUT, len(self._layers))
        for place in reversed(range(len(self._layers))):
            layer, x = self._layers[place], self._output(place - 1)
            target = self._in_turn(place) if place else self._rows_of(_FIRST + 2 * count, 0)
            if isinstance(layer, LinearForm):
                parameter -= 2
                calls += self._gradients(place, grad, x, parameter + count)
                if place or of_x:
                    calls.append(self._linear_backward(place, grad, target, parameter))
            else:
                calls.append(self._activation("backward", layer, (grad, x, target), place))
            grad = target
        return calls

    def _rows_of(self, tensor: int, place: int) -> Pointer:
        """Return the rows of a model in a tensor that is as wide as the output of the layer before a place."""
        return Pointer(tensor=tensor, step=self._rows * self._widths[place] * self._size)

    def _output(self, place: int) -> Pointer:
        """Return the output of a layer that is saved, or the input of the first one."""
        if place < 0:
            return self._rows_of(_INPUT, 0)
        before = self._models * self._rows * sum(self._widths[1 : place + 1])
        return Pointer(
            tensor=_SAVED, offset=before * self._size, step=self._rows * self._widths[place + 1] * self._size
        )

    def _in_turn(self, place: int) -> Pointer:
        return Pointer(tensor=_ROOM, offset=place % 2 * self._area * self._size, of_thread=self._room * self._size)

    def _activation(self, which: Pass, layer: ActivationForm, streams: Sequence[Pointer], place: int) -> NativeCall:
        addresses = [kernel(spec).address(which, self._dtype) for spec in layer.specs]
        nothing = [0] * (len(streams) + 2)
        return NativeCall(
            addresses=addresses, arguments=[*streams, *nothing, 0, 1, self._rows * self._widths[place], 1, 1, 0]
        )

    def _linear(self, place: int, source: Pointer, target: Pointer, parameter: int) -> NativeCall:
        inputs, outputs, layer = self._widths[place], self._widths[place + 1], self._linear_at(place)
        bias = None if layer.bias_step is None else Pointer(tensor=parameter + 1, step=layer.bias_step * self._size)
        sizes = (self._rows, outputs, inputs)
        return self._product(
            (source, inputs, 1), self._weight(place, parameter), target, sizes, bias=bias, transposed=1
        )

    def _linear_backward(self, place: int, grad: Pointer, target: Pointer, parameter: int) -> NativeCall:
        inputs, outputs = self._widths[place : place + 2]
        return self._product((grad, outputs, 1), self._weight(place, parameter), target, (self._rows, inputs, outputs))

    def _gradients(self, place: int, grad: Pointer, x: Pointer, parameter: int) -> list[NativeCall]:
        """Return the calls for the gradients of weight and bias."""
        inputs, outputs = self._widths[place : place + 2]
        of_weight = Pointer(tensor=parameter, step=inputs * outputs * self._size)
        of_bias = Pointer(tensor=parameter + 1, step=outputs * self._size)
        calls = [self._product((grad, 1, outputs), (x, inputs), of_weight, (outputs, inputs, self._rows))]
        if self._linear_at(place).bias_step is not None:
            one = Pointer(tensor=_CONSTANTS)
            calls.append(self._product((one, 0, 0), (grad, outputs), of_bias, (1, outputs, self._rows)))
        return calls

    def _weight(self, place: int, parameter: int) -> tuple[Pointer, int]:
        return Pointer(tensor=parameter, step=self._linear_at(place).weight_step * self._size), self._widths[place]

    def _linear_at(self, place: int) -> LinearForm:
        layer = self._layers[place]
        assert isinstance(layer, LinearForm)  # noqa: S101 # for the type checker
        return layer

    def _product(
        self, first: tuple[Pointer, int, int], second: tuple[Pointer, int], target: Pointer, sizes: tuple[int, int, int],
        *, bias: Pointer | None = None, transposed: int = 0,
    ) -> NativeCall:  # fmt: skip
        """Return the call of a product; each factor has its numbers from row to row, and from column to column."""
        (a, a_row, a_column), (b, b_row) = first, second
        room = Pointer(tensor=_ROOM, offset=2 * self._area * self._size, of_thread=self._room * self._size)
        shift = bias or Pointer(tensor=_CONSTANTS, offset=VECTOR)
        strides = (a_row * self._size, a_column * self._size)
        return NativeCall(
            addresses=[_multiply(self._dtype)] * len(self._sizes),
            arguments=[a, *strides, b, b_row * self._size, target, shift, *sizes, room, transposed],
        )


@cache
def _constants(dtype: torch.dtype) -> Tensor:
    """Return a one and, a vector further, zeros for layers without a bias and products."""
    constants = torch.zeros(VECTOR // BYTES[dtype] + LARGEST, dtype=dtype)
    constants[0] = 1
    return constants


def _present(tensors: Sequence[Tensor | None], constants: Tensor) -> list[Tensor]:
    return [constants if it is None else it for it in tensors]
