"""A task is returned for training, a trained model with its data as it is, and anything else is an error."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from actlab.errors import TaskError, UnknownNameError
from actlab.tasks.trained_model_source import load_model_or_task

TRAINED = """
import torch
from torch import nn
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
x = torch.arange(30.).view(10, 3)
{data}
"""
TASK = """
import torch
from torch import nn
direction = "min"
def model(seed): return nn.Linear(3, 1)
def data(seed): return (torch.rand(8, 3), torch.rand(8, 1)), (torch.rand(4, 3), torch.rand(4, 1))
loss = nn.functional.mse_loss
def metric(output, target): return float(loss(output, target))
"""


def written(tmp_path, text):
    file = tmp_path / "mine.py"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    "data",
    [
        "data = {'train': (x, x[:, 0].long()), 'test': (x[:4], x[:4, 0].long())}",
        "def data(): return (x, x[:, 0].long()), (x[:4], x[:4, 0].long())",
        "def data(seed): return (x + seed, x[:, 0].long()), (x[:4], x[:4, 0].long())",
        "def data(rows=10): return (x[:rows], x[:rows, 0].long()), (x[:4], x[:4, 0].long())",
    ],
    ids=["a value", "a function", "a function of the seed", "a function with defaults"],
)
def test_a_trained_model_comes_with_its_data(tmp_path, data):
    loaded = load_model_or_task(written(tmp_path, TRAINED.format(data=data)), seed=0)

    assert isinstance(loaded.model, nn.Sequential)
    assert (loaded.name, loaded.task, loaded.loss, len(loaded.data.train), len(loaded.data.test)) == (
        "mine",
        None,
        None,
        10,
        4,
    )


def test_a_whole_task_is_a_task_and_draws_its_data_from_the_seed(tmp_path):
    file, state = written(tmp_path, TASK), torch.get_rng_state()
    one, same, other = (load_model_or_task(file, seed) for seed in (0, 0, 1))

    assert one.task.name == "mine"
    assert one.model is None
    assert torch.equal(one.data.train.x, same.data.train.x)
    assert not torch.equal(one.data.train.x, other.data.train.x)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TRAINED.format(data=""), "defines a model and no data"),
        ("x = 1", "neither a task nor a trained model"),
        (TRAINED.format(data="def data(): return 1 / 0"), "ZeroDivisionError"),
        (TRAINED.format(data="data = 3"), "no train and test split"),
    ],
)
def test_missing_names_are_reported(tmp_path, text, words):
    with pytest.raises(TaskError, match=words):
        load_model_or_task(written(tmp_path, text))


def test_an_unknown_name_is_reported():
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        load_model_or_task("digitz")
    with pytest.raises(TaskError, match="There is no file"):
        load_model_or_task("nowhere.py")
