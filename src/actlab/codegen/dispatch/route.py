"""Run-time dispatch of an activation to its CPU or GPU kernel, or else to plain torch code.

Torch sees neither the operations of a kernel nor its derivative. So kernels run only in eager mode, on dense tensors of a supported device
and dtype, from the size at which they are faster (measured, ``crossover.toml``). In all other modes the formula runs as torch code: under
``torch.compile``, ``export`` and ``jit.trace``, inside ``torch.func``, in forward-mode AD, on meta and fake tensors. This is necessary:
torch 2.13 silently drops the ``backward`` of an ``autograd.Function`` in ``torch.compile(torch.func.grad(f))``. Second-order gradients
also come from the torch code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from subprocess import SubprocessError
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from actlab.codegen.dispatch.crossover import crossover
from actlab.codegen.eager_mode import is_batch, is_eager
from actlab.codegen.kernel_inputs import Half
from actlab.errors import ActlabError
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec

__all__ = ["Kernel", "Route"]

DENSE = frozenset({Tensor, nn.Parameter})  # exact types only: subclasses may override operators
Plain = Callable[..., Tensor]  # the same function as torch code


class Kernel(Protocol):
    """Forward and backward pass of a function on one device, each in one pass over contiguous tensors."""

    def forward(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Return the values."""

    def backward(self, grad: Tensor, x: Tensor, *parameters: Tensor) -> tuple[Any, ...]:
        """Return the gradient in the input and in each parameter."""

    def keeps_output(self, dtype: torch.dtype) -> bool:
        """Whether the backward pass is :meth:`OutputKernel.backward_from_output`."""


class OutputKernel(Kernel, Protocol):
    """A kernel whose backward pass needs the output instead of the input."""

    @property
    def slope_of_output(self) -> Callable[[Tensor], Tensor]:
        """The slope as tensor code of the output."""

    def backward_from_output(self, grad: Tensor, y: Tensor) -> Tensor:
        """Return the gradient in the input."""


