"""Recognize activations written as plain Python functions.

``def gelu(x): return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))`` is in many forks of BERT. A function is matched by its values
and gradients, see :mod:`actlab.nn.recognition.values`. It is called only where its source shows that it has no side effects: arithmetic,
calls of torch and ``math``, no loops, nothing stored outside.
"""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

import torch
from torch import Tensor

from actlab.errors import SiteError
from actlab.nn.recognition.torch_activations import ActivationFunction
from actlab.nn.recognition.values import name_of
from actlab.nn.source.method_source import read

__all__ = ["any_matched", "match_frame", "match_function"]

# Functions that were matched, by their code, with the defaults of their further arguments.
_MATCHED: Final[dict[CodeType, tuple[ActivationFunction, dict[str, Any]]]] = {}

_STATEMENTS: Final = (ast.Assign, ast.AnnAssign, ast.Expr, ast.If, ast.Return, ast.Pass)
_EXPRESSIONS: Final = (
    ast.Attribute,
    ast.BinOp,
    ast.BoolOp,
    ast.Call,
    ast.Compare,
    ast.Constant,
    ast.IfExp,
    ast.Name,
    ast.UnaryOp,
    ast.keyword,
    ast.operator,
    ast.unaryop,
    ast.cmpop,
    ast.boolop,
    ast.expr_context,
)
_CONSTRUCTORS: Final = frozenset({"as_tensor", "full_like", "ones_like", "tensor", "zeros_like"})
_DEPTH: Final = 3  # nested calls of user functions
_UNKNOWN: Final = object()


def match_function(function: object) -> ActivationFunction | None:
    """Return the registered function that a user's Python function computes at its defaults; None if there is none.

    Example:
        >>> def quick(x):
        ...     return x * torch.sigmoid(1.702 * x)
        >>> match_function(quick), match_function(len)  # functions of a doctest have no source to read, so they do not match
        (None, None)
    """
    if not isinstance(function, FunctionType) or _is_library(function):
        return None
    return _match(function)


def _is_library(function: FunctionType) -> bool:
    return str(function.__module__).partition(".")[0] in {"torch", "actlab", "builtins"}


@lru_cache(maxsize=1024)
def _match(function: FunctionType) -> ActivationFunction | None:
    if not _takes_one_argument(function) or not _is_formula(function, _DEPTH):
        return None
    with torch.random.fork_rng(devices=[]):
        name = name_of(function)
    if name is None:
        return None
    result = ActivationFunction(name=name, user_defined=True)
    further = function.__code__.co_varnames[1 : function.__code__.co_argcount]
    _MATCHED[function.__code__] = result, dict(zip(further, function.__defaults__ or (), strict=True))
    return result


def any_matched() -> bool:
    """Whether any function was matched in this process, so that a trace must look for calls of it."""
    return bool(_MATCHED)


def match_frame(frame: FrameType) -> ActivationFunction | None:
    """Return the activation of a frame that is a call, at its defaults, of a function matched before; None for any other frame."""
    function, defaults = _MATCHED.get(frame.f_code, (None, {}))
    if function is None:
        return None
    values = frame.f_locals
    changed = (key for key, value in defaults.items() if key != "inplace" and not _same(values.get(key), value))
    return function if next(changed, None) is None else None


def _same(value: object, default: object) -> bool:
    return value is default or (isinstance(default, (bool, int, float, str)) and bool(value == default))


def _takes_one_argument(function: FunctionType) -> bool:
    """Whether a function has exactly one argument without a default, the first."""
    parameters = list(inspect.signature(function).parameters.values())
    plain = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    needed = [parameter for parameter in parameters if parameter.default is parameter.empty]
    return len(needed) == 1 and parameters[0] is needed[0] and all(p.kind in plain for p in parameters)


def _is_formula(function: FunctionType, depth: int) -> bool:
    """Whether the source of a function is a formula without side effects."""
    try:
        node = read(function).node
    except SiteError:
        return False
    local = {argument.arg for argument in node.args.args}
    local |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    names = {**vars(builtins), **function.__globals__, **inspect.getclosurevars(function).nonlocals}
    names |= dict.fromkeys(local, _UNKNOWN)
    parts = list(_parts(node))
    allowed = all(isinstance(part, (*_STATEMENTS, *_EXPRESSIONS)) for part in parts)
    return allowed and all(_has_no_effect(part, names, depth) for part in parts if isinstance(part, ast.Call))


def _parts(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield all nodes of the body; an assignment to anything but a plain name yields the definition, which is not allowed."""
    for statement in node.body:
        for part in ast.walk(statement):
            is_stored = isinstance(getattr(part, "ctx", None), ast.Store)
            yield part if not is_stored or isinstance(part, ast.Name) else node


def _has_no_effect(call: ast.Call, names: Mapping[str, Any], depth: int) -> bool:
    target = _resolve(call.func, names)
    if target is _UNKNOWN:  # a method of a computed value, which is a tensor
        return isinstance(call.func, ast.Attribute) and hasattr(Tensor, call.func.attr)
    if any(target is builtin for builtin in (float, int, max, min, abs)):
        return True
    if isinstance(target, FunctionType) and not _is_library(target):
        return depth > 0 and _is_formula(target, depth - 1)
    name = getattr(target, "__name__", "")
    module = str(getattr(target, "__module__", ""))
    if isinstance(target, BuiltinFunctionType) and module == "math":
        return True
    from_torch = getattr(torch, name, None) is target and (hasattr(Tensor, name) or name in _CONSTRUCTORS)
    return from_torch or module in {"torch.nn.functional", "torch._C._nn"}


def _resolve(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id, _UNKNOWN)
    if isinstance(node, ast.Attribute):
        base = _resolve(node.value, names)
        if isinstance(base, ModuleType):
            return getattr(base, node.attr, None)
        return _UNKNOWN if base is _UNKNOWN else None
    return _UNKNOWN
