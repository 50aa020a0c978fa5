"""Activation layer that saves its output or a few bits per element instead of its input.

Saving the output costs nothing before layers that save their input (Linear, convolution, normalisation, pooling); bits save memory before
layers that do not (dropout, a residual sum). What suffices for the slope comes from :mod:`actlab.codegen.saved_for_backward`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor

from actlab.codegen import pytorch
from actlab.codegen.eager_mode import is_eager_with_grad
from actlab.codegen.saved_for_backward import OUTPUT, SavedForBackward, saved_for_backward
from actlab.codegen.second_order import depends_on, empty_link
from actlab.errors import LayerError
from actlab.functions.activation import Activation
from actlab.functions.formula import where
from actlab.functions.formula.printer import compile_source, print_expression
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.bit_packing import multiply_by_levels, pack, pack_levels

__all__ = ["Keep", "SlimLayer", "keep_options"]

Keep = Literal["output", "bits"]


def keep_options(spec: str | Spec) -> tuple[Keep, ...]:
    """Return what a :class:`SlimLayer` of a spec can save.

    Example:
        >>> keep_options("elu"), keep_options("leaky_relu"), keep_options("gelu")
        (('output',), ('output', 'bits'), ())
    """
    saved = saved_for_backward(spec)
    if saved is None or saved.form == "nothing":
        return ()
    possible: dict[Keep, bool] = {"output": saved.from_output is not None, "bits": saved.form == "bits"}
    return tuple(keep for keep, is_possible in possible.items() if is_possible)


class SlimLayer(ActivationLayer):
    """An activation that saves its output or bits for the backward pass, without learned parameters.

    In half precision a slope that loses its relative accuracy (``1 - y^2`` in the tails) is not computed from the rounded output; the input
    is saved there.

    Args:
        spec: an elementwise activation without learned parameters.
        keep: "output" or "bits".

    Raises:
        LayerError: the activation's slope cannot be computed from that.
        SpecError: the spec cannot be read.
        UnknownNameError: there is no such activation.

    Example:
        >>> x = torch.tensor([-1.0, 2.0], requires_grad=True)
        >>> SlimLayer("leaky_relu(0.1)", "bits")(x).sum().backward()
        >>> x.grad
        tensor([0.1000, 1.0000])
    """

    def __init__(self, spec: str | Spec, keep: Keep) -> None:
        spec = parse(spec)
        possible = keep_options(spec)
        if keep not in possible:
            allowed = f"it can keep {' or '.join(possible)}" if possible else "its backward pass needs the input"
            asked = f"got keep={keep!r}" if keep in get_args(Keep) else f"keep is 'output' or 'bits', got {keep!r}"
            raise LayerError(f"{spec}: {asked}; {allowed}.")
        self.keep: Keep = keep
        super().__init__(spec)

    def _bind(self) -> None:
        super()._bind()
        self._saver = (_FromOutput if self.keep == "output" else _FromBits)(self.spec)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_saver"}

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Apply the activation; see :meth:`ActivationLayer.forward`."""
        if others or not is_eager_with_grad(x) or not self._saver.supports(x):
            return super().forward(x, *others)
        y: Tensor = _Slim.apply(super().forward, self._saver, x, empty_link(x))  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return y

    def extra_repr(self) -> str:
        """Return the spec's text, and what is saved."""
        return f"{super().extra_repr()}, keep={self.keep!r}"


class _FromOutput:
    """Saves the output and computes the slope from it."""

    def __init__(self, spec: Spec) -> None:
        saved: SavedForBackward = _saved(spec)
        self.sharp = saved.sharp
        self.slope = _slope_code(str(saved.from_output), saved.from_output)
        kernel = _KERNELS.get(spec.activation.name)
        self.kernel = partial(kernel, spec.numbers) if kernel else None

    def supports(self, x: Tensor) -> bool:
        return self.sharp or x.dtype not in pytorch.HALF

    def apply(self, function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        y = function(x)
        return y, y

    def gradient(self, grad: Tensor, y: Tensor) -> Tensor:
        if self.kernel:
            return self.kernel(grad, y)
        exact = y.float() if y.dtype in pytorch.HALF else y  # rounded once, at the end
        return (grad * self.slope(exact)).to(grad.dtype)


def _elu_kernel(numbers: Mapping[str, float], grad: Tensor, y: Tensor, scale: float = 1.0) -> Tensor:
    result: Tensor = torch.ops.aten.elu_backward(grad, numbers["alpha"], scale, 1.0, True, y)
    return result


def _leaky_kernel(numbers: Mapping[str, float], grad: Tensor, y: Tensor) -> Tensor:
    result: Tensor = torch.ops.aten.leaky_relu_backward(grad, y, numbers["negative_slope"], True)
    return result


# Torch's own backward kernels from the output: one pass where the formula needs four. Torch uses them for its in-place forms only.
_KERNELS: Final[Mapping[str, Callable[[Mapping[str, float], Tensor, Tensor], Tensor]]] = {
    "elu": _elu_kernel,
    "leaky_relu": _leaky_kernel,
}


class _FromBits:
    """Saves the index of each element's slope among the possible slopes."""

    def __init__(self, spec: Spec) -> None:
        saved: SavedForBackward = _saved(spec)
        self.levels, self.bits = saved.levels, saved.bits or 0
        self.above = _threshold(saved.from_output)

    def supports(self, x: Tensor) -> bool:
        return self.bits > 0 and x.device.type != "meta"

    def apply(self, function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        if self.above:
            y = function(x)
            return y, pack(self.above(y), 1)
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            y = function(leaf)
        (slope,) = torch.autograd.grad(
            y, leaf, torch.ones_like(y)
        )  # the same side of a kink as autograd, to the last ulp
        return y.detach(), pack_levels(slope, self.levels)

    def gradient(self, grad: Tensor, packed: Tensor) -> Tensor:
        return multiply_by_levels(grad, packed, self.levels)


def _threshold(slope: Any) -> Callable[[Tensor], Tensor] | None:
    """Return the comparison of the output that selects the higher of two slopes (``y > 0`` for relu), or None."""
    if not isinstance(slope, where) or not (slope.args[1].is_number and slope.args[2].is_number):
        return None
    condition, high, low = slope.args
    if high < low:
        return None
    text = f"def above(y):\n    return {print_expression(condition, 'torch')}\n"
    return compile_source(text, "above", {"torch": torch})


class _Slim(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Any, saver: _FromOutput | _FromBits, x: Tensor, link: Tensor) -> Tensor:
        y, saved = saver.apply(function, x)
        ctx.saver = saver
        ctx.save_for_backward(saved, link)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, Tensor, None]:
        saved, link = ctx.saved_tensors
        return None, None, depends_on(ctx.saver.gradient(grad, saved), link), None


def _saved(spec: Spec) -> SavedForBackward:
    saved = saved_for_backward(spec)
    if saved is None:
        raise LayerError(f"{spec} is tensor code; its slope cannot be computed from less than its input.")
    return saved


@cache
def _slope_code(text: str, expression: Any) -> Callable[[Tensor], Tensor]:
    """Return torch code for an expression in the output."""
    slope = Activation(
        name="slope", kind="elementwise", family="slope", doc=text, expression=expression, inputs=(OUTPUT,)
    )
    return pytorch.function(slope)
