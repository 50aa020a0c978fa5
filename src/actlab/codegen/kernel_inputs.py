"""Checks of specs, inputs and learned parameters for CPU and GPU kernels, and the output's shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from actlab.errors import KernelError
from actlab.functions.parameter import Learned
from actlab.functions.spec import Spec

__all__ = ["Half", "Inputs", "check_parameters", "check_spec", "describe", "learned_names", "output_shape"]

# Where the gate is in the last dimension of a packed tensor: its second half (as in torch), its first half, or its even elements.
Half: TypeAlias = Literal["second", "first", "interleaved"]
# One tensor, packed if the function is gated, or the two tensors (gate, value).
Inputs: TypeAlias = Tensor | tuple[Tensor, Tensor]


def learned_names(spec: Spec) -> tuple[str, ...]:
    """Return the names of the learned parameters, in the order in which kernels take them.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> learned_names(parse("elu(alpha=learned)"))
        ('alpha',)
    """
    return tuple(name for name, value in spec.assigned if isinstance(value, Learned))


def check_spec(spec: Spec) -> None:
    """Check that a kernel can compute a spec.

    Raises:
        TypeError: the activation is tensor code, not a formula.
        KernelError: the spec has a gradient rule.
    """
    _ = spec.activation.formula
    if spec.backward is not None:
        raise KernelError(
            f"A kernel of {spec.forward} would lose the gradient rule of {spec}; layer({str(spec)!r}) keeps it."
        )


def output_shape(inputs: Sequence[Tensor], *, packed: bool) -> torch.Size:
    """Return the shape of the output: that of the input, with half the last dimension if gate and value are packed in it."""
    shape = inputs[0].shape
    return torch.Size((*shape[:-1], shape[-1] // 2)) if packed else shape


def check_parameters(spec: Spec, x: Tensor, parameters: Sequence[Tensor], count: int, *, packed: bool) -> int:
    """Return the number of channels: 1, or the size of dimension 1 if a parameter has one number per channel.

    Args:
        spec: what is computed.
        x: the first input.
        parameters: tensors of the learned parameters.
        count: number of learned parameters of the spec.
        packed: whether gate and value are packed in the last dimension.

    Raises:
        KernelError: another number of parameters, or sizes that do not fit dimension 1 of the input.
    """
    if len(parameters) != count:
        raise KernelError(f"{spec} learns {learned_names(spec) or 'nothing'}; got {len(parameters)} parameters.")
    channels = max((p.numel() for p in parameters), default=1)
    if channels == 1:
        return 1
    fits = x.dim() >= (3 if packed else 2) and x.shape[1] == channels
    if not (fits and all(p.numel() in {1, channels} for p in parameters)):
        raise KernelError(f"{spec} has {channels} channels in dimension 1, got an input of shape {tuple(x.shape)}.")
    return channels


def describe(tensors: Sequence[Tensor]) -> str:
    """Return shapes, dtypes and devices for an error message.

    Example:
        >>> describe([torch.ones(2, 3)])
        '(2, 3) torch.float32 on cpu'
    """
    return ", ".join(f"{tuple(t.shape)} {t.dtype} on {t.device}" for t in tensors)
