"""Gradients of a model through smoothed activations, with its outputs unchanged.

A step has no gradient and a saturated unit none that a number can hold. Every elementwise activation keeps its values in the forward pass,
and gets in the backward pass the slope of its secants over the spread of its inputs (the backward pass differentiable approximation of
arXiv:1802.00420): the slope of the function smoothed over that spread. Functions such as ``torch.sign`` and ``torch.round`` that are called
in the code of a model get it as well; a comparison, such as ``x > 0``, gives no gradient that could be smoothed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from actlab.errors import ActlabError
from actlab.functions.grammar import parse
from actlab.nn.layers.layer import layer
from actlab.nn.sites.find import Entry, survey
from actlab.nn.transforms.rehearsal import has_known_parameters
from actlab.nn.transforms.replacements import Insertion, ModelPaths, Replacement, plan_replacements, temporarily_applied

__all__ = ["SmoothedLayer", "Smoothing", "smoothed_gradients"]

# Half widths of the secants, in standard deviations of the inputs of an activation. Of 202 examples that a LeNet of steps classifies
# correctly, these leave 139 unbroken; 0.25, 1 and 4 leave 151, and 1 alone 163.
_WIDTHS: Final = (0.1, 0.3, 1.0)
#: Functions at the output whose input orders the classes as their output does.
_MONOTONE_OUTPUTS: Final = ("softmax", "log_softmax", "sigmoid", "log_sigmoid", "logsigmoid")
#: Functions of torch with flat parts that are no activations by themselves.
_FLAT: Final = frozenset(
    function
    for name in ("sign", "sgn", "round", "floor", "ceil", "trunc", "heaviside", "clamp", "clip", "hardtanh", "relu6")
    for holder in (torch, Tensor, nn.functional)
    if (function := getattr(holder, name, None)) is not None
)
_SAMPLE: Final = 64  # examples that tell the spread of an activation's inputs


@dataclass(frozen=True, kw_only=True)
class Smoothing:
    """What was smoothed in a model.

    Attributes:
        sites: paths of the activations with a smoothed gradient.
        outputs: paths of functions at the output that are left out; the model then gives logits.
        skipped: paths of activations whose gradient stayed as it is, with the reason.
    """

    sites: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


class SmoothedLayer(nn.Module):
    """An elementwise function with the slopes of its secants as gradient.

    Args:
        function: of a tensor, elementwise.
        spread: standard deviation of its inputs.

    Example:
        >>> x = torch.tensor([-0.2, 0.6], requires_grad=True)
        >>> y = SmoothedLayer(torch.sign, 1.0)(x)
        >>> y.tolist(), [round(float(slope), 2) for slope in torch.autograd.grad(y.sum(), x)[0]]
        ([-1.0, 1.0], [1.44, 0.33])
    """

    def __init__(self, function: Callable[[Tensor], Tensor], spread: float) -> None:
        super().__init__()
        self.function, self.spread = function, spread

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function.

        Args:
            x: shape (...).

        Returns:
            Tensor of the same shape.
        """
        if not (torch.is_grad_enabled() and x.requires_grad and x.is_floating_point()):
            return self.function(x)
        found: Tensor = _Secants.apply(x, self.function, self.spread)  # type: ignore[no-untyped-call] # torch's own
        return found


