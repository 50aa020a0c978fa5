"""Slots (replaceable places) of activation calls in methods, built from the syntax tree."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Final

from torch import nn

from actlab.nn.sites.slot import Edit, Slot, original_class, sealed_reason, slot_of_attribute
from actlab.nn.source.decorators import rewrap
from actlab.nn.source.method_source import Method

__all__ = [
    "HeldMethod",
    "end_offset",
    "held_method",
    "input_expression",
    "location",
    "slot_of_call",
    "slot_of_expression",
]

_CONTAINERS: Final = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True, kw_only=True)
class HeldMethod:
    """A method of a module's class.

    Attributes:
        name: name under which the class holds it.
        function: the function inside its decorators.
        reason: why it cannot be rewritten, or None.
    """

    name: str
    function: FunctionType
    reason: str | None


def held_method(cls: type, base: type, name: str) -> HeldMethod:
    """Return the method that ``base``, a class ``cls`` derives from, holds under a name."""
    held = inspect.getattr_static(base, name)
    function: FunctionType = inspect.unwrap(held)
    reason = None
    if rewrap(held, function) is None:
        reason = f"its method {name} is decorated, and the decorator hides it; write the call as a module"
    elif inspect.getattr_static(original_class(cls), name) is not held:
        reason = f"it runs in {function.__qualname__}, reached through super(); write the call as a module"
    return HeldMethod(name=name, function=function, reason=reason)


def slot_of_call(owner: nn.Module, held: HeldMethod, method: Method, call: ast.Call, style: str) -> Slot:
    """Return the slot of a call; a call of a function that the owner holds as an attribute has the attribute's slot.

    Args:
        owner: the module whose method makes the call.
        held: the method, as the class holds it.
        method: its source.
        call: the call in that source.
        style: "function" or "method", see :class:`actlab.nn.sites.slot.Edit`.
    """
    attribute = method.attribute(call)
    if attribute in vars(owner):
        return slot_of_attribute(owner, str(attribute))
    label = method.label(call)
    end = end_offset(method, call)
    submodule = "_".join(re.findall("[A-Za-z0-9]+", f"{held.name}_{label}"))  # forward_F.relu@1: forward_F_relu_1
    return Slot(
        kind="call",
        key=("call", id(owner), held.name, held.function, end),
        owner=owner,
        tail=f"{held.name}:{label}",
        where=location(method.function.__code__.co_filename, call.lineno),
        reason=sealed_reason(owner) or _method_reason(owner, held) or _call_reason(method, call, style),
        edit=Edit(method=held.name, end=end, style=style, submodule=submodule, digest=method.digest),
    )


def slot_of_expression(
    owner: nn.Module, held: HeldMethod, method: Method, nodes: tuple[ast.expr, ast.expr], label: str
) -> Slot:
    """Return the slot of a function that is written out in a method.

    Args:
        owner: the module of the method.
        held: the method, as the class holds it.
        method: its source.
        nodes: the expression, and its input inside it.
        label: name of the function, with its number in the method.
    """
    node, value = nodes
    start = node.lineno - method.first_line, node.col_offset
    end, value_end = end_offset(method, node), end_offset(method, value)
    reason = None
    if method.receiver is None or method.rebinds_receiver:
        reason = f"the name {method.receiver!r} does not always stand for the module in {method.function.__qualname__}"
    edit = Edit(
        method=held.name,
        end=end,
        style="expression",
        submodule="_".join(re.findall("[A-Za-z0-9]+", f"{held.name}_{label}")),
        digest=method.digest,
        start=start,
        value=(value.lineno - method.first_line, value.col_offset, *value_end),
    )
    return Slot(
        kind="call",
        key=("expression", id(owner), held.name, held.function, start, end),
        owner=owner,
        tail=f"{held.name}:{label}",
        where=location(method.function.__code__.co_filename, node.lineno),
        reason=sealed_reason(owner) or _method_reason(owner, held) or reason,
        edit=edit,
    )


def _method_reason(owner: nn.Module, held: HeldMethod) -> str | None:
    """Return why the methods of a module cannot be rewritten, or None."""
    if isinstance(owner, _CONTAINERS):
        return "its module is a container, in which a further submodule would run by itself; derive the class from nn.Module"
    if held.name in vars(owner):
        return f"its method {held.name} is replaced on this object, so a method of the class would not run"
    return held.reason


def _call_reason(method: Method, call: ast.Call, style: str) -> str | None:
    """Return why a call cannot be replaced where it stands, or None."""
    value = input_expression(call, style)
    if method.receiver is None or method.rebinds_receiver:
        return f"the name {method.receiver!r} does not always stand for the module in {method.function.__qualname__}"
    if value is None:
        return "its input is not written as a plain argument"
    if any(keyword.arg in {"out", None} for keyword in call.keywords):
        return "it is called with out= or with **arguments"
    if method.statement(call) and not (isinstance(value, ast.Name) and method.is_outermost(call)):
        return "it overwrites something that is not a plain local name; assign its result to a name instead"
    return None


def input_expression(call: ast.Call, style: str) -> ast.expr | None:
    """Return the expression that is the input of an activation's call; None where no single expression is.

    Example:
        >>> ast.unparse(input_expression(ast.parse("F.elu(x + 1, 0.5)", mode="eval").body, "function"))
        'x + 1'
    """
    if style == "method":
        return call.func.value if isinstance(call.func, ast.Attribute) else None
    if call.args:
        return None if isinstance(call.args[0], ast.Starred) else call.args[0]
    return next((keyword.value for keyword in call.keywords if keyword.arg == "input"), None)


def end_offset(method: Method, call: ast.expr) -> tuple[int, int]:
    """Return where a call, or another expression, ends: lines after the method's first line, and column."""
    return (call.end_lineno or 0) - method.first_line, call.end_col_offset or 0


def location(filename: str, line: int) -> str:
    """Return file and line as text, relative to the working directory where the file lies in it."""
    path = Path(filename)
    inside = path.is_relative_to(Path.cwd())
    return f"{path.relative_to(Path.cwd()) if inside else path}:{line}"
