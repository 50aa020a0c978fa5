"""The decoupled layer: an activation whose gradient follows a rule, and not its derivative.

The rule, its values and the key of its noise are taken when the layer runs forward. What happens later cannot change them: not another
thread (autograd runs the backward pass of a GPU in one), not a schedule's next step, not a repeated forward pass under checkpointing.

Two constructions compute the same. Where torch runs plainly, an ``autograd.Function`` keeps no more than the rule needs: nothing
for a constant, bits for a window; on the CPU its passes are kernels printed from the rule. Everywhere else (``torch.compile``,
``torch.func``, forward-mode differentiation, tracing) it is tensor code that every mode understands: the output is detached, and a
term is added whose value is zero and whose derivative is the rule's factor. A rule that is not linear in the gradient
(``sign_only``) is nobody's derivative; it has a Function in all modes, and refuses where torch 2.13 would drop that without a word,
in ``torch.compile`` of a transform.

**Differentiating twice.** The second derivative is that of the surrogate: the factor is differentiated as a formula. Windows and
constants have none.
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
from actlab.codegen.eager_mode import is_eager
from actlab.codegen.rule_gradient import Gradient, gradient
from actlab.errors import LayerError
from actlab.functions.parameter import Learned
from actlab.functions.spec import Backward
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.bit_packing import multiply_by_level, multiply_by_levels, pack, pack_levels

__all__ = ["CustomGradientLayer"]

Code = Callable[..., Tensor]


class CustomGradientLayer(ActivationLayer):
    """An activation with a gradient rule. :func:`~actlab.nn.layers.layer.layer` builds it from a spec such as ``step/rect``.

    Learned parameters of the rule are called ``<rule>_<name>``; those on a schedule are buffers that checkpoints leave out.

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
                made = self._initial(name, value).to(
                    options.get("device"), options.get("dtype") or torch.get_default_dtype()
                )
                self.register_parameter(f"{backward.rule.name}_{name}", nn.Parameter(made))
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
        return cast("Backward", self.spec.backward)  # layer() comes here with a rule only

    def set_rule_parameter(self, name: str, value: float) -> None:
        """Set a parameter of the rule, as schedules do: from the next forward pass on.

        Raises:
            LayerError: the rule has no such parameter, or learns it.

        Example:
            >>> from actlab.nn.layers.layer import layer
            >>> made = layer("sign/ede(t=0.001)")
            >>> made.set_rule_parameter("t", 10.0)
            >>> made.rule_parameters
            {'t': 10.0}
        """
        backward = self._backward
        if name not in dict(backward.assigned) or name in backward.learned:
            allowed = ", ".join(n for n, _ in backward.assigned if n not in backward.learned) or "none"
            raise LayerError(f"{self.spec}: its rule has no parameter {name!r} to be set; there is: {allowed}.")
        checked = next(p for p in backward.rule.parameters if p.name == name).check(value, str(self.spec))
        if f"scheduled_{name}" not in self._buffers:
            like = next(iter([*self.parameters(), *self.buffers()]), torch.empty(()))
            start = torch.tensor(checked, dtype=torch.float32, device=like.device)
            self.register_buffer(f"scheduled_{name}", start, persistent=False)
            self._bind()
        getattr(self, f"scheduled_{name}").fill_(checked)

    @property
    def rule_parameters(self) -> dict[str, float]:
        """The values of the rule's parameters now."""
        backward = self._backward
        return {
            name: float(self._open(name).detach()) if name in self._gradient.open else cast("float", value)
            for name, value in backward.assigned
        }

    def _open(self, name: str) -> Tensor:
        backward = self._backward
        found = f"{backward.rule.name}_{name}" if name in backward.learned else f"scheduled_{name}"
        return cast("Tensor", getattr(self, found))

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Apply the activation; see :meth:`ActivationLayer.forward`.

        Raises:
            LayerError: the rule is not linear in the gradient, and ``torch.compile`` would lose it inside a transform.
        """
        if others or not x.is_floating_point():
            return super().forward(x, *others)  # which says what is wrong
        if is_eager():
            if not (torch.is_grad_enabled() and any(t.requires_grad for t in (x, *self.parameters()))):
                return super().forward(x)
            if self._kernel is not None and can_run_rule_kernel(x):
                return cast("Tensor", _Kernelled.apply(super().forward, self._kernel, x))  # type: ignore[no-untyped-call]  # torch's own
            if self._gradient.is_linear and next(self.parameters(), None) is None:
                given = [
                    self._open(name).clone() for name in self._gradient.open
                ]  # a schedule may go on before the backward pass
                made: Tensor = _Decoupled.apply(super().forward, self._gradient, x, *given)  # type: ignore[no-untyped-call]  # torch's own
                return made
        elif _only_forward(x):
            return super().forward(x)
        return self._injected(x)

    def _injected(self, x: Tensor) -> Tensor:
        """Return the output with the rule's derivative, in plain tensor code."""
        start = x.detach()
        value = self._value(start) + self._own_through(start)
        if self._backward.learned:
            return value + self._of_surrogate(x)
        given = [self._open(name).detach().clone() for name in self._gradient.open]
        place = [self._spread(getattr(self, name), x) for name in self._gradient.locations]
        fixed = [tensor.detach() for tensor in (*place, *given)]
        key = counter_rng.draw_key(x.device) if self._gradient.is_noisy else None
        made = self._gradient.gather(start, value.detach(), key, self._spread_all(start))
        moved = _zero(x) - sum((_zero(tensor) for tensor in place), torch.zeros((), dtype=x.dtype, device=x.device))
        moved = moved + self._stretched(start)
        if not self._gradient.is_linear:
            _refuse_where_lost(str(self.spec))
            passed: Tensor = _Transformed.apply(moved, self._gradient, *made, *fixed)  # type: ignore[no-untyped-call]  # torch's own
            return value + passed
        others = [tensor for name, tensor in zip(self._gradient.ingredients, made, strict=True) if name != "x"]
        change = moved * cast("Code", self._gradient.factor)(start, *others, *fixed)
        if self._gradient.curvature is not None:
            change = change + moved * moved * 0.5 * self._gradient.curvature(start, *others, *fixed)
        return value + change.to(value.dtype)

    def _of_surrogate(self, x: Tensor) -> Tensor:
        """Return zero with the derivatives of the rule's surrogate, in the input, the locations and the rule's own parameters."""
        code = cast("Code", self._gradient.surrogate)  # a rule without one learns nothing
        places = [self._spread(getattr(self, name), x) for name in self._gradient.locations]
        open_ = [self._spread(self._open(name), x) for name in self._gradient.open]
        made = code(x, *places, *open_)
        return (made - made.detach()).nan_to_num(nan=0.0)

    def _value(self, start: Tensor) -> Tensor:
        """Return the output, detached from the input and from the parameters that move with it; the others are live."""
        if self._tensor_code or not self._learned:
            return super().forward(start).detach()
        live = [getattr(self, name) for name in self._learned]
        given = [
            p if self._gradient.forms[n] == "own" else p.detach() for n, p in zip(self._learned, live, strict=True)
        ]
        return cast("Tensor", self._function(start, *(self._spread(parameter, start) for parameter in given)))

    def _own_through(self, start: Tensor) -> Tensor:
        """Return zero with the derivatives in the parameters of a quantiser, as if it did not round."""
        moved = torch.zeros((), dtype=start.dtype, device=start.device)
        for name, form in self._gradient.forms.items():
            if form == "through":
                parameter = self._spread(getattr(self, name), start)
                slope = self._gradient.slopes.through[name](start, *self._spread_all(start))
                moved = moved + slope * _zero(parameter)
        return moved

    def _stretched(self, start: Tensor) -> Tensor:
        """Return zero that moves as the input does when a scale or a rate is learned, measured from where the function is centred."""
        moved = torch.zeros((), dtype=start.dtype, device=start.device)
        for name, form in self._gradient.forms.items():
            if form in {"scale", "rate"}:
                parameter = self._spread(getattr(self, name), start)
                share = self._centred(start) / parameter.detach() * _zero(parameter)
                moved = moved + (share if form == "rate" else -share)
        return moved

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


