"""Chain of linear layers and activations of a stack, computed for one model after the other.

A chain grows while the forward pass runs: a linear layer of a stacked tensor begins one or is appended, and so are the activations behind
it. It is computed when something else needs its numbers, see :class:`actlab.studies.stacked.stacked_tensor.StackedTensor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from actlab.codegen.cpu.small_products import BYTES
from actlab.codegen.eager_mode import is_eager
from actlab.studies.stacked.compiled.chain_program import (
    LARGEST,
    ActivationForm,
    ChainProgram,
    LinearForm,
    has_compiler,
)

__all__ = ["LayerChain", "StackedActivation", "StackedLinear"]

_FEWEST = 8  # rows of a batch, as many as compiled code computes at a time


class StackedLinear:
    """Linear layer.

    Args:
        weight: shape (models, outputs, inputs).
        bias: shape (models, outputs), or None.
        plain: the layer as torch code, of the input, weight and bias.

    Attributes:
        form: the layer without its numbers; None where there is no compiled code for it.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, plain: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    ) -> None:
        self.weight, self.bias, self.plain = weight, bias, plain
        self.inputs, self.dtype = weight.shape[2], weight.dtype
        self.parameters = [it for it in (weight, bias) if it is not None]
        self.form = self._form() if self._is_dense() else None

    def _form(self) -> LinearForm:
        return LinearForm(
            self.weight.shape[1], self.weight.stride(0), None if self.bias is None else self.bias.stride(0)
        )

    def _is_dense(self) -> bool:
        """Return whether the numbers of each model are dense in memory."""
        weight, bias = self.weight, self.bias
        return (
            type(weight) is Tensor
            and 0 < weight.shape[1] <= LARGEST
            and (weight.stride(2), weight.stride(1)) == (1, self.inputs)
            and (
                bias is None
                or (
                    type(bias) is Tensor
                    and bias.dtype == weight.dtype
                    and bias.shape == weight.shape[:2]
                    and bias.stride(1) == 1
                )
            )
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class StackedActivation:
    """Elementwise activations.

    Attributes:
        form: functions of groups of adjacent models.
        plain: the layer as torch code, of the input.
    """

    form: ActivationForm
    plain: Callable[[Tensor], Tensor]


Layer: TypeAlias = StackedLinear | StackedActivation


class LayerChain(NamedTuple):
    """Layers that are still to be applied. Making one is part of every layer of every step.

    Attributes:
        x: input, shape (models, rows, inputs).
        layers: the first is a linear one.
        shape: of the output, of all models.
        tracks: whether autograd records the layers.
        versions: numbers of changes in place of the input and of the parameters when their layer was applied.
        read: these tensors.
    """

    x: Tensor
    layers: tuple[Layer, ...]
    shape: tuple[int, ...]
    tracks: bool
    versions: tuple[int, ...]
    read: tuple[Tensor, ...]

    @classmethod
    def begun(cls, x: Tensor, layer: StackedLinear) -> LayerChain | None:
        """Return a chain of one layer; None where compiled code is not used, as for large layers."""
        if x.dim() < 3 or x.dtype not in BYTES or not x.is_cpu or x.is_neg() or not is_eager() or not has_compiler():
            return None
        models, *lead, width = x.shape
        if prod(lead) < _FEWEST or not 0 < width <= LARGEST or type(x) is not Tensor:
            return None
        rows = x if len(lead) == 1 else x.reshape(models, prod(lead), width)
        return cls(rows, (), tuple(x.shape), torch.is_grad_enabled(), (x._version,), (x,)).then(layer)

    def then(self, layer: Layer) -> LayerChain | None:
        """Return the chain with a layer more; None where that one is not compiled."""
        x, layers, shape, tracks, versions, read = self
        if layer.form is None or torch.is_grad_enabled() != tracks:
            return None
        if isinstance(layer, StackedLinear):
            if layer.dtype != x.dtype or layer.inputs != shape[-1] or len(layer.weight) != shape[0]:
                return None
            shape = (*shape[:-1], layer.form.outputs)
            versions = (*versions, *[it._version for it in layer.parameters])
            read = (*read, *layer.parameters)
        return LayerChain(x, (*layers, layer), shape, tracks, versions, read)

    @property
    def is_current(self) -> bool:
        """Whether no input or parameter was changed in place since its layer was applied."""
        return self.versions == tuple([tensor._version for tensor in self.read])

    def computed(self) -> Tensor:
        """Return the output, for all models."""
        parameters = [
            it for layer in self.layers if isinstance(layer, StackedLinear) for it in (layer.weight, layer.bias)
        ]
        with torch.set_grad_enabled(self.tracks):
            x = self.x.contiguous()
            if self.tracks and any(it is not None and it.requires_grad for it in (x, *parameters)):
                return _applied(self.layers, x, *parameters).view(self.shape)
        return _program(self.layers, x).forward(x, parameters, None).view(self.shape)


class _Applied(torch.autograd.Function):
    """The layers of a chain; their gradients for gradients of a higher order are those of torch code."""

    @staticmethod
    def forward(ctx: Any, layers: tuple[Layer, ...], x: Tensor, *parameters: Tensor | None) -> Tensor:
        program = _program(layers, x)
        saved = x.new_empty(program.saved)
        ctx.layers = layers
        ctx.save_for_backward(x, saved, *parameters)
        return program.forward(x, parameters, saved)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, saved, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (None, *_differentiable(ctx.layers, grad, [x, *parameters], ctx.needs_input_grad[1:]))
        program = _program(ctx.layers, x)
        return (
            None,
            *program.backward(grad.contiguous().resolve_neg(), x, parameters, saved, of_x=ctx.needs_input_grad[1]),
        )


def _program(layers: Sequence[Layer], x: Tensor) -> ChainProgram:
    models, rows, inputs = x.shape
    return ChainProgram.of(x.dtype, (models, rows, inputs), tuple([layer.form for layer in layers]))


# Without the search for functorch's transforms, which takes as long as a small product.
_applied: Callable[..., Tensor] = super(torch.autograd.Function, _Applied).apply


def _differentiable(
    layers: tuple[Layer, ...], grad: Tensor, inputs: Sequence[Tensor | None], needed: Sequence[bool]
) -> list[Tensor | None]:
    y, left = inputs[0], iter(inputs[1:])
    for layer in layers:
        y = layer.plain(y, next(left), next(left)) if isinstance(layer, StackedLinear) else layer.plain(y)  # type: ignore[arg-type] # only a bias is None
    wanted = [it for it, is_needed in zip(inputs, needed, strict=True) if is_needed and it is not None]
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))  # type: ignore[arg-type] # y is a tensor
    return [next(found) if is_needed and it is not None else None for it, is_needed in zip(inputs, needed, strict=True)]
