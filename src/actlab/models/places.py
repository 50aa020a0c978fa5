"""The place: where an activation sits in a model's objects and source, and whether a layer can stand there instead.

Three kinds of places can be replaced: a submodule, a function held as an attribute (``self.act = F.relu``), and a call in a method. What
cannot be replaced has a place too, with the reason.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from collections.abc import Container, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Final, Literal

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.models.callees import callee_of, names_in, running_as_written
from actlab.models.homemade import homemade
from actlab.models.natives import Native, Running, describe_call, recognise
from actlab.models.rewrite import Edit, edits_of, input_of, original_class
from actlab.models.source import Method, contains, end_of_call, read
from actlab.models.wrappers import rewrapped

__all__ = [
    "Place",
    "attributes_of",
    "calls_of",
    "place_in_fused_module",
    "place_of_call",
    "place_of_fused",
    "place_of_module",
]

_TORCH_FILES: Final = frozenset(
    str(Path(torch.__file__).parent / name)
    for name in ("nn/functional.py", "overrides.py", "_tensor.py", "_jit_internal.py")
)
_RECURRENT: Final = (
    "torch computes it inside one fused call; use a recurrent layer written out in Python to choose the function"
)
_ATTENTION: Final = "torch computes it inside the attention kernel"
_CONTAINERS: Final = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Where an activation sits.

    Attributes:
        kind: what a layer would replace: a submodule, an attribute, a call; or nothing, as it is hidden from us.
        key: tells places apart.
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


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A method of a module's class, by the name under which the class holds it."""

    name: str
    function: FunctionType
    reason: str | None


# --------------------------------------------------------------------------------- modules, attributes


def place_of_module(module: nn.Module, reason: str | None = None) -> Place:
    """Return the place of a module that is an activation."""
    if reason is None and any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)):
        reason = "it has hooks, which the new layer would not have; remove them first, and register them again on the new layer"
    cls = original_class(type(module))
    where = f"{cls.__module__}.{cls.__qualname__}"
    return Place(kind="module", key=("module", id(module)), owner=module, tail="", where=where, reason=reason)


def attributes_of(owner: nn.Module) -> Iterator[tuple[Place, Running]]:
    """Yield the activations a module holds as plain functions: ``self.act = F.relu``, or a ``functools.partial`` of one."""
    for name, value in vars(owner).items():
        native = recognise(value) or homemade(value)
        if native:
            yield _place_of_attribute(owner, name), describe_call(native, [], {})


def _place_of_attribute(owner: nn.Module, name: str) -> Place:
    where = f"{type(owner).__module__}.{type(owner).__qualname__}"
    key = ("attribute", id(owner), name)
    return Place(kind="attribute", key=key, owner=owner, tail=name, where=where, reason=_sealed(owner), attribute=name)


def _sealed(owner: nn.Module) -> str | None:
    """Say why nothing in a module may be changed, or return None."""
    if isinstance(owner, torch.jit.ScriptModule):
        return "its module is compiled by TorchScript; swap in the Python module, then script it again"
    if isinstance(owner, torch.fx.GraphModule):
        return "its module is a torch.fx graph; swap in the model that was traced, or edit the graph"
    return None


# ---------------------------------------------------------------------------------- calls, as they run


def place_of_call(native: Native, frame: FrameType, stop: CodeType | None, parts: Container[int]) -> Place | None:
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


def place_of_fused(name: str, inside: str, frame: FrameType, stop: CodeType | None) -> Place | None:
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
    return Place(
        kind="hidden",
        key=("fused call", id(owner), site.f_code, site.f_lasti, name),
        owner=owner,
        tail=f"{caller.f_code.co_name}:{inside}:{name}",
        where=_where(site.f_code.co_filename, site.f_lineno),
        reason=_ATTENTION if name == "softmax" else _RECURRENT,
    )


def place_in_fused_module(module: nn.Module, name: str) -> Place:
    """Return the place of an activation inside one of torch's fused modules, which no layer can take."""
    return Place(
        kind="hidden",
        key=("fused", id(module), name),
        owner=module,
        tail=f":{name}",
        where=f"{type(module).__module__}.{type(module).__qualname__}",
        reason=_ATTENTION if name == "softmax" else _RECURRENT,
    )


def _outside_torch(frame: FrameType) -> FrameType:
    while frame.f_code.co_filename in _TORCH_FILES and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _in_a_stranger(
    native: Native, frame: FrameType, stranger: nn.Module, stop: CodeType | None, parts: Container[int]
) -> Place | None:
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
    return Place(kind="hidden", key=key, owner=owner, tail=tail, where=where, reason=reason)


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


def _found(cls: type, base: type, name: str) -> _Found:
    held = inspect.getattr_static(base, name)
    function: FunctionType = inspect.unwrap(held)
    reason = None
    if rewrapped(held, function) is None:
        reason = f"its method {name} is decorated, and the decorator hides it; write the call as a module"
    elif inspect.getattr_static(original_class(cls), name) is not held:
        reason = f"it runs in {function.__qualname__}, reached through super(); write the call as a module"
    return _Found(name=name, function=function, reason=reason)


