"""Match user-defined modules to registered activations by their values.

People write ``class Swish(nn.Module)`` with ``x * torch.sigmoid(x)`` in it, or GELU from its tanh formula. Such a module is ``silu`` or
``gelu_tanh``, and a swap must replace the module, not the sigmoid inside. It matches where it has no parameters, few submodules, and agrees
with a registered function as :mod:`actlab.nn.recognition.values` judges it.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

import torch
from torch import nn

from actlab.errors import SiteError
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.deferred import Deferred
from actlab.nn.recognition.torch_activations import Running, describe_module, name_of_class
from actlab.nn.recognition.values import name_of
from actlab.nn.sites.dry_run import no_side_effects

__all__ = ["activation_modules", "match_module"]

MOST_PARTS: Final = 8  # modules in one that is judged by its values, itself included


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
        # by its name only if the class is torch's: a user's own SiLU may be another function
        is_torch = ".torch.nn." in str(module._c._type().qualified_name())
        name = name_of_class(str(module.original_name)) if is_torch else _name_by_values(module) if is_part else None
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
    if type(module).__module__.split(".")[0] == "torch":
        return None
    name = _name_by_values(module)
    return None if name is None else Running(name=name, spec=name, by_values=True)


def _name_by_values(module: nn.Module) -> str | None:
    """Return the registered function that a module without parameters computes; None where it is none, or one of its parts is it."""
    parts = list(islice(module.modules(), MOST_PARTS + 1))
    if len(parts) > MOST_PARTS or next(module.parameters(), None) is not None:
        return None
    if any(isinstance(part, ActivationLayer) for part in parts):  # a swap has put it there
        return None
    if any(part._forward_hooks or part._forward_pre_hooks for part in parts[1:]):  # not called for a guess
        return None
    try:
        with no_side_effects(module):
            name = name_of(module.forward, module.train)
    except SiteError:  # it changes what cannot be put back
        return None
    inner = {running.name for part in parts[1:] if (running := describe_module(part))}
    return None if name in inner else name  # a module around nn.ReLU, which is the site
