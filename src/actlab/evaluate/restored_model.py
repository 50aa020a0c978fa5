"""Context in which a model may be run, differentiated and changed, and after which it is as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["restored"]


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode without gradients, and restore all of it afterwards, whatever happens inside.

    Restored are the mode of every module, ``.grad`` and ``requires_grad`` of every parameter (the same tensors with the same numbers),
    the numbers of parameters and buffers, and which tensors these are.

    Args:
        model: changed inside the block only.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).train()
        >>> with restored(net):
        ...     net.train()(torch.randn(4, 2)).sum().backward()
        >>> net[0].weight.grad is None, int(net[1].num_batches_tracked)
        (True, 0)
    """
    modules = list(model.modules())
    modes = [module.training for module in modules]
    held = [(dict(module._parameters), dict(module._buffers)) for module in modules]
    parameters = list(model.parameters())
    gradients = [(weight.grad, weight.requires_grad) for weight in parameters]
    numbers = [(tensor, tensor.detach().clone()) for tensor in _tensors(model)]
    try:
        for weight in parameters:
            weight.grad = None
        model.eval()
        yield
    finally:
        for module, mode, (own, buffers) in zip(modules, modes, held, strict=True):
            module.training = mode
            _replace(module._parameters, own)
            _replace(module._buffers, buffers)
        for weight, (gradient, requires) in zip(parameters, gradients, strict=True):
            weight.requires_grad_(requires)
            weight.grad = gradient
        with torch.no_grad():
            for tensor, before in numbers:
                if not torch.equal(tensor, before):  # a copy would tell autograd of a change that there was none
                    tensor.copy_(before)


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def _replace(present: dict[str, Any], before: dict[str, Any]) -> None:
    for name in set(present) - set(before):
        del present[name]
    for name, value in before.items():
        if present.get(name) is not value:
            present[name] = value
