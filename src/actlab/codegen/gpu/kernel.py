"""The GPU reading of a formula: Triton kernels, forward in one pass over memory and backward in one.

A kernel is printed from the formula and its symbolic derivatives when it is first called. Nothing is saved between the passes: backward
computes again from the inputs what it needs, writes gradients to new memory, and adds up those of learned parameters, by program first and
then over programs, in an order that does not change from run to run. Half precision is computed in float32 and rounded once. A packed
gated input is read and its gradient written where the halves lie; nothing is copied. This is arithmetic on memory: no autograd, no
dispatch.

Needs Triton and a CUDA card, or ``TRITON_INTERPRET=1`` in the environment before Triton is imported, which runs the same code on the CPU,
slowly. Under ``torch.compile`` the torch reading is what should be called: the compiler fuses plain code with its neighbours.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from actlab.codegen.gate_layout import Half, Inputs
from actlab.codegen.gpu.module_cache import imported
from actlab.codegen.gpu.source import text
from actlab.errors import ActlabError, KernelError
from actlab.functions.activation import Learned
from actlab.functions.spec import Spec

__all__ = ["GpuKernel", "NoTritonError", "Tiling", "kernel", "needs_wide", "tiling"]

DTYPES = (torch.bfloat16, torch.float16, torch.float32)
GATES = {"second": 0, "first": 1, "interleaved": 2}  # the words of triton_tiles
NOWHERE, BY_ROW, BY_COLUMN = 0, 1, 2
BLOCK = 2048  # numbers of a tile; two 16-byte loads of bfloat16 under way per thread
WARPS = {2: 4, 4: 8}  # by bytes of a number
PROGRAMS = (
    2048  # with learned parameters: enough to fill a card of 132 multiprocessors; more would only be more sums to add
)
MOST_STEPS = 64


class NoTritonError(ActlabError):
    """Triton is not installed, or has nothing to run on; whoever asked takes the torch reading instead."""


def needs_wide(numbers: int) -> bool:
    """Return whether the places of so many numbers need 64 bits; a tile may reach beyond the end.

    Example:
        >>> needs_wide(2**31 - 2**20), needs_wide(2**31)
        (False, True)
    """
    return numbers > 2**31 - 1 - 4 * BLOCK


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How programs go over the numbers of an output.

    Attributes:
        rows: how many.
        width: numbers in a row.
        size: numbers in all; fewer than rows times width where what is no matrix was cut into rows.
        channel: along what parameters vary: 0 nothing, 1 rows, 2 columns.
        repeat: rows in a row that share parameters.
        channels: different sets of parameters.
        tall: rows of a tile.
        wide: columns of a tile.
        steps: tiles of a program.
        is_flat: whether the rows are cuts.
    """

    rows: int
    width: int
    size: int
    channel: int = NOWHERE
    repeat: int = 1
    channels: int = 1
    tall: int = 1
    wide: int = BLOCK
    steps: int = 1
    is_flat: bool = False

    @property
    def across(self) -> int:
        """Programs side by side."""
        return -(-self.width // self.wide)

    @property
    def down(self) -> int:
        """Programs below one another."""
        return -(-self.rows // (self.tall * self.steps))

    @property
    def room_for_sums(self) -> tuple[int, int]:
        """Partial sums of a learned parameter, as a matrix."""
        if self.channel == BY_ROW:
            return self.across, self.rows
        return self.down, self.width if self.channel == BY_COLUMN else self.across


def tiling(shape: Sequence[int], *, packed: bool, channels: int = 1, sums: bool = False, block: int = BLOCK) -> Tiling:
    """Return how to go over an input of that shape.

    Args:
        shape: of the input, which has numbers.
        packed: whether its last dimension holds two halves.
        channels: size of dimension 1 if a parameter varies along it, else 1.
        sums: whether gradients of parameters are summed.
        block: numbers of a tile.

    Example:
        >>> tiling((4, 100), packed=True)
        Tiling(rows=4, width=50, size=200, channel=0, repeat=1, channels=1, tall=32, wide=64, steps=1, is_flat=False)
    """
    size = math.prod(shape) // (2 if packed else 1)
    inner = math.prod(shape[2:])
    if packed:
        width = shape[-1] // 2
        repeat = inner // shape[-1] if channels > 1 else 1
        plan = Tiling(rows=size // width, width=width, size=size, repeat=repeat, channels=channels)
        channel = BY_ROW if channels > 1 else NOWHERE
    elif channels == 1:
        plan = Tiling(rows=-(-size // block), width=block, size=size, is_flat=True)
        channel = NOWHERE
    elif inner == 1:
        plan, channel = Tiling(rows=size // channels, width=channels, size=size, channels=channels), BY_COLUMN
    else:
        plan, channel = Tiling(rows=size // inner, width=inner, size=size, channels=channels), BY_ROW
    wide = _columns(plan.width, block)
    tall = block // wide
    tiles = -(-plan.width // wide) * -(-plan.rows // tall)
    enough = min(MOST_STEPS, max(1, tiles // PROGRAMS)) if sums and channel != BY_ROW else 1
    steps = 1 << (enough.bit_length() - 1)  # a kernel is compiled for a number of steps: they are to be few
    return Tiling(**{**vars(plan), "channel": channel, "wide": wide, "tall": tall, "steps": steps})


def _columns(width: int, block: int) -> int:
    """Return the columns of a tile: the most that waste under a sixteenth of the lanes, or as few as a row has."""
    columns = min(block, 1 << (width - 1).bit_length())
    while columns > 64 and -(-width // columns) * columns > width * 17 // 16:
        columns //= 2
    return columns


class GpuKernel:
    """The forward and the backward pass of a spec. Get it from :func:`kernel`.

    Attributes:
        spec: what is computed.
        gate: which half of a packed input is the gate, for gated functions.
        learned: names of the learned parameters, in the order in which they are passed.
        block: numbers that a program works on at once.
        warps: groups of 32 threads of a program; None takes as many as the dtype's width asks for.
    """

    def __init__(self, spec: Spec, gate: Half = "second", *, block: int = BLOCK, warps: int | None = None) -> None:
        self.spec = spec
        self.gate = gate
        self.learned = tuple(name for name, value in spec.assigned if isinstance(value, Learned))
        self.block = block
        self.warps = warps
        self._gated = len(spec.activation.inputs) == 2

    def forward(self, x: Inputs, *parameters: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the values.

        Args:
            x: contiguous tensor of any shape, float32, bfloat16 or float16. Of gated functions ``(..., 2n)``, packed as :attr:`gate` says,
                or the two tensors ``(gate, value)`` of one shape.
            parameters: the learned ones, each of one number, or of one per channel (dimension 1).
            out: where to write; it may be the input of an elementwise function.

        Returns:
            A new tensor, or ``out``, of the same dtype and shape; ``(..., n)`` of a packed input.

        Raises:
            KernelError: the tensors are none that a kernel takes.
            NoTritonError: Triton is missing, or there is neither a card nor the interpreter.
        """
        inputs, plan = self._planned(x, parameters, sums=False)
        shape = self._shape_of_output(inputs)
        y = inputs[0].new_empty(shape) if out is None else self._room(out, shape, inputs[0])
        if plan is not None:
            self._launch("forward", plan, inputs, (*inputs, y, *_spread(parameters)))
        return y

    def backward(self, grad: Tensor, x: Inputs, *parameters: Tensor, out: Tensor | None = None) -> tuple[Any, ...]:
        """Return the gradients of the input and of every learned parameter.

        Args:
            grad: gradient of the output, of its shape and dtype.
            x: what :meth:`forward` took.
            parameters: the same.
            out: where to write the gradient of one input; it may be ``grad`` of an elementwise function.

        Returns:
            ``(dx, *dparameters)``; dx as x was given, a pair of tensors for a pair.

        Raises:
            KernelError: the tensors are none that a kernel takes.
            NoTritonError: Triton is missing, or there is neither a card nor the interpreter.
        """
        inputs, plan = self._planned(x, parameters, sums=bool(parameters))
        expected = self._shape_of_output(inputs)
        if grad.shape != expected or grad.dtype != inputs[0].dtype or grad.device != inputs[0].device:
            raise KernelError(
                f"The gradient of {self.spec} has shape {tuple(expected)} and dtype {inputs[0].dtype} on {inputs[0].device} here; "
                f"got {_described([grad])}."
            )
        if out is not None and isinstance(x, tuple):
            raise KernelError(f"The gradients of {self.spec} for two tensors do not fit one; call it without out.")
        outputs = (
            tuple(torch.empty_like(part) for part in inputs)
            if out is None
            else (self._room(out, inputs[0].shape, inputs[0]),)
        )
        room = plan.room_for_sums if plan else (0, 0)
        sums = torch.empty((len(parameters), *room), dtype=torch.float32, device=grad.device)
        if plan is not None:
            arguments: tuple[Any, ...] = (grad.contiguous(), *inputs, *outputs, *_spread(parameters))
            extra = (sums, math.prod(room)) if parameters else ()
            self._launch("backward", plan, inputs, (*arguments, *extra))
        return (outputs if isinstance(x, tuple) else outputs[0], *_gradients(plan, sums, parameters))

    def keeps_output(self, dtype: torch.dtype) -> bool:  # noqa: ARG002 the CPU reading's depends on it
        """Whether the backward pass could be made from the output: not here."""
        return False

    def _room(self, out: Tensor, shape: Sequence[int], x: Tensor) -> Tensor:
        """Return the tensor to write to, if it fits."""
        if (out.shape, out.dtype, out.device) != (shape, x.dtype, x.device) or not out.is_contiguous():
            raise KernelError(
                f"{self.spec} writes to a contiguous tensor of shape {tuple(shape)} and dtype {x.dtype} on {x.device}; "
                f"got {_described([out])}."
            )
        return out

    def module(self) -> ModuleType:
        """Return the module of the printed kernels.

        Raises:
            NoTritonError: Triton is missing.
        """
        require_triton()
        return imported(self.spec.activation.name, text(self.spec))

    def _planned(
        self, x: Inputs, parameters: Sequence[Tensor], *, sums: bool
    ) -> tuple[tuple[Tensor, ...], Tiling | None]:
        """Return the inputs, checked, and how to go over them; None where there is nothing."""
        inputs = x if isinstance(x, tuple) else (x,)
        self._check(inputs, parameters)
        require_device(inputs[0].device)
        if not inputs[0].numel():
            return inputs, None
        channels = max((p.numel() for p in parameters), default=1)
        packed = self._is_packed(inputs)
        return inputs, tiling(inputs[0].shape, packed=packed, channels=channels, sums=sums, block=self.block)

    def _is_packed(self, inputs: tuple[Tensor, ...]) -> bool:
        return self._gated and len(inputs) == 1

    def _shape_of_output(self, inputs: tuple[Tensor, ...]) -> torch.Size:
        shape = inputs[0].shape
        return torch.Size((*shape[:-1], shape[-1] // 2)) if self._is_packed(inputs) else shape

    def _check(self, inputs: tuple[Tensor, ...], parameters: Sequence[Tensor]) -> None:
        """Raise KernelError unless a kernel takes the tensors."""
        x = inputs[0]
        if len(inputs) > len(self.spec.activation.inputs) or not all(
            part.dtype == x.dtype and part.shape == x.shape and part.device == x.device for part in inputs
        ):
            names = ", ".join(symbol.name for symbol in self.spec.activation.inputs)
            raise KernelError(f"{self.spec} takes ({names}) of one shape, dtype and device; got {_described(inputs)}.")
        if x.dtype not in DTYPES or not all(part.is_contiguous() for part in inputs):
            raise KernelError(
                f"A GPU kernel of {self.spec} takes contiguous float32, bfloat16 or float16 tensors, got {_described(inputs)}; "
                "call x.contiguous(), or the torch reading."
            )
        if self._is_packed(inputs) and (x.dim() == 0 or x.shape[-1] % 2):
            raise KernelError(f"{self.spec} takes two halves in an even last dimension, got {_described(inputs)}.")
        if len(parameters) != len(self.learned):
            raise KernelError(f"{self.spec} learns {self.learned or 'nothing'}; got {len(parameters)} parameters.")
        channels = max((p.numel() for p in parameters), default=1)
        fits = x.dim() >= (3 if self._is_packed(inputs) else 2) and x.shape[1] == channels
        if channels > 1 and not (fits and all(p.numel() in {1, channels} for p in parameters)):
            raise KernelError(
                f"{self.spec} has {channels} channels in dimension 1, got an input of shape {tuple(x.shape)}."
            )
        if any(p.device != x.device for p in parameters):
            raise KernelError(f"The parameters of {self.spec} lie elsewhere than its input on {x.device}.")

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
        """Return what Triton is told beside the arguments; from 3.10 on it would not fuse products and sums by itself."""
        return {"num_warps": self.warps or WARPS[dtype.itemsize], "enable_fp_fusion": True}

    def constants(self, plan: Tiling, x: Tensor) -> dict[str, int | bool]:
        """Return what a kernel is compiled for, beside the dtypes."""
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


def _spread(parameters: Sequence[Tensor]) -> list[Any]:
    """Return each parameter, and the step from one channel's to the next."""
    return [piece for p in parameters for piece in (p.detach().contiguous(), int(p.numel() > 1))]


def _gradients(plan: Tiling | None, sums: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return the sums over programs, in the shapes of the parameters."""
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


def _described(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{tuple(t.shape)} {t.dtype} on {t.device}" for t in tensors)


def require_triton() -> None:
    """Raise NoTritonError, with the line that installs it, unless Triton is there."""
    if importlib.util.find_spec("triton") is None:
        raise NoTritonError(
            "GPU kernels need Triton, which is not installed: pip install 'actlab[gpu]' (Linux; torch for CUDA brings it). "
            "Without it the torch reading computes the same."
        )


def require_device(device: torch.device) -> None:
    """Raise NoTritonError unless kernels can run on tensors of the device: a card, or the CPU under Triton's interpreter."""
    require_triton()
    if device.type == "cuda":
        return
    if device.type != "cpu" or os.environ.get("TRITON_INTERPRET", "").lower() not in {"1", "true", "on", "yes", "y"}:
        raise NoTritonError(
            f"GPU kernels run on CUDA cards, got tensors on {device}; move them with x.cuda(), call the torch or the CPU reading, or, "
            "to try kernels without a card, set TRITON_INTERPRET=1 before Python starts."
        )


@cache
def kernel(spec: Spec, gate: Half = "second") -> GpuKernel:
    """Return the kernel of a spec; nothing is printed or compiled before it is called.

    Args:
        spec: of an elementwise or gated activation.
        gate: which half of a packed input is the gate: "second" (torch), "first", or "interleaved" (at even places).

    Raises:
        TypeError: the activation is tensor code, not a formula.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> kernel(parse("prelu")).learned
        ('weight',)
    """
    _ = spec.activation.formula
    if spec.backward is not None:
        raise KernelError(
            f"A kernel of {spec.forward} would lose the gradient rule of {spec}; layer({str(spec)!r}) keeps it."
        )
    return GpuKernel(spec, gate)
