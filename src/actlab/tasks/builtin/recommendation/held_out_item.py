"""Recommendation of a held-out item of each user, with an autoencoder of the items before it.

The net is Mult-DAE (arXiv:1802.05814): dropout of a user's items at its input, softmax over all items at its output. It is trained on the
items that are left when the last two of each user are taken away; the last but one validates, and the last tests, after all that came
before it. All items that the user had not are ranked, not a sample of them, and NDCG at 10 is the metric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from actlab.tasks.data import Data, Split, tensors_of
from actlab.tasks.metrics.ranking import ndcg_at_10
from actlab.tasks.task import Parameters, Task

__all__ = ["Histories", "held_out_data", "neighbour_ndcg", "popularity_ndcg", "recommendation_task"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Histories:
    """Items of each user in the order of time.

    Attributes:
        users: number of the user of each interaction, int64 (m,), ascending.
        items: its item, int64 (m,), in the order of time within a user; no item twice.
        item_count: number of items.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    item_count: int

    def matrix(self, left_out: int) -> Tensor:
        """Return which items each user had, float32 (users, items) of zeros and ones, without the last ``left_out`` of each."""
        position_from_end = self._ends() - np.arange(len(self.users))
        kept = position_from_end > left_out
        found = torch.zeros(int(self.users[-1]) + 1, self.item_count)
        found[torch.from_numpy(self.users[kept]), torch.from_numpy(self.items[kept])] = 1
        return found

    def held_out(self, from_end: int) -> Tensor:
        """Return one item of each user, int64 (users,): the last one for ``from_end`` = 1."""
        counts = np.bincount(self.users)
        return torch.from_numpy(self.items[counts.cumsum() - from_end].astype(np.int64))

    def _ends(self) -> NDArray[np.int64]:
        return np.bincount(self.users).cumsum()[self.users]


def held_out_data(histories: Histories) -> Data:
    """Return the splits: histories without the last two items and one that they have, and histories with the item after them."""
    known = histories.matrix(2)
    return Data(
        train=Split(x=known, y=histories.held_out(3)),  # the targets are the histories; this one is not read
        validation=Split(x=known, y=histories.held_out(2)),
        test=Split(x=histories.matrix(1), y=histories.held_out(1)),
    )


class _Autoencoder(nn.Module):
    def __init__(self, items: int, width: int) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.encoder = nn.Sequential(nn.Linear(items, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.decoder = nn.Linear(width, items)

    def forward(self, x: Tensor) -> Tensor:
        """Map histories, shape (n, items), to logits of items, shape (n, items)."""
        return self.decoder(self.encoder(self.drop(functional.normalize(x))))  # type: ignore[no-any-return]


def _likelihood(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of the items that users had."""
    return -(output.log_softmax(1) * target).sum() / target.sum()


def _step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return _likelihood(model(batch[0]), batch[0])


def _predict(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    had, held_out = batch
    return model(had).masked_fill(had > 0, -torch.inf), held_out


def popularity_ndcg(data: Data) -> float:
    """Return the metric of a ranking by the number of users in the training split, the same for all."""
    known, test = (tensors_of(split, "a ranking") for split in (data.train, data.test))
    return _ndcg_of_new(known.x.sum(0).expand_as(test.x), test)


def neighbour_ndcg(data: Data) -> float:
    """Return the metric of item neighbours: the sum of cosines of an item's users with those of the items that the user had."""
    known, test = (tensors_of(split, "a ranking") for split in (data.train, data.test))
    columns = functional.normalize(known.x, dim=0)
    return _ndcg_of_new(test.x @ (columns.T @ columns), test)


def _ndcg_of_new(scores: Tensor, test: Split) -> float:
    return ndcg_at_10(scores.masked_fill(test.x > 0, -torch.inf), test.y)


def _adam(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01)


def _model(items: int, width: int, seed: int) -> nn.Module:  # noqa: ARG001 # the generator is seeded before the call
    return _Autoencoder(items, width)


def recommendation_task(
    name: str, items: int, data: Callable[[int], Data], *, width: int = 128, description: str
) -> Task:
    """Return the task of histories over a number of items.

    Args:
        name: of the task.
        items: number of items.
        data: of a seed, returns what :func:`held_out_data` returns.
        width: of the hidden layers.
        description: one sentence.

    Example:
        >>> recommendation_task("r", 30, held_out_data, description="").model(0)(torch.zeros(2, 30)).shape
        torch.Size([2, 30])
    """
    return Task(
        name=name,
        model=partial(_model, items, width),
        data=data,
        step=_step,
        predict=_predict,
        metric=ndcg_at_10,
        metric_name="NDCG at 10",
        direction="max",
        optimizer=_adam,
        learning_rate=1e-3,
        batch_size=128,
        epochs=30,
        rope=0.003,
        output_kind="values",
        description=description,
        source=f"{name}, protocol 1",
    )
