"""Learning rate schedules of the image tasks."""

from __future__ import annotations

import torch

__all__ = ["cosine", "warm_cosine"]

_WARM_UP = 0.1  # of the steps


def cosine(optimizer: torch.optim.Optimizer, total_steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Return a schedule along half a cosine from the optimizer's rate to zero.

    Example:
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        >>> cosine(optimizer, 10).get_last_lr()
        [0.1]
    """
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total_steps)


def warm_cosine(optimizer: torch.optim.Optimizer, total_steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the same after a linear warm-up over the first tenth of the steps.

    Example:
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        >>> round(warm_cosine(optimizer, 100).get_last_lr()[0], 4)
        0.01
    """
    steps = max(1, round(_WARM_UP * total_steps))
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / steps, total_iters=steps)
    falling = cosine(optimizer, max(1, total_steps - steps))  # of one step in all, the warm-up is the whole
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, falling], milestones=[steps])
