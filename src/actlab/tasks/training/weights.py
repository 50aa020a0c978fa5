"""Copies of a model's parameters and buffers, their average over a training and the best ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from actlab.tasks.task import Direction

__all__ = ["AveragedWeights", "BestWeights"]


def _tensors(model: nn.Module) -> list[Tensor]:
    """Return parameters and buffers, each once; anew at each call, as a forward pass may put another tensor in a buffer's place."""
    return [*(parameter.detach() for parameter in model.parameters()), *model.buffers()]


def _copies(model: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in _tensors(model)]


@torch.no_grad()
def _put(model: nn.Module, values: list[Tensor]) -> None:
    for tensor, value in zip(_tensors(model), values, strict=True):
        tensor.copy_(value)


class AveragedWeights:
    """Exponential moving average of a model's parameters and buffers, learned numbers of activations included.

    It begins with the state after the first step, as :class:`torch.optim.swa_utils.AveragedModel` does. The running statistics of batch
    normalisation are averaged as the weights are, so that they belong to them; what is no floating point number, such as a count of
    batches, is that of the model. No copy of the module is made, as of a model with hooks or tied weights.

    Args:
        decay: weight of the average at each step, such as 0.999.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> average = AveragedWeights(0.9)
        >>> for weight in (0.0, 1.0):
        ...     _ = nn.init.constant_(model.weight, weight)
        ...     average.update(model)
        >>> with average.in_place(model):
        ...     round(model.weight.item(), 6)
        0.1
        >>> model.weight.item()
        1.0
    """

    def __init__(self, decay: float) -> None:
        self._average: list[Tensor] = []
        self._update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call] # torch has no annotation for it

    def update(self, model: nn.Module) -> None:
        """Take in the state of the model after a step of the optimizer."""
        if not self._average:
            self._average = _copies(model)
            return
        pairs = list(zip(self._average, _tensors(model), strict=True))
        numbers = [(mean, now) for mean, now in pairs if mean.is_floating_point() or mean.is_complex()]
        self._update([mean for mean, _ in numbers], [now for _, now in numbers], 1)
        for mean, now in pairs:
            if not (mean.is_floating_point() or mean.is_complex()):
                mean.copy_(now)

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Put the average into the model, and its own state back after the block."""
        own = _copies(model)
        self.put(model)
        try:
            yield
        finally:
            _put(model, own)

    def put(self, model: nn.Module) -> None:
        """Put the average into the model for good; a model that has made no step stays as it is."""
        if self._average:
            _put(model, self._average)

    def state(self) -> list[Tensor]:
        """Return the average, for a checkpoint."""
        return self._average

    def restore(self, state: list[Tensor], model: nn.Module) -> None:
        """Go on from what :meth:`state` returned."""
        self._average = _on_devices_of(model, state)


class BestWeights:
    """State of a model at its best evaluation on the validation split, and whether a training has stopped to improve.

    Of equal values the first is the best one. An evaluation that is no finite number is no improvement.

    Args:
        patience: evaluations in a row without a new best one that end the training.
        direction: "max" when a larger value is better, "min" when a smaller one is.

    Example:
        >>> model, best = nn.Linear(1, 1, bias=False), BestWeights(2, "max")
        >>> for weight, value in ((1.0, 0.5), (2.0, 0.7), (3.0, 0.7), (4.0, 0.6)):
        ...     _ = nn.init.constant_(model.weight, weight)
        ...     stopped = best.observe(model, value)
        >>> best.put(model)
        >>> stopped, model.weight.item()
        (True, 2.0)
    """

    def __init__(self, patience: int, direction: Direction) -> None:
        self._patience, self._sign = patience, 1.0 if direction == "max" else -1.0
        self._weights: list[Tensor] = []
        self._best, self._since = -math.inf, 0

    def observe(self, model: nn.Module, value: float | None) -> bool:
        """Take in an evaluation of the model; return whether the training is to end.

        Args:
            model: with the weights that were evaluated.
            value: of the metric, or None where it could not be computed.
        """
        signed = math.nan if value is None else self._sign * value
        if math.isfinite(signed) and signed > self._best:
            self._best, self._since, self._weights = signed, 0, _copies(model)
        else:
            self._since += 1
        return self._since >= self._patience

    def put(self, model: nn.Module) -> None:
        """Put the best state into the model; a model without a finite evaluation stays as it is."""
        if self._weights:
            _put(model, self._weights)

    def state(self) -> dict[str, Any]:
        """Return the best state and what is known of the evaluations, for a checkpoint."""
        return {"weights": self._weights, "best": self._best, "since": self._since}

    def restore(self, state: Mapping[str, Any], model: nn.Module) -> None:
        """Go on from what :meth:`state` returned."""
        self._weights = _on_devices_of(model, state["weights"])
        self._best, self._since = float(state["best"]), int(state["since"])


def _on_devices_of(model: nn.Module, values: list[Tensor]) -> list[Tensor]:
    return [value.to(tensor.device) for value, tensor in zip(values, _tensors(model), strict=True)] if values else []
