"""Clip gradients per module and the latent weights of binary layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from actlab.errors import LayerError
from actlab.nn.layers.binary import BinaryWeight
from actlab.nn.passes.model_argument import takes_model

__all__ = ["clip_gradients_", "clip_latents_"]


@takes_model
def clip_gradients_(model: nn.Module, max_norm: float = 1.0) -> dict[str, float]:
    """Clip the gradient norm of each module separately; call it before the optimizer's step.

    An unbounded rule, stacked over many layers, makes the gradients of the first layers much larger or smaller than those of the last;
    clipping the total norm would then shrink all of them.

    Args:
        model: any module, after ``backward()``.
        max_norm: of the gradients of the parameters that a module holds directly, above 0.

    Returns:
        The norm before clipping, by the path of each module that has gradients. NaN and infinite norms are returned, and not clipped.

    Raises:
        LayerError: ``max_norm`` is not above 0.

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        >>> net[0].weight.grad, net[1].weight.grad = torch.tensor([[3.0]]), torch.tensor([[0.5]])
        >>> clip_gradients_(net, 1.0), net[0].weight.grad.item(), net[1].weight.grad.item()
        ({'0': 3.0, '1': 0.5}, 1.0, 0.5)
    """
    if not max_norm > 0:
        raise LayerError(f"Gradients are clipped to a norm above 0; got max_norm={max_norm!r}.")
    norms: dict[str, float] = {}
    for path, module in model.named_modules():
        grads = [p.grad for p in module._parameters.values() if p is not None and p.grad is not None]
        if grads:
            norms[path] = _clip(grads, max_norm)
    return norms


@torch.no_grad()
def _clip(grads: list[Tensor], max_norm: float) -> float:
    norm = float(nn.utils.get_total_norm(grads))
    if max_norm < norm < float("inf"):
        for grad in grads:
            grad.mul_(max_norm / norm)
    return norm


@torch.no_grad()
def clip_latents_(model: nn.Module, bound: float | None = None) -> None:
    """Clamp the latent weights of all binary layers to [-c, c]; call it after the optimizer's step.

    A latent weight outside the window of its rule gets no gradient and would never change its sign again.

    Args:
        model: any module.
        bound: c; None for the c of each layer's own rule (1, or 1.25 for ``sign/clipped(c=1.25)``).

    Raises:
        LayerError: the bound is not above 0.

    Example:
        >>> from actlab.nn.layers.binary import BinaryLinear
        >>> net = BinaryLinear(2, 1)
        >>> _ = net.weight.data.copy_(torch.tensor([[-3.0, 0.5]]))
        >>> clip_latents_(net)
        >>> net.weight.data
        tensor([[-1.0000,  0.5000]])
    """
    if bound is not None and not bound > 0:
        raise LayerError(f"Latent weights are clipped to a bound above 0; got {bound!r}.")
    for module in model.modules():
        if isinstance(module, BinaryWeight):
            c = module.bound if bound is None else bound
            module.weight.clamp_(-c, c)
