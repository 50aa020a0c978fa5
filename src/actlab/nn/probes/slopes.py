"""Squared slope of each output element of an activation, recomputed outside the model's graph."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from actlab.nn.probes.hooks import Point, Recompute

__all__ = ["slopes_squared"]


def slopes_squared(point: Point, x: Tensor, recompute: Recompute) -> Tensor | None:
    """Return the squared slope of every element of the output, with surrogate gradients where training uses them.

    For a packed gated function it is the sum of the squares with respect to gate and value. The model's graph, its random numbers and the
    saved-tensor hooks of others (checkpointing, offloading) are not affected.

    Args:
        point: where.
        x: the input, of any floating dtype.
        recompute: computes the output.

    Returns:
        Tensor of the output's shape, float32 or float64; None for functions that mix elements.
    """
    kind = point.running.kind
    if kind == "vector":
        return None
    with torch.inference_mode(False), torch.enable_grad(), _own_saved_tensors(), _forked_rng(x, kind):
        z = (x.clone() if x.is_inference() else x.detach()).requires_grad_()
        y = recompute(z.clone() if point.inplace else z)
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


def _own_saved_tensors() -> AbstractContextManager[Any]:
    """Hide the tensors saved here from the hooks that others have set: checkpointing counts what the model saves."""
    return torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor.detach(), lambda tensor: tensor)


def _forked_rng(x: Tensor, kind: str) -> AbstractContextManager[Any]:
    if kind != "stochastic":
        return nullcontext()
    devices = [x.device] if x.device.type == "cuda" else []
    return torch.random.fork_rng(devices=devices)
