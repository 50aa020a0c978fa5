"""Classification of scikit-learn's 1,797 digit images with an MLP or CNN."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.builtin.stratified_split import digit_images, stratified_split
from actlab.tasks.data import Data, Split, tensors_of
from actlab.tasks.task import Task, accuracy

__all__ = ["cnn_task", "earlier_cnn_task", "earlier_mlp_task", "earlier_splits", "mlp_task", "splits"]

_HELD_OUT = 360  # examples in the test split, a fifth of all; in protocol 1 also in the validation split
_VALIDATION = 180  # examples in the validation split


@lru_cache(maxsize=1)
def _images() -> tuple[Tensor, Tensor]:
    pixels, labels = digit_images()
    return torch.from_numpy(pixels / 16).float(), torch.from_numpy(labels).long()


def earlier_splits(seed: int) -> Data:
    """Draw the stratified splits of protocol 1 for a seed: 1,077 train, 360 validation, 360 test; inputs (n, 64) in [0, 1].

    Example:
        >>> len(earlier_splits(0).train)
        1077
    """
    pixels, labels = _images()
    rest, test = stratified_split(labels.numpy(), _HELD_OUT, seed)
    train, validation = (rest[part] for part in stratified_split(labels[rest].numpy(), _HELD_OUT, seed))
    return Data(
        train=Split(x=pixels[train], y=labels[train]),
        validation=Split(x=pixels[validation], y=labels[validation]),
        test=Split(x=pixels[test], y=labels[test]),
    )


def splits(seed: int) -> Data:
    """Draw the splits for a seed: 1,257 train, 180 validation, 360 test; inputs (n, 64) in [0, 1].

    Example:
        >>> len(splits(0).train), len(splits(0).validation)
        (1257, 180)
    """
    data = earlier_splits(seed)
    train, held_out = (tensors_of(split, "digits") for split in (data.train, data.validation))
    extra = Split(x=held_out.x[_VALIDATION:], y=held_out.y[_VALIDATION:])
    return Data(
        train=Split(x=torch.cat((train.x, extra.x)), y=torch.cat((train.y, extra.y))),
        validation=Split(x=held_out.x[:_VALIDATION], y=held_out.y[:_VALIDATION]),
        test=data.test,
    )


def _data(seed: int) -> Data:
    """Draw the splits with inputs of mean 0 and standard deviation 1, over all pixels and to 2 %."""
    parts = {name: tensors_of(split, "digits") for name, split in splits(seed).splits.items()}
    return Data(**{name: Split(x=(part.x * 16 - 5) / 6, y=part.y) for name, part in parts.items()})


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

    ReLU reaches what it reaches on this net: 97.5 %, on which twice the training improves by less than 0.2 %.

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
        learning_rate=3e-3,
        batch_size=32,
        epochs=40,
        rope=0.005,
        description="scikit-learn's 8x8 digits, MLP with four hidden layers of 64",
        source="digits, protocol 2",
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
        epochs=16,
        description="scikit-learn's 8x8 digits, CNN with 8 and 16 channels",
    )


def earlier_mlp_task() -> Task:
    """Return ``digits`` as it was up to version 0.1, with 12 epochs, for studies that began with it.

    Example:
        >>> earlier_mlp_task().name, earlier_mlp_task().epochs
        ('digits', 12)
    """
    return replace(mlp_task(), data=earlier_splits, learning_rate=2e-3, epochs=12, source="digits, protocol 1")


def earlier_cnn_task() -> Task:
    """Return ``digits:cnn`` as it was up to version 0.1, with 8 epochs, for studies that began with it.

    Example:
        >>> earlier_cnn_task().name, earlier_cnn_task().epochs
        ('digits:cnn', 8)
    """
    return replace(earlier_mlp_task(), name="digits:cnn", model=_cnn, epochs=8, description=cnn_task().description)
