"""Largest eigenvalue of the Hessian of a loss, by power iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["sharpness"]

_STEPS: Final = 40
_TOLERANCE: Final = 1e-3


def sharpness(
    model: nn.Module, loss_of: Callable[[nn.Module], Tensor], *, generator: torch.Generator, steps: int = _STEPS
) -> float:
    """Return the eigenvalue of largest size of the Hessian of a loss with respect to the trained parameters.

    Args:
        model: its ``.grad`` is not used.
        loss_of: of the model, returns a scalar; the same at every call.
        generator: of the first direction.
        steps: largest number of Hessian-vector products; the iteration ends when a step changes the value by less than 0.1 %.

    Raises:
        RuntimeError: a part of the model has no second derivative, as F.hardsigmoid in torch 2.13.0.

    Example:
        >>> net = nn.Linear(2, 1, bias=False)
        >>> x = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
        >>> round(sharpness(net, lambda model: model(x).square().sum(), generator=torch.Generator().manual_seed(0)), 3)
        18.0
    """
    parameters = [weight for weight in model.parameters() if weight.requires_grad]
    with sdpa_kernel(SDPBackend.MATH):  # torch 2.13.0 has no second derivative of its faster kernels of attention
        gradients = torch.autograd.grad(loss_of(model), parameters, create_graph=True, allow_unused=True)
    pairs = [
        (weight, part)
        for weight, part in zip(parameters, gradients, strict=True)
        if part is not None and part.requires_grad
    ]
    if not pairs:  # the loss is linear in all of them
        return 0.0
    weights, parts = zip(*pairs, strict=True)
    direction = _unit([torch.randn(weight.shape, generator=generator).to(weight) for weight in weights])
    value = 0.0
    for _ in range(steps):
        product = torch.autograd.grad(parts, weights, grad_outputs=direction, retain_graph=True, allow_unused=True)
        found = [
            torch.zeros_like(weight) if part is None else part.detach()
            for weight, part in zip(weights, product, strict=True)
        ]
        before, value = value, float(sum((part * own).sum() for part, own in zip(found, direction, strict=True)))
        if _length(found) == 0:
            return 0.0
        direction = _unit(found)
        if abs(value - before) <= _TOLERANCE * abs(value):
            break
    return value


def _length(parts: list[Tensor]) -> float:
    return float(torch.stack([part.square().sum() for part in parts]).sum().sqrt())


def _unit(parts: list[Tensor]) -> list[Tensor]:
    length = _length(parts)
    return [part / length for part in parts]
