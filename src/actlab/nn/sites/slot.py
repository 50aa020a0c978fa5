"""Slots of activations in a model (submodules, attributes, calls) that a layer can replace.

A slot that cannot be replaced has the reason. Slots of calls are built in :mod:`actlab.nn.sites.call_slot`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import nn

from actlab.nn.recognition.torch_activations import Running, describe_call, recognise
from actlab.nn.sites.user_functions import match_function

__all__ = [
    "EDITS",
    "Edit",
    "Slot",
    "below_torch",
    "edits_of",
    "function_attributes",
    "fused_reason",
    "original_class",
    "sealed_reason",
    "slot_in_fused_module",
    "slot_of_attribute",
    "slot_of_module",
]

EDITS: Final = "_actlab_edits"
"""Attribute of a rewritten class that holds its edits."""

_SHARDED: Final = frozenset(
    {"FSDPModule", "ReplicateModule"}
)  # first base of the classes that torch makes of a module's own


@dataclass(frozen=True, kw_only=True, order=True)
class Edit:
    """Replacement of one call in a method by a submodule.

    Attributes:
        method: name of the method.
        end: where the call ends: lines after the method's first line, and column.
        style: "function" where the input is the first argument, "method" where it is what stands before the dot, "expression" for a
            function that is written out.
        submodule: name of the submodule that is called instead.
        digest: fingerprint of the method's text.
        start: where the expression starts that is replaced, counted as ``end`` is; empty for a call.
        value: where its input starts and ends: two lines and columns; empty for a call.
    """

    method: str
    end: tuple[int, int]
    style: str
    submodule: str
    digest: str
    start: tuple[int, ...] = ()
    value: tuple[int, ...] = ()


def edits_of(cls: type) -> tuple[Edit, ...]:
    """Return the edits of a rewritten class; empty for any other class."""
    edits: tuple[Edit, ...] = vars(below_torch(cls)).get(EDITS, ())
    return edits


def original_class(cls: type) -> type:
    """Return the class as its author wrote it."""
    below = below_torch(cls)
    return below.__bases__[-1] if EDITS in vars(below) else below


def below_torch(cls: type) -> type:
    """Return the class under those that torch puts on an object's own: of parametrizations and of sharding (``fully_shard``)."""
    while _is_put_on_by_torch(cls):
        cls = cls.__bases__[-1]
    return cls


def _is_put_on_by_torch(cls: type) -> bool:
    is_sharded = cls.__bases__[:1] != cls.__bases__[-1:] and cls.__bases__[0].__name__ in _SHARDED
    state = vars(cls).get("__getstate__")
    return (is_sharded and "__deepcopy__" in vars(cls)) or getattr(
        state, "__module__", None
    ) == "torch.nn.utils.parametrize"


@dataclass(frozen=True, kw_only=True, eq=False)
class Slot:
    """Where an activation sits in the objects and the source of a model.

    Attributes:
        kind: what a layer would replace: a submodule, an attribute or a call; "hidden" where nothing can be replaced.
        key: identifies the slot.
        owner: the module itself, the one that holds the attribute, or the one whose method makes the call.
        tail: what follows the owner's path: nothing, ``act``, ``forward:F.relu@2``.
        where: file and line, or the class of the module.
        reason: why no layer can stand here; None if one can.
        attribute: name of the attribute that holds the function.
        edit: the edit of the owner's class that puts a layer here.
    """

    kind: Literal["module", "attribute", "call", "hidden"]
    key: Hashable
    owner: nn.Module
    tail: str
    where: str
    reason: str | None = None
    attribute: str | None = None
    edit: Edit | None = None


def slot_of_module(module: nn.Module, reason: str | None = None) -> Slot:
    """Return the slot of a module that is an activation."""
    if reason is None and any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)):
        reason = "it has hooks, which the new layer would not have; remove them first, and register them again on the new layer"
    cls = original_class(type(module))
    where = f"{cls.__module__}.{cls.__qualname__}"
    return Slot(kind="module", key=("module", id(module)), owner=module, tail="", where=where, reason=reason)


def function_attributes(owner: nn.Module) -> Iterator[tuple[Slot, Running]]:
    """Yield the activations a module holds as plain functions: ``self.act = F.relu``, or a ``functools.partial`` of one."""
    for name, value in vars(owner).items():
        function = (recognise(value) or match_function(value)) if callable(value) else None
        if function:
            yield slot_of_attribute(owner, name), describe_call(function, [], {})


def slot_of_attribute(owner: nn.Module, name: str) -> Slot:
    """Return the slot of a function that a module holds as an attribute."""
    where = f"{type(owner).__module__}.{type(owner).__qualname__}"
    key = ("attribute", id(owner), name)
    reason = sealed_reason(owner)
    return Slot(kind="attribute", key=key, owner=owner, tail=name, where=where, reason=reason, attribute=name)


def sealed_reason(owner: nn.Module) -> str | None:
    """Return why nothing in a module may be changed, or None."""
    if isinstance(owner, torch.jit.ScriptModule):
        return "its module is compiled by TorchScript; swap in the Python module, then script it again"
    if isinstance(owner, torch.fx.GraphModule):
        return "its module is a torch.fx graph; swap in the model that was traced, or edit the graph"
    return None


def slot_in_fused_module(module: nn.Module, name: str) -> Slot:
    """Return the slot of an activation inside one of torch's fused modules; it cannot be replaced."""
    return Slot(
        kind="hidden",
        key=("fused", id(module), name),
        owner=module,
        tail=f":{name}",
        where=f"{type(module).__module__}.{type(module).__qualname__}",
        reason=fused_reason(name),
    )


def fused_reason(name: str) -> str:
    """Return why an activation that torch computes inside a fused call cannot be replaced."""
    if name == "softmax":
        return "torch computes it inside the attention kernel"
    return "torch computes it inside one fused call; use a recurrent layer written out in Python to choose the function"
