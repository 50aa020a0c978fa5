"""Activation layer whose gradient follows a rule instead of its derivative.

The rule, its parameters and the key of its noise are recorded in the forward pass. Nothing later changes them: not another thread (autograd
runs the backward pass of a GPU in one), not a schedule's next step, not a repeated forward pass under checkpointing.

There are two equivalent implementations. In plain eager mode an ``autograd.Function`` saves only what the rule needs: nothing for a
constant, bits for a window; on the CPU both passes are kernels generated from the rule. In all other modes (``torch.compile``,
``torch.func``, forward-mode AD, tracing) it is tensor code that every mode supports: the detached output plus a term whose value is zero
and whose derivative is the rule's factor. A rule that is not linear in the gradient (``sign_only``) is not a derivative; it is a Function
in all modes, and raises where torch 2.13 would silently drop its backward, in ``torch.compile`` of a transform.

**Differentiating twice.** The second derivative is that of the surrogate: the factor is differentiated as a formula. For windows and
constants it is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from actlab.codegen import counter_rng
from actlab.codegen.cpu.rule_kernel import CpuRuleKernel, can_run_rule_kernel, rule_kernel
from actlab.codegen.eager_mode import is_batch, is_eager
from actlab.codegen.rule_gradient import Gradient, gradient
from actlab.codegen.second_order import depends_on, empty_link
from actlab.errors import LayerError
from actlab.functions.parameter import Learned
from actlab.functions.spec import Backward
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.bit_packing import multiply_by_level, multiply_by_levels, pack, pack_levels

__all__ = ["CustomGradientLayer"]

Code = Callable[..., Tensor]


class CustomGradientLayer(ActivationLayer):
    """An activation with a gradient rule. :func:`~actlab.nn.layers.layer.layer` builds it from a spec such as ``step/rect``.

    Learned parameters of the rule are named ``<rule>_<name>``; scheduled ones are non-persistent buffers.

    Example:
        >>> from actlab.nn.layers.layer import layer
        >>> x = torch.tensor([-2.0, 0.25, 2.0], requires_grad=True)
        >>> layer("step/rect(-0.5, 0.5)")(x).sum().backward()
        >>> x.grad
        tensor([0., 1., 0.])
    """

    supports_rules = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        backward = self._backward
        for name, value in backward.assigned:
            if isinstance(value, Learned):
                initial = self._initial(name, value).to(
                    options.get("device"), options.get("dtype") or torch.get_default_dtype()
                )
                self.register_parameter(f"{backward.rule.name}_{name}", nn.Parameter(initial))
        self._bind()

    def _bind(self) -> None:
        super()._bind()
        scheduled = tuple(name.removeprefix("scheduled_") for name in self._buffers if name.startswith("scheduled_"))
        self._gradient = gradient(self.spec, scheduled)
        self._kernel = rule_kernel(self.spec) if not scheduled else None

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k not in {"_gradient", "_kernel"}}

    @property
    def _backward(self) -> Backward:
        return cast("Backward", self.spec.backward)  # layer() builds this class for specs with a rule only

    def set_rule_parameter(self, name: str, value: float) -> None:
        """Set a parameter of the rule, from the next forward pass on, as schedules do.

        Raises:
            LayerError: the rule has no such parameter, or it is learned.

        Example:
            >>> from actlab.nn.layers.layer import layer
            >>> act = layer("sign/ede(t=0.001)")
            >>> act.set_rule_parameter("t", 10.0)
            >>> act.rule_parameters
            {'t': 10.0}
        """
        backward = self._backward
        if name not in dict(backward.assigned) or name in backward.learned:
            allowed = ", ".join(n for n, _ in backward.assigned if n not in backward.learned) or "none"
            raise LayerError(f"{self.spec}: its rule has no parameter {name!r} that can be set; allowed: {allowed}.")
        checked = next(p for p in backward.rule.parameters if p.name == name).check(value, str(self.spec))
        if f"scheduled_{name}" not in self._buffers:
            like = next(iter([*self.parameters(), *self.buffers()]), torch.empty(()))
            start = torch.tensor(checked, dtype=torch.float32, device=like.device)
            self.register_buffer(f"scheduled_{name}", start, persistent=False)
            self._bind()
        getattr(self, f"scheduled_{name}").fill_(checked)

    @property
    def rule_parameters(self) -> dict[str, float]:
        """The current values of the rule's parameters."""
        backward = self._backward
        return {
            name: float(self._open_parameter(name).detach()) if name in self._gradient.open else cast("float", value)
            for name, value in backward.assigned
        }

    def _open_parameter(self, name: str) -> Tensor:
        backward = self._backward
        attribute = f"{backward.rule.name}_{name}" if name in backward.learned else f"scheduled_{name}"
        return cast("Tensor", getattr(self, attribute))

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Apply the activation; see :meth:`ActivationLayer.forward`.

        Raises:
            LayerError: the rule is not linear in the gradient, and ``torch.compile`` inside a transform would drop it.
        """
        is_floating = x.is_floating_point()
        if is_floating is not True:
            return self._of_another_kind(x, others, is_floating)
        if others:
            return super().forward(x, *others)  # raises
        if is_eager():
            if not (torch.is_grad_enabled() and any(t.requires_grad for t in (x, *self.parameters()))):
                return super().forward(x)
            if self._kernel is not None and can_run_rule_kernel(x):
                return cast("Tensor", _KernelFunction.apply(super().forward, self._kernel, x, self._link(x)))  # type: ignore[no-untyped-call]  # torch's own
            if self._gradient.is_linear and next(self.parameters(), None) is None:
                # cloned: a schedule may change them before the backward pass
                values = [self._open_parameter(name).clone() for name in self._gradient.open]
                y: Tensor = _LinearRule.apply(super().forward, self._gradient, x, self._link(x), *values)  # type: ignore[no-untyped-call]  # torch's own
                return y
        elif _is_forward_only(x):
            return super().forward(x)
        return self._in_tensor_code(x)

    def _link(self, x: Tensor) -> Tensor | None:
        """Return what the backward pass saves of the input where the second derivative is 0 and does not depend on it."""
        return empty_link(x) if self._gradient.curvature is None else None

    def _in_tensor_code(self, x: Tensor) -> Tensor:
        """Return the output with the rule's derivative, in plain tensor code."""
        start = x.detach()
        value = self._detached_value(start) + self._quantiser_term(start)
        if self._backward.learned:
            return value + self._surrogate_term(x)
        values = [self._open_parameter(name).detach().clone() for name in self._gradient.open]
        locations = [self._spread(getattr(self, name), x) for name in self._gradient.locations]
        constants = [tensor.detach() for tensor in (*locations, *values)]
        key = counter_rng.draw_key(x.device) if self._gradient.is_noisy else None
        parts = self._gradient.gather(start, value.detach(), key, self._spread_all(start))
        shift = sum((_zero(tensor) for tensor in locations), torch.zeros((), dtype=x.dtype, device=x.device))
        moved = _zero(x) - shift + self._scale_terms(start)
        if not self._gradient.is_linear:
            _raise_where_dropped(str(self.spec))
            term: Tensor = _NonlinearRule.apply(moved, self._gradient, *parts, *constants)  # type: ignore[no-untyped-call]  # torch's own
            return value + term
        others = [tensor for name, tensor in zip(self._gradient.ingredients, parts, strict=True) if name != "x"]
        change = moved * cast("Code", self._gradient.factor)(start, *others, *constants)
        if self._gradient.curvature is not None:
            change = change + moved * moved * 0.5 * self._gradient.curvature(start, *others, *constants)
        return value + change.to(value.dtype)

    def _surrogate_term(self, x: Tensor) -> Tensor:
        """Return zero with the derivatives of the rule's surrogate, in the input, the locations and the rule's own parameters."""
        code = cast("Code", self._gradient.surrogate)  # rules without a surrogate have no learned parameters
        locations = [self._spread(getattr(self, name), x) for name in self._gradient.locations]
        open_ = [self._spread(self._open_parameter(name), x) for name in self._gradient.open]
        surrogate = code(x, *locations, *open_)
        return (surrogate - surrogate.detach()).nan_to_num(nan=0.0)

    def _detached_value(self, start: Tensor) -> Tensor:
        """Return the output, detached from the input and from the parameters whose gradients the rule defines."""
        if self._tensor_code or not self._learned:
            return super().forward(start).detach()
        learned = [getattr(self, name) for name in self._learned]
        parameters = [
            p if self._gradient.forms[n] == "own" else p.detach() for n, p in zip(self._learned, learned, strict=True)
        ]
        return cast("Tensor", self._function(start, *(self._spread(parameter, start) for parameter in parameters)))

    def _quantiser_term(self, start: Tensor) -> Tensor:
        """Return zero with the derivatives in the parameters of a quantiser, computed as if it did not round."""
        term = torch.zeros((), dtype=start.dtype, device=start.device)
        for name, form in self._gradient.forms.items():
            if form == "through":
                parameter = self._spread(getattr(self, name), start)
                slope = self._gradient.slopes.through[name](start, *self._spread_all(start))
                term = term + slope * _zero(parameter)
        return term

    def _scale_terms(self, start: Tensor) -> Tensor:
        """Return zero with the derivatives in learned scales and rates, relative to the center of the function."""
        term = torch.zeros((), dtype=start.dtype, device=start.device)
        for name, form in self._gradient.forms.items():
            if form in {"scale", "rate"}:
                parameter = self._spread(getattr(self, name), start)
                share = self._centred(start) / parameter.detach() * _zero(parameter)
                term = term + (share if form == "rate" else -share)
        return term

    def _centred(self, start: Tensor) -> Tensor:
        for name, number in self.spec.numbers.items():
            if self._gradient.forms.get(name) == "location":
                start = start - self._spread(getattr(self, name).detach(), start)
            elif name in self._gradient.fixed_locations:
                start = start - number
        return start

    def _spread_all(self, x: Tensor) -> list[Tensor]:
        return [self._spread(getattr(self, name).detach(), x) for name in self._learned]


