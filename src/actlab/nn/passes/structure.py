"""Structure of a model as a comparable value, which ignores the values of its weights."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

import torch
from torch import Tensor, nn

__all__ = ["structure_of"]

_HELD: Final = frozenset({"_parameters", "_buffers", "_modules", "training"})
_PLAIN: Final = (
    *(bool, int, float, complex, str, bytes, type(None), range, slice, type, BuiltinFunctionType),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format),
)
_DEPTH: Final = 4  # containers and closures inside one another


def structure_of(model: nn.Module) -> Hashable:
    """Return what decides which activations of a model run, and where a layer can be put.

    These are its modules by path and class, the shapes of parameters and buffers, which of these are shared, and plain attributes
    (numbers, texts, functions with their closures). Values of tensors are left out, and what other objects hold.

    Args:
        model: any module.

    Example:
        >>> nets = [nn.Sequential(nn.Linear(2, 2), act) for act in (nn.ReLU(), nn.ReLU(), nn.ELU())]
        >>> structure_of(nets[0]) == structure_of(nets[1]), structure_of(nets[0]) == structure_of(nets[2])
        (True, False)
    """
    numbers: dict[int, int] = {}
    return tuple(
        (path, _number(module, numbers), _kind(type(module)), _tensors(module, numbers), _attributes(module))
        for path, module in model.named_modules(remove_duplicate=False)
    )


def _kind(cls: type) -> Hashable:
    """Return what identifies a class; one that is made anew for every model, as by a parametrization, is known by its methods."""
    if cls.__module__.startswith("torch.nn.modules."):
        return cls
    held = (value for base in cls.__mro__ if base is not nn.Module for value in vars(base).values())
    codes = tuple(value.__code__ for value in held if isinstance(value, FunctionType))
    return cls.__module__, cls.__qualname__, codes


def _number(held: object, numbers: dict[int, int]) -> int:
    """Return the order in which an object was met first, so that shared ones have the same number."""
    return numbers.setdefault(id(held), len(numbers))


def _tensors(module: nn.Module, numbers: dict[int, int]) -> Hashable:
    held = (*module._parameters.items(), *module._buffers.items())
    return tuple(
        (name, None if tensor is None else (_number(tensor, numbers), *_form(tensor), tensor.requires_grad))
        for name, tensor in held
    )


def _form(tensor: Tensor) -> tuple[Hashable, ...]:
    lazy = isinstance(tensor, (nn.parameter.UninitializedParameter, nn.parameter.UninitializedBuffer))
    return None if lazy else tuple(tensor.shape), tensor.dtype, tensor.device


def _attributes(module: nn.Module) -> Hashable:
    if isinstance(module, torch.jit.ScriptModule):
        return None
    own = ((name, value) for name, value in vars(module).items() if name not in _HELD)
    # hooks are stored under numbers that grow from model to model
    return tuple((name, len(value) if "_hooks" in name else _comparable(value, _DEPTH)) for name, value in own)


def _comparable(value: Any, depth: int) -> Any:
    """Return a value that is equal for equal plain objects, and the class alone for any other."""
    if isinstance(value, _PLAIN):
        return type(value), repr(value) if isinstance(value, (float, slice)) else value  # repr: NaN equals itself
    if isinstance(value, Tensor):
        return Tensor, *_form(value)
    if depth <= 0:
        return type(value)
    if isinstance(value, FunctionType):
        cells = (cell for cell in value.__closure__ or ())
        return value.__code__, tuple(_comparable(_content(cell), depth - 1) for cell in cells)
    if isinstance(value, MethodType):
        return value.__func__.__code__ if isinstance(value.__func__, FunctionType) else type(value)
    if isinstance(value, partial):
        return partial, *(_comparable(part, depth - 1) for part in (value.func, value.args, value.keywords))
    if isinstance(value, dict):
        items = ((key, entry) for key, entry in value.items() if isinstance(key, (str, int)))
        return type(value), tuple((key, _comparable(entry, depth - 1)) for key, entry in items)
    if isinstance(value, (list, tuple)):
        return type(value), tuple(_comparable(entry, depth - 1) for entry in value)
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(_comparable(entry, depth - 1) for entry in value)
    return type(value)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that is assigned later
        return None
