"""The mode: whether torch runs plainly, so that an autograd Function of ours may stand in the place of plain tensor code.

Everywhere else (``torch.compile``, export, tracing, ``torch.func``, forward AD, no gradients) plain tensor code is right, and a Function is
not: ``torch.compile(torch.func.grad(f))`` drops the backward of one without a word (torch 2.13).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["runs_plainly"]


def runs_plainly(*inputs: object) -> bool:
    """Tell whether these are plain tensors of which autograd, and nothing else, watches at least one.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> runs_plainly(x), runs_plainly(x.detach()), torch.func.vmap(lambda z: z * runs_plainly(z))(x.detach())
        (True, False, tensor([0., 0.]))
    """
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and all(isinstance(x, Tensor) for x in inputs)
        and any(x.requires_grad for x in inputs if isinstance(x, Tensor))
        and not torch._C._is_tracing()
        and not _is_transformed()
    )


def _is_transformed() -> bool:
    """Tell whether a transform of ``torch.func``, or forward AD, is at work; torch has no public name for either."""
    return torch._C._functorch.peek_interpreter_stack() is not None or torch.autograd.forward_ad._current_level >= 0
