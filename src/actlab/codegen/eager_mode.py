"""The mode: whether torch runs plainly, so that foreign code (a kernel, an autograd Function) may stand in the place of plain tensor code.

Everywhere else (``torch.compile``, export, tracing, ``torch.func``, forward AD, dispatch modes) plain tensor code is right, and a Function
is not: ``torch.compile(torch.func.grad(f))`` drops the backward of one without a word (torch 2.13).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._C import _get_tracing_state, _len_torch_dispatch_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad

__all__ = ["is_plainly_eager", "runs_plainly"]


def is_plainly_eager() -> bool:
    """Whether torch runs operations one by one, unwatched but by autograd's tape; of some modes torch has no public name.

    Example:
        >>> is_plainly_eager(), torch.func.vmap(lambda z: z * is_plainly_eager())(torch.ones(2))
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


def runs_plainly(*inputs: object) -> bool:
    """Whether these are tensors in plainly eager mode, of which autograd watches at least one.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> runs_plainly(x), runs_plainly(x.detach())
        (True, False)
    """
    return (
        not torch.compiler.is_compiling()  # first, so that the compiler sees nothing of the rest
        and torch.is_grad_enabled()
        and all(isinstance(x, Tensor) for x in inputs)
        and any(x.requires_grad for x in inputs if isinstance(x, Tensor))
        and is_plainly_eager()
    )
