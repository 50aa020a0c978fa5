"""A check of a task tries its largest label and its metric, and leaves no global state behind."""

import copy
import dataclasses
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from tests.studies import tiny
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from actlab.errors import TaskError
from actlab.evaluate.audit.study_check import count_duplicates
from actlab.tasks import Data, Split, names, resolve
from actlab.tasks.checks.check import check, example_batch
from actlab.tasks.checks.function_check import check_function
from actlab.tasks.training.evaluation import as_number

NEEDS_FILES = ("fashion", "movielens")  # of the user
LARGE = ("shakespeare", "tiny:resnet-8")  # tens of seconds for a step and an evaluation
TASKS = [name for name in names() if not name.startswith(NEEDS_FILES)]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in TASKS])
def test_every_bundled_task_passes(name):
    task = resolve(name)

    if task.door == "function":
        check_function(task)
    else:
        check(task)


def test_checking_moves_no_global_generator():
    before = torch.get_rng_state()

    check(resolve("digits"))

    assert torch.equal(before, torch.get_rng_state())


def test_a_task_is_checked_on_one_thread_so_that_a_forked_process_cannot_deadlock():
    task, seen, before = resolve("digits"), [], torch.get_num_threads()

    def loss(output, target):
        seen.append(torch.get_num_threads())
        return task.loss(output, target)

    torch.set_num_threads(2)
    try:
        check(dataclasses.replace(task, loss=loss))
        assert (set(seen), torch.get_num_threads()) == ({1}, 2)
    finally:
        torch.set_num_threads(before)


def test_examples_of_test_that_are_in_train_or_validation_are_counted():
    x = torch.arange(20.0).reshape(10, 2)
    part = {
        name: Split(x=x[index], y=x[index, 0])
        for name, index in {"train": range(6), "validation": [6], "test": [0, 5, 6, 9]}.items()
    }

    assert count_duplicates(Data(**part)) == {"test_examples": 4, "test_in_train": 2, "test_in_validation": 1}


def test_the_batch_that_is_checked_holds_the_smallest_and_the_largest_label():
    split = Split(x=torch.arange(100.0)[:, None], y=torch.tensor([1] * 50 + [9] + [1] * 48 + [0]))

    assert {0, 9} <= set(example_batch(split, 8).y.tolist())


@pytest.mark.parametrize("value", [1, 0.5, True, torch.tensor(0.5), torch.tensor([0.5])])
def test_a_number_may_come_as(value):
    assert isinstance(as_number(value, "metric"), float)


@pytest.mark.parametrize("value", ["0.5", None, torch.zeros(2), 1 + 2j])
def test_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(TaskError, match="metric must return a number"):
        as_number(value, "metric")


def test_a_metric_of_the_curve_is_checked_too():
    with pytest.raises(TaskError, match="curve_metric of mnist1d must return a number, got str"):
        check(dataclasses.replace(resolve("mnist1d"), curve_metric=lambda _: "low"))


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(8), nn.LayerNorm(8)])
def test_a_last_batch_of_one_example_is_refused_where_batch_normalisation_would_raise(layer):
    def make(seed, **options):
        data = tiny.data(seed)
        train = DataLoader(TensorDataset(data.train.x[:33], data.train.y[:33]), batch_size=16, **options)
        return {"train": train, "test": (data.test.x, data.test.y)}

    def build(_):
        return nn.Sequential(nn.Linear(4, 8), copy.deepcopy(layer), nn.ReLU(), nn.Linear(8, 2))

    with pytest.raises(TaskError, match="Set drop_last=True") if isinstance(layer, nn.BatchNorm1d) else nullcontext():
        check(tiny.tiny(model=build, data=make))
    check(tiny.tiny(model=build, data=partial(make, drop_last=True)))
