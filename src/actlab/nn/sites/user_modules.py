"""Match user-defined modules to registered activations by their values.

People write ``class Swish(nn.Module)`` with ``x * torch.sigmoid(x)`` in it, or GELU from its tanh formula. Such a module is ``silu`` or
``gelu_tanh``, and a swap must replace the module, not the sigmoid inside. It matches where it has no submodules and no parameters, is
elementwise, and agrees with a registered function on a grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.functions.activation import get, names, registry_version
from actlab.nn.layers.deferred import Deferred
from actlab.nn.layers.layer import layer
from actlab.nn.sites.dry_run import no_side_effects
from actlab.nn.sites.torch_activations import Running, describe_module, name_of_class

__all__ = ["activation_modules", "elementwise_values", "match_module", "name_from_values"]

SHAPE: Final = (2, 60)
TOLERANCE: Final = 2e-6  # float32 rounding of functions of order 1; exact and tanh GELU differ by 5e-4


def activation_modules(model: nn.Module) -> dict[int, Running]:
    """Return the activation of every module of a model that is one, by ``id`` of the module.

    Example:
        >>> [running.name for running in activation_modules(nn.Sequential(nn.Linear(1, 1), nn.Mish())).values()]
        ['mish']
    """
    known: dict[int, Running] = {}
    inside: set[int] = set()
    for module in model.modules():
        if id(module) in inside:
            continue
        running = _describe(module, is_part=module is not model)
        if running:
            known[id(module)] = running
            inside |= {id(part) for part in module.modules()}
    return known


def _describe(module: nn.Module, *, is_part: bool) -> Running | None:
    if isinstance(module, torch.jit.ScriptModule):
        name = name_of_class(str(module.original_name))
        return Running(name=name, spec=None) if name else None
    if isinstance(module, Deferred):
        return _describe(module.activation, is_part=True)
    return describe_module(module) or (match_module(module) if is_part else None)


def match_module(module: nn.Module) -> Running | None:
    """Describe a user-defined module that computes a registered elementwise function at its defaults; None for any other module.

    Example:
        >>> class Swish(nn.Module):
        ...     def forward(self, x):
        ...         return x * torch.sigmoid(x)
        >>> match_module(Swish()).name
        'silu'
    """
    is_torch = type(module).__module__.split(".")[0] == "torch"
    if is_torch or next(module.children(), None) or next(module.parameters(), None) is not None:
        return None
    try:
        with no_side_effects(module):
            values = elementwise_values(module)
    except SiteError:  # parameters without a shape
        return None
    name = name_from_values(values) if values is not None else None
    return Running(name=name, spec=name) if name else None


def elementwise_values(function: Callable[[Tensor], Any]) -> Tensor | None:
    """Return the values of a function on the grid; None where it is not elementwise or does not take a single tensor."""
    grid = _grid()
    other = grid.clone()
    other[:, ::2] += 1.0  # an elementwise function changes in these columns only
    try:
        once, again, changed = function(grid.clone()), function(grid.clone()), function(other)
    except Exception:  # any error of the user's code means that it does not take a single float tensor
        return None
    if not all(isinstance(values, Tensor) and values.shape == grid.shape for values in (once, again, changed)):
        return None
    return once if torch.equal(once, again) and torch.equal(once[:, 1::2], changed[:, 1::2]) else None


def _grid() -> Tensor:
    return torch.linspace(-6.0, 6.0, SHAPE[0] * SHAPE[1]).reshape(SHAPE)


def name_from_values(values: Tensor) -> str | None:
    """Return the name of the registered function that is nearest to these values on the grid; None if none agrees."""
    scale = max(1.0, float(values.abs().amax()))
    table = _table(registry_version())
    errors = {name: float((expected - values).abs().amax()) / scale for name, expected in table.items()}
    near = {name: error for name, error in errors.items() if error <= TOLERANCE and name != "identity"}
    native = [name for name in near if get(name).module]  # silu before swish, of which it is a case
    return min(native or near, key=near.__getitem__, default=None)


@lru_cache(maxsize=1)  # one version at a time: an activation that is registered or redefined later starts a new one
def _table(_version: int) -> Mapping[str, Tensor]:
    """Return the values of every elementwise activation on the grid."""
    with torch.no_grad():
        return {name: layer(name)(_grid()) for name in names("elementwise")}
