"""The homemade function: an activation that somebody wrote as a plain Python function.

``def gelu(x): return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))`` is in half the forks of BERT. What runs there is ``gelu``, though
no function of torch of that name does. A function is recognised by what it does, as a lookalike module is: it agrees with a registered one
on a grid. It is only called where its source shows that nothing can come of it: arithmetic, calls of torch and ``math``, no loops, nothing
stored outside.
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
from actlab.nn.sites.method_source import read
from actlab.nn.sites.torch_activations import Native
from actlab.nn.sites.user_modules import elementwise, name_of_values

__all__ = ["any_seen", "homemade", "running_in"]

_SEEN: Final[dict[CodeType, tuple[Native, dict[str, Any]]]] = {}  # with the defaults of further arguments

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
_MAKERS: Final = frozenset({"as_tensor", "full_like", "ones_like", "tensor", "zeros_like"})
_DEPTH: Final = 3  # how many functions may call one another
_UNKNOWN: Final = object()


def homemade(function: object) -> Native | None:
    """Return which registered function a user's Python function computes at its defaults, or None.

    Example:
        >>> def quick(x):
        ...     return x * torch.sigmoid(1.702 * x)
        >>> homemade(quick), homemade(len)  # a doctest has no source that could be read, so it is not called
        (None, None)
    """
    if not isinstance(function, FunctionType) or _is_a_library(function):
        return None
    return _recognised(function)


def _is_a_library(function: FunctionType) -> bool:
    return str(function.__module__).partition(".")[0] in {"torch", "actlab", "builtins"}


@lru_cache(maxsize=1024)
def _recognised(function: FunctionType) -> Native | None:
    if not _takes_one(function) or not _is_formula(function, _DEPTH):
        return None
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        values = elementwise(function)
    name = name_of_values(values) if values is not None else None
    if name is None:
        return None
    found = Native(name=name, homemade=True)
    further = function.__code__.co_varnames[1 : function.__code__.co_argcount]
    _SEEN[function.__code__] = found, dict(zip(further, function.__defaults__ or (), strict=True))
    return found


def any_seen() -> bool:
    """Whether any function was recognised in this process, so that a watched run must look out for them."""
    return bool(_SEEN)


def running_in(frame: FrameType) -> Native | None:
    """Return the activation that a frame is a call of, at its defaults, if it was recognised before; None for any other frame."""
    native, defaults = _SEEN.get(frame.f_code, (None, {}))
    if native is None:
        return None
    given = frame.f_locals
    changed = (key for key, value in defaults.items() if key != "inplace" and not _same(given.get(key), value))
    return native if next(changed, None) is None else None


def _same(given: object, default: object) -> bool:
    return given is default or (isinstance(default, (bool, int, float, str)) and bool(given == default))


def _takes_one(function: FunctionType) -> bool:
    """Whether a function takes one argument, and further ones only if it is given them."""
    parameters = list(inspect.signature(function).parameters.values())
    plain = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    needed = [parameter for parameter in parameters if parameter.default is parameter.empty]
    return len(needed) == 1 and parameters[0] is needed[0] and all(p.kind in plain for p in parameters)


def _is_formula(function: FunctionType, depth: int) -> bool:
    """Whether the source of a function shows a formula, with no effect but its result."""
    try:
        node = read(function).node
    except SiteError:
        return False
    local = {argument.arg for argument in node.args.args}
    local |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    names = {**vars(builtins), **function.__globals__, **inspect.getclosurevars(function).nonlocals}
    names |= dict.fromkeys(local, _UNKNOWN)
    parts = list(_parts(node))
    return all(isinstance(part, (*_STATEMENTS, *_EXPRESSIONS)) for part in parts) and all(
        _may_be_called(part, names, depth) for part in parts if isinstance(part, ast.Call)
    )


def _parts(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield everything in the body; what is assigned to must be a plain name."""
    for statement in node.body:
        for part in ast.walk(statement):
            is_stored = isinstance(getattr(part, "ctx", None), ast.Store)
            yield part if not is_stored or isinstance(part, ast.Name) else node


def _may_be_called(call: ast.Call, names: Mapping[str, Any], depth: int) -> bool:
    found = _resolve(call.func, names)
    if found is _UNKNOWN:  # a method of something that is computed here: a tensor
        return isinstance(call.func, ast.Attribute) and hasattr(Tensor, call.func.attr)
    if any(found is harmless for harmless in (float, int, max, min, abs)):
        return True
    if isinstance(found, FunctionType) and not _is_a_library(found):
        return depth > 0 and _is_formula(found, depth - 1)
    name = getattr(found, "__name__", "")
    home = str(getattr(found, "__module__", ""))
    if isinstance(found, BuiltinFunctionType) and home == "math":
        return True
    from_torch = getattr(torch, name, None) is found and (hasattr(Tensor, name) or name in _MAKERS)
    return from_torch or home in {"torch.nn.functional", "torch._C._nn"}


def _resolve(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names.get(node.id, _UNKNOWN)
    if isinstance(node, ast.Attribute):
        base = _resolve(node.value, names)
        if isinstance(base, ModuleType):
            return getattr(base, node.attr, None)
        return _UNKNOWN if base is _UNKNOWN else None
    return _UNKNOWN
