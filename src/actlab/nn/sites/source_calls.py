"""The slots of the activation calls in the source of forward()."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.nn.sites.call_edit import edits_of, original_class
from actlab.nn.sites.call_target import callee_of, names_in, running_as_written
from actlab.nn.sites.method_source import read
from actlab.nn.sites.slot import Slot, _end, _Found, _found, _placed
from actlab.nn.sites.torch_activations import Running

__all__ = ["calls_of"]


# -------------------------------------------------------------------------- calls, as they are written
def calls_of(owner: nn.Module) -> Iterator[tuple[Slot, Running]]:
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
