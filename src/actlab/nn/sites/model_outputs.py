"""Activations whose result the model returns, read from the source of ``forward``.

Used for models that are not run. The last module of a ``Sequential`` counts, and what ``return`` returns.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Hashable, Iterator, Mapping
from types import FunctionType

from torch import nn

from actlab.errors import SiteError
from actlab.nn.sites.slot import function_attributes, original_class, slot_of_module
from actlab.nn.sites.source_calls import activation_calls
from actlab.nn.sites.torch_activations import Running
from actlab.nn.passes.value_flow import RESHAPES
from actlab.nn.source.method_source import Method, read

__all__ = ["returned_slots"]


def returned_slots(model: nn.Module, known: Mapping[int, Running]) -> set[Hashable]:
    """Return the keys of the slots whose result the model returns, as far as the source shows.

    Args:
        model: any module.
        known: its modules that are activations, by ``id``.

    Example:
        >>> from actlab.nn.sites.user_modules import activation_modules
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid())
        >>> len(returned_slots(model, activation_modules(model)))
        1
    """
    if id(model) in known:
        return {slot_of_module(model).key}
    if type(model).forward is nn.Sequential.forward and isinstance(model, nn.Sequential):
        return returned_slots(model[-1], known) if len(model) else set()
    forward = inspect.getattr_static(original_class(type(model)), "forward", None)
    try:
        method = read(forward) if isinstance(forward, FunctionType) else None
    except SiteError:  # no source
        return set()
    return set(_returned(model, method, known)) if method else set()


def _returned(model: nn.Module, method: Method, known: Mapping[int, Running]) -> Iterator[Hashable]:
    calls = {
        slot.edit.end: slot.key for slot, _ in activation_calls(model) if slot.edit and slot.edit.method == "forward"
    }
    attributes = {slot.attribute: slot.key for slot, _ in function_attributes(model)}
    for call in _returned_calls(method):
        end = ((call.end_lineno or 0) - method.first_line, call.end_col_offset or 0)
        name = method.attribute(call)
        if end in calls:
            yield calls[end]
        elif name in attributes:
            yield attributes[name]
        elif inner := model._modules.get(name or ""):
            yield from returned_slots(inner, known)


def _returned_calls(method: Method) -> Iterator[ast.Call]:
    """Yield the calls whose result is returned, directly or through the last assignment to a name."""
    assigned: dict[str, ast.expr] = {}
    for node in sorted(_statements(method), key=lambda node: node.lineno):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            assigned[node.targets[0].id] = node.value
        if isinstance(node, ast.Return) and node.value is not None:
            parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for part in parts:
                value = _without_reshaping(assigned.get(part.id) if isinstance(part, ast.Name) else part)
                if isinstance(value, ast.Call):
                    yield value


def _without_reshaping(node: ast.expr | None) -> ast.expr | None:
    """Return an expression without reshaping: ``torch.sigmoid(x).squeeze(-1)[0]`` is ``torch.sigmoid(x)``."""
    while True:
        if isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RESHAPES:
            node = node.func.value
        else:
            return node


def _statements(method: Method) -> Iterator[ast.Assign | ast.Return]:
    return (node for node in ast.walk(method.node) if isinstance(node, (ast.Assign, ast.Return)))