def _only_forward(x: Tensor) -> bool:
    """Tell whether nobody will ask for a gradient: an export, or a trace or compilation without gradients."""
    if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
        return True
    if forward_ad._current_level >= 0:  # jvp is asked for, with gradients switched on or off
        return False
    if torch.compiler.is_compiling():
        return not torch.is_grad_enabled()
    return torch._C._get_tracing_state() is not None and not (torch.is_grad_enabled() and x.requires_grad)


def _refuse_where_lost(spec: str) -> None:
    """Raise where torch would drop the backward of a Function without a word."""
    if torch.compiler.is_compiling() and torch._C._functorch.maybe_current_level() is not None:
        raise LayerError(
            f"{spec} is not linear in the gradient, and torch.compile would lose it in a transform; compile without it."
        )


class _Decoupled(torch.autograd.Function):
    """A linear rule of constants, in eager mode."""

    @staticmethod
    def forward(ctx: Any, value: Any, gradient: Gradient, x: Tensor, *given: Tensor) -> Tensor:
        y: Tensor = value(x)
        ctx.gradient = gradient
        ctx.key = counter_rng.draw_key(x.device) if gradient.is_noisy else None
        keep: list[Tensor | None] = [None, None, None]
        if len(gradient.levels) > 1:
            keep[2] = pack_levels(cast("Code", gradient.mask)(x), gradient.levels)
        elif not gradient.levels:
            keep[0] = x if not {"x", "slope", "through", "shuffled"}.isdisjoint(gradient.ingredients) else None
            keep[1] = y if "y" in gradient.ingredients else None
        ctx.save_for_backward(*keep, *given)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, packed, *given = ctx.saved_tensors
        gradient: Gradient = ctx.gradient
        if gradient.levels:
            made = _levelled(grad, packed, gradient, ctx.key)
        else:
            shape = grad if x is None else x  # where the input is not kept, only its shape is asked for
            parts = gradient.gather(shape, shape if y is None else y, ctx.key, [])
            made = gradient.code(grad, *parts, *given)
        return None, None, made, *([None] * len(given))