def _zero(x: Tensor) -> Tensor:
    """Return zero whose derivative in ``x`` is 1, where ``x`` is finite."""
    finite = torch.where(torch.isfinite(x), x, 0.0)
    return finite - finite.detach()


def _is_forward_only(x: Tensor) -> bool:
    """Whether no gradient will be needed: an export, or a trace or compilation without gradients."""
    if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
        return True
    if forward_ad._current_level >= 0:  # a jvp needs derivatives, with gradients switched on or off
        return False
    if torch.compiler.is_compiling():
        return not torch.is_grad_enabled()
    return torch._C._get_tracing_state() is not None and not (torch.is_grad_enabled() and x.requires_grad)


def _raise_where_dropped(spec: str) -> None:
    """Raise where torch would silently drop the backward of a Function."""
    if torch.compiler.is_compiling() and torch._C._functorch.maybe_current_level() is not None:
        raise LayerError(
            f"{spec} is not linear in the gradient, and torch.compile would drop its rule in a transform; compile without the transform."
        )


class _LinearRule(torch.autograd.Function):
    """A rule that is linear in the gradient, without learned parameters, in eager mode."""

    @staticmethod
    def forward(ctx: Any, value: Any, gradient: Gradient, x: Tensor, link: Tensor | None, *values: Tensor) -> Tensor:
        y: Tensor = value(x)
        ctx.gradient = gradient
        ctx.key = counter_rng.draw_key(x.device) if gradient.is_noisy else None
        saved: list[Tensor | None] = [None, None, None]
        if len(gradient.levels) > 1:
            saved[2] = pack_levels(cast("Code", gradient.mask)(x), gradient.levels)
        elif not gradient.levels:
            saved[0] = x if not {"x", "slope", "through", "shuffled"}.isdisjoint(gradient.ingredients) else None
            saved[1] = y if "y" in gradient.ingredients else None
        ctx.save_for_backward(*saved, link, *values)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, packed, link, *values = ctx.saved_tensors
        gradient: Gradient = ctx.gradient
        if gradient.levels:
            of_x = _times_levels(grad, packed, gradient, ctx.key)
        else:
            shape = grad if x is None else x  # where the input is not saved, only its shape is needed
            parts = gradient.gather(shape, shape if y is None else y, ctx.key, [])
            of_x = gradient.code(grad, *parts, *values)
        of_x = of_x if link is None else depends_on(of_x, link)
        return None, None, of_x, None, *([None] * len(values))


