"""The CPU reading of a formula: kernels that run at the speed of memory, forward in one pass and backward in one.

A kernel is printed from the formula when it is first called, compiled for this processor and kept on disk. The backward pass computes again
what it needs of the forward pass, and adds up the gradients of learned parameters as it goes. Half precision is computed in float32 and
rounded once. This is arithmetic on memory: no autograd, no dispatch; the tensors are contiguous ones on the CPU.
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

from actlab.codegen.cpu import jit, kernel_text
from actlab.codegen.cpu.dtypes import BYTES, Reach, Storage, precision_of
from actlab.codegen.cpu.ir_builder import Value
from actlab.codegen.cpu.launch import Launch, Native, Shape, Stream, packed_parameters, pitch
from actlab.codegen.cpu.row_body import Body, Loop
from actlab.codegen.cpu.source import OUTPUT, Pass, slope, text
from actlab.codegen.cpu.vector_math import NAMES
from actlab.codegen.gate_layout import Half, Inputs
from actlab.errors import KernelError
from actlab.functions.activation import Learned
from actlab.functions.formula.printer import compile_source, function_source
from actlab.functions.spec import Spec

__all__ = ["CpuKernel", "kernel"]

STORAGES: dict[torch.dtype, Storage] = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}

FETCHED = (
    2**20
)  # bytes written from which what comes next is fetched ahead: a fifth less at 16 MB, where at 64 kB it costs a twentieth

STREAMED = (
    2**24
)  # bytes written from which the cache is passed by; up to there whoever reads the result next finds some of it there

STEP = 128  # bytes computed with at once: four AVX2 vectors, so that one is computed while another waits (half of it: mish 15 % slower)

MANY = 256  # plans that are kept

KEEP_OUTPUT = {
    "tanh",
    "sigmoid",
}  # torch keeps their output, too: two products take the place of an exponential and a division

NARROW = 32  # numbers per channel below which channels are computed along a row


class CpuKernel:
    """The forward and the backward pass of a spec. Get it from :func:`kernel`.

    Attributes:
        spec: what is computed.
        gate: which half of a packed input is the gate, for gated functions.
        learned: names of the learned parameters, in the order in which they are passed.
    """

    def __init__(self, spec: Spec, gate: Half = "second") -> None:
        self.spec = spec
        self.gate = gate
        self.learned = tuple(name for name, value in spec.assigned if isinstance(value, Learned))
        self._gated = spec.activation.kind == "gated"
        self._functions: dict[tuple[Any, ...], Native] = {}
        self._plans: dict[tuple[Any, ...], Launch] = {}

    def forward(self, x: Inputs, *parameters: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the values.

        Args:
            x: contiguous tensor of any shape, float32, float64, bfloat16 or float16. Of gated functions ``(..., 2n)``, packed as
                :attr:`gate` says, or the two tensors ``(gate, value)`` of one shape.
            parameters: the learned ones, each of one number, or of one per channel (dimension 1).
            out: where to write; it may be the input of an elementwise function.

        Returns:
            A new tensor, or ``out``, of the same dtype and shape; ``(..., n)`` of a packed input.

        Raises:
            KernelError: the tensors are none that a kernel takes.
            NoCompilerError: LLVM is missing.
        """
        inputs = x if isinstance(x, tuple) else (x,)
        plan = self._plan("forward", inputs, parameters)
        y = self._room(out, plan, inputs[0])
        numbers = packed_parameters(plan.shape, parameters, plan.precision) if parameters else None
        plan.run((*inputs, y), numbers, None)
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
            NoCompilerError: LLVM is missing.
        """
        inputs = x if isinstance(x, tuple) else (x,)
        plan = self._plan("backward", inputs, parameters)
        if grad.shape != plan.output or grad.dtype != inputs[0].dtype or not grad.is_cpu:
            raise KernelError(
                f"The gradient of {self.spec} has shape {tuple(plan.output)} and dtype {inputs[0].dtype} here; "
                f"got {_described([grad])}."
            )
        grad = grad.contiguous()
        outputs = tuple(map(torch.empty_like, inputs)) if out is None else (out,)
        if not parameters:
            plan.run((grad, *inputs, *outputs), None, None)
            return (outputs if isinstance(x, tuple) else outputs[0],)
        numbers = packed_parameters(plan.shape, parameters, plan.precision)
        sums = torch.zeros(self._room_for_sums(plan.shape), dtype=torch.float64)
        plan.run((grad, *inputs, *outputs), numbers, sums)
        return (outputs if isinstance(x, tuple) else outputs[0], *self._gradients(plan.shape, sums, parameters))

    @cached_property
    def slope_of_output(self) -> Callable[[Tensor], Tensor]:
        """The slope as tensor code of the output, for those functions whose output is kept."""
        printed = function_source("slope", [OUTPUT], slope(self.spec), "torch")
        return cast("Callable[[Tensor], Tensor]", compile_source(printed, "slope", {}))

    def keeps_output(self, dtype: torch.dtype) -> bool:
        """Whether :meth:`backward_from_output` is the backward pass to take: in half precision a small slope would be lost."""
        return self.spec.activation.name in KEEP_OUTPUT and dtype in {torch.float32, torch.float64}

    def backward_from_output(self, grad: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of the input, given that of the output and the output; both contiguous, of one shape and dtype.

        Example:
            >>> from actlab.functions.grammar import parse
            >>> kernel(parse("tanh")).backward_from_output(torch.ones(2), torch.tensor([0.0, 0.5]))
            tensor([1.0000, 0.7500])
        """
        plan = self._plan("from_output", (y,), ())
        dx = torch.empty_like(y)
        plan.run((grad, y, dx), None, None)
        return dx

    def assembly(self, which: Pass = "forward", dtype: torch.dtype = torch.float32) -> str:
        """Return the machine code of a pass, to be looked at."""
        return jit.assembly(
            kernel_text.text(self._loop(which, STORAGES[dtype], False, False, "cache"), self._body(which))
        )

    def address(self, which: Pass, dtype: torch.dtype) -> int:
        """Return the address of a pass over rows of numbers, for callers that go over memory in their own way.

        Its arguments are those of :meth:`Loop.text`: the streams in the order of :meth:`forward` or :meth:`backward`, results last.
        """
        return self._address("kernel", which, STORAGES[dtype], False, False, "cache")

    def _plan(self, which: Pass, inputs: tuple[Tensor, ...], parameters: Sequence[Tensor]) -> Launch:
        """Return how a pass over such tensors goes; kept, so that the next call pays a look-up."""
        first = inputs[0]
        key = (which, first.dtype, first.shape, len(inputs), tuple(p.numel() for p in parameters) if parameters else ())
        plan = self._plans.get(key)
        if plan is None:
            self._check_kind(inputs)
            if len(self._plans) > MANY:
                self._plans.clear()
            plan = self._plans[key] = self._planned(which, inputs, parameters)
        if not (first.is_cpu and first.is_contiguous() and (len(inputs) == 1 or _are_alike(inputs))):
            raise KernelError(
                f"A kernel of {self.spec} takes contiguous tensors on the CPU, of one shape and dtype; got {_described(inputs)}. "
                "Call x.contiguous(), or use the torch reading."
            )
        return plan

    def _check_kind(self, inputs: tuple[Tensor, ...]) -> None:
        first = inputs[0]
        if first.dtype not in STORAGES:
            raise KernelError(
                f"A kernel of {self.spec} computes on {', '.join(map(str, STORAGES))}; got {first.dtype}."
            )
        if len(inputs) != 1 and len(inputs) != len(self.spec.activation.inputs):
            raise KernelError(f"{self.spec} takes {len(self.spec.activation.inputs)} tensors, got {len(inputs)}.")
        if self._gated and len(inputs) == 1 and (first.dim() == 0 or first.shape[-1] % 2):
            raise KernelError(f"{self.spec} takes two halves in an even last dimension, got {_described(inputs)}.")

    def _room(self, out: Tensor | None, plan: Launch, like: Tensor) -> Tensor:
        if out is None:  # like first: torch reads a shape and a dtype in twice the time
            return like.new_empty(plan.output) if self._gated and plan.output != like.shape else torch.empty_like(like)
        if out.shape != plan.output or out.dtype != like.dtype or not (out.is_cpu and out.is_contiguous()):
            raise KernelError(f"{self.spec} writes {tuple(plan.output)} {like.dtype} here; got {_described([out])}.")
        return out

    def _planned(self, which: Pass, inputs: tuple[Tensor, ...], parameters: Sequence[Tensor]) -> Launch:
        storage = STORAGES[inputs[0].dtype]
        shape, size = self._shape(inputs, parameters), BYTES[storage]
        packed = self._gated and len(inputs) == 1
        split = self._split(shape, size) if packed else [Stream(row=shape.size * size, number=size)]
        whole = [Stream(row=shape.size * size, number=size)]
        back = which != "forward"
        tensors = [whole] * back + [split] * len(inputs) + ([split] * len(inputs) if back else [whole])
        interleaved = packed and self.gate == "interleaved"
        return Launch(
            shape=shape,
            output=self._shape_of_output(inputs),
            precision=precision_of(storage),
            streams=tuple(
                Stream(tensor=i, offset=s.offset, row=s.row, number=s.number)
                for i, part in enumerate(tensors)
                for s in part
            ),
            written=len(split) * len(inputs) if back else 1,
            reach=_reach(shape.rows * shape.size * size),
            function=lambda reach: self._function(which, storage, interleaved, shape.columns, reach),
        )

    def _split(self, shape: Shape, size: int) -> list[Stream]:
        """Return the streams of a packed tensor, the gate's first."""
        row = shape.size * size
        if self.gate == "interleaved":
            return [Stream(row=2 * row, number=2 * size)]
        halves = [Stream(offset=offset, row=2 * row, number=size) for offset in (0, row)]
        return halves if self.gate == "first" else halves[::-1]

    def _shape_of_output(self, inputs: tuple[Tensor, ...]) -> torch.Size:
        shape = inputs[0].shape
        return torch.Size((*shape[:-1], shape[-1] // 2)) if self._gated and len(inputs) == 1 else shape

    def _shape(self, inputs: tuple[Tensor, ...], parameters: Sequence[Tensor]) -> Shape:
        """Return how a pass goes over the inputs."""
        x = inputs[0]
        if len(parameters) != len(self.learned):
            raise KernelError(f"{self.spec} learns {self.learned or 'nothing'}; got {len(parameters)} parameters.")
        channels = max((p.numel() for p in parameters), default=1)
        packed = self._gated and len(inputs) == 1
        if channels == 1:
            rows = x.numel() // max(1, x.shape[-1]) if packed and self.gate != "interleaved" else 1
            return Shape(rows=rows, size=x.numel() // (2 if packed else 1) // max(1, rows))
        if x.dim() < 2 + packed or x.shape[1] != channels or any(p.numel() not in {1, channels} for p in parameters):
            raise KernelError(
                f"{self.spec} has {channels} channels in dimension 1, got an input of shape {tuple(x.shape)}."
            )
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

    def _room_for_sums(self, shape: Shape) -> tuple[int, ...]:
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

    def _function(self, which: Pass, storage: Storage, interleaved: bool, columns: bool, reach: Reach) -> Native:
        key = (which, storage, interleaved, columns, reach)
        if key not in self._functions:
            loop = self._loop(*key)
            kinds = [ctypes.c_void_p] * (len(loop.reads) + len(loop.writes) + 3)
            address = self._address("framed", *key)
            self._functions[key] = Native(address=address, call=ctypes.CFUNCTYPE(None, *kinds)(address))
        return self._functions[key]

    def _address(self, name: str, which: Pass, *key: Any) -> int:
        loop = self._loop(which, *key)
        named = " ".join([_sources(), self._identity(), repr((which, *key)), repr(loop)])
        return jit.address(named, lambda: kernel_text.text(loop, self._body(which)), name)

    def _loop(self, which: Pass, storage: Storage, interleaved: bool, columns: bool, reach: Reach) -> Loop:
        if storage == "float16" and not jit.converts_half():
            raise KernelError(f"This processor does not convert float16; the torch reading of {self.spec} does.")
        inputs = (2,) if interleaved else (1,) * len(self.spec.activation.inputs)
        return Loop(
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
        """Return what the code depends on beside the package's own source."""
        record = self.spec.activation
        return f"{sympy.srepr(record.formula)} {record.inputs} {self.spec.assigned} {self.gate if self._gated else ''}"

    @property
    def text(self) -> str:
        """The Python source of the printed formulas: the value, then the derivative in each input and each learned parameter."""
        return "\n".join(text(which, self.spec) for which in ("forward", "backward"))

    def _body(self, which: Pass) -> Body:
        """Return what is computed in a step of the loop."""
        printed = compile_source(text(which, self.spec), which, NAMES)
        count = len(self.spec.activation.inputs)

        def body(values: list[Value], parameters: list[Value]) -> tuple[list[Value], list[Value]]:
            results = printed(*values, *parameters)
            builder, precision = values[0].builder, values[0].precision
            found = [r if isinstance(r, Value) else builder.constant(r, precision) for r in results]
            return (found, []) if which == "forward" else (found[:count], found[count:])

        return body


def _are_alike(tensors: Sequence[Tensor]) -> bool:
    """Tell whether all are contiguous on the CPU, and of one shape and dtype."""
    first = tensors[0]
    return all(t.is_cpu and t.is_contiguous() and t.shape == first.shape and t.dtype == first.dtype for t in tensors)


def _described(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{tuple(t.shape)} {t.dtype} on {t.device}" for t in tensors)


def _reach(size: int) -> Reach:
    """Return where so many bytes are."""
    if size >= STREAMED:
        return "past"
    return "memory" if size >= FETCHED else "cache"


@cache
def _sources() -> str:
    """Return a digest of the files that print kernels: a change of theirs makes the objects on disk strangers."""
    root = Path(__file__).parents[2]
    files = sorted(file for room in ("codegen", "functions") for file in (root / room).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@cache
def kernel(spec: Spec, gate: Half = "second") -> CpuKernel:
    """Return the kernel of a spec; nothing is compiled before it is called.

    Args:
        spec: of an elementwise or gated activation.
        gate: which half of a packed input is the gate: "second" (torch), "first", or "interleaved" (at even places).

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
    _ = spec.activation.formula
    if spec.backward is not None:
        raise KernelError(
            f"A kernel of {spec.forward} would lose the gradient rule of {spec}; layer({str(spec)!r}) keeps it."
        )
    return CpuKernel(spec, gate)
