"""The slopes: by what an activation multiplies the gradient of each element, found by running it once more beside the model."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from actlab.nn.probes.hooks import Again, Point

__all__ = ["slopes_squared"]


def slopes_squared(point: Point, x: Tensor, again: Again) -> Tensor | None:
    """Return the squared slope of every element of the output, surrogate gradients counting as they are used in training.

    Of a packed gated function, the sum of the squares with respect to gate and value. The model's graph, its random numbers and what
    others keep of its forward pass (checkpointing, offloading) are not touched.

    Args:
        point: where.
        x: the input, of any floating dtype.
        again: computes the output.

    Returns:
        Tensor of the shape of the output, in float32 at least; None for functions that mix elements.
    """
    kind = point.running.kind
    if kind == "vector":
        return None
    with torch.inference_mode(False), torch.enable_grad(), _unnoticed(), _same_draws(x, kind):
        z = (x.clone() if x.is_inference() else x.detach()).requires_grad_()
        y = again(z.clone() if point.inplace else z)
        if not y.requires_grad:  # a step without a rule: no gradient passes
            return torch.zeros_like(y, dtype=_wide(y))
        (slope,) = torch.autograd.grad(y, z, torch.ones_like(y))
    squared: Tensor = slope.to(_wide(slope)).square()
    if kind != "gated":
        return squared
    dim = -1 if point.running.dim is None else int(point.running.dim)
    half = squared.shape[dim] // 2
    if point.interleaved:
        return squared[..., ::2] + squared[..., 1::2]
    return squared.narrow(dim, 0, half) + squared.narrow(dim, half, half)


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def _unnoticed() -> AbstractContextManager[Any]:
    """Keep what is saved here from hooks that others have set: checkpointing counts what the model saves."""
    return torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor.detach(), lambda tensor: tensor)


def _same_draws(x: Tensor, kind: str) -> AbstractContextManager[Any]:
    if kind != "stochastic":
        return nullcontext()
    devices = [x.device] if x.device.type == "cuda" else []
    return torch.random.fork_rng(devices=devices)
