"""Functions of the user behind a training function, with the names and the code in them."""

from __future__ import annotations

import argparse
import dis
import hashlib
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from actlab.tasks.training_function.returned_names import plain_function
from actlab.tasks.user_code import is_user_code

__all__ = ["code_text", "names_read", "values_text"]

_LONGEST: Final = 1000  # a longer container is data and not a setting
_LARGEST: Final = 1_000_000  # elements of a tensor or an array that is told by its digest


def names_read(function: Callable[..., Any]) -> set[str] | None:
    """Return the names of attributes and variables in a function and in the user's functions and classes that it uses; None without code.

    Example:
        >>> def fit(trial): return trial.lr
        >>> def train(model, trial): return fit(trial)
        >>> "lr" in names_read(train), names_read(print)
        (True, None)
    """
    codes = [found.__code__ for found in _user_functions([function])]
    return set().union(*map(_names, codes)) if codes else None


def code_text(functions: Iterable[Callable[..., Any]]) -> str:
    """Return a text that tells functions of a script or a notebook from changed ones: byte code, constants, defaults, fixed arguments.

    Numbers, texts and containers of them that the functions read from the notebook (``EPOCHS = 10``) are in it too. It goes into the
    functions that they use, where these are of the script or notebook too; those of modules are known by their files. It is the same
    when a notebook's cell is run again.

    Args:
        functions: functions, partial functions, methods and objects with ``__call__``.
    """
    known = list(functions)
    fixed = [_fixed(function) for function in known]
    return "\n".join([*fixed, *(_code_text(found) for found in _user_functions(known, is_main_only=True))])


def values_text(functions: Iterable[Callable[..., Any]]) -> str:
    """Return a text of the values with which a user's functions are used, beside their own code; empty where there are none.

    These are what a closure holds, plain globals that are read and never set, defaults, arguments that partial functions fix, and fields of
    objects that are called: numbers, texts, containers of them, records, and the digests of small tensors and arrays. With them the code of
    further functions of the user that they use. Other objects, larger containers and files do not count.

    Example:
        >>> from functools import partial
        >>> values_text([len]), values_text([partial(round, ndigits=3)])
        ('', "[] [('ndigits', '3')]")
    """
    known = list(functions)
    roots = {id(plain_function(function)) for function in known}
    lines = [_fixed(function) for function in known if hasattr(function, "func") or not hasattr(function, "__code__")]
    for found in _user_functions(known):
        if _is_users(found, (None,)):
            shown = [f"{name} = {text}" for name, value in _values(found) if (text := _value_text(value)) is not None]
            shown += [] if id(found) in roots else [_code(found.__code__)]
            lines += [f"{found.__name__}: {shown}"] if shown else []
    return "\n".join(filter(str.strip, lines))


def _values(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the values that a function is made with and reads, by name."""
    yield from _cells(function)
    yield from _defaults(function)
    yield from ((name, function.__globals__.get(name)) for name in _globals_read(function))


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the defaults of a function, those of positional arguments by their place from the end."""
    yield from ((f"default {number}", value) for number, value in enumerate(function.__defaults__ or ()))
    yield from (function.__kwdefaults__ or {}).items()


def _value_text(value: Any) -> str | None:
    """Return a text of a value that tells it from others; None where there is none."""
    value = _fields(value)
    if isinstance(value, Tensor | np.ndarray):
        if value.size > _LARGEST if isinstance(value, np.ndarray) else value.is_meta or value.numel() > _LARGEST:
            return None
        array = value if isinstance(value, np.ndarray) else value.detach().cpu().contiguous().view(torch.uint8).numpy()
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(array.tobytes()).hexdigest()}"
    return _plain(value) if value is not None and _is_plain(value) else None


def _user_functions(functions: Iterable[Any], *, is_main_only: bool = False) -> Iterator[types.FunctionType]:
    """Yield plain functions, and those of the user's modules, or of the main script and notebooks only, that they use."""
    waiting, seen = [found for function in functions for found in (function, *_fixed_functions(function))], set[int]()
    roots = [plain_function(function) for function in waiting]
    known = {id(root) for root in roots}, {getattr(root, "__module__", None) for root in roots}
    while waiting:
        value = waiting.pop(0)
        value = plain_function(value) if callable(value) and not isinstance(value, type) else value
        if id(value) in seen:
            continue
        seen.add(id(value))
        is_known = id(value) in known[0] or _is_users(value, () if is_main_only else known[1])
        if isinstance(value, type) and is_known:
            waiting += [member for member in vars(value).values() if isinstance(member, types.FunctionType)]
        elif isinstance(value, types.FunctionType) and is_known:
            yield value
            waiting += [value.__globals__[name] for name in sorted(_names(value.__code__)) if name in value.__globals__]
            waiting += [cell for _, cell in _cells(value)]


