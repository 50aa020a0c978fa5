"""Parameter groups of an optimizer, with the learned numbers of activations without weight decay.

Weight decay pulls a weight to 0, which is the neutral value of a weight. It is none of a slope, an exponent or a threshold: at ``beta = 0``
swish is half the identity, and ``a = 0`` divides by zero in others. torch's page on ``nn.PReLU`` says that weight decay should not be used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import nn

from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.blend import Blend
from actlab.nn.layers.deferred import Deferred
from actlab.nn.passes.model_argument import takes_model

__all__ = ["exempt_in_new_optimizers", "exempt_learned_numbers_", "learned_numbers", "parameter_groups"]


def learned_numbers(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a model that are learned numbers of its activations: of ActLab's layers, and ``nn.PReLU``.

    Example:
        >>> from actlab.nn.layers.layer import layer
        >>> [tuple(p.shape) for p in learned_numbers(nn.Sequential(nn.Linear(2, 2), layer("swish(beta=learned)"), nn.PReLU(2)))]
        [(1,), (2,)]
    """
    kinds = (ActivationLayer, Blend, Deferred, nn.PReLU)
    owners = (module for module in model.modules() if isinstance(module, kinds))
    found = {id(p): p for owner in owners for p in owner.parameters(recurse=False)}
    return list(found.values())


@takes_model
def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters of a model as groups for an optimizer: weights with weight decay, learned numbers of activations without.

    Args:
        model: any module, after its activations were swapped.
        weight_decay: of all other parameters.

    Returns:
        One or two groups, ``{"params": ..., "weight_decay": ...}``, with every parameter of the model once.

    Example:
        >>> from actlab.nn.transforms.swap import swap_
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.SiLU(), nn.Linear(4, 1))
        >>> changes = swap_(model, "swish(beta=learned)")
        >>> optimizer = torch.optim.AdamW(parameter_groups(model, weight_decay=0.1), lr=1e-3)
        >>> [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups]
        [(4, 0.1), (1, 0.0)]
    """
    numbers = learned_numbers(model)
    known = {id(p) for p in numbers}
    weights = [p for p in model.parameters() if id(p) not in known]
    groups = [{"params": weights, "weight_decay": weight_decay}, {"params": numbers, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def exempt_learned_numbers_(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Take the learned numbers of a model's activations out of an optimizer's weight decay, before its first step.

    Each group with weight decay that has some is split in two; all other settings stay.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.PReLU())
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.01)
        >>> exempt_learned_numbers_(optimizer, model)
        >>> [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups]
        [(2, 0.01), (1, 0.0)]
    """
    known = {id(p) for p in learned_numbers(model)}
    for group in list(optimizer.param_groups):
        numbers = [p for p in group["params"] if id(p) in known]
        if not group.get("weight_decay") or not numbers:
            continue
        group["params"] = [p for p in group["params"] if id(p) not in known]
        optimizer.add_param_group({**group, "params": numbers, "weight_decay": 0.0})
    optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]


@contextmanager
def exempt_in_new_optimizers(model: nn.Module) -> Iterator[None]:
    """Take the learned numbers of a model's activations out of the weight decay of every optimizer that is made in the block.

    It is done when the optimizer is made, as a scheduler takes note of its groups.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.PReLU())
        >>> with exempt_in_new_optimizers(model):
        ...     optimizer = torch.optim.AdamW(model.parameters())
        >>> [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups]
        [(2, 0.01), (1, 0.0)]
    """
    make = torch.optim.Optimizer.__init__

    @wraps(make)
    def make_exempt(self: torch.optim.Optimizer, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        exempt_learned_numbers_(self, model)

    torch.optim.Optimizer.__init__ = make_exempt  # type: ignore[method-assign] # the library offers no hook
    try:
        yield
    finally:
        torch.optim.Optimizer.__init__ = make  # type: ignore[method-assign] # as it was
