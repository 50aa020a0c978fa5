"""Detection of plain eager mode, where kernels may replace tensor code.

In all other modes (``torch.compile``, export, tracing, ``torch.func``, forward-mode AD, dispatch modes) plain tensor code is right and an
autograd Function is not: ``torch.compile(torch.func.grad(f))`` silently drops its ``backward`` (torch 2.13).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._C import _get_tracing_state, _len_torch_dispatch_stack
from torch._C._functorch import is_batchedtensor, is_legacy_batchedtensor, peek_interpreter_stack
from torch.autograd import forward_ad

__all__ = ["is_batch", "is_eager", "is_eager_with_grad"]


def is_eager() -> bool:
    """Whether torch runs operations one by one, recorded by reverse-mode autograd at most; some modes have no public query in torch.

    Example:
        >>> is_eager(), torch.func.vmap(lambda z: z * is_eager())(torch.ones(2))
        (True, tensor([0., 0.]))
    """
    return not (
        torch.compiler.is_compiling()
        or torch.compiler.is_exporting()
        or _get_tracing_state() is not None
        or peek_interpreter_stack() is not None
        or _len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
    )


def is_batch(x: Tensor) -> bool:
    """Whether a tensor stands for a batch of tensors, inside ``vmap`` or as one of a batch of gradients (``is_grads_batched=True``).

    Example:
        >>> is_batch(torch.ones(2)), torch.func.vmap(lambda z: z * is_batch(z))(torch.ones(2))
        (False, tensor([1., 1.]))
    """
    return is_batchedtensor(x) or is_legacy_batchedtensor(x)


def is_eager_with_grad(*inputs: object) -> bool:
    """Whether these are tensors in eager mode, at least one of which requires a gradient.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> is_eager_with_grad(x), is_eager_with_grad(x.detach())
        (True, False)
    """
    return (
        not torch.compiler.is_compiling()  # first, so that the compiler does not trace the rest
        and torch.is_grad_enabled()
        and all(isinstance(x, Tensor) for x in inputs)
        and any(x.requires_grad for x in inputs if isinstance(x, Tensor))
        and is_eager()
    )
