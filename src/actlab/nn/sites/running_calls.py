"""Slot of an activation call that is running, found from its Python stack frame."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Final

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.nn.recognition.torch_activations import ActivationFunction
from actlab.nn.sites.call_slot import HeldMethod, held_method, location, slot_of_call
from actlab.nn.sites.call_target import called_activation
from actlab.nn.sites.slot import Slot, fused_reason, original_class, slot_in_fused_module
from actlab.nn.sites.written_out import Span, WrittenOut
from actlab.nn.source.method_source import contains, end_of_call, read

__all__ = ["running_formula", "slot_in_fused_call", "slot_of_running_call"]

_TORCH_FILES: Final = frozenset(
    str(Path(torch.__file__).parent / name)
    for name in ("nn/functional.py", "overrides.py", "_tensor.py", "_jit_internal.py")
)


def slot_of_running_call(
    function: ActivationFunction, frame: FrameType, stop: CodeType | None, parts: Container[int]
) -> Slot | None:
    """Return the slot of a call that is running.

    Args:
        function: the activation that runs.
        frame: the frame that called torch; torch's own frames on top of it are skipped.
        stop: code of the function outside the model at which the search ends.
        parts: ``id`` of every module of the model.

    Returns:
        The slot, or None where the call is not made by a module of the model.
    """
    site = _outside_torch(frame)
    caller, owner = _owner(site, stop)
    if caller is None or owner is None:
        return None
    if id(owner) not in parts:
        return _slot_in_unregistered_module(function, caller, owner, stop, parts)
    held = _running_method(type(owner), caller.f_code)
    if held is None or not contains(caller.f_code, site.f_code):
        return _slot_outside_methods(function, site, caller, owner)
    try:
        method = read(held.function)
    except SiteError as error:
        return _slot_without_source(function, site, owner, held, str(error))
    end = end_of_call(site)
    call = method.call_ending_at(end) if end else None
    if call is None:
        return _slot_without_source(
            function, site, owner, held, "Python keeps no columns for its calls (-X no_debug_ranges)"
        )
    names = {**vars(builtins), **site.f_globals, **site.f_locals}
    target = called_activation(call, names)
    if target is None or target[0].name != function.name:
        reason = f"it is reached through {ast.unparse(call.func)}(...), not called by its name"
        return _slot_without_source(function, site, owner, held, reason)
    return slot_of_call(owner, held, method, call, target[1])


def slot_in_fused_call(name: str, inside: str, frame: FrameType, stop: CodeType | None) -> Slot | None:
    """Return the slot of an activation that torch computes inside one fused call.

    Args:
        name: the activation.
        inside: the function of torch, such as ``scaled_dot_product_attention``.
        frame: the frame that called torch.
        stop: code of the function outside the model at which the search ends.

    Returns:
        The slot, which cannot be replaced, or None where the call is not made by a module of the model.
    """
    site = _outside_torch(frame)
    caller, owner = _owner(site, stop)
    if caller is None or owner is None:
        return None
    if isinstance(owner, (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)):
        return slot_in_fused_module(owner, name)
    return Slot(
        kind="hidden",
        key=("fused call", id(owner), site.f_code, site.f_lasti, name),
        owner=owner,
        tail=f"{caller.f_code.co_name}:{inside}:{name}",
        where=location(site.f_code.co_filename, site.f_lineno),
        reason=fused_reason(name),
    )


def running_formula(
    frame: FrameType, known: Mapping[tuple[CodeType, int], Sequence[WrittenOut]]
) -> tuple[WrittenOut, bool] | None:
    """Return the written-out function that a running call of torch is a part of, and whether it is the last part; else None.

    Args:
        frame: the frame that called torch.
        known: the functions that are written out, by code and ``id`` of the module.
    """
    site = _outside_torch(frame)
    names = site.f_code.co_varnames
    owner = site.f_locals.get(names[0]) if names and site.f_code.co_argcount else None
    formulas = known.get((site.f_code, id(owner)), ())
    if not formulas:
        return None
    line, end_line, column, end_column = list(site.f_code.co_positions())[site.f_lasti // 2]
    if line is None or end_line is None or column is None or end_column is None:
        return None
    for formula in formulas:
        start, end = (line - formula.line, column), (end_line - formula.line, end_column)
        if _within(start, end, formula.span) and not _within(start, end, formula.input_span):
            return formula, (*start, *end) == formula.span
    return None


def _within(start: tuple[int, int], end: tuple[int, int], span: Span) -> bool:
    return span[:2] <= start and end <= span[2:]


def _outside_torch(frame: FrameType) -> FrameType:
    while frame.f_code.co_filename in _TORCH_FILES and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _slot_in_unregistered_module(
    function: ActivationFunction, frame: FrameType, module: nn.Module, stop: CodeType | None, parts: Container[int]
) -> Slot | None:
    """Return the slot of a call in a module that is no part of the model: ``nn.Softmax(dim=-1)(x)`` in a ``forward``."""
    caller: FrameType | None = frame
    owner: nn.Module = module
    while id(owner) not in parts:
        outer = caller.f_back if caller else None
        caller, nearest = _owner(outer, stop, inside=False) if outer else (None, None)
        if caller is None or nearest is None:
            return _slot_outside_methods(function, frame, frame, module)
        owner = nearest
    cls = type(module).__name__
    reason = (
        f"it runs in a {cls} that is no registered part of the model (made during the forward pass, or kept in a plain list or dict); "
        "make it in __init__, as an attribute or in an nn.ModuleList"
    )
    key = ("unregistered module", id(owner), type(module), caller.f_lasti if caller else 0, frame.f_lasti)
    tail = f"{caller.f_code.co_name if caller else '?'}:{cls}"
    where = location(frame.f_code.co_filename, frame.f_lineno)
    return Slot(kind="hidden", key=key, owner=owner, tail=tail, where=where, reason=reason)


def _owner(site: FrameType, stop: CodeType | None, *, inside: bool = True) -> tuple[FrameType | None, nn.Module | None]:
    """Return the frame of the module's method that makes a call, and the module.

    It is the nearest method, from ``site`` outwards, whose source contains the call: a lambda may be passed to other methods before it
    runs. Where there is none, or ``inside`` is False, it is the nearest method.
    """
    nearest: tuple[FrameType | None, nn.Module | None] = None, None
    frame: FrameType | None = site
    while frame is not None and frame.f_code is not stop:
        names = frame.f_code.co_varnames
        first = frame.f_locals.get(names[0]) if frame.f_code.co_argcount else None
        if isinstance(first, nn.Module):
            if not inside or contains(frame.f_code, site.f_code):
                return frame, first
            nearest = nearest if nearest[0] else (frame, first)
        frame = frame.f_back
    return nearest


def _running_method(cls: type, code: CodeType) -> HeldMethod | None:
    """Return the method of a class, or of one it derives from, that has this code."""
    for base in cls.__mro__:
        for name, value in vars(base).items():
            if isinstance(value, FunctionType) and code in {value.__code__, inspect.unwrap(value).__code__}:
                return held_method(cls, original_class(base), name)
    return None


def _slot_outside_methods(function: ActivationFunction, site: FrameType, caller: FrameType, owner: nn.Module) -> Slot:
    """Return the slot of a call in code that is no method of a module, such as a lambda."""
    code = site.f_code
    what = "a lambda" if code.co_name == "<lambda>" else code.co_qualname
    reason = (
        f"it runs in {what}, which is no plain method of a module; call a module there, or move the call into a method"
    )
    inside = "" if code is caller.f_code else f"{code.co_name}:"
    tail = f"{caller.f_code.co_name}:{inside}{function.name}"
    key = ("outside", id(owner), code, site.f_lasti)
    where = location(code.co_filename, site.f_lineno)
    return Slot(kind="hidden", key=key, owner=owner, tail=tail, where=where, reason=reason)


def _slot_without_source(
    function: ActivationFunction, site: FrameType, owner: nn.Module, held: HeldMethod, reason: str
) -> Slot:
    """Return the slot of a call in a method that is not identified in the method's source."""
    where = location(held.function.__code__.co_filename, site.f_lineno)
    key = ("unreadable", id(owner), site.f_code, site.f_lasti)
    return Slot(kind="hidden", key=key, owner=owner, tail=f"{held.name}:{function.name}", where=where, reason=reason)
