"""Fused forward and backward Triton kernels of activations, generated from the formula.

A kernel is printed from the formula and its symbolic derivatives when it is first called. Nothing is saved between the passes: backward
recomputes what it needs from the inputs, writes gradients to new memory, and sums those of learned parameters, first within a program and
then over programs, in an order that is the same in every run. Half precision is computed in float32 and rounded once. Packed gated inputs
and their gradients are read and written in place, without copies. Kernels do not take part in autograd or dispatch.

Requires Triton and a CUDA GPU, or ``TRITON_INTERPRET=1`` in the environment before Triton is imported, which runs the same code on the CPU,
slowly. Under ``torch.compile`` use plain torch code instead: the compiler fuses it with neighboring operations.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from actlab.codegen.gpu.module_cache import load_module
from actlab.codegen.gpu.source import text
from actlab.codegen.gpu.tiling import BLOCK, BY_COLUMN, BY_ROW, Tiling, needs_wide, tiling
from actlab.codegen.kernel_inputs import (
    Half,
    Inputs,
    check_parameters,
    check_spec,
    describe,
    learned_names,
    output_shape,
)
from actlab.errors import ActlabError, KernelError
from actlab.functions.spec import Spec

__all__ = ["GpuKernel", "NoTritonError", "kernel", "require_device", "require_triton"]

DTYPES = (torch.bfloat16, torch.float16, torch.float32)
GATES = {"second": 0, "first": 1, "interleaved": 2}  # constants of triton_tiles
WARPS = {2: 4, 4: 8}  # warps per program, by bytes per number


class NoTritonError(ActlabError):
    """Triton or a GPU is missing; the caller falls back to PyTorch."""


class GpuKernel:
    """Forward and backward pass of a spec on the GPU. Create it with :func:`kernel`.

    Attributes:
        spec: an elementwise or gated activation.
        gate: for gated functions, where the gate is in a packed input: "second" half (as in torch), "first" half, or "interleaved".
        learned: names of the learned parameters, in the order in which they are passed.
        block: numbers per tile.
        warps: warps per program; None chooses by the size of the dtype.
    """

    def __init__(self, spec: Spec, gate: Half = "second", *, block: int = BLOCK, warps: int | None = None) -> None:
        self.spec = spec
        self.gate = gate
        self.learned = learned_names(spec)
        self.block = block
        self.warps = warps
        self._gated = len(spec.activation.inputs) == 2

    def forward(self, x: Inputs, *parameters: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the values.

        Args:
            x: contiguous tensor of any shape, float32, bfloat16 or float16. For gated functions a packed tensor ``(..., 2n)`` (see
                :attr:`gate`), or the two tensors ``(gate, value)`` of one shape.
            parameters: the learned parameters, each of one number, or of one per channel (dimension 1).
            out: tensor for the result; for an elementwise function it may be the input.

        Returns:
            A new tensor, or ``out``, of the same dtype and shape as the input; ``(..., n)`` for a packed input.

        Raises:
            KernelError: a dtype, shape, device or memory layout that kernels do not support.
            NoTritonError: Triton is missing, or there is neither a GPU nor the interpreter.
        """
        inputs, plan = self._tile(x, parameters, sums=False)
        shape = output_shape(inputs, packed=self._is_packed(inputs))
        y = inputs[0].new_empty(shape) if out is None else self._check_out(out, shape, inputs[0])
        if plan is not None:
            self._launch("forward", plan, inputs, (*inputs, y, *_with_strides(parameters)))
        return y

    def backward(self, grad: Tensor, x: Inputs, *parameters: Tensor, out: Tensor | None = None) -> tuple[Any, ...]:
        """Return the gradients of the input and of every learned parameter.

        Args:
            grad: gradient of the output, of its shape and dtype.
            x: as in :meth:`forward`.
            parameters: as in :meth:`forward`.
            out: tensor for the gradient of a single input; for an elementwise function it may be ``grad``.

        Returns:
            ``(dx, *dparameters)``; dx is a tensor, or a pair of tensors if x is one.

        Raises:
            KernelError: a dtype, shape, device or memory layout that kernels do not support.
            NoTritonError: Triton is missing, or there is neither a GPU nor the interpreter.
        """
        inputs, plan = self._tile(x, parameters, sums=bool(parameters))
        expected = output_shape(inputs, packed=self._is_packed(inputs))
        if grad.shape != expected or grad.dtype != inputs[0].dtype or grad.device != inputs[0].device:
            raise KernelError(
                f"The gradient of {self.spec} has shape {tuple(expected)} and dtype {inputs[0].dtype} on {inputs[0].device} here; "
                f"got {describe([grad])}."
            )
        if out is not None and isinstance(x, tuple):
            raise KernelError(
                f"{self.spec} has two gradients for two input tensors, got one tensor as out; call it without out."
            )
        outputs = (
            tuple(torch.empty_like(part) for part in inputs)
            if out is None
            else (self._check_out(out, inputs[0].shape, inputs[0]),)
        )
        shape = plan.shape_of_sums if plan else (0, 0)
        sums = torch.empty((len(parameters), *shape), dtype=torch.float32, device=grad.device)
        if plan is not None:
            arguments: tuple[Any, ...] = (grad.contiguous(), *inputs, *outputs, *_with_strides(parameters))
            extra = (sums, math.prod(shape)) if parameters else ()
            self._launch("backward", plan, inputs, (*arguments, *extra))
        return (outputs if isinstance(x, tuple) else outputs[0], *_gradients(plan, sums, parameters))

    def keeps_output(self, dtype: torch.dtype) -> bool:  # noqa: ARG002 part of the protocol of kernels
        """Whether the backward pass uses the output instead of the input: never."""
        return False

    def _check_out(self, out: Tensor, shape: Sequence[int], x: Tensor) -> Tensor:
        """Return ``out`` if it has the given shape, and dtype and device of ``x``."""
        if (out.shape, out.dtype, out.device) != (shape, x.dtype, x.device) or not out.is_contiguous():
            raise KernelError(
                f"{self.spec} writes to a contiguous tensor of shape {tuple(shape)} and dtype {x.dtype} on {x.device}; "
                f"got {describe([out])}."
            )
        return out

    def module(self) -> ModuleType:
        """Return the module with the generated Triton kernels.

        Raises:
            NoTritonError: Triton is missing.
        """
        require_triton()
        return load_module(self.spec.activation.name, text(self.spec))

    def _tile(self, x: Inputs, parameters: Sequence[Tensor], *, sums: bool) -> tuple[tuple[Tensor, ...], Tiling | None]:
        """Return the inputs, checked, and their tiling; None if they are empty."""
        inputs = x if isinstance(x, tuple) else (x,)
        channels = self._check(inputs, parameters)
        require_device(inputs[0].device)
        if not inputs[0].numel():
            return inputs, None
        packed = self._is_packed(inputs)
        return inputs, tiling(inputs[0].shape, packed=packed, channels=channels, sums=sums, block=self.block)

    def _is_packed(self, inputs: tuple[Tensor, ...]) -> bool:
        return self._gated and len(inputs) == 1

    def _check(self, inputs: tuple[Tensor, ...], parameters: Sequence[Tensor]) -> int:
        """Return the number of channels; raise KernelError unless kernels support the tensors."""
        x, packed = inputs[0], self._is_packed(inputs)
        if len(inputs) > len(self.spec.activation.inputs) or not all(
            part.dtype == x.dtype and part.shape == x.shape and part.device == x.device for part in inputs
        ):
            names = ", ".join(symbol.name for symbol in self.spec.activation.inputs)
            raise KernelError(f"{self.spec} takes ({names}) of one shape, dtype and device; got {describe(inputs)}.")
        if x.dtype not in DTYPES or not all(part.is_contiguous() for part in inputs):
            raise KernelError(
                f"A GPU kernel of {self.spec} takes contiguous float32, bfloat16 or float16 tensors, got {describe(inputs)}; "
                "call x.contiguous(), or use a layer without fast=True, which runs torch code."
            )
        if packed and (x.dim() == 0 or x.shape[-1] % 2):
            raise KernelError(f"{self.spec} takes two halves in an even last dimension, got {describe(inputs)}.")
        channels = check_parameters(self.spec, x, parameters, len(self.learned), packed=packed)
        if any(p.device != x.device for p in parameters):
            raise KernelError(
                f"The parameters of {self.spec} must be on {x.device}, like its input; got {describe(parameters)}."
            )
        return channels

    def _launch(self, which: str, plan: Tiling, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...]) -> None:
        x = inputs[0]
        function = getattr(self.module(), f"{which}{'_packed' * self._is_packed(inputs)}")
        geometry = (plan.rows, plan.width, plan.size, plan.repeat, plan.channels)
        on_card = x.device.type == "cuda"
        with torch.cuda.device(x.device) if on_card else contextlib.nullcontext():
            function[(plan.across * plan.down,)](
                *arguments, *geometry, **self.constants(plan, x), **self.options(x.dtype)
            )

    def options(self, dtype: torch.dtype) -> dict[str, int | bool]:
        """Return compiler options; from Triton 3.10 on, fusion of products and sums must be requested."""
        return {"num_warps": self.warps or WARPS[dtype.itemsize], "enable_fp_fusion": True}

    def constants(self, plan: Tiling, x: Tensor) -> dict[str, int | bool]:
        """Return the compile-time constants of a kernel."""
        return {
            "GATE": GATES[self.gate],
            "CHANNEL": plan.channel,
            "ROWS": plan.tall,
            "COLUMNS": plan.wide,
            "STEPS": plan.steps,
            "FLAT": plan.is_flat,
            "WIDE": needs_wide(x.numel()),
            "EXACT": x.dtype == torch.float32,
        }


