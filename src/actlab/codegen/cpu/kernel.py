"""Fused forward and backward CPU kernels of activations, generated from the formula.

A kernel is generated when it is first called, compiled for this processor and cached on disk. The backward pass recomputes what it needs of
the forward pass, and accumulates the gradients of learned parameters in the same loop. Half precision is computed in float32 and rounded
once. Kernels take contiguous tensors on the CPU and do not take part in autograd or dispatch.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

import sympy
import torch
from torch import Tensor

from actlab.codegen.cpu import jit
from actlab.codegen.cpu.dtypes import BYTES, STORAGES, Reach, Storage, precision_of
from actlab.codegen.cpu.ir_builder import Value
from actlab.codegen.cpu.launch import Launch, NativeFunction, Shape, Stream, packed_parameters, pitch
from actlab.codegen.cpu.row_body import RowBody, RowLoop
from actlab.codegen.cpu.row_loop import kernel_text
from actlab.codegen.cpu.source import OUTPUT, Pass, slope, text
from actlab.codegen.cpu.vector_math import NAMES
from actlab.codegen.kernel_inputs import (
    Half,
    Inputs,
    check_parameters,
    check_spec,
    describe,
    learned_names,
    output_shape,
)
from actlab.errors import KernelError
from actlab.functions.formula.printer import compile_source, function_source
from actlab.functions.spec import Spec

__all__ = ["CpuKernel", "kernel"]

# Output size in bytes from which kernels prefetch: a fifth faster at 16 MB, but a twentieth slower at 64 kB.
FETCHED = 2**20
# Output size in bytes from which stores bypass the cache; smaller outputs stay in it for the next operation.
STREAMED = 2**24
# Bytes per step: four AVX2 vectors, so that their latencies overlap (with two, mish is 15 % slower).
STEP = 128
# Functions whose output is saved for backward, as in torch: two products instead of an exponential and a division.
KEEP_OUTPUT = {"tanh", "sigmoid"}
NARROW = 32  # numbers per channel below which channels vary along a row
MAX_LAUNCHES = 256  # launches remembered by a kernel


class CpuKernel:
    """Forward and backward pass of a spec on the CPU. Create it with :func:`kernel`.

    Attributes:
        spec: an elementwise or gated activation.
        gate: for gated functions, where the gate is in a packed input: "second" half (as in torch), "first" half, or "interleaved".
        learned: names of the learned parameters, in the order in which they are passed.
    """

    def __init__(self, spec: Spec, gate: Half = "second") -> None:
        self.spec = spec
        self.gate = gate
        self.learned = learned_names(spec)
        self._gated = spec.activation.kind == "gated"
        self._functions: dict[tuple[Any, ...], NativeFunction] = {}
        self._launches: dict[tuple[Any, ...], Launch] = {}

    def forward(self, x: Inputs, *parameters: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the values.

        Args:
            x: contiguous tensor of any shape, float32, float64, bfloat16 or float16. For gated functions a packed tensor ``(..., 2n)`` (see
                :attr:`gate`), or the two tensors ``(gate, value)`` of one shape.
            parameters: the learned parameters, each of one number, or of one per channel (dimension 1).
            out: tensor for the result; for an elementwise function it may be the input.

        Returns:
            A new tensor, or ``out``, of the same dtype and shape as the input; ``(..., n)`` for a packed input.

        Raises:
            KernelError: a dtype, shape, device or memory layout that kernels do not support.
            NoCompilerError: LLVM is missing.
        """
        inputs = x if isinstance(x, tuple) else (x,)
        launch = self._launch("forward", inputs, parameters)
        y = self._output(out, launch, inputs[0])
        packed = packed_parameters(launch.shape, parameters, launch.precision) if parameters else None
        launch.run((*inputs, y), packed, None)
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
            NoCompilerError: LLVM is missing.
        """
        inputs = x if isinstance(x, tuple) else (x,)
        launch = self._launch("backward", inputs, parameters)
        if grad.shape != launch.output or grad.dtype != inputs[0].dtype or not grad.is_cpu:
            raise KernelError(
                f"The gradient of {self.spec} has shape {tuple(launch.output)} and dtype {inputs[0].dtype} here; "
                f"got {describe([grad])}."
            )
        grad = grad.contiguous()
        if grad.is_neg():
            grad = grad.resolve_neg()
        outputs = tuple(map(torch.empty_like, inputs)) if out is None else (out,)
        if not parameters:
            launch.run((grad, *inputs, *outputs), None, None)
            return (outputs if isinstance(x, tuple) else outputs[0],)
        packed = packed_parameters(launch.shape, parameters, launch.precision)
        sums = torch.zeros(self._shape_of_sums(launch.shape), dtype=torch.float64)
        launch.run((grad, *inputs, *outputs), packed, sums)
        return (outputs if isinstance(x, tuple) else outputs[0], *self._gradients(launch.shape, sums, parameters))

    @cached_property
    def slope_of_output(self) -> Callable[[Tensor], Tensor]:
        """The slope as tensor code of the output, for functions whose output is saved for backward."""
        printed = function_source("slope", [OUTPUT], slope(self.spec), "torch")
        return cast("Callable[[Tensor], Tensor]", compile_source(printed, "slope", {}))

    def keeps_output(self, dtype: torch.dtype) -> bool:
        """Whether the backward pass is :meth:`backward_from_output`; not in half precision, where small slopes would be lost."""
        return self.spec.activation.name in KEEP_OUTPUT and dtype in {torch.float32, torch.float64}

    def backward_from_output(self, grad: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of the input from that of the output and the output; both contiguous, of one shape and dtype.

        Example:
            >>> from actlab.functions.grammar import parse
            >>> kernel(parse("tanh")).backward_from_output(torch.ones(2), torch.tensor([0.0, 0.5]))
            tensor([1.0000, 0.7500])
        """
        launch = self._launch("from_output", (y,), ())
        dx = torch.empty_like(y)
        launch.run((grad, y, dx), None, None)
        return dx

    def assembly(self, which: Pass = "forward", dtype: torch.dtype = torch.float32) -> str:
        """Return the assembly of a pass."""
        return jit.assembly(kernel_text(self._loop(which, STORAGES[dtype], False, False, "cache"), self._body(which)))

    def address(self, which: Pass, dtype: torch.dtype) -> int:
        """Return the address of the compiled function of a pass, for callers with their own memory layout.

        Its arguments are those of ``kernel`` in :func:`~actlab.codegen.cpu.row_loop.kernel_text`: the streams in the order of the arguments
        of :meth:`forward` or :meth:`backward`, results last.
        """
        return self._address("kernel", which, STORAGES[dtype], False, False, "cache")

    def _launch(self, which: Pass, inputs: tuple[Tensor, ...], parameters: Sequence[Tensor]) -> Launch:
        """Return the launch of a pass over such tensors, remembered for the next call."""
        first = inputs[0]
        key = (which, first.dtype, first.shape, len(inputs), tuple(p.numel() for p in parameters) if parameters else ())
        launch = self._launches.get(key)
        if launch is None:
            self._check_kind(inputs)
            if len(self._launches) > MAX_LAUNCHES:
                self._launches.clear()
            launch = self._launches[key] = self._new_launch(which, inputs, parameters)
        if not (first.is_cpu and first.is_contiguous() and (len(inputs) == 1 or _are_alike(inputs))):
            raise KernelError(
                f"A kernel of {self.spec} takes contiguous tensors on the CPU, of one shape and dtype; got {describe(inputs)}. "
                "Call x.contiguous(), or use a layer without fast=True, which runs torch code."
            )
        return launch

    def _check_kind(self, inputs: tuple[Tensor, ...]) -> None:
        first = inputs[0]
        if first.dtype not in STORAGES:
            raise KernelError(
                f"A kernel of {self.spec} computes on {', '.join(map(str, STORAGES))}; got {first.dtype}."
            )
        if len(inputs) != 1 and len(inputs) != len(self.spec.activation.inputs):
            raise KernelError(f"{self.spec} takes {len(self.spec.activation.inputs)} tensors, got {len(inputs)}.")
        if self._gated and len(inputs) == 1 and (first.dim() == 0 or first.shape[-1] % 2):
            raise KernelError(f"{self.spec} takes two halves in an even last dimension, got {describe(inputs)}.")

    def _output(self, out: Tensor | None, launch: Launch, like: Tensor) -> Tensor:
        """Return ``out``, checked, or a new tensor for the output."""
        if out is None:  # empty_like where possible: torch takes twice as long to parse a shape and a dtype
            is_like = not self._gated or launch.output == like.shape
            return torch.empty_like(like) if is_like else like.new_empty(launch.output)
        if out.shape != launch.output or out.dtype != like.dtype or not (out.is_cpu and out.is_contiguous()):
            raise KernelError(
                f"{self.spec} writes to a contiguous CPU tensor of shape {tuple(launch.output)} and dtype {like.dtype}; "
                f"got {describe([out])}."
            )
        return out

    def _new_launch(self, which: Pass, inputs: tuple[Tensor, ...], parameters: Sequence[Tensor]) -> Launch:
        storage = STORAGES[inputs[0].dtype]
        shape, size = self._shape(inputs, parameters), BYTES[storage]
        packed = self._is_packed(inputs)
        plain = [Stream(row=shape.size * size, number=size)]
        streams = self._packed_streams(shape, size) if packed else plain  # of an input or its gradient
        backward = which != "forward"
        tensors = [plain] * backward + [streams] * len(inputs) + ([streams] * len(inputs) if backward else [plain])
        interleaved = packed and self.gate == "interleaved"
        return Launch(
            shape=shape,
            output=output_shape(inputs, packed=packed),
            precision=precision_of(storage),
            streams=tuple(
                Stream(tensor=i, offset=s.offset, row=s.row, number=s.number)
                for i, part in enumerate(tensors)
                for s in part
            ),
            written=len(streams) * len(inputs) if backward else 1,
            reach=_reach(shape.rows * shape.size * size),
            function=lambda reach: self._function(which, storage, interleaved, shape.columns, reach),
        )

    def _is_packed(self, inputs: tuple[Tensor, ...]) -> bool:
        return self._gated and len(inputs) == 1

    def _packed_streams(self, shape: Shape, size: int) -> list[Stream]:
        """Return the streams of a packed tensor, the gate's first."""
        row = shape.size * size
        if self.gate == "interleaved":
            return [Stream(row=2 * row, number=2 * size)]
        halves = [Stream(offset=offset, row=2 * row, number=size) for offset in (0, row)]
        return halves if self.gate == "first" else halves[::-1]

    def _shape(self, inputs: tuple[Tensor, ...], parameters: Sequence[Tensor]) -> Shape:
        """Return the inputs as rows of numbers."""
        x, packed = inputs[0], self._is_packed(inputs)
        channels = check_parameters(self.spec, x, parameters, len(self.learned), packed=packed)
        if channels == 1:
            rows = x.numel() // max(1, x.shape[-1]) if packed and self.gate != "interleaved" else 1
            return Shape(rows=rows, size=x.numel() // (2 if packed else 1) // max(1, rows))
        if not x.numel():
            return Shape(rows=0, size=0, channels=channels)
        inner = x[0, 0].numel()
        if packed:
            last = x.shape[-1]
            return Shape(
                rows=x.numel() // max(1, last), size=last // 2, repeat=max(1, inner // max(1, last)), channels=channels
            )
        if inner < NARROW:
            return Shape(rows=x.shape[0], size=channels * inner, columns=True, spread=inner)
        return Shape(rows=x.shape[0] * channels, size=inner, channels=channels)

    def _shape_of_sums(self, shape: Shape) -> tuple[int, ...]:
        count = len(self.learned)
        return (count, pitch(shape)) if shape.columns else (shape.channels, count)

    def _gradients(self, shape: Shape, sums: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums in the shapes of the parameters."""
        if shape.channels == 1 and not shape.columns:
            return [torch.full_like(p, total) for p, total in zip(parameters, sums[0].tolist(), strict=True)]
        if shape.columns:
            width = shape.size // max(1, shape.spread)
            by_channel = sums[:, : shape.size].reshape(len(parameters), width, shape.spread).sum(-1)
        else:
            by_channel = sums.T
        return [
            (row if p.numel() > 1 else row.sum()).to(p.dtype).reshape(p.shape)
            for row, p in zip(by_channel, parameters, strict=True)
        ]

    def _function(
        self, which: Pass, storage: Storage, interleaved: bool, columns: bool, reach: Reach
    ) -> NativeFunction:
        key = (which, storage, interleaved, columns, reach)
        if key not in self._functions:
            loop = self._loop(*key)
            pointers = [ctypes.c_void_p] * (len(loop.reads) + len(loop.writes) + 3)
            address = self._address("framed", *key)
            self._functions[key] = NativeFunction(address=address, call=ctypes.CFUNCTYPE(None, *pointers)(address))
        return self._functions[key]

    def _address(self, name: str, which: Pass, *key: Any) -> int:
        loop = self._loop(which, *key)
        cache_key = " ".join([_source_digest(), self._identity(), repr((which, *key)), repr(loop)])
        return jit.address(cache_key, lambda: kernel_text(loop, self._body(which)), name)

    def _loop(self, which: Pass, storage: Storage, interleaved: bool, columns: bool, reach: Reach) -> RowLoop:
        if storage == "float16" and not jit.converts_half():
            raise KernelError(
                f"This processor cannot convert float16; use float32 or bfloat16, or a layer({str(self.spec)!r}) without fast=True."
            )
        inputs = (2,) if interleaved else (1,) * len(self.spec.activation.inputs)
        return RowLoop(
            storage=storage,
            reads=inputs if which == "forward" else (1, *inputs),
            writes=(1,) if which == "forward" else inputs,
            parameters=len(self.learned),
            sums=len(self.learned) if which != "forward" else 0,
            columns=columns,
            reach=reach,
            lanes=STEP // BYTES[precision_of(storage)],
            fused=jit.fuses(),
            whole_lines=jit.writes_lines(),
            rounds=jit.rounds_to_bfloat16(),
            flushes=jit.flushes(),
        )

    def _identity(self) -> str:
        """Return what the code depends on besides the source of the package."""
        record = self.spec.activation
        return f"{sympy.srepr(record.formula)} {record.inputs} {self.spec.assigned} {self.gate if self._gated else ''}"

    @property
    def text(self) -> str:
        """Python source of both passes: the value, then the gradient in each input and each learned parameter."""
        return "\n".join(text(which, self.spec) for which in ("forward", "backward"))

    def _body(self, which: Pass) -> RowBody:
        """Return the function that emits the code of a step of the loop."""
        printed = compile_source(text(which, self.spec), which, NAMES)
        count = len(self.spec.activation.inputs)

        def body(values: list[Value], parameters: list[Value]) -> tuple[list[Value], list[Value]]:
            results = printed(*values, *parameters)
            builder, precision = values[0].builder, values[0].precision
            vectors = [r if isinstance(r, Value) else builder.constant(r, precision) for r in results]
            return (vectors, []) if which == "forward" else (vectors[:count], vectors[count:])

        return body


def _are_alike(tensors: Sequence[Tensor]) -> bool:
    """Whether all tensors are contiguous on the CPU, and of one shape and dtype."""
    first = tensors[0]
    return all(t.is_cpu and t.is_contiguous() and t.shape == first.shape and t.dtype == first.dtype for t in tensors)


def _reach(size: int) -> Reach:
    """Return how memory is accessed for an output of ``size`` bytes."""
    if size >= STREAMED:
        return "past"
    return "memory" if size >= FETCHED else "cache"


def _source_files() -> list[Path]:
    """Return the files that determine the code of kernels: all of ``actlab.codegen`` and ``actlab.functions``."""
    package = Path(__file__).parents[2]
    return sorted(file for folder in ("codegen", "functions") for file in (package / folder).rglob("*.py"))


@cache
def _source_digest() -> str:
    """Return a hash of these files, part of the cache key: a change in any of them invalidates all cached objects."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in _source_files())).hexdigest()


@cache
def kernel(spec: Spec, gate: Half = "second") -> CpuKernel:
    """Return the kernel of a spec; it is compiled when it is first called.

    Args:
        spec: of an elementwise or gated activation.
        gate: where the gate is in a packed input: "second" half (as in torch), "first" half, or "interleaved" (even elements).

    Raises:
        TypeError: the activation is tensor code, not a formula.
        KernelError: the spec has a gradient rule.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> mish = kernel(parse("mish"))
        >>> mish.forward(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.3034,  0.0000,  0.8651])
        >>> mish.backward(torch.ones(3), torch.tensor([-100.0, 0.0, 1.0]))
        (tensor([0.0000, 0.6000, 1.0490]),)
    """
    check_spec(spec)
    return CpuKernel(spec, gate)