def _out_of_reach(native: Native, site: FrameType, caller: FrameType, owner: nn.Module) -> Place:
    code = site.f_code
    what = "a lambda" if code.co_name == "<lambda>" else code.co_qualname
    reason = (
        f"it runs in {what}, which is no plain method of a module; call a module there, or move the call into a method"
    )
    inside = "" if code is caller.f_code else f"{code.co_name}:"
    tail = f"{caller.f_code.co_name}:{inside}{native.name}"
    key = ("outside", id(owner), code, site.f_lasti)
    return Place(
        kind="hidden", key=key, owner=owner, tail=tail, where=_where(code.co_filename, site.f_lineno), reason=reason
    )


def _unreadable(native: Native, site: FrameType, owner: nn.Module, found: _Found, reason: str) -> Place:
    where = _where(found.function.__code__.co_filename, site.f_lineno)
    key = ("unreadable", id(owner), site.f_code, site.f_lasti)
    return Place(kind="hidden", key=key, owner=owner, tail=f"{found.name}:{native.name}", where=where, reason=reason)


def _where(filename: str, line: int) -> str:
    path = Path(filename)
    inside = path.is_relative_to(Path.cwd())
    return f"{path.relative_to(Path.cwd()) if inside else path}:{line}"


# -------------------------------------------------------------------------- calls, as they are written


def calls_of(owner: nn.Module) -> Iterator[tuple[Place, Running]]:
    """Yield the activations that a module's ``forward`` calls, and the methods it calls on ``self``, as the source has them.

    What only a run can tell (a function picked from a list, a call in a helper function) is not among them. Torch's own modules are not
    read: what they call is not the model's.
    """
    if type(owner).__module__.split(".")[0] == "torch" or isinstance(owner, torch.jit.ScriptModule):
        return
    for found in _reachable(original_class(type(owner))):
        try:
            method = read(found.function)
        except SiteError:  # no source, so nothing to report; a run still finds what it calls
            continue
        names = names_in(owner, method)
        done = {edit.end for edit in edits_of(type(owner)) if edit.method == found.name}
        for call in method.calls:
            callee = callee_of(call, names)
            if callee and _end(method, call) not in done:
                yield _placed(owner, found, method, call, callee[1]), running_as_written(callee, call, names)


def _reachable(cls: type) -> list[_Found]:
    """Return ``forward`` and the methods it calls on ``self`` or ``super()``, and so on, in the order in which they are met."""
    found: dict[FunctionType, _Found] = {}
    names: list[tuple[type, str]] = [(cls, "forward")]
    while names:
        after, name = names.pop(0)
        base = next((base for base in after.__mro__ if isinstance(vars(base).get(name), FunctionType)), None)
        if base is None or base is nn.Module:
            continue
        method = _found(cls, base, name)
        if method.function not in found:
            found[method.function] = method
            names += [(base.__mro__[1] if above else cls, called) for called, above in _called(method.function)]
    return list(found.values())


def _called(function: FunctionType) -> Iterator[tuple[str, bool]]:
    """Yield what a method takes from its own object (to call it, or to hand it on), and whether through ``super()``."""
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


# ------------------------------------------------------------------------------------------------ both


def _end(method: Method, call: ast.Call) -> tuple[int, int]:
    return (call.end_lineno or 0) - method.first_line, call.end_col_offset or 0


def _placed(owner: nn.Module, found: _Found, method: Method, call: ast.Call, style: str) -> Place:
    """Make the place of a call whose source is known; a function held by the owner is a place of its own."""
    held = method.attribute(call)
    if held in vars(owner):
        return _place_of_attribute(owner, str(held))
    label = method.label(call)
    end = _end(method, call)
    edit = Edit(
        method=found.name,
        end=end,
        style=style,
        submodule=_words(f"{found.name}_{label}"),
        digest=method.digest,
    )
    where = _where(method.function.__code__.co_filename, call.lineno)
    reason = _sealed(owner) or _closed(owner, found) or _stuck(method, call, style)
    key = ("call", id(owner), found.name, found.function, end)
    return Place(kind="call", key=key, owner=owner, tail=f"{found.name}:{label}", where=where, reason=reason, edit=edit)


def _words(text: str) -> str:
    """Turn a path into a name: ``forward_F.relu@1`` into ``forward_F_relu_1``."""
    return "_".join(re.findall("[A-Za-z0-9]+", text))


def _closed(owner: nn.Module, found: _Found) -> str | None:
    """Say why the methods of a module cannot be rewritten, or return None."""
    if isinstance(owner, _CONTAINERS):
        return "its module is a container, in which a further submodule would run by itself; derive the class from nn.Module"
    if found.name in vars(owner):
        return f"its method {found.name} is replaced on this object, so a method of the class would not run"
    return found.reason


def _stuck(method: Method, call: ast.Call, style: str) -> str | None:
    """Say why a call cannot be replaced where it stands, or return None."""
    value = input_of(call, style)
    if method.receiver is None or method.rebinds_receiver:
        return f"the name {method.receiver!r} does not always stand for the module in {method.function.__qualname__}"
    if value is None:
        return "its input is not written as a plain argument"
    if any(keyword.arg in {"out", None} for keyword in call.keywords):
        return "it is called with out= or with **arguments"
    if method.statement(call) and not (isinstance(value, ast.Name) and method.is_outermost(call)):
        return "it overwrites something that is not a plain local name; assign its result to a name instead"
    return None
