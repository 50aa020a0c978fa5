"""Slots of the activation calls in the source of ``forward`` and the methods it calls."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.nn.recognition.torch_activations import Running
from actlab.nn.sites.call_slot import HeldMethod, end_offset, held_method, slot_of_call
from actlab.nn.sites.call_target import called_activation, describe_source_call, known_names
from actlab.nn.sites.slot import Slot, edits_of, original_class
from actlab.nn.sites.written_out import WrittenOut, span_of, written_out
from actlab.nn.source.method_source import Method, read

__all__ = ["activation_calls", "running_formulas"]


def activation_calls(owner: nn.Module, *, whole: bool = True) -> Iterator[tuple[Slot, Running]]:
    """Yield the activation calls in the source of a module's ``forward`` and of the methods it calls on ``self``.

    A function that is written out, as in ``h * torch.sigmoid(h)``, is yielded in the place of the calls inside it, with ``whole``. What is
    known only in a run (a function picked from a list, a call in a helper function) is not included. Torch's own modules are not read.
    """
    for held, method in _methods(owner):
        names = known_names(owner, method)
        replaced = {edit.end for edit in edits_of(type(owner)) if edit.method == held.name and not edit.start}
        done, found = _formulas(owner, held, method) if whole else ([], [])
        inside = {id(call) for each in (*done, *found) for call in each.calls}
        yield from ((each.slot, each.running) for each in found)
        for call in method.calls:
            target = None if id(call) in inside else called_activation(call, names)
            if target and end_offset(method, call) not in replaced:
                yield slot_of_call(owner, held, method, call, target[1]), describe_source_call(target, call, names)


def running_formulas(model: nn.Module) -> dict[tuple[CodeType, int], list[WrittenOut]]:
    """Return the functions that are written out in the methods of a model, by the code that runs and the ``id`` of the module."""
    found: dict[tuple[CodeType, int], list[WrittenOut]] = {}
    for owner in model.modules():
        for held, method in _methods(owner):
            _, formulas = _formulas(owner, held, method)
            rewritten = inspect.unwrap(inspect.getattr_static(type(owner), held.name, held.function))
            for function in {held.function, rewritten} if formulas else ():
                if isinstance(function, FunctionType):
                    found[function.__code__, id(owner)] = formulas
    return found


def _formulas(owner: nn.Module, held: HeldMethod, method: Method) -> tuple[list[WrittenOut], list[WrittenOut]]:
    """Return the functions written out in a method that are replaced by layers, and those that still run as written."""
    edits = [edit for edit in edits_of(type(owner)) if edit.method == held.name]
    spans = {span_of(edit) for edit in edits if edit.start}
    ends = {edit.end for edit in edits if not edit.start}
    found = written_out(owner, held, method)
    whole = [each for each in found if not any(end_offset(method, call) in ends for call in each.calls)]
    return [each for each in found if each.span in spans], [each for each in whole if each.span not in spans]


def _methods(owner: nn.Module) -> Iterator[tuple[HeldMethod, Method]]:
    """Yield the methods of a module that ``forward`` reaches and whose source is known."""
    if original_class(type(owner)).__module__.split(".")[0] == "torch" or isinstance(owner, torch.jit.ScriptModule):
        return
    for held in _reachable(original_class(type(owner))):
        try:
            yield held, read(held.function)
        except SiteError:  # no source, so nothing to report; a run still finds what it calls
            continue


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


@lru_cache(maxsize=1024)
def _used_members(function: FunctionType) -> tuple[tuple[str, bool], ...]:
    """Return the members of its own object that a method uses (to call or pass on), and whether through ``super()``."""
    try:
        method = read(function)
    except SiteError:
        return ()
    used = ((node.attr, ast.unparse(node.value)) for node in ast.walk(method.node) if isinstance(node, ast.Attribute))
    return tuple(
        (_mangled(name, function), value == "super()") for name, value in used if value in {method.receiver, "super()"}
    )


def _mangled(name: str, function: FunctionType) -> str:
    """Return the name under which a class holds what its methods call ``__private``."""
    owner = function.__qualname__.split(".")[-2:-1]
    is_private = name.startswith("__") and not name.endswith("__")
    return f"_{owner[0].lstrip('_')}{name}" if is_private and owner else name
