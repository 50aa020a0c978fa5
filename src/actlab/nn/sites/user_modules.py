"""The lookalike: a module of the user's own that computes a function we know.

People write ``class Swish(nn.Module)`` with ``x * torch.sigmoid(x)`` in it, or GELU from its tanh formula. What runs there is ``silu`` or
``gelu_tanh``, and a swap must replace the module, not the sigmoid inside. Such a module is recognised by what it does: it has no parts and
no parameters, is elementwise, and agrees with a registered function on a grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.functions.activation import get, names
from actlab.nn.layers.deferred import Deferred
from actlab.nn.layers.layer import layer
from actlab.nn.sites.dry_run import undisturbed
from actlab.nn.sites.torch_activations import Running, describe_module, name_of_class

__all__ = ["describe_lookalike", "elementwise", "known_modules", "name_of_values"]

SHAPE: Final = (2, 60)
TOLERANCE: Final = 2e-6  # float32 rounding of functions of order 1; exact and tanh GELU differ by 5e-4


def known_modules(model: nn.Module) -> dict[int, Running]:
    """Return what runs in every module of a model that is an activation, by identity of the module.

    Example:
        >>> [running.name for running in known_modules(nn.Sequential(nn.Linear(1, 1), nn.Mish())).values()]
        ['mish']
    """
    found: dict[int, Running] = {}
    inside: set[int] = set()
    for module in model.modules():
        if id(module) in inside:
            continue
        running = _describe(module, is_part=module is not model)
        if running:
            found[id(module)] = running
            inside |= {id(part) for part in module.modules()}
    return found


def _describe(module: nn.Module, *, is_part: bool) -> Running | None:
    if isinstance(module, torch.jit.ScriptModule):
        name = name_of_class(str(module.original_name))
        return Running(name=name, spec=None) if name else None
    if isinstance(module, Deferred):
        return _describe(module.activation, is_part=True)
    return describe_module(module) or (describe_lookalike(module) if is_part else None)


def describe_lookalike(module: nn.Module) -> Running | None:
    """Describe a module of the user's own that computes a registered elementwise function at its defaults; None if it does not.

    Example:
        >>> class Swish(nn.Module):
        ...     def forward(self, x):
        ...         return x * torch.sigmoid(x)
        >>> describe_lookalike(Swish()).name
        'silu'
    """
    is_torch = type(module).__module__.split(".")[0] == "torch"
    if is_torch or next(module.children(), None) or next(module.parameters(), None) is not None:
        return None
    try:
        with undisturbed(module):
            values = elementwise(module)
    except SiteError:  # parameters without a shape
        return None
    name = name_of_values(values) if values is not None else None
    return Running(name=name, spec=name) if name else None


def elementwise(function: Callable[[Tensor], Any]) -> Tensor | None:
    """Return what a function makes of the grid; None where it is not elementwise, or does not take a tensor at all."""
    grid = _grid()
    other = grid.clone()
    other[:, ::2] += 1.0  # an elementwise function changes at these places only
    try:
        once, again, changed = function(grid.clone()), function(grid.clone()), function(other)
    except Exception:  # the user's code does not take a single float tensor, so it is no elementwise function
        return None
    if not all(isinstance(made, Tensor) and made.shape == grid.shape for made in (once, again, changed)):
        return None
    return once if torch.equal(once, again) and torch.equal(once[:, 1::2], changed[:, 1::2]) else None


def _grid() -> Tensor:
    return torch.linspace(-6.0, 6.0, SHAPE[0] * SHAPE[1]).reshape(SHAPE)


def name_of_values(values: Tensor) -> str | None:
    """Return the name of the registered function that has these values on the grid, the nearest one; None if there is none."""
    scale = max(1.0, float(values.abs().amax()))
    errors = {
        name: float((made - values).abs().amax()) / scale for name, made in _table(tuple(names("elementwise"))).items()
    }
    near = {name: error for name, error in errors.items() if error <= TOLERANCE and name != "identity"}
    native = [name for name in near if get(name).module]  # silu before swish, of which it is a case
    return min(native or near, key=near.__getitem__, default=None)


@cache
def _table(registered: tuple[str, ...]) -> Mapping[str, Tensor]:
    with torch.no_grad():
        return {name: layer(name)(_grid()) for name in registered}