class _KernelFunction(torch.autograd.Function):
    """A rule run by generated CPU kernels, one pass each way."""

    @staticmethod
    def forward(ctx: Any, value: Any, kernel: CpuRuleKernel, x: Tensor, link: Tensor | None) -> Tensor:
        dense = x.contiguous()
        if kernel.is_exact:
            y, saved = kernel.forward(dense)
        else:  # so that training and inference give the same values, to the bit
            y = value(x)
            saved = kernel.forward(dense)[1] if kernel.keep == "bits" else None
        ctx.kernel = kernel
        ctx.key = counter_rng.draw_key(x.device) if kernel.gradient.is_noisy else None
        # the input itself, not a dense copy of it, so that the gradient can be differentiated again
        ctx.save_for_backward(x if kernel.keep == "input" else saved, link)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved, link = ctx.saved_tensors
        kernel: CpuRuleKernel = ctx.kernel
        # differentiated again, or in a batch of gradients
        if torch.is_grad_enabled() or not can_run_rule_kernel(grad) or is_batch(grad):
            of_x = _differentiable_backward(grad, saved, kernel, ctx.key)
            return None, None, of_x if link is None else depends_on(of_x, link), None
        dense = saved.contiguous() if kernel.keep == "input" else saved
        return None, None, kernel.backward(grad.contiguous(), dense, ctx.key), None


