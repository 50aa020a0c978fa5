"""Recognition of nine speakers by a vowel, a series of 12 cepstrum coefficients, with convolutions.

Source: Japanese Vowels, M. Kudo, J. Toyama and M. Shimbo, UCI Machine Learning Repository, https://doi.org/10.24432/C5NS47, licence
CC BY 4.0, as it comes with the package aeon; values in thousandths. 640 utterances of 7 to 29 moments; 270 train and 370 test as
published, and a fifth of the 270 validates. Published accuracy: 94.1 % by the authors' rules and 96.2 % by hidden Markov models (Kudo,
Toyama & Shimbo, Pattern Recognition Letters 20, 1999); at random 11 %.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.builtin.extracts import extract
from actlab.tasks.builtin.stratified_split import stratified_split
from actlab.tasks.data import Data, Split
from actlab.tasks.task import Parameters, Task, accuracy

__all__ = ["cnn_task"]

_LONGEST, _CHANNELS, _VALIDATION = 29, 12, 54


@lru_cache(maxsize=1)
def _published() -> dict[str, Split]:
    """Return the published splits; inputs of shape (n, 13, 29), of which the last channel is 1 where there is a value."""
    found, parts = extract("japanese_vowels"), {}
    values = found["train_values"] / 1000
    mean, spread = values.mean(0), values.std(0)
    for name in ("train", "test"):
        lengths = found[f"{name}_length"].astype(np.int64)
        ends = lengths.cumsum()
        x = np.zeros((len(lengths), _CHANNELS + 1, _LONGEST), np.float32)
        for row, (end, length) in enumerate(zip(ends, lengths, strict=True)):
            x[row, :_CHANNELS, :length] = ((found[f"{name}_values"][end - length : end] / 1000 - mean) / spread).T
            x[row, _CHANNELS, :length] = 1
        parts[name] = Split(x=torch.from_numpy(x), y=torch.from_numpy(found[f"{name}_speaker"].astype(np.int64)))
    return parts


def _data(seed: int) -> Data:
    """Hold 54 of the training utterances back for a seed; the test split is fixed."""
    rest, test = _published()["train"], _published()["test"]
    train, validation = (torch.from_numpy(rows) for rows in stratified_split(rest.y.numpy(), _VALIDATION, seed))
    return Data(
        train=Split(x=rest.x[train], y=rest.y[train]),
        validation=Split(x=rest.x[validation], y=rest.y[validation]),
        test=test,
    )


class _Recognizer(nn.Module):
    """Two convolutions, the mean over the moments there are, and a hidden layer."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(_CHANNELS + 1, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.ReLU(),
        )
        self.last = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 9))

    def forward(self, x: Tensor) -> Tensor:
        """Map utterances, shape (n, 13, 29), to logits, shape (n, 9)."""
        there = x[:, -1:]
        return self.last((self.layers(x) * there).sum(2) / there.sum(2))  # type: ignore[no-any-return]


def _adamw(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01)


def cnn_task() -> Task:
    """Return the task with two convolutions and one hidden layer.

    Example:
        >>> cnn_task().model(0)(torch.ones(5, 13, 29)).shape
        torch.Size([5, 9])
    """
    return Task(
        name="japanese-vowels",
        model=lambda seed: _Recognizer(),  # noqa: ARG005 # the generator is seeded before the call
        data=_data,
        loss=functional.cross_entropy,
        metric=accuracy,
        optimizer=_adamw,
        learning_rate=3e-3,
        batch_size=16,
        epochs=40,
        rope=0.005,
        output_kind="logits",
        input_kind="series",
        description="Japanese Vowels (UCI, CC BY 4.0), nine speakers by a vowel, CNN; published: 0.941 to 0.962",
        source="japanese-vowels, protocol 1",
    )