class _Secants(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor], spread: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.function, ctx.spread = function, spread
        return function(x.clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        with torch.no_grad():
            slopes = [
                (ctx.function(x + width).nan_to_num() - ctx.function(x - width).nan_to_num()) / (2 * width)
                for width in (share * ctx.spread for share in _WIDTHS)
            ]
            return gradients[0] * torch.stack(slopes).mean(0), None, None


class _FlatCalls(TorchFunctionMode):
    """Smooth the gradients of calls of :data:`_FLAT`; inside a smoothed layer no gradient is asked for, and nothing happens."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        x = args[0] if args else None
        if func in _FLAT and isinstance(x, Tensor) and x.requires_grad and torch.is_grad_enabled() and x.numel() > 1:
            spread = float(x.detach().float().std()) or 1.0
            return SmoothedLayer(lambda value: func(value, *args[1:], **kwargs), spread)(x)
        return func(*args, **kwargs)


@contextmanager
def smoothed_gradients(model: nn.Module, inputs: Tensor, *, drop_outputs: bool = False) -> Iterator[Smoothing]:
    """Smooth the gradients of a model's activations for a while; its outputs stay what they are.

    Args:
        model: in evaluation mode; it has its own activations again afterwards.
        inputs: examples that tell which activations run, and on what inputs; shape (n, ...).
        drop_outputs: leave out softmax and sigmoid where the model returns their result, so that it gives logits.

    Yields:
        What was smoothed; nothing where no activation can be found or replaced.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
        >>> with smoothed_gradients(net, torch.randn(8, 2)) as smoothing:
        ...     smoothing.sites
        ('1',)
    """
    weight = next(model.parameters(), None)
    sample = inputs[:_SAMPLE] if weight is None else inputs[:_SAMPLE].to(weight.device)
    replacements, smoothing = _planned(model, sample, drop_outputs=drop_outputs)
    with temporarily_applied(replacements), _FlatCalls():
        yield smoothing


def _planned(model: nn.Module, inputs: Tensor, *, drop_outputs: bool) -> tuple[Sequence[Replacement], Smoothing]:
    try:
        found = survey(model, inputs)
        paths = ModelPaths(model=model, paths=found.paths)
        insertions: list[Insertion] = []
        sites, outputs, skipped = [], [], []
        own = [(entry, _reason(entry)) for entry in found.entries if entry.site.calls]
        for entry, reason in own:
            is_dropped = drop_outputs and entry.site.output and entry.running.name in _MONOTONE_OUTPUTS
            if is_dropped and not entry.slot.reason:
                insertions.append(_insertion(entry, nn.Identity()))
                outputs.append(entry.site.path)
            elif reason:
                skipped.append((entry.site.path, reason))
            else:
                function = _function(entry, paths)
                insertions.append(_insertion(entry, _Spread(function)))
                sites.append(entry.site.path)
        taken = {id(module) for insertion in insertions for module in insertion.owner.modules()}
        for path, module in _unknown_modules(model, inputs):
            if id(module) not in taken:
                insertions.append(Insertion(owner=module, new=_Spread(module)))
                sites.append(path)
        _measure(model, inputs, plan_replacements(paths, insertions), insertions)
        smooth = [_smoothed(insertion) for insertion in insertions]
        planned = plan_replacements(paths, smooth)
    except (ActlabError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        return [], Smoothing(skipped=(("", str(error)),))
    return planned, Smoothing(sites=tuple(sites), outputs=tuple(outputs), skipped=tuple(skipped))


def _reason(entry: Entry) -> str | None:
    """Return why the gradient of an activation stays as it is, or None."""
    if entry.running.kind not in {"elementwise", "stochastic"}:
        return f"{entry.site.name} is no function of one number"
    if entry.site.reason or entry.slot.reason:
        return entry.site.reason or entry.slot.reason
    if entry.slot.kind == "call" and not has_known_parameters(entry.site):
        return "its parameters are not known"
    return None


def _function(entry: Entry, paths: ModelPaths) -> Callable[[Tensor], Tensor]:
    slot = entry.slot
    if slot.kind == "module":
        return slot.owner
    if slot.attribute is not None:
        held: Callable[[Tensor], Tensor] = vars(slot.owner)[slot.attribute]
        return held
    return paths.match_neighbors(layer(parse(str(entry.site.spec))), slot.owner)


def _insertion(entry: Entry, new: nn.Module) -> Insertion:
    return Insertion(owner=entry.slot.owner, new=new.eval(), attribute=entry.slot.attribute, edit=entry.slot.edit)


class _Spread(nn.Module):
    """Run a function and note the standard deviation of its inputs."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.spread = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if x.is_floating_point() and x.numel() > 1:
            self.spread = max(self.spread, float(x.float().std().nan_to_num(0.0, 0.0, 0.0)))
        return self.function(x)


@torch.no_grad()
def _measure(
    model: nn.Module, inputs: Tensor, replacements: Sequence[Replacement], insertions: Sequence[Insertion]
) -> None:
    if insertions:
        with temporarily_applied(replacements):
            model(inputs.clone())


def _smoothed(insertion: Insertion) -> Insertion:
    new = insertion.new
    if isinstance(new, _Spread):
        new = SmoothedLayer(new.function, new.spread or 1.0).eval()
    return Insertion(owner=insertion.owner, new=new, attribute=insertion.attribute, edit=insertion.edit)


@torch.no_grad()
def _unknown_modules(model: nn.Module, inputs: Tensor) -> list[tuple[str, nn.Module]]:
    """Return the innermost modules without weights that are elementwise functions but none that is known."""
    seen: dict[int, list[Tensor]] = {}
    leaves = {id(m): (path, m) for path, m in model.named_modules() if not [*m.children()] and not [*m.parameters()]}

    def note(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if len(args) == 1 and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            seen.setdefault(id(module), [args[0].detach().clone()])

    hooks = [module.register_forward_hook(note) for _, module in leaves.values()]
    try:
        model(inputs.clone())
    finally:
        for hook in hooks:
            hook.remove()
    return [leaves[key] for key, (x,) in seen.items() if _is_elementwise(leaves[key][1], x)]


def _is_elementwise(module: nn.Module, x: Tensor) -> bool:
    """Whether each output depends on the input of the same place alone, and is not that input."""
    if not x.is_floating_point() or not x.numel():
        return False
    every_second = torch.arange(x.numel(), device=x.device).view(x.shape) % 2 == 0
    before, changed = module(x.clone()), module(torch.where(every_second, x + 1, x))
    if before.shape != x.shape or torch.equal(before, x):
        return False
    return bool(torch.equal(before[~every_second], changed[~every_second]))
