"""The slot of a call that is running, found from its stack frame."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Container
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Final

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.nn.sites.call_edit import original_class
from actlab.nn.sites.call_target import callee_of
from actlab.nn.sites.method_source import contains, end_of_call, read
from actlab.nn.sites.slot import _ATTENTION, _RECURRENT, Slot, _Found, _found, _placed, _where, place_in_fused_module
from actlab.nn.sites.torch_activations import Native

__all__ = ["place_of_call", "place_of_fused"]

_TORCH_FILES: Final = frozenset(
    str(Path(torch.__file__).parent / name)
    for name in ("nn/functional.py", "overrides.py", "_tensor.py", "_jit_internal.py")
)


# ---------------------------------------------------------------------------------- calls, as they run
def place_of_call(native: Native, frame: FrameType, stop: CodeType | None, parts: Container[int]) -> Slot | None:
    """Return the place of a call that is running.

    Args:
        native: the function of torch that runs.
        frame: the frame that reached torch; torch's own frames on top of it are passed over.
        stop: code of the function outside the model, at which the search ends.
        parts: identities of the modules of the model.

    Returns:
        The place, or None where no module of the model is at work.
    """
    site = _outside_torch(frame)
    caller, owner = _owner(site, stop)
    if caller is None or owner is None:
        return None
    if id(owner) not in parts:
        return _in_a_stranger(native, caller, owner, stop, parts)
    found = _method_running(type(owner), caller.f_code)
    if found is None or not contains(caller.f_code, site.f_code):
        return _out_of_reach(native, site, caller, owner)
    try:
        method = read(found.function)
    except SiteError as error:
        return _unreadable(native, site, owner, found, str(error))
    end = end_of_call(site)
    call = method.call_ending_at(end) if end else None
    if call is None:
        return _unreadable(native, site, owner, found, "Python keeps no columns for its calls (-X no_debug_ranges)")
    names = {**vars(builtins), **site.f_globals, **site.f_locals}
    callee = callee_of(call, names)
    if callee is None or callee[0].name != native.name:
        return _unreadable(
            native, site, owner, found, f"it is reached through {ast.unparse(call.func)}(...), not called by its name"
        )
    return _placed(owner, found, method, call, callee[1])


def place_of_fused(name: str, inside: str, frame: FrameType, stop: CodeType | None) -> Slot | None:
    """Return the place of an activation that torch computes inside a call of its own.

    Args:
        name: the activation.
        inside: the function of torch, like ``scaled_dot_product_attention``.
        frame: the frame that reached torch.
        stop: code of the function outside the model, at which the search ends.

    Returns:
        The place, which no layer can take, or None where no module of the model is at work.
    """
    site = _outside_torch(frame)
    caller, owner = _owner(site, stop)
    if caller is None or owner is None:
        return None
    if isinstance(owner, (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)):
        return place_in_fused_module(owner, name)
    return Slot(
        kind="hidden",
        key=("fused call", id(owner), site.f_code, site.f_lasti, name),
        owner=owner,
        tail=f"{caller.f_code.co_name}:{inside}:{name}",
        where=_where(site.f_code.co_filename, site.f_lineno),
        reason=_ATTENTION if name == "softmax" else _RECURRENT,
    )


def _outside_torch(frame: FrameType) -> FrameType:
    while frame.f_code.co_filename in _TORCH_FILES and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _in_a_stranger(
    native: Native, frame: FrameType, stranger: nn.Module, stop: CodeType | None, parts: Container[int]
) -> Slot | None:
    """Return the place of a call in a module that is no part of the model: ``nn.Softmax(dim=-1)(x)`` in a ``forward``."""
    caller: FrameType | None = frame
    owner: nn.Module = stranger
    while id(owner) not in parts:
        above = caller.f_back if caller else None
        caller, nearest = _owner(above, stop, inside=False) if above else (None, None)
        if caller is None or nearest is None:
            return _out_of_reach(native, frame, frame, stranger)
        owner = nearest
    cls = type(stranger).__name__
    reason = (
        f"it runs in a {cls} that is no registered part of the model (made during the forward pass, or kept in a plain list or dict); "
        "make it in __init__, as an attribute or in an nn.ModuleList"
    )
    key = ("stranger", id(owner), type(stranger), caller.f_lasti if caller else 0, frame.f_lasti)
    tail = f"{caller.f_code.co_name if caller else '?'}:{cls}"
    where = _where(frame.f_code.co_filename, frame.f_lineno)
    return Slot(kind="hidden", key=key, owner=owner, tail=tail, where=where, reason=reason)


def _owner(site: FrameType, stop: CodeType | None, *, inside: bool = True) -> tuple[FrameType | None, nn.Module | None]:
    """Return the frame of the module's method that makes a call, and the module.

    That is the nearest method, from ``site`` outwards, in whose source the call stands: a lambda may be handed on to other methods before
    it runs. If there is none, or ``inside`` is False, it is the nearest method.
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


def _method_running(cls: type, code: CodeType) -> _Found | None:
    """Return the method of a class, or of one it derives from, that has this code."""
    for base in cls.__mro__:
        for name, value in vars(base).items():
            if isinstance(value, FunctionType) and code in {value.__code__, inspect.unwrap(value).__code__}:
                return _found(cls, original_class(base), name)
    return None


def _out_of_reach(native: Native, site: FrameType, caller: FrameType, owner: nn.Module) -> Slot:
    code = site.f_code
    what = "a lambda" if code.co_name == "<lambda>" else code.co_qualname
    reason = (
        f"it runs in {what}, which is no plain method of a module; call a module there, or move the call into a method"
    )
    inside = "" if code is caller.f_code else f"{code.co_name}:"
    tail = f"{caller.f_code.co_name}:{inside}{native.name}"
    key = ("outside", id(owner), code, site.f_lasti)
    return Slot(
        kind="hidden", key=key, owner=owner, tail=tail, where=_where(code.co_filename, site.f_lineno), reason=reason
    )


def _unreadable(native: Native, site: FrameType, owner: nn.Module, found: _Found, reason: str) -> Slot:
    where = _where(found.function.__code__.co_filename, site.f_lineno)
    key = ("unreadable", id(owner), site.f_code, site.f_lasti)
    return Slot(kind="hidden", key=key, owner=owner, tail=f"{found.name}:{native.name}", where=where, reason=reason)
