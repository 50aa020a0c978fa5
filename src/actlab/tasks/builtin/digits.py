"""Classification of scikit-learn's 1,797 digit images with an MLP or CNN, under a second per trial."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.task import Data, Split, Task, accuracy

__all__ = ["cnn_task", "mlp_task"]

_HELD_OUT = 360  # examples in each of the test and validation splits, a fifth of all


@lru_cache(maxsize=1)
def _images() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits  # noqa: PLC0415 # takes 1 s to import, and only this task needs it

    pixels, labels = load_digits(return_X_y=True)
    return torch.from_numpy(pixels / 16).float(), torch.from_numpy(labels).long()


def _data(seed: int) -> Data:
    """Draw stratified splits for a seed: 1,077 train, 360 validation, 360 test; inputs (n, 64) in [0, 1]."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 # see above

    pixels, labels = _images()
    rest, test = train_test_split(np.arange(len(labels)), test_size=_HELD_OUT, stratify=labels, random_state=seed)
    train, validation = train_test_split(rest, test_size=_HELD_OUT, stratify=labels[rest], random_state=seed)
    return Data(
        train=Split(x=pixels[train], y=labels[train]),
        validation=Split(x=pixels[validation], y=labels[validation]),
        test=Split(x=pixels[test], y=labels[test]),
    )


def _mlp(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    hidden = [layer for _ in range(3) for layer in (nn.Linear(64, 64), nn.ReLU())]
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), *hidden, nn.Linear(64, 10))


def _cnn(seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def mlp_task() -> Task:
    """Return the task with a plain 64-64-64-64-64-10 net, deep enough for activations to differ.

    Example:
        >>> mlp_task().model(0)(torch.zeros(5, 64)).shape
        torch.Size([5, 10])
    """
    return Task(
        name="digits",
        model=_mlp,
        data=_data,
        loss=functional.cross_entropy,
        metric=accuracy,
        learning_rate=2e-3,
        batch_size=32,
        epochs=12,
        rope=0.005,
        description="scikit-learn's 8x8 digits, MLP with four hidden layers of 64",
        source="digits, protocol 1",
    )


def cnn_task() -> Task:
    """Return the task with two convolutions and one hidden layer.

    Example:
        >>> cnn_task().model(0)(torch.zeros(5, 64)).shape
        torch.Size([5, 10])
    """
    return replace(
        mlp_task(),
        name="digits:cnn",
        model=_cnn,
        epochs=8,
        description="scikit-learn's 8x8 digits, CNN with 8 and 16 channels",
    )
