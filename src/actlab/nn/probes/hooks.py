"""The taps: for as long as they are open, every activation of a model shows what goes in, what comes out and which gradients come back.

Modules are watched by hooks, functional calls by torch's function mode, as in :mod:`actlab.nn.sites.trace`; nothing is kept, and when the
taps are closed nothing of them is left. Gradients are seen by hooks on the tensors of that pass, which change nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from actlab.errors import SiteError
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.deferred import Deferred
from actlab.nn.sites.find import survey
from actlab.nn.sites.running_calls import slot_of_running_call
from actlab.nn.sites.slot import Slot, slot_of_module
from actlab.nn.sites.torch_activations import ActivationFunction, Running, describe_call, recognise
from actlab.nn.sites.user_modules import activation_modules

__all__ = ["Again", "Hooks", "Observer", "Point", "Side"]

Side = Literal["input", "output"]
Again = Callable[[Tensor], Tensor]

_LINEAR: Final = {
    "linear": 1,
    "addmm": 2,
    "baddbmm": 2,
    "matmul": 1,
    "mm": 1,
    "bmm": 1,
    "__matmul__": 1,
    "__rmatmul__": 1,
}
_CONVOLUTIONS: Final = {f"conv{transposed}{n}d": n for n in (1, 2, 3) for transposed in ("", "_transpose")}
_NORMS_OF_CHANNELS: Final = {"batch_norm", "group_norm", "instance_norm"}
_NORMS_OF_LAST: Final = {"layer_norm", "rms_norm"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """A stretch of a model's computation: one activation, behind one layer with weights.

    An activation module that is used twice, as the ReLU of a residual block often is, is two points, with units of their own; in a
    recurrent net it is one point that runs once a step.

    Attributes:
        key: tells points apart.
        path: of the site, as :func:`actlab.find` has it.
        after: path of the layer whose weights made the input; None where there is none.
        running: what runs.
        dim: dimension of the units, counted from the end; None for functions that mix elements, which have none.
        width: number of units.
        inplace: whether the input is overwritten.
        interleaved: whether a packed gate lies at every other slot, and not in one half.
    """

    key: Hashable
    path: str
    after: str | None
    running: Running
    dim: int | None
    width: int
    inplace: bool
    interleaved: bool = False


class Observer(Protocol):
    """What listens to the taps."""

    def seen(self, point: Point, x: Tensor, y: Tensor, again: Again | None, /) -> None:
        """Take note of one execution.

        Args:
            point: where.
            x: the input as it was before the call, with gradients as it had them.
            y: the output.
            again: computes the output from another input of the shape of ``x``; None where that is not known.
        """

    def gradient(self, point: Point, side: Side, gradient: Tensor, /) -> None:
        """Take note of the gradient that reached a point's input or output."""


@dataclass(kw_only=True)
class _Feed:
    """What made the values that flow at this moment."""

    after: str | None = None
    dim: int = -1
    width: int | None = None


