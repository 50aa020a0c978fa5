"""Batches of a stack are those of each seed."""

import pytest
import torch
from torch import nn

from actlab.studies.stacked.stacked_batches import stacked_batches
from actlab.studies.stacked.stacked_tensor import StackError
from actlab.tasks import Split, Task
from actlab.tasks.training.batches import batches


def a_task(**settings):
    values = {"model": lambda _: nn.Linear(2, 1), "data": lambda _: None, "loss": None, "metric": None}
    return Task(name="batches", batch_size=4, **(values | settings))


def split(seed, count=11):
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return Split(x=x, y=x.sum(1))


SHARED = split(0)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    "splits", [[split(0), split(1)], [SHARED, SHARED], [SHARED, Split(x=SHARED.x.clone(), y=SHARED.y)]]
)
def test_every_model_has_the_batches_of_its_seed(splits, shuffle):
    task, seeds, of_model = a_task(epochs=2, shuffle=shuffle), [7, 3], [1, 0, 1]

    together = list(stacked_batches(task, splits, seeds, torch.tensor(of_model)))

    for model, place in enumerate(of_model):
        alone = list(batches(task, splits[place], seeds[place]))
        assert len(alone) == len(together)
        for (x, y), (one_x, one_y) in zip(together, alone, strict=True):
            assert torch.equal(x.stacked[model], one_x)
            assert torch.equal(y.stacked[model], one_y)


def test_data_of_other_shapes_are_refused():
    splits = [split(0), Split(x=torch.zeros(11, 3), y=torch.zeros(11))]

    with pytest.raises(StackError, match="shapes"):
        next(stacked_batches(a_task(), splits, [0, 1], torch.tensor([0, 1])))
