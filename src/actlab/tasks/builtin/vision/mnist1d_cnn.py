"""Classification of MNIST-1D with the convolutional net of its paper."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from actlab.tasks.builtin.vision.mlp_dials import mnist1d_task
from actlab.tasks.task import Task

__all__ = ["task"]

_CHANNELS = 25


def _model(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    return nn.Sequential(
        nn.Unflatten(1, (1, 40)),
        nn.Conv1d(1, _CHANNELS, 5, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv1d(_CHANNELS, _CHANNELS, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv1d(_CHANNELS, _CHANNELS, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(5 * _CHANNELS, 10),
    )


def task() -> Task:
    """Return the task with three strided convolutions of 25 channels, by Adam, 20 epochs of 7,000 signals.

    Published (arXiv:2011.14439): 0.94, longer trained on 4,000 signals. Without activations the net is linear, as nothing is pooled.

    Example:
        >>> sum(parameter.numel() for parameter in task().model(0).parameters())
        5210
    """
    return replace(
        mnist1d_task("depth", 2),
        name="mnist1d:cnn",
        model=_model,
        learning_rate=5e-3,
        description="MNIST-1D, CNN with three strided convolutions of 25 channels",
        source="mnist1d:cnn, protocol 1",
    )