class Route:
    """Dispatch of one function to its kernels.

    Args:
        plain: the function as torch code, of the input and the learned parameters.
        kernel: creates the kernel of a device.
        fewest: returns, for a device, a dtype and a number of threads, the number of elements from which the kernel is used.
        any_order: whether elements are independent of their position, so that permuted dense tensors need no copy (no channels or gates).
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
        self._sizes: dict[tuple[torch.device, torch.dtype, int], float] = {}
        self._kernels: dict[str, Kernel] = {}

    @classmethod
    def of(cls, spec: Spec, plain: Plain, *, gate: Half, native: bool) -> Route:
        """Return the route of a spec.

        Args:
            spec: elementwise or gated, without a gradient rule.
            plain: the function as torch code, of the input and the learned parameters.
            gate: where the gate is in a packed input.
            native: whether torch has a fused kernel for it.
        """

        def fewest(device: str, dtype: torch.dtype, threads: int) -> float:
            if spec.activation.expression in spec.activation.inputs:  # the identity returns its input without a copy
                return inf
            return crossover(spec.activation.name, device, dtype, native=native, threads=threads)

        any_order = spec.activation.kind != "gated" and not spec.needs_channels
        return cls(plain, lambda device: DEVICES[device](spec, gate), fewest, any_order=any_order)

    def always(self) -> None:
        """Use kernels for tensors of any size, to measure from which size they are faster."""
        self._fewest = lambda *_: 1
        self._sizes.clear()

    def takes(self, x: Tensor, parameters: Sequence[Tensor]) -> bool:
        """Whether the kernel is used for this call."""
        if torch.compiler.is_compiling():  # first, so that the compiler does not trace the rest
            return False
        case = (x.device, x.dtype, torch.get_num_threads())
        fewest = self._sizes.get(case)
        if fewest is None:
            fewest = self._sizes[case] = self._smallest_size(x.device.type, *case[1:])
        return (
            x.numel() >= fewest
            and type(x) in DENSE
            and (not parameters or _on_the_device(parameters, x.device))
            and is_eager()
        )

    def _smallest_size(self, device: str, dtype: torch.dtype, threads: int) -> float:
        """Return the number of elements from which the kernel is used; infinite if kernels do not run on the device."""
        fewest = self._fewest(device, dtype, threads)
        return max(fewest, 1) if fewest < inf and _kernels_run(device, dtype) else inf

    def __call__(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """Apply the kernel; call only if :meth:`takes` is true."""
        if x.is_contiguous() and not x.is_neg():
            return self._apply(x, parameters)
        x = x.resolve_neg()
        order = sorted(range(x.dim()), key=x.stride, reverse=True)
        dense = x.permute(order)
        if not (self._any_order and dense.is_contiguous()):
            return self._apply(x.contiguous(), parameters)
        # Channels last or transposed: the same elements in another order.
        inverse = sorted(range(x.dim()), key=order.__getitem__)
        return self._apply(dense, parameters).permute(inverse)

    def _apply(self, x: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        kernel = self._kernels.get("cpu" if x.is_cpu else x.device.type) or self._create_kernel(x.device.type)
        if torch.is_grad_enabled() and (x.requires_grad or (parameters and any(p.requires_grad for p in parameters))):
            if not parameters and kernel.keeps_output(x.dtype):
                return cast("Tensor", _apply_from_output(kernel, x))
            return cast("Tensor", _apply(kernel, self.plain, x, *parameters))
        return kernel.forward(x, *parameters)

    def _create_kernel(self, device: str) -> Kernel:
        kernel = self._kernels[device] = self.kernel(device)
        return kernel


def _on_the_device(parameters: Sequence[Tensor], device: torch.device) -> bool:
    return all([p.device == device for p in parameters])  # noqa: C419 a list is quicker than a generator for one or two


class _KernelFunction(torch.autograd.Function):
    """Saves the input, and recomputes value and slope in the backward pass: one pass over memory each way."""

    @staticmethod
    def forward(ctx: Any, kernel: Kernel, plain: Plain, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.kernel, ctx.plain = kernel, plain
        ctx.save_for_backward(x, *parameters)
        return kernel.forward(x, *parameters)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        if torch.is_grad_enabled() or forward_ad._current_level >= 0:  # the gradient will be differentiated, or is
            return None, None, *_plain_gradients(ctx.plain, tensors, ctx.needs_input_grad[2:], grad)
        try:
            gradients = ctx.kernel.backward(grad if grad.is_contiguous() else grad.contiguous(), *tensors)
        except RuntimeError:
            if not is_batch(grad):
                raise
            return None, None, *_plain_gradients(ctx.plain, tensors, ctx.needs_input_grad[2:], grad)
        if len(tensors) == 1:  # the only input that can require a gradient
            return None, None, gradients[0]
        needed = ctx.needs_input_grad[2:]
        return None, None, *(g if needs else None for g, needs in zip(gradients, needed, strict=True))


class _OutputKernelFunction(torch.autograd.Function):
    """Saves the output, as torch does for the same functions."""

    @staticmethod
    def forward(ctx: Any, kernel: OutputKernel, x: Tensor) -> Tensor:
        y = kernel.forward(x)
        ctx.kernel = kernel
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        (y,) = ctx.saved_tensors
        # create_graph=True: the saved output has its graph, so this is differentiable
        if torch.is_grad_enabled() or forward_ad._current_level >= 0 or is_batch(grad):
            return None, grad * ctx.kernel.slope_of_output(y)
        return None, ctx.kernel.backward_from_output(grad.contiguous().resolve_neg(), y)


# ``torch.autograd.Function.apply`` is a Python wrapper that looks for active functorch transforms and then calls the C++ ``apply`` of its
# base class. ``Route.takes`` has excluded functorch already, so the base class is called directly, which saves 5 us per call.
_apply: Callable[..., Any] = super(torch.autograd.Function, _KernelFunction).apply
_apply_from_output: Callable[..., Any] = super(torch.autograd.Function, _OutputKernelFunction).apply


def _plain_gradients(
    plain: Plain, tensors: tuple[Tensor, ...], needed: tuple[bool, ...], grad: Tensor
) -> list[Tensor | None]:
    """Return the gradients of the torch code, differentiable if gradients are enabled; None for tensors that need none."""
    with torch.enable_grad():
        y = plain(*tensors)
    inputs = [tensor for tensor, needs in zip(tensors, needed, strict=True) if needs]
    again = torch.is_grad_enabled()
    gradients = iter(torch.autograd.grad(y, inputs, grad, create_graph=again, allow_unused=True))
    return [next(gradients) if needs else None for needs in needed]


def _cpu_kernel(spec: Spec, gate: Half) -> Kernel:
    from actlab.codegen.cpu.kernel import kernel  # noqa: PLC0415 only fast layers load the kernels

    return kernel(spec, gate)


def _cuda_kernel(spec: Spec, gate: Half) -> Kernel:
    from actlab.codegen.gpu.kernel import kernel  # noqa: PLC0415 only fast layers load the kernels

    return kernel(spec, gate)


DEVICES: dict[str, Callable[[Spec, Half], Kernel]] = {"cpu": _cpu_kernel, "cuda": _cuda_kernel}


@cache
def _kernels_run(device: str, dtype: torch.dtype) -> bool:
    """Whether kernels run on a device, tried with ReLU; without a compiler layers run torch code."""
    if device not in DEVICES:
        return False
    try:
        DEVICES[device](parse("relu"), "second").forward(torch.zeros(1, dtype=dtype, device=device))
    except (ActlabError, RuntimeError, OSError, SubprocessError):  # Triton runs a C compiler for its launcher
        return False
    return True
