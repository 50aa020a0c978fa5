"""Hooks that show an observer the input, output and gradients of every activation of a model.

Modules are observed by module hooks, functional calls by a torch function mode, as in :mod:`actlab.nn.sites.trace`. Nothing is stored, and
no hook is left when they are closed. Gradients are observed by hooks on the tensors of the pass, which change nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, Final, Literal, Protocol, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from actlab.errors import SiteError
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.deferred import Deferred, computed_at_once
from actlab.nn.passes.linear_calls import WeightPaths, linear_call
from actlab.nn.passes.unit_axes import UnitAxes, UnitAxis
from actlab.nn.passes.values import reason_not_computable
from actlab.nn.recognition.torch_activations import ActivationFunction, Running, describe_call, recognise
from actlab.nn.sites.find import survey
from actlab.nn.sites.running_calls import slot_of_running_call
from actlab.nn.sites.slot import Slot, slot_of_module
from actlab.nn.sites.user_modules import activation_modules

__all__ = ["Hooks", "Observer", "Point", "Recompute", "Side"]

Side = Literal["input", "output"]
Recompute = Callable[[Tensor], Tensor]
"""Computes an activation's output from another input of the same shape."""

_META: Final = "it runs on the meta device, where tensors have no values"


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """One activation behind one layer with weights.

    An activation module that is used twice, such as the ReLU of a residual block, is two points with separate units; in a recurrent net it
    is one point that runs once a step.

    Attributes:
        key: identifies the point: key of the slot, path of the layer before, number of units.
        path: path of the site, as in :func:`actlab.find`.
        after: path of the layer whose weights made the input; None where there is none.
        running: what runs.
        dim: dimension of the units, counted from the end; None for functions that mix elements, which have no units.
        width: number of units.
        inplace: whether the input is overwritten.
        interleaved: whether a packed gate takes every other element, instead of one half.
    """

    key: tuple[Hashable, str | None, int]
    path: str
    after: str | None
    running: Running
    dim: int | None
    width: int
    inplace: bool
    interleaved: bool = False


class Observer(Protocol):
    """Receives what the hooks see."""

    def on_forward(self, point: Point, x: Tensor, y: Tensor, recompute: Recompute | None, /) -> None:
        """Receive one execution.

        Args:
            point: where.
            x: the input as it was before the call, attached to the graph as it was.
            y: the output.
            recompute: computes the output from another input of the shape of ``x``; None where that is not known.
        """

    def on_gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Receive the gradient at a point's input or output."""


