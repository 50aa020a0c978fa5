"""Slots of the activation calls in the source of ``forward`` and the methods it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.nn.sites.call_slot import HeldMethod, end_offset, held_method, slot_of_call
from actlab.nn.sites.call_target import called_activation, describe_source_call, known_names
from actlab.nn.sites.slot import Slot, edits_of, original_class
from actlab.nn.sites.torch_activations import Running
from actlab.nn.source.method_source import read

__all__ = ["activation_calls"]


def activation_calls(owner: nn.Module) -> Iterator[tuple[Slot, Running]]:
    """Yield the activation calls in the source of a module's ``forward`` and of the methods it calls on ``self``.

    What is known only in a run (a function picked from a list, a call in a helper function) is not included. Torch's own modules are not
    read.
    """
    if original_class(type(owner)).__module__.split(".")[0] == "torch" or isinstance(owner, torch.jit.ScriptModule):
        return
    for held in _reachable(original_class(type(owner))):
        try:
            method = read(held.function)
        except SiteError:  # no source, so nothing to report; a run still finds what it calls
            continue
        names = known_names(owner, method)
        replaced = {edit.end for edit in edits_of(type(owner)) if edit.method == held.name}
        for call in method.calls:
            target = called_activation(call, names)
            if target and end_offset(method, call) not in replaced:
                yield slot_of_call(owner, held, method, call, target[1]), describe_source_call(target, call, names)


def _reachable(cls: type) -> list[HeldMethod]:
    """Return ``forward`` and the methods it reaches through ``self`` or ``super()``, breadth first."""
    methods: dict[FunctionType, HeldMethod] = {}
    names: list[tuple[type, str]] = [(cls, "forward")]
    while names:
        after, name = names.pop(0)
        base = next((base for base in after.__mro__ if isinstance(vars(base).get(name), FunctionType)), None)
        if base is None or base is nn.Module:
            continue
        method = held_method(cls, base, name)
        if method.function not in methods:
            methods[method.function] = method
            names += [(base.__mro__[1] if is_super else cls, used) for used, is_super in _used_members(method.function)]
    return list(methods.values())


def _used_members(function: FunctionType) -> Iterator[tuple[str, bool]]:
    """Yield the members of its own object that a method uses (to call or pass on), and whether through ``super()``."""
    try:
        method = read(function)
    except SiteError:
        return
    for node in ast.walk(method.node):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {method.receiver, "super()"}:
            yield _mangled(node.attr, function), ast.unparse(node.value) == "super()"


def _mangled(name: str, function: FunctionType) -> str:
    """Return the name under which a class holds what its methods call ``__private``."""
    owner = function.__qualname__.split(".")[-2:-1]
    is_private = name.startswith("__") and not name.endswith("__")
    return f"_{owner[0].lstrip('_')}{name}" if is_private and owner else name