def _differentiable_backward(grad: Tensor, saved: Tensor | None, kernel: CpuRuleKernel, key: Tensor | None) -> Tensor:
    """Return the gradient, computed in tensor code so that it can be differentiated."""
    gradient = kernel.gradient
    if gradient.levels:
        packed = None if saved is None else _repack(saved, grad.numel())
        return _times_levels(grad, packed, gradient, key)
    x = grad if saved is None else saved  # where the input is not saved, only its shape is needed
    y = kernel.forward(x.detach().contiguous())[0] if "y" in gradient.ingredients else x
    return gradient.code(grad, *gradient.gather(x, y, key, []))


def _repack(saved: Tensor, count: int) -> Tensor:
    """Convert bits from a kernel's order, lowest first, to that of :mod:`actlab.nn.layers.bit_packing`, highest first."""
    bits = torch.from_numpy(np.unpackbits(saved.numpy(), count=count, bitorder="little"))
    return pack(bits.view(torch.bool), 1)


def _times_levels(grad: Tensor, packed: Tensor | None, gradient: Gradient, key: Tensor | None) -> Tensor:
    """Return a gradient times the rule's levels, and times noise where a key is given."""
    if key is not None:
        grad = (grad * counter_rng.uniform(key, grad.shape)).to(grad.dtype)
    if packed is None:
        result = multiply_by_level(grad, gradient.levels[0])
        return result if isinstance(result, Tensor) else torch.zeros_like(grad)
    return multiply_by_levels(grad, packed, gradient.levels)


class _NonlinearRule(torch.autograd.Function):
    """Identity whose backward applies a rule that is not linear in the gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(moved: Tensor, *_: Any) -> Tensor:
        return moved.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004 torch's signature
        _, ctx.gradient, *saved = inputs
        ctx.save_for_backward(*saved)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.gradient.code(grad, *ctx.saved_tensors), None, *([None] * len(ctx.saved_tensors))