class Hooks:
    """Observe a model's activations between :meth:`open` and :meth:`close`, or inside a ``with`` block.

    Args:
        model: any module.
        observer: receives every execution and gradient.

    Raises:
        SiteError: the model cannot be observed: DataParallel, or compiled in place.
    """

    def __init__(self, model: nn.Module, observer: Observer) -> None:
        _check(model)
        self.model = model
        self.observer = observer
        self.known = activation_modules(model)
        sites = survey(model)
        self.paths = sites.paths
        fused = [entry.site for entry in sites.entries if entry.slot.tail.startswith(":")]
        self.unseen = {site.path: site.reason or "" for site in fused}
        self._site_paths = {entry.slot.key: entry.site.path for entry in sites.entries}
        self._layers = WeightPaths(model)
        self._points: dict[Hashable, Point] = {}
        self._module_hooks: list[Any] = []
        self._tensor_hooks: list[Any] = []
        self._contexts: list[AbstractContextManager[Any]] = []
        self._axes = UnitAxes()
        self._latest: UnitAxis | None = None  # of the layer with weights that ran last
        self._inside = 0  # depth of activations, whose inner calls are not observed

    @property
    def is_open(self) -> bool:
        """Whether the model is observed at the moment."""
        return bool(self._contexts)

    def open(self) -> None:
        """Start observing; remove the hooks on the tensors of an earlier pass."""
        self.release()
        self._inside, self._axes, self._latest = 0, UnitAxes(), None
        if any(m._compiled_call_impl is not None or "_orig_mod" in m._modules for m in self.model.modules()):
            self._enter(torch.compiler.set_stance("force_eager"))
        if any(isinstance(module, Deferred) for module in self.model.modules()):
            self._enter(computed_at_once())
        for module in self.model.modules():
            if id(module) in self.known and not isinstance(module, torch.jit.ScriptModule):
                self._observe_module(module, self.known[id(module)])
        self._enter(_FunctionMode(self))

    def _enter(self, context: AbstractContextManager[Any]) -> None:
        context.__enter__()
        self._contexts.append(context)

    def close(self) -> None:
        """Stop observing. Gradients of the pass still arrive, until :meth:`release`."""
        while self._contexts:
            self._contexts.pop().__exit__(None, None, None)
        while self._module_hooks:
            self._module_hooks.pop().remove()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def release(self) -> None:
        """Remove the hooks on the tensors of the observed pass."""
        while self._tensor_hooks:
            self._tensor_hooks.pop().remove()

    # ------------------------------------------------------------------------------------------- modules

    def _observe_module(self, module: nn.Module, running: Running) -> None:
        slot = slot_of_module(module)
        entered: list[tuple[Point, Tensor, UnitAxis | None, bool] | None] = []

        def enter(_: nn.Module, args: Any, kwargs: Any) -> None:
            self._inside += 1
            value = next((leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)), None)
            if value is None or self._inside > 1 or not self._is_measurable(value, slot):
                entered.append(None)
                return
            axis = self._axes.of(value)
            point = self._point(slot, running, value, getattr(module, "gate", "second") == "interleaved")
            entered.append((point, self._before(point, value), axis, len(args) == 1 and not kwargs))

        def leave(_: nn.Module, _args: Any, result: Any) -> None:
            before = entered.pop()
            if before is not None and isinstance(result, Tensor):  # on an error there is no result
                point, x, axis, is_only_input = before
                self._axes.keep(axis, result)
                self._after(point, x, result, _function_of(module) if is_only_input else None)
            self._inside -= 1

        self._module_hooks.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        self._module_hooks.append(module.register_forward_hook(leave, always_call=True))

    # --------------------------------------------------------------------------------------------- calls

    def call(self, function: ActivationFunction, slot: Slot, func: Any, args: Any, kwargs: Any) -> Any:
        """Run a functional call that is an activation, and show it to the observer."""
        value, rest = (args[0], args[1:]) if args else (kwargs["input"], ())
        named = {key: argument for key, argument in kwargs.items() if key != "input"}
        if not self._is_measurable(value, slot) or "out" in named:
            return func(*args, **kwargs)
        self._inside += 1
        try:
            axis = self._axes.of(value)
            point = self._point(slot, describe_call(function, rest, named), value)
            x = self._before(point, value)
            result = func(*args, **kwargs)
            self._axes.keep(axis, result)
            self._after(point, x, result, lambda z: func(z, *rest, **named))
            return result
        finally:
            self._inside -= 1

    def follow(self, func: Any, args: Any, kwargs: Any, frame: FrameType) -> Any:
        """Run any other function, and follow the axis of the units through it."""
        name = getattr(func, "__name__", "")
        inputs = self._axes.inputs(tree_leaves((args, kwargs)))
        result = func(*args, **kwargs)
        call = linear_call(name, args, kwargs, self._layers.parameters)
        if call is not None and isinstance(result, Tensor):
            self._latest = self._axes.start(call, result, self._layers.of(call.weight, frame))
        elif isinstance(result, (Tensor, tuple, list)):
            self._axes.follow(func, inputs, args, kwargs, result)
        return result

    # -------------------------------------------------------------------------------------------- points

    def _point(self, slot: Slot, running: Running, x: Tensor, interleaved: bool = False) -> Point:
        axis = self._axes.of(x)
        dim = None if running.kind == "vector" else self._dim(x, axis)
        size = 1 if dim is None or x.dim() == 0 else x.shape[dim]
        is_gate = running.kind == "gated" and dim is not None and (running.dim or -1) in {dim, dim + x.dim()}
        width = size // 2 if is_gate else size
        made_by = axis if axis is not None and axis.after is not None else self._latest
        after = None if made_by is None else made_by.after
        key = (slot.key, after, width)
        if key not in self._points:
            self._points[key] = Point(
                key=key,
                path=self._site_paths.get(slot.key) or self._path_of(slot),
                after=after,
                running=running,
                dim=dim,
                width=width,
                inplace=running.inplace,
                interleaved=interleaved,
            )
        return self._points[key]

    def _path_of(self, slot: Slot) -> str:
        """Return the path of a site that is found only in a run."""
        owner = self.paths.get(id(slot.owner), ["?"])[0]
        return f"{owner}.{slot.tail}" if owner and slot.tail else owner or slot.tail

    def _dim(self, x: Tensor, axis: UnitAxis | None) -> int:
        """Return the dimension of the units; where it is lost, that of the latest convolution if it still has its size, or the last."""
        if axis is not None:
            return axis.dim
        latest = self._latest
        is_there = latest is not None and x.dim() >= -latest.dim and x.shape[latest.dim] == latest.width
        return latest.dim if latest is not None and is_there else -1

    def _is_measurable(self, value: Any, slot: Slot) -> bool:
        """Whether an input can be measured; if not, the site is listed with the reason."""
        if not isinstance(value, Tensor):
            return False
        reason = reason_not_computable(value) or (_META if value.is_meta else None)
        if reason is not None:
            self.unseen[self._site_paths.get(slot.key) or self._path_of(slot)] = reason
        return reason is None and value.numel() > 0

    def _before(self, point: Point, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            self._hook(x, point, "input")
        return x.detach().clone() if point.inplace else x

    def _hook(self, tensor: Tensor, point: Point, side: Side) -> None:
        handle = tensor.register_hook(lambda g: self.observer.on_gradient(point, side, g))  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._tensor_hooks.append(handle)

    def _after(self, point: Point, x: Tensor, y: Tensor, recompute: Recompute | None) -> None:
        if type(y) not in {Tensor, nn.Parameter}:  # a deferred value: reading it would compute it
            if recompute is None:
                return
            with torch.no_grad():
                y = recompute(x.detach())
        elif torch.is_grad_enabled() and y.requires_grad:
            self._hook(y, point, "output")
        self.observer.on_forward(point, x, y, recompute)


class _FunctionMode(TorchFunctionMode):
    """Passes every call of torch that is an activation, a layer with weights or a norm to the hooks."""

    def __init__(self, hooks: Hooks) -> None:
        super().__init__()
        self.hooks = hooks
        self.parts = frozenset(map(id, hooks.model.modules()))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.hooks._inside:
            return func(*args, **kwargs)
        function = recognise(func)
        slot = slot_of_running_call(function, sys._getframe(1), None, self.parts) if function else None
        if function is not None and slot is not None:
            return self.hooks.call(function, slot, func, args, kwargs)
        return self.hooks.follow(func, args, kwargs, sys._getframe(1))


def _function_of(module: nn.Module) -> Recompute:
    """Return a function that computes what a module does without running its hooks or changing its state."""
    if isinstance(module, Deferred):
        return _function_of(module.activation)
    if isinstance(module, ActivationLayer) or type(module).__module__.split(".")[0] == "torch":
        return module.forward
    twin = copy(module)  # a user's code may count its calls, and may have its own gradient
    twin.__dict__["_buffers"] = {name: None if b is None else b.clone() for name, b in module._buffers.items()}
    return twin.forward


def _check(model: nn.Module) -> None:
    if isinstance(model, nn.DataParallel):
        raise SiteError(
            "A DataParallel model runs on copies of itself, in threads that cannot be observed. "
            "Probe what it wraps (model.module), or use DistributedDataParallel."
        )
    if model._compiled_call_impl is not None:
        raise SiteError(
            "This model was compiled in place (model.compile()), with its hooks inside. Probe it before, or use "
            "compiled = torch.compile(model) and probe that: sampled steps then run without the compiler."
        )
