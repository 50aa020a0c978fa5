"""Control measurements of a trial, a constant prediction and the result after half of the steps."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Snapshot", "constant_metric"]


def constant_metric(metric: Callable[[Tensor, Tensor], Any], output: Tensor, target: Tensor) -> float | None:
    """Return the metric of a prediction that is the same for every example, the mean of the outputs.

    A model whose own result is no better has learned nothing about its inputs: it always predicts the same class, or the mean.

    Args:
        metric: of the task.
        output: outputs of the trained model, shape (n, ...).
        target: targets, shape (n, ...).

    Returns:
        The metric, or None where outputs and targets are no predictions and labels, or the metric fails.

    Example:
        >>> from actlab.tasks.task import accuracy
        >>> constant_metric(accuracy, torch.tensor([[0.1, 0.9], [0.4, 0.6], [0.9, 0.2]]), torch.tensor([1, 1, 0]))
        0.6666666666666666
    """
    classes = not target.is_floating_point() and output.ndim == target.ndim + 1
    if len(output) < 2 or not output.is_floating_point() or not (classes or output.numel() == target.numel()):
        return None
    with suppress(Exception):  # user code, which need not take such a prediction
        value = float(metric(output.mean(0, keepdim=True).expand_as(output).contiguous(), target))
        return value if math.isfinite(value) else None
    return None


class Snapshot:
    """Weights and buffers of a model at some time of its training.

    The model is evaluated after the training, so that the training is not disturbed.

    Args:
        model: the model; its state is copied.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> snapshot, before = Snapshot(model), model.weight.item()
        >>> _ = nn.init.zeros_(model.weight)
        >>> snapshot.evaluate(model, lambda model: model.weight.item()) == before
        True
    """

    def __init__(self, model: nn.Module) -> None:
        self._state: dict[str, Any] | None = None
        with suppress(Exception):  # a state that cannot be copied, or no memory for it
            self._state = copy.deepcopy(model.state_dict())

    @torch.no_grad()
    def evaluate(self, model: nn.Module, evaluate: Callable[[nn.Module], float]) -> float | None:
        """Load the state into the model, and return its evaluation; None where this fails or is not finite."""
        with suppress(Exception):  # user code
            if self._state is not None:
                model.load_state_dict(self._state)
                value = evaluate(model)
                return value if math.isfinite(value) else None
        return None
