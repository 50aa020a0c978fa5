"""Optimizer of a task on the stacked parameters of several models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from actlab.studies.stacked.model_stack import Leaf
from actlab.studies.stacked.stacked_functions import LANES

__all__ = ["StackedOptimizer"]


class StackedOptimizer:
    """One optimizer for all models of a stack, with the settings that each model's own would have, such as its learning rate.

    It is the first of the models' own, with other parameters: stacked ones, or parts of these where the settings of models differ. That
    is the same computation for optimizers that act on each element; others are found out by :mod:`actlab.studies.stacked.comparison`.

    Args:
        own: the optimizer of each model, before its first step.
        leaves: the stacked parameters.

    Example:
        >>> weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
        >>> own = [torch.optim.SGD([weight], lr=lr) for weight, lr in zip(weights, (1.0, 2.0))]
        >>> leaf = Leaf.of(weights)
        >>> leaf.tensor.sum().backward()
        >>> StackedOptimizer(own, [leaf]).step()
        >>> leaf.tensor.tolist()
        [[-1.0, -1.0], [-2.0, -2.0]]
    """

    def __init__(self, own: Sequence[torch.optim.Optimizer], leaves: Sequence[Leaf]) -> None:
        self.optimizer = own[0]
        self._leaves = [_PaddedLeaf(leaf) for leaf in leaves]
        self._views: list[tuple[_PaddedLeaf, int, int, Tensor]] = []
        settings = [_settings(optimizer) for optimizer in own]
        self.optimizer.state = defaultdict(dict)
        self.optimizer.param_groups[:] = self._groups(settings)

    def _groups(self, settings: Sequence[dict[int, dict[str, Any]]]) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = []
        for padded in self._leaves:
            leaf = padded.leaf
            each = [settings[leaf.first + place].get(id(part)) for place, part in enumerate(leaf.parts)]
            start = 0
            for end in range(1, len(each) + 1):
                if end < len(each) and each[end] == each[start]:
                    continue
                options = each[start]
                if options is not None:
                    parameter = self._view(padded, start, end)
                    group = next((it for it in groups if _options(it) == options), None)
                    if group is None:
                        groups.append({"params": [parameter], **options})
                    else:
                        group["params"].append(parameter)
                start = end
        return groups

    def _view(self, padded: _PaddedLeaf, start: int, end: int) -> Tensor:
        if padded.gradient is None and end - start == len(padded.leaf.parts):
            return padded.leaf.tensor
        view = padded.values[start:end].requires_grad_()
        self._views.append((padded, start, end, view))
        return view

    def step(self) -> None:
        """Take a step of all models, and forget the gradients."""
        gradients = {id(padded): padded.take_gradient() for padded in self._leaves}
        for padded, start, end, view in self._views:
            gradient = gradients[id(padded)]
            view.grad = None if gradient is None else gradient[start:end]
        self.optimizer.step()
        for padded in self._leaves:
            padded.leaf.tensor.grad = None


class _PaddedLeaf:
    """A stacked parameter, with numbers beside those of each model, so that these fill whole vector registers.

    torch's fused optimizers compute the last few numbers of a tensor by other code, whose last bit may differ. Which model has them would
    depend on the stack.
    """

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        values = leaf.tensor.detach()
        size = leaf.parts[0].numel()
        self._size, missing = size, -size % LANES
        self.gradient: Tensor | None = None
        self.values = values
        if missing:
            self.values = values.new_zeros(len(values), size + missing)
            self.gradient = torch.zeros_like(self.values)
            self.values[:, :size] = values.reshape(len(values), size)
            leaf.tensor.data = self.values[:, :size].view(values.shape) if values.dim() > 1 else self.values[:, 0]

    def take_gradient(self) -> Tensor | None:
        """Return the gradient in the shape of the values, or None where there is none."""
        gradient = self.leaf.tensor.grad
        if gradient is None or self.gradient is None:
            return gradient
        self.gradient[:, : self._size] = gradient.reshape(len(gradient), self._size)
        return self.gradient


def _settings(optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Any]]:
    """Return the settings of each parameter by its id."""
    return {id(parameter): _options(group) for group in optimizer.param_groups for parameter in group["params"]}


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in {"params", "param_names"}}
