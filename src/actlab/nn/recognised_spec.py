"""Spec of a module, a class of modules or a function that computes a registered activation."""

from __future__ import annotations

from contextlib import suppress

from torch import nn

from actlab.nn.recognition.torch_activations import describe_call, describe_module, recognise
from actlab.nn.sites.user_functions import match_function
from actlab.nn.sites.user_modules import activation_modules

__all__ = ["recognised_spec"]


def recognised_spec(value: object) -> str | None:
    """Return the spec of an activation that is given as an object; None if it is not known.

    Args:
        value: an instance of ``nn.Module``, a class of which one is made without arguments, or a function of a tensor.

    Example:
        >>> import torch
        >>> recognised_spec(nn.ELU(0.5)), recognised_spec(nn.GELU), recognised_spec(torch.tanh), recognised_spec(nn.Linear(1, 1))
        ('elu(alpha=0.5)', 'gelu', 'tanh', None)
    """
    if isinstance(value, type):
        if not issubclass(value, nn.Module):
            return None
        with suppress(Exception):  # a class of the user may raise anything, and this one needs arguments
            return recognised_spec(value())
        return None
    if isinstance(value, nn.Module):
        running = describe_module(value) or activation_modules(nn.Sequential(value)).get(id(value))
        return running.spec if running else None
    if not callable(value):
        return None
    function = recognise(value) or match_function(value)
    return describe_call(function, [], {}).spec if function else None