def _is_users(value: Any, modules: Collection[str | None]) -> bool:
    """Return whether a function or class is of the main script or a notebook; where modules are given, of these or other user's files."""
    name = getattr(value, "__module__", None)
    file = getattr(sys.modules.get(name or ""), "__file__", None)
    if name == "__main__" or file is None:
        return True
    return bool(modules) and (name in modules or is_user_code(file))


def _names(code: types.CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _cells(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not set yet
            continue


def _fixed_functions(function: Any) -> list[Any]:
    """Return the functions and classes among the arguments that partial functions fix."""
    found: list[Any] = []
    while hasattr(function, "func"):
        found += [value for value in (*function.args, *function.keywords.values()) if callable(value)]
        function = function.func
    return found


def _fixed(function: Any) -> str:
    """Return the arguments that partial functions fix, and the fields of an object that is called or holds the method."""
    parts = []
    while hasattr(function, "func"):
        parts.append(
            f"{[_plain(value) for value in function.args]} {sorted((n, _plain(v)) for n, v in function.keywords.items())}"
        )
        function = function.func
    owner = getattr(function, "__self__", None if hasattr(function, "__code__") else function)
    if owner is not None and not isinstance(owner, type | types.ModuleType):
        parts.append(f"{sorted((name, _plain(value)) for name, value in getattr(owner, '__dict__', {}).items())}")
    return " ".join(parts)


def _code_text(function: types.FunctionType) -> str:
    values = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items(), *_cells(function)]
    return f"{_code(function.__code__)} {[_plain(value) for value in values]}{_globals_text(function)}"


def _globals_text(function: types.FunctionType) -> str:
    """Return the plain global values that a function reads and never sets, by name; empty where there are none."""
    values = {name: _fields(function.__globals__.get(name)) for name in _globals_read(function)}
    shown = [f"{name} = {_plain(value)}" for name, value in values.items() if value is not None and _is_plain(value)]
    return f" {shown}" if shown else ""


def _globals_read(function: types.FunctionType) -> list[str]:
    """Return the names of globals that a function reads and never sets."""
    instructions = list(_instructions(function.__code__))
    read = {str(it.argval) for it in instructions if it.opname == "LOAD_GLOBAL"}
    written = {str(it.argval) for it in instructions if it.opname in {"STORE_GLOBAL", "DELETE_GLOBAL"}}
    return sorted(read - written)


def _instructions(code: types.CodeType) -> Iterator[dis.Instruction]:
    yield from dis.get_instructions(code)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _instructions(constant)


def _fields(value: Any) -> Any:
    """Return the fields of an object that holds settings, such as those of argparse, by name; another value as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    return dict(vars(value)) if isinstance(value, argparse.Namespace | types.SimpleNamespace) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return len(value) <= _LONGEST and all(_is_plain(key) and _is_plain(it) for key, it in value.items())
    if isinstance(value, tuple | list | set | frozenset):
        return len(value) <= _LONGEST and all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | complex | str | bytes)


def _code(code: types.CodeType) -> str:
    constants = [_code(it) if isinstance(it, types.CodeType) else _plain(it) for it in code.co_consts]
    return f"{code.co_name} {hashlib.sha256(code.co_code).hexdigest()} {code.co_names} {constants}"


def _plain(value: Any) -> str:
    """Return a text of a plain value; of another the name of its class, as its own text may have an address in memory."""
    if isinstance(value, frozenset | set):
        return f"{{{', '.join(sorted(map(_plain, value)))}}}"  # their order differs between processes
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_plain, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_plain(key)}: {_plain(it)}' for key, it in value.items())}}}"
    if value is None or isinstance(value, bool | int | float | complex | str | bytes) or value is Ellipsis:
        return repr(value)
    return str(getattr(value, "__qualname__", type(value).__qualname__))
