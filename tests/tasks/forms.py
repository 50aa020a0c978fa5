"""The same small data in the forms that data(seed) may return, for the tests of all of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

from actlab.tasks import Task
from actlab.tasks.task import accuracy

SIZE = 16


def tensors(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(120, 4, generator=generator)
    y = (x[:, 0] + x[:, 1] > 0).long()
    return {"train": (x[:73], y[:73]), "validation": (x[73:93], y[73:93]), "test": (x[93:], y[93:])}


def each(make: Callable[..., Any]) -> Callable[[int], dict[str, Any]]:
    """Return a function ``data(seed)`` that makes every split of its tensors."""
    return lambda seed: {name: make(*pair) for name, pair in tensors(seed).items()}


class Pairs(Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


class Named(Pairs):
    def __getitem__(self, index):
        return {"image": self.x[index], "label": self.y[index]}


class Noisy(Pairs):
    """Draws its augmentation from the global generators."""

    def __getitem__(self, index):
        return self.x[index] + 0.1 * torch.randn(4), self.y[index]


class Counting(Pairs):
    """Has a state of its own: a generator that goes on from epoch to epoch."""

    def __init__(self, x, y):
        super().__init__(x, y)
        self.generator = torch.Generator().manual_seed(3)

    def __getitem__(self, index):
        return self.x[index] + 0.1 * torch.randn(4, generator=self.generator), self.y[index]


class Stream(IterableDataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __iter__(self):
        worker = get_worker_info()
        rows = range(len(self.x)) if worker is None else range(worker.id, len(self.x), worker.num_workers)
        return ((self.x[row], self.y[row]) for row in rows)


class Batches:
    """An iterable object of batches that is no class of torch."""

    def __init__(self, x, y, size=SIZE):
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return math.ceil(len(self.x) / self.size)

    def __iter__(self):
        return zip(self.x.split(self.size), self.y.split(self.size), strict=True)


class Pair(NamedTuple):
    label: Any
    x: Any


@dataclass
class Record:
    x: Tensor
    y: Tensor


def loader(dataset=Pairs, **options):
    return each(lambda x, y: DataLoader(dataset(x, y), **{"batch_size": SIZE, **options}))


# Forms whose batches, in their order, are those of the plain tensors.
SAME = {
    "a dataset": each(Pairs),
    "a dataset of dicts": each(Named),
    "a TensorDataset": each(TensorDataset),
    "a dict of tensors": each(lambda x, y: {"x": x, "labels": y}),
    "a tuple with a tuple": each(lambda x, y: ((x[:, :2], x[:, 2:]), y)),
}


class TwoInputs(nn.Module):
    """The net of the other tasks, for one input or for two halves."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))

    def forward(self, x, more=None):
        return self.body(x if more is None else torch.cat((x, more), 1))


def form_task(data, **settings):
    given = {
        "name": "forms",
        "model": lambda seed: TwoInputs(),  # noqa: ARG005
        "data": data,
        "loss": nn.functional.cross_entropy,
        "metric": accuracy,
        "batch_size": SIZE,
        "epochs": 3,
        **settings,
    }
    return Task(**given)