class Hooks:
    """Watches a model's activations between :meth:`open` and :meth:`close`.

    Args:
        model: any module.
        observer: is told what happens.

    Raises:
        SiteError: the model is one that cannot be watched: DataParallel, or compiled in slot.
    """

    def __init__(self, model: nn.Module, observer: Observer) -> None:
        _check(model)
        self.model = model
        self.observer = observer
        self.known = activation_modules(model)
        whole = survey(model)
        self.paths = whole.paths
        self.hidden = {e.site.path: e.site.reason or "" for e in whole.entries if e.slot.tail.startswith(":")}
        self._labels = {entry.slot.key: entry.site.path for entry in whole.entries}
        named = model.named_parameters(remove_duplicate=False)
        self._weights = {id(p): name.rpartition(".")[0] or name for name, p in named}  # the layer that holds it
        self._points: dict[Hashable, Point] = {}
        self._handles: list[Any] = []  # of hooks on modules
        self._graph: list[Any] = []  # of hooks on tensors
        self._contexts: list[AbstractContextManager[Any]] = []
        self._feed = _Feed()
        self._inside = 0

    @property
    def is_open(self) -> bool:
        """Whether the model is watched at this moment."""
        return bool(self._contexts)

    def open(self) -> None:
        """Begin to watch; forget the hooks on the tensors of an earlier pass."""
        self.release()
        self._inside, self._feed = 0, _Feed()
        if any(m._compiled_call_impl is not None or "_orig_mod" in m._modules for m in self.model.modules()):
            self._enter(torch.compiler.set_stance("force_eager"))
        for module in self.model.modules():
            if id(module) in self.known and not isinstance(module, torch.jit.ScriptModule):
                self._watch(module, self.known[id(module)])
        self._enter(_Calls(self))

    def _enter(self, context: AbstractContextManager[Any]) -> None:
        context.__enter__()
        self._contexts.append(context)

    def close(self) -> None:
        """Stop watching. Gradients of what was seen still arrive, until :meth:`release`."""
        while self._contexts:
            self._contexts.pop().__exit__(None, None, None)
        while self._handles:
            self._handles.pop().remove()

    def release(self) -> None:
        """Take the hooks off the tensors of the pass that was watched."""
        while self._graph:
            self._graph.pop().remove()

    # ------------------------------------------------------------------------------------------- modules

    def _watch(self, module: nn.Module, running: Running) -> None:
        slot = slot_of_module(module)
        held: list[tuple[Point, Tensor, bool] | None] = []

        def enter(_: nn.Module, args: Any, kwargs: Any) -> None:
            self._inside += 1
            value = next((leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)), None)
            if value is None or self._inside > 1 or not _countable(value):
                held.append(None)
                return
            point = self._point(slot, running, value, getattr(module, "gate", "second") == "interleaved")
            held.append((point, self._before(point, value), len(args) == 1 and not kwargs))

        def leave(_: nn.Module, _args: Any, result: Any) -> None:
            before = held.pop()
            if before is not None and isinstance(result, Tensor):  # on an error there is no result
                point, x, is_alone = before
                self._after(point, x, result, _again(module) if is_alone else None)
            self._inside -= 1

        self._handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        self._handles.append(module.register_forward_hook(leave, always_call=True))

    # --------------------------------------------------------------------------------------------- calls

    def call(self, native: ActivationFunction, slot: Slot, func: Any, args: Any, kwargs: Any) -> Any:
        """Carry out a functional call that is an activation, and show it."""
        value, rest = (args[0], args[1:]) if args else (kwargs["input"], ())
        named = {key: given for key, given in kwargs.items() if key != "input"}
        if not _countable(value) or "out" in named:
            return func(*args, **kwargs)
        self._inside += 1
        try:
            point = self._point(slot, describe_call(native, rest, named), value)
            x = self._before(point, value)
            result = func(*args, **kwargs)
            self._after(point, x, result, lambda z: func(z, *rest, **named))
            return result
        finally:
            self._inside -= 1

    def feed(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        """Note what layer with weights, or norm, the values come from that flow from now on."""
        if name in _CONVOLUTIONS:
            spatial = _CONVOLUTIONS[name]
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            width = result.shape[-spatial - 1]
            self._feed = _Feed(after=self._weights.get(id(weight)), dim=-spatial - 1, width=width)
        elif name in _LINEAR:
            weight = next((leaf for leaf in (*args, *kwargs.values()) if id(leaf) in self._weights), None)
            if weight is not None or name == "linear":
                self._feed = _Feed(after=self._weights.get(id(weight)))
        elif name in _NORMS_OF_CHANNELS:
            spatial = max(0, result.dim() - 2)
            self._feed = _Feed(after=self._feed.after, dim=-spatial - 1, width=result.shape[-spatial - 1])
        elif name in _NORMS_OF_LAST:
            self._feed = _Feed(after=self._feed.after)

    # -------------------------------------------------------------------------------------------- points

    def _point(self, slot: Slot, running: Running, x: Tensor, interleaved: bool = False) -> Point:
        dim = None if running.kind == "vector" else self._dim(x)
        size = 1 if dim is None or x.dim() == 0 else x.shape[dim]
        width = size // 2 if running.kind == "gated" and dim is not None and dim == (running.dim or -1) else size
        key = (slot.key, self._feed.after, width)
        if key not in self._points:
            self._points[key] = Point(
                key=key,
                path=self._labels.get(slot.key) or self._written(slot),
                after=self._feed.after,
                running=running,
                dim=dim,
                width=width,
                inplace=running.inplace,
                interleaved=interleaved,
            )
        return self._points[key]

    def _written(self, slot: Slot) -> str:
        """Return the path of a site that only a run can find."""
        owner = self.paths.get(id(slot.owner), ["?"])[0]
        return f"{owner}.{slot.tail}" if owner and slot.tail else owner or slot.tail

    def _dim(self, x: Tensor) -> int:
        """Return the dimension of the units: that of the convolution's channels, where it is still there; else the last."""
        dim, width = self._feed.dim, self._feed.width
        return dim if x.dim() >= -dim and width in {None, x.shape[dim]} else -1

    def _before(self, point: Point, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            self._hook(x, point, "input")
        return x.detach().clone() if point.inplace else x

    def _hook(self, tensor: Tensor, point: Point, side: Side) -> None:
        handle = tensor.register_hook(lambda g: self.observer.gradient(point, side, g))  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._graph.append(handle)

    def _after(self, point: Point, x: Tensor, y: Tensor, again: Again | None) -> None:
        if type(y) not in {Tensor, nn.Parameter}:  # a pending value: looking at it would compute it
            if again is None:
                return
            with torch.no_grad():
                y = again(x.detach())
        elif torch.is_grad_enabled() and y.requires_grad:
            self._hook(y, point, "output")
        self.observer.seen(point, x, y, again)


class _Calls(TorchFunctionMode):
    """Shows the taps every call of torch that is an activation, or a layer with weights."""

    def __init__(self, taps: Hooks) -> None:
        super().__init__()
        self.taps = taps
        self.parts = frozenset(map(id, taps.model.modules()))
        self._slots: dict[Hashable, Slot | None] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.taps._inside:
            return func(*args, **kwargs)
        native = recognise(func)
        slot = slot_of_running_call(native, sys._getframe(1), None, self.parts) if native else None
        if native is not None and slot is not None:
            return self.taps.call(native, slot, func, args, kwargs)
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if isinstance(result, Tensor) and name in _FEEDS:
            self.taps.feed(name, args, kwargs, result)
        return result


_FEEDS: Final = {*_LINEAR, *_CONVOLUTIONS, *_NORMS_OF_CHANNELS, *_NORMS_OF_LAST}


def _countable(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 0 and not value.is_meta


def _again(module: nn.Module) -> Again:
    """Return what computes a module's function anew without touching the module: no hooks run, no state changes."""
    if isinstance(module, Deferred):
        return _again(module.activation)
    if isinstance(module, ActivationLayer) or type(module).__module__.split(".")[0] == "torch":
        return module.forward
    twin = copy(module)  # a lookalike's code may count its calls, and may have a gradient of its own
    twin.__dict__["_buffers"] = {name: None if b is None else b.clone() for name, b in module._buffers.items()}
    return twin.forward


def _check(model: nn.Module) -> None:
    if isinstance(model, nn.DataParallel):
        raise SiteError(
            "A DataParallel model runs on copies of itself, in threads that cannot be watched. "
            "Probe what it wraps (model.module), or use DistributedDataParallel."
        )
    if model._compiled_call_impl is not None:
        raise SiteError(
            "This model was compiled in place (model.compile()), with its hooks inside. Probe it before, or use "
            "compiled = torch.compile(model) and probe that: sampled steps then run without the compiler."
        )
