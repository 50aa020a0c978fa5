"""The callee: which activation a call in a method's source names, found without running any code of the model."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

import torch
from torch import nn

from actlab.nn.sites.method_source import Method
from actlab.nn.sites.torch_activations import METHODS, UNKNOWN, Native, Running, by_name, describe_call, recognise
from actlab.nn.sites.user_functions import homemade

__all__ = ["callee_of", "names_in", "running_as_written"]

_MISSING: Final = object()  # what a name stands for is not known: it may be a tensor
_OTHER: Final = object()  # what it stands for is not known, but it is no tensor
_NAMESPACES: Final = (ModuleType, type)


def callee_of(call: ast.Call, names: Mapping[str, Any]) -> tuple[Native, str] | None:
    """Return which activation a call names, and in which style: "function" or "method"; None if it names none."""
    found = _resolve(call.func, names)
    native = recognise(found)
    if native:
        return native, "function"
    own = homemade(found)
    if own and len(call.args) == 1 and {keyword.arg for keyword in call.keywords} <= {"inplace"}:
        return own, "function"
    if found is _MISSING and isinstance(call.func, ast.Attribute) and len(call.args) <= METHODS.get(call.func.attr, -1):
        native = by_name(call.func.attr)
        return (native, "method") if native else None
    return None


def _resolve(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return what an expression of names, dots and subscripts stands for, without running any code of the model."""
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
        held = inspect.getattr_static(type(base), name, _MISSING)
        return ChainMap(vars(base), base._modules, base._parameters, base._buffers, {name: held})[name]
    if isinstance(base, _NAMESPACES):
        return getattr(base, name, _OTHER)
    return getattr(base, "__dict__", {}).get(
        name, _OTHER
    )  # plain data of a config or an output record; no property is run


def _item(base: Any, index: Any) -> Any:
    if not isinstance(base, (list, tuple, dict)) or index is _MISSING:
        return _MISSING
    try:
        return base[index]
    except (KeyError, IndexError, TypeError):
        return _MISSING


def names_in(owner: nn.Module, method: Method) -> Mapping[str, Any]:
    """Return what the names in a method stand for, as far as that is known without running it."""
    function = method.function
    closure = inspect.getclosurevars(function).nonlocals
    local = {
        node.id for node in ast.walk(method.node) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    local |= {node.arg for node in ast.walk(method.node) if isinstance(node, ast.arg)}
    hidden = dict.fromkeys(local, _MISSING) | dict(_imported(method))
    return {**vars(builtins), **function.__globals__, **closure, **hidden, str(method.receiver): owner}


def _imported(method: Method) -> Iterator[tuple[str, Any]]:
    """Yield what a method imports, as far as it is imported already; nothing is run."""
    for node in ast.walk(method.node):
        for alias in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
            if isinstance(node, ast.ImportFrom):
                module = sys.modules.get(node.module or "")
                yield alias.asname or alias.name, getattr(module, alias.name, _OTHER)
            else:
                name = alias.name if alias.asname else alias.name.split(".")[0]
                yield alias.asname or name, sys.modules.get(name, _OTHER)


def running_as_written(callee: tuple[Native, str], call: ast.Call, names: Mapping[str, Any]) -> Running:
    """Describe a call by its source: parameters that are literals or plain attributes are known, others only to a run."""
    native, style = callee
    arguments = call.args if style == "method" else call.args[1:]
    return describe_call(
        native, [_value(a, names) for a in arguments], {k.arg: _value(k.value, names) for k in call.keywords if k.arg}
    )


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        found = _resolve(node, names)
        return found if isinstance(found, (bool, int, float, str, torch.Tensor)) else UNKNOWN
