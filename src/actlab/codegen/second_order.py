"""Gradients that can be differentiated again where they depend on no input.

The slope of a piecewise linear function is constant between its kinks. Autograd of its code, or a backward pass that saves bits, computes a
gradient that depends on no input, and torch raises where it is differentiated (as for a gradient penalty) instead of returning 0, the
derivative, as its own hardtanh and relu do. An empty tensor made from the input is saved instead of the input: it keeps no memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from actlab.codegen.eager_mode import is_eager

__all__ = ["attached", "depends_on", "empty_link"]


def empty_link(x: Tensor) -> Tensor:
    """Return a tensor without elements that autograd knows to be computed from ``x``.

    Example:
        >>> empty_link(torch.ones(2, 3, requires_grad=True)).shape
        torch.Size([0, 3])
    """
    return (x if x.dim() else x.unsqueeze(0)).narrow_copy(0, 0, 0)


def depends_on(gradient: Tensor, link: Tensor) -> Tensor:
    """Return the gradient, which depends on the input of :func:`empty_link` with a derivative of 0 if it will be differentiated."""
    return gradient + link.sum() if torch.is_grad_enabled() else gradient


def attached(x: Tensor) -> Tensor:
    """Return ``x``; the gradient of what is computed from it depends on it. In other modes than eager there is no need.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> (first,) = torch.autograd.grad((3 * attached(x)).sum(), x, create_graph=True)
        >>> torch.autograd.grad(first.sum(), x)
        (tensor([0., 0.]),)
    """
    if not (torch.is_grad_enabled() and is_eager() and x.requires_grad) or x.is_nested or x.layout is not torch.strided:
        return x
    return _attach(x, empty_link(x))


class _Attached(torch.autograd.Function):
    """The identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, link: Tensor) -> Tensor:
        ctx.save_for_backward(link)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return depends_on(grad, *ctx.saved_tensors), None


# Without the search for functorch, which is excluded here.
_attach: Callable[..., Tensor] = super(torch.autograd.Function, _Attached).apply