def _with_strides(parameters: Sequence[Tensor]) -> list[Any]:
    """Return each parameter, followed by its stride over channels."""
    return [piece for p in parameters for piece in (p.detach().contiguous(), int(p.numel() > 1))]


def _gradients(plan: Tiling | None, sums: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return the totals of the partial sums, in the shapes of the parameters."""
    if plan is None or not parameters:
        return [torch.zeros_like(p) for p in parameters]
    if plan.channel == BY_ROW:
        sums = sums.view(len(parameters), -1, plan.channels, plan.repeat).sum((1, 3))
    elif plan.channel == BY_COLUMN:
        sums = sums.sum(1)
    else:
        sums = sums.flatten(1).sum(1, keepdim=True)
    return [
        (row if p.numel() > 1 else row.sum()).to(p.dtype).reshape(p.shape)
        for row, p in zip(sums, parameters, strict=True)
    ]


def require_triton() -> None:
    """Raise NoTritonError, with the command that installs it, unless Triton is installed."""
    if importlib.util.find_spec("triton") is None:
        raise NoTritonError(
            "GPU kernels need Triton, which is not installed: pip install 'actlab[gpu]' (Linux; torch for CUDA includes it). "
            "Layers without fast=True compute the same in torch."
        )


def require_device(device: torch.device) -> None:
    """Raise NoTritonError unless kernels can run on the device: a CUDA GPU, or the CPU with Triton's interpreter."""
    require_triton()
    if device.type == "cuda":
        return
    if device.type != "cpu" or os.environ.get("TRITON_INTERPRET", "").lower() not in {"1", "true", "on", "yes", "y"}:
        raise NoTritonError(
            f"GPU kernels run on CUDA devices, got tensors on {device}; move them with x.cuda(), use a CPU kernel or a layer, or, "
            "to try kernels without a GPU, set TRITON_INTERPRET=1 before Python starts."
        )


@cache
def kernel(spec: Spec, gate: Half = "second") -> GpuKernel:
    """Return the kernel of a spec; it is generated and compiled when it is first called.

    Args:
        spec: of an elementwise or gated activation.
        gate: where the gate is in a packed input: "second" half (as in torch), "first" half, or "interleaved" (even elements).

    Raises:
        TypeError: the activation is tensor code, not a formula.
        KernelError: the spec has a gradient rule.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> kernel(parse("prelu")).learned
        ('weight',)
    """
    check_spec(spec)
    return GpuKernel(spec, gate)
