"""Control measurement of a trial, the metric of a constant prediction."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from torch import Tensor

__all__ = ["constant_metric"]


def constant_metric(metric: Callable[[Any, Any], Any], output: Any, target: Any) -> float | None:
    """Return the metric of a prediction that is the same for every example, the mean of the outputs.

    A model whose own result is no better has learned nothing about its inputs: it always predicts the same class, or the mean.

    Args:
        metric: of the task.
        output: outputs of the trained model, shape (n, ...).
        target: targets, shape (n, ...).

    Returns:
        The metric, or None where outputs and targets are no predictions and labels, or the metric fails.

    Example:
        >>> import torch
        >>> from actlab.tasks.task import accuracy
        >>> constant_metric(accuracy, torch.tensor([[0.1, 0.9], [0.4, 0.6], [0.9, 0.2]]), torch.tensor([1, 1, 0]))
        0.6666666666666666
    """
    if not isinstance(output, Tensor) or not isinstance(target, Tensor) or not output.ndim:
        return None
    classes = not target.is_floating_point() and output.ndim == target.ndim + 1
    if len(output) < 2 or not output.is_floating_point() or not (classes or output.numel() == target.numel()):
        return None
    with suppress(Exception):  # user code, which need not take such a prediction
        value = float(metric(output.mean(0, keepdim=True).expand_as(output).contiguous(), target))
        return value if math.isfinite(value) else None
    return None
