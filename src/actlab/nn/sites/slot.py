"""The place: where an activation sits in a model's objects and source, and whether a layer can stand there instead.

Three kinds of places can be replaced: a submodule, a function held as an attribute (``self.act = F.relu``), and a call in a method. What
cannot be replaced has a place too, with the reason.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Final, Literal

import torch
from torch import nn

from actlab.nn.sites.call_edit import Edit, input_of, original_class
from actlab.nn.sites.decorators import rewrapped
from actlab.nn.sites.method_source import Method
from actlab.nn.sites.torch_activations import Running, describe_call, recognise
from actlab.nn.sites.user_functions import homemade

__all__ = ["Slot", "attributes_of", "place_in_fused_module", "place_of_module"]

_RECURRENT: Final = (
    "torch computes it inside one fused call; use a recurrent layer written out in Python to choose the function"
)

_ATTENTION: Final = "torch computes it inside the attention kernel"

_CONTAINERS: Final = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Slot:
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
def place_of_module(module: nn.Module, reason: str | None = None) -> Slot:
    """Return the place of a module that is an activation."""
    if reason is None and any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)):
        reason = "it has hooks, which the new layer would not have; remove them first, and register them again on the new layer"
    cls = original_class(type(module))
    where = f"{cls.__module__}.{cls.__qualname__}"
    return Slot(kind="module", key=("module", id(module)), owner=module, tail="", where=where, reason=reason)


def attributes_of(owner: nn.Module) -> Iterator[tuple[Slot, Running]]:
    """Yield the activations a module holds as plain functions: ``self.act = F.relu``, or a ``functools.partial`` of one."""
    for name, value in vars(owner).items():
        native = recognise(value) or homemade(value)
        if native:
            yield _place_of_attribute(owner, name), describe_call(native, [], {})


def _place_of_attribute(owner: nn.Module, name: str) -> Slot:
    where = f"{type(owner).__module__}.{type(owner).__qualname__}"
    key = ("attribute", id(owner), name)
    return Slot(kind="attribute", key=key, owner=owner, tail=name, where=where, reason=_sealed(owner), attribute=name)


def _sealed(owner: nn.Module) -> str | None:
    """Say why nothing in a module may be changed, or return None."""
    if isinstance(owner, torch.jit.ScriptModule):
        return "its module is compiled by TorchScript; swap in the Python module, then script it again"
    if isinstance(owner, torch.fx.GraphModule):
        return "its module is a torch.fx graph; swap in the model that was traced, or edit the graph"
    return None


def place_in_fused_module(module: nn.Module, name: str) -> Slot:
    """Return the place of an activation inside one of torch's fused modules, which no layer can take."""
    return Slot(
        kind="hidden",
        key=("fused", id(module), name),
        owner=module,
        tail=f":{name}",
        where=f"{type(module).__module__}.{type(module).__qualname__}",
        reason=_ATTENTION if name == "softmax" else _RECURRENT,
    )


def _found(cls: type, base: type, name: str) -> _Found:
    held = inspect.getattr_static(base, name)
    function: FunctionType = inspect.unwrap(held)
    reason = None
    if rewrapped(held, function) is None:
        reason = f"its method {name} is decorated, and the decorator hides it; write the call as a module"
    elif inspect.getattr_static(original_class(cls), name) is not held:
        reason = f"it runs in {function.__qualname__}, reached through super(); write the call as a module"
    return _Found(name=name, function=function, reason=reason)


def _where(filename: str, line: int) -> str:
    path = Path(filename)
    inside = path.is_relative_to(Path.cwd())
    return f"{path.relative_to(Path.cwd()) if inside else path}:{line}"


# ------------------------------------------------------------------------------------------------ both
def _end(method: Method, call: ast.Call) -> tuple[int, int]:
    return (call.end_lineno or 0) - method.first_line, call.end_col_offset or 0


def _placed(owner: nn.Module, found: _Found, method: Method, call: ast.Call, style: str) -> Slot:
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
    return Slot(kind="call", key=key, owner=owner, tail=f"{found.name}:{label}", where=where, reason=reason, edit=edit)


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
