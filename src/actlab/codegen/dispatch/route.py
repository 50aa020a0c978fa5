"""The route: whether a call of a fast layer runs a kernel or the plain formula, as torch's mode, the tensor and the measured table say.

A kernel is foreign code: torch sees neither its operations nor its derivative. So it runs only where nobody looks: in eager mode, on
dense tensors of a device and dtype that have a kernel, from the size on at which it is quicker (``crossover.toml``, measured). In
every other mode the formula runs, which every mode understands: under ``torch.compile``, ``export`` and ``jit.trace``, inside
``torch.func``, in forward-mode differentiation, on meta and fake tensors. That matters: torch 2.13 silently drops the ``backward`` of an
``autograd.Function`` in ``torch.compile(torch.func.grad(f))``. A gradient that is differentiated again is the formula's, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from subprocess import SubprocessError
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from actlab.codegen.dispatch.crossover import crossover
from actlab.codegen.eager_mode import is_eager
from actlab.errors import ActlabError
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

if TYPE_CHECKING:
    from actlab.codegen.gate_layout import Half

__all__ = ["Kernel", "Route"]

DENSE = frozenset({Tensor, nn.Parameter})  # no subclass, of which nobody knows what it does
Plain = Callable[..., Tensor]  # the same function as tensor code that every mode of torch understands


class Kernel(Protocol):
    """What a device's reading gives: the function and its gradient, each in one pass over contiguous tensors."""

    def forward(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Return the function's value."""

    def backward(self, grad: Tensor, x: Tensor, *parameters: Tensor) -> tuple[Any, ...]:
        """Return the gradient in the input and in each parameter."""

    def keeps_output(self, dtype: torch.dtype) -> bool:
        """Whether the backward pass is :meth:`FromOutput.backward_from_output`."""


class FromOutput(Kernel, Protocol):
    """A kernel whose backward pass needs the output, and not the input."""

    @property
    def slope_of_output(self) -> Callable[[Tensor], Tensor]:
        """The slope as tensor code of the output."""

    def backward_from_output(self, grad: Tensor, y: Tensor) -> Tensor:
        """Return the gradient in the input."""


class Route:
    """A fast layer's way to its kernel.

    Args:
        plain: the function as tensor code, of the input and the learned parameters.
        kernel: makes the kernel of a device.
        fewest: says for a device, a dtype and a number of threads from how many elements on the kernel is to run.
        any_order: whether the elements may be computed in any order, as they lie in memory (no channels, no halves).
    """

    def __init__(
        self,
        plain: Plain,
        kernel: Callable[[str], Kernel],
        fewest: Callable[[str, torch.dtype, int], float],
        *,
        any_order: bool,
    ) -> None:
        self.plain, self.kernel = plain, kernel
        self._fewest, self._any_order = fewest, any_order
        self._known: dict[tuple[torch.device, torch.dtype, int], float] = {}
        self._kernels: dict[str, Kernel] = {}

    @classmethod
    def of(cls, spec: Spec, plain: Plain, *, gate: str, native: bool) -> Route:
        """Return the route of a spec.

        Args:
            spec: elementwise or gated.
            plain: as above.
            gate: which half of a packed input is the gate.
            native: whether torch has a fused kernel for it.
        """

        def fewest(device: str, dtype: torch.dtype, threads: int) -> float:
            if spec.activation.expression in spec.activation.inputs:  # nothing is quicker than handing the input on
                return inf
            return crossover(spec.activation.name, device, dtype, native=native, threads=threads)

        any_order = spec.activation.kind != "gated" and not spec.needs_channels
        return cls(plain, lambda device: DEVICES[device](spec, gate), fewest, any_order=any_order)

    def always(self) -> None:
        """Take every call that a kernel can take, however small: to measure from which size on that is worth it."""
        self._fewest = lambda *_: 1
        self._known.clear()

    def takes(self, x: Tensor, parameters: Sequence[Tensor]) -> bool:
        """Whether this call is one for the kernel."""
        if torch.compiler.is_compiling():  # first, so that the compiler sees nothing of the rest
            return False
        case = (x.device, x.dtype, torch.get_num_threads())
        fewest = self._known.get(case)
        if fewest is None:
            fewest = self._known[case] = self._size(x.device.type, *case[1:])
        return (
            x.numel() >= fewest
            and type(x) in DENSE
            and (not parameters or all(p.device == x.device for p in parameters))
            and is_eager()
        )

    def _size(self, device: str, dtype: torch.dtype, threads: int) -> float:
        fewest = self._fewest(device, dtype, threads)
        return max(fewest, 1) if fewest < inf and _works(device, dtype) else inf

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Apply the function; only where :meth:`takes` says so."""
        if x.is_contiguous():
            return self._apply(x, parameters)
        order = sorted(range(x.dim()), key=x.stride, reverse=True)
        dense = x.permute(order)
        if not (self._any_order and dense.is_contiguous()):
            return self._apply(x.contiguous(), parameters)
        back = sorted(range(x.dim()), key=order.__getitem__)
        return self._apply(dense, parameters).permute(
            back
        )  # channels last, transposed: the same elements in another order

    def _apply(self, x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        device = x.device.type
        kernel = self._kernels.get(device) or self._made(device)
        if torch.is_grad_enabled() and (x.requires_grad or (parameters and any(p.requires_grad for p in parameters))):
            if not parameters and kernel.keeps_output(x.dtype):
                return cast("Tensor", _apply_from_output(kernel, x))
            return cast("Tensor", _apply(kernel, self.plain, x, *parameters))
        return kernel.forward(x, *parameters)

    def _made(self, device: str) -> Kernel:
        kernel = self._kernels[device] = self.kernel(device)
        return kernel


class _Kernelled(torch.autograd.Function):
    """Keeps the input, and computes value and slope anew in the backward pass: one pass over memory each way."""

    @staticmethod
    def forward(ctx: Any, kernel: Kernel, plain: Plain, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.kernel, ctx.plain = kernel, plain
        ctx.save_for_backward(x, *parameters)
        return kernel.forward(x, *parameters)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: this gradient will be differentiated
            return None, None, *_plain_gradients(ctx.plain, tensors, ctx.needs_input_grad[2:], grad)
        gradients = ctx.kernel.backward(grad if grad.is_contiguous() else grad.contiguous(), *tensors)
        if len(tensors) == 1:  # of all inputs only this one can have asked
            return None, None, gradients[0]
        needed = ctx.needs_input_grad[2:]
        return None, None, *(g if wanted else None for g, wanted in zip(gradients, needed, strict=True))


class _KernelledFromOutput(torch.autograd.Function):
    """Keeps the output, as torch does for the same functions."""

    @staticmethod
    def forward(ctx: Any, kernel: FromOutput, x: Tensor) -> Tensor:
        y = kernel.forward(x)
        ctx.kernel = kernel
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        (y,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # the output knows where it comes from, so this can be differentiated
            return None, grad * ctx.kernel.slope_of_output(y)
        return None, ctx.kernel.backward_from_output(grad.contiguous(), y)


# What Function.apply calls when no functorch transform is active, which ``Route.takes`` has seen to: asking again costs 5 us.
_apply: Callable[..., Any] = super(torch.autograd.Function, _Kernelled).apply
_apply_from_output: Callable[..., Any] = super(torch.autograd.Function, _KernelledFromOutput).apply


def _plain_gradients(
    plain: Plain, tensors: tuple[Tensor, ...], needed: tuple[bool, ...], grad: Tensor
) -> list[Tensor | None]:
    wanted = [tensor for tensor, needs in zip(tensors, needed, strict=True) if needs]
    found = iter(torch.autograd.grad(plain(*tensors), wanted, grad, create_graph=True, allow_unused=True))
    return [next(found) if needs else None for needs in needed]


def _cpu(spec: Spec, gate: str) -> Kernel:
    from actlab.codegen.cpu import kernel as cpu  # noqa: PLC0415 a layer that is not fast needs no kernels

    return cpu.kernel(spec, cast("Half", gate))


def _cuda(spec: Spec, gate: str) -> Kernel:
    from actlab.codegen.gpu import kernel as gpu  # noqa: PLC0415 likewise

    return gpu.kernel(spec, cast("Half", gate))


DEVICES: dict[str, Callable[[Spec, str], Kernel]] = {"cpu": _cpu, "cuda": _cuda}


@cache
def _works(device: str, dtype: torch.dtype) -> bool:
    """Whether kernels can be made here: seen by making one. Without a compiler everything runs as torch has it."""
    if device not in DEVICES:
        return False
    try:
        DEVICES[device](parse("relu"), "second").forward(torch.zeros(1, dtype=dtype, device=device))
    except (ActlabError, RuntimeError, OSError, SubprocessError):  # Triton asks a C compiler for its launcher
        return False
    return True
