"""Resolve which activation a call in a method's source names, without running the model."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

import torch
from torch import nn

from actlab.nn.recognition.torch_activations import (
    METHODS,
    UNKNOWN,
    ActivationFunction,
    Running,
    describe_call,
    function_named,
    recognise,
)
from actlab.nn.sites.user_functions import match_function
from actlab.nn.source.method_source import Method

__all__ = ["called_activation", "describe_source_call", "known_names", "named_value"]

_MISSING: Final = object()  # an unknown value, which may be a tensor
_OTHER: Final = object()  # an unknown value that is no tensor
_NAMESPACES: Final = (ModuleType, type)


def called_activation(call: ast.Call, names: Mapping[str, Any]) -> tuple[ActivationFunction, str] | None:
    """Return the activation that a call names and its style, "function" or "method"; None where it names none."""
    target = _resolve(call.func, names)
    function = recognise(target)
    if function:
        return function, "function"
    matched = match_function(target)
    if matched and len(call.args) == 1 and {keyword.arg for keyword in call.keywords} <= {"inplace"}:
        return matched, "function"
    if target is not _MISSING or not isinstance(call.func, ast.Attribute):
        return None
    function = function_named(call.func.attr) if len(call.args) <= METHODS.get(call.func.attr, -1) else None
    return (function, "method") if function else None


def named_value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression of names, attributes and subscripts where it is known without running the model; else None."""
    value = _resolve(node, names)
    return None if value is _MISSING or value is _OTHER else value


def _resolve(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression of names, attributes and subscripts, without running any code of the model."""
    if isinstance(node, ast.Name):
        return names.get(node.id, _MISSING)
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Attribute):
        return _member(_resolve(node.value, names), node.attr)
    if isinstance(node, ast.Subscript):
        return _item(_resolve(node.value, names), _resolve(node.slice, names))
    return _MISSING


def _member(base: Any, name: str) -> Any:
    if base is _MISSING or isinstance(base, torch.Tensor):
        return _MISSING
    if isinstance(base, nn.Module):
        held = (vars(base), base._modules, base._parameters, base._buffers)
        found = next((values[name] for values in held if name in values), _OTHER)
        return inspect.getattr_static(type(base), name, _MISSING) if found is _OTHER else found
    if isinstance(base, _NAMESPACES):
        return getattr(base, name, _OTHER)
    # attributes of a config or an output record; no property is run
    return getattr(base, "__dict__", {}).get(name, _OTHER)


def _item(base: Any, index: Any) -> Any:
    if not isinstance(base, (list, tuple, dict)) or index is _MISSING:
        return _MISSING
    try:
        return base[index]
    except (KeyError, IndexError, TypeError):
        return _MISSING


def known_names(owner: nn.Module, method: Method) -> Mapping[str, Any]:
    """Return the values of the names in a method, as far as they are known without running it."""
    function = method.function
    names = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    closure = {name: cell.cell_contents for name, cell in names if _is_filled(cell)}
    local, imports = _local_names(method)
    hidden = dict.fromkeys(local, _MISSING) | dict(_imported(imports))
    return ChainMap({str(method.receiver): owner}, hidden, closure, function.__globals__, vars(builtins))


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not _MISSING
    except ValueError:  # a variable that is assigned later
        return False


@lru_cache(maxsize=1024)
def _local_names(method: Method) -> tuple[frozenset[str], tuple[ast.Import | ast.ImportFrom, ...]]:
    """Return the names that a method assigns, and its imports."""
    nodes = list(ast.walk(method.node))
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    arguments = {node.arg for node in nodes if isinstance(node, ast.arg)}
    return frozenset(stored | arguments), tuple(
        node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))
    )


def _imported(imports: Iterable[ast.Import | ast.ImportFrom]) -> Iterator[tuple[str, Any]]:
    """Yield name and value of what a method imports, where it is imported already; nothing is run."""
    for node in imports:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                module = sys.modules.get(node.module or "")
                yield alias.asname or alias.name, getattr(module, alias.name, _OTHER)
            else:
                name = alias.name if alias.asname else alias.name.split(".")[0]
                yield alias.asname or name, sys.modules.get(name, _OTHER)


def describe_source_call(target: tuple[ActivationFunction, str], call: ast.Call, names: Mapping[str, Any]) -> Running:
    """Describe a call by its source: parameters that are literals or plain attributes are known, others only in a run."""
    function, style = target
    arguments = call.args if style == "method" else call.args[1:]
    keywords = {keyword.arg: _value(keyword.value, names) for keyword in call.keywords if keyword.arg}
    return describe_call(function, [_value(argument, names) for argument in arguments], keywords)


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        value = _resolve(node, names)
        return value if isinstance(value, (bool, int, float, str, torch.Tensor)) else UNKNOWN