class _Kernelled(torch.autograd.Function):
    """A rule in kernels of our own, one pass each way."""

    @staticmethod
    def forward(ctx: Any, value: Any, kernel: CpuRuleKernel, x: Tensor) -> Tensor:
        dense = x.contiguous()
        if kernel.is_exact:
            y, kept = kernel.forward(dense)
        else:  # training and inference are to have the same values, to the bit
            y = value(x)
            kept = kernel.forward(dense)[1] if kernel.keep == "bits" else dense if kernel.keep == "input" else None
        ctx.kernel = kernel
        ctx.key = counter_rng.draw_key(x.device) if kernel.gradient.is_noisy else None
        ctx.save_for_backward(kept)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (kept,) = ctx.saved_tensors
        kernel: CpuRuleKernel = ctx.kernel
        if torch.is_grad_enabled() or not can_run_rule_kernel(grad):  # differentiated again, or in a batch of gradients
            return None, None, _again(grad, kept, kernel, ctx.key)
        return None, None, kernel.backward(grad.contiguous(), kept, ctx.key)


def _again(grad: Tensor, kept: Tensor | None, kernel: CpuRuleKernel, key: Tensor | None) -> Tensor:
    """Return the gradient in tensor code, which can be differentiated."""
    made = kernel.gradient
    if made.levels:
        packed = None if kept is None else _repacked(kept, grad.numel())
        return _levelled(grad, packed, made, key)
    x = grad if kept is None else kept  # where the input is not kept, only its shape is asked for
    y = kernel.forward(x.detach().contiguous())[0] if "y" in made.ingredients else x
    return made.code(grad, *made.gather(x, y, key, []))


def _repacked(kept: Tensor, count: int) -> Tensor:
    """Return bits that a kernel wrote, lowest first, as :mod:`actlab.nn.layers.bit_packing` packs them, highest first."""
    bits = torch.from_numpy(np.unpackbits(kept.numpy(), count=count, bitorder="little"))
    return pack(bits.view(torch.bool), 1)


def _levelled(grad: Tensor, packed: Tensor | None, gradient: Gradient, key: Tensor | None) -> Tensor:
    if key is not None:
        grad_of_noise = grad * counter_rng.uniform(key, grad.shape)
        grad = grad_of_noise.to(grad.dtype)
    if packed is None:
        made = multiply_by_level(grad, gradient.levels[0])
        return made if isinstance(made, Tensor) else torch.zeros_like(grad)
    return multiply_by_levels(grad, packed, gradient.levels)


class _Transformed(torch.autograd.Function):
    """Hands on a tensor, and puts its gradient through a rule that is not linear in it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(moved: Tensor, *_: Any) -> Tensor:
        return moved.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004 torch's signature
        _, ctx.gradient, *kept = inputs
        ctx.save_for_backward(*kept)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.gradient.code(grad, *ctx.saved_tensors), None, *([None] * len(ctx.saved_tensors))
