"""Digits whose test images are shown as they are and with Gaussian noise.

The training has no noise. A target is a pair, the label and the level of noise, and every test image is in the split once at each level.
Noise is in units of the standard deviation of all pixels, which is that of the inputs; it follows from the seed, the same for every arm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from actlab.tasks.builtin import digits
from actlab.tasks.data import Data, Split, tensors_of
from actlab.tasks.task import Task, accuracy

__all__ = ["LEVELS", "clean_accuracy", "cnn_noise_task", "kept", "mlp_noise_task", "noisy_accuracy"]

#: Standard deviations of the noise; the last one lets few images be recognised.
LEVELS = (0.0, 0.5, 1.0, 1.5)


def _labelled(split: Split, level: int) -> Split:
    """Return a split with targets of shape (n, 2), labels and the number of the level."""
    return Split(x=split.x, y=torch.stack((split.y, torch.full_like(split.y, level)), 1))


def _data(of: Callable[[int], Data], seed: int) -> Data:
    data, generator = of(seed), torch.Generator().manual_seed(seed)
    train, test = tensors_of(data.train, "digits:noise"), tensors_of(data.test, "digits:noise")
    held_out = None if data.validation is None else tensors_of(data.validation, "digits:noise")
    drawn = torch.randn(
        test.x.shape, generator=generator
    )  # one draw for all levels, so that they differ in its size alone
    shown = [_labelled(Split(x=test.x + level * drawn, y=test.y), place) for place, level in enumerate(LEVELS)]
    return Data(
        train=_labelled(train, 0),
        validation=None if held_out is None else _labelled(held_out, 0),
        test=Split(x=torch.cat([part.x for part in shown]), y=torch.cat([part.y for part in shown])),
    )


def _loss(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output, target[:, 0])


def clean_accuracy(output: Tensor, target: Tensor) -> float:
    """Return the accuracy on inputs without noise; logits of shape (n, classes), targets of shape (n, 2).

    Example:
        >>> clean_accuracy(torch.eye(2), torch.tensor([[0, 0], [0, 1]]))
        1.0
    """
    rows = target[:, 1] == 0
    return accuracy(output[rows], target[rows, 0])


def noisy_accuracy(output: Tensor, target: Tensor) -> float:
    """Return the mean accuracy over the levels of noise; NaN where there is no noise, as in the training.

    Example:
        >>> noisy_accuracy(torch.eye(2), torch.tensor([[0, 0], [0, 1]]))
        0.0
    """
    rows = target[:, 1] > 0
    return accuracy(output[rows], target[rows, 0]) if bool(rows.any()) else float("nan")


def kept(output: Tensor, target: Tensor) -> float:
    """Return the share of the accuracy without noise that is left with it, on average over the levels.

    Example:
        >>> kept(torch.eye(2), torch.tensor([[0, 0], [1, 1]]))
        1.0
    """
    clean = clean_accuracy(output, target)
    return noisy_accuracy(output, target) / clean if clean > 0 else 0.0


def _task(name: str, of: Task) -> Task:
    return replace(
        of,
        name=name,
        data=partial(_data, of.data),
        loss=_loss,
        metric=clean_accuracy,
        metric_name="accuracy",
        metrics={"accuracy": clean_accuracy, "noisy accuracy": noisy_accuracy, "kept": kept},
        description=f"{of.description}; test images with and without noise",
        source=f"{name}, {LEVELS}, protocol 1",
    )


def mlp_noise_task() -> Task:
    """Return the task with the MLP of ``digits``.

    Example:
        >>> mlp_noise_task().data(0).test.x.shape
        torch.Size([1440, 64])
    """
    return _task("digits:noise", digits.mlp_task())


def cnn_noise_task() -> Task:
    """Return the task with the CNN of ``digits:cnn``.

    Example:
        >>> cnn_noise_task().name
        'digits:cnn-noise'
    """
    return _task("digits:cnn-noise", digits.cnn_task())
