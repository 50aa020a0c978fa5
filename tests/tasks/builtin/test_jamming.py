"""The tasks of arXiv:2509.07236: the data is drawn as described, and the activation in question can be swapped."""

import dataclasses

import pytest
import torch
from scipy import stats

from actlab.evaluate.audit.study_check import count_duplicates
from actlab.nn.transforms.swap import swap_
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.builtin.jamming import ones
from actlab.tasks.checks.check import check
from actlab.tasks.task import load_data


def ones_split(count=6600, bits=10, tau=0.7, seed=0):
    return ones(count, bits, tau, torch.Generator().manual_seed(seed))


def test_the_number_of_ones_is_uniform():
    counts = ones_split().x.sum(1).long().bincount(minlength=11)

    assert stats.chisquare(counts.numpy()).pvalue > 0.001


def test_the_ones_are_placed_uniformly():
    rows = ones_split().x
    rows = rows[rows.sum(1) == 3]

    assert len(rows) > 400
    assert stats.chisquare(rows.sum(0).numpy()).pvalue > 0.001


@pytest.mark.parametrize("tau", [0.5, 0.7])
def test_the_label_says_whether_more_than_the_share_is_set(tau):
    split = ones_split(tau=tau)

    assert split.y.tolist() == [int(10 * sum(row) > 10 * 10 * tau + 1e-6) for row in split.x.tolist()]


def test_the_step_unit_by_squared_error_is_rosenblatts_perceptron():
    task = resolve("jamming:step")
    model = task.model(0)
    data = load_data(task, 0).train
    x, y = data.x[:64], data.y[:64]
    swap_(model, "step/1", example_inputs=x)

    task.loss(model(x), y).backward()

    fired = (x.double() @ model.linear.weight[0].double() + model.linear.bias.double() > 0).double()
    rule = 2 * ((fired - y)[:, None] * x.double()).mean(0)
    assert 0 < (fired != y).sum() < 64
    torch.testing.assert_close(model.linear.weight.grad[0].double(), rule, rtol=1e-6, atol=1e-7)


def test_the_untied_logistic_unit_leaves_out_one_factor():
    """The gradient of sigmoid/1 is the true one divided by p (1 - p), row by row."""
    task = resolve("jamming:ones")
    x = load_data(task, 0).train.x[:1]
    y = torch.ones(1, dtype=torch.long)
    grads = {}
    for spec in ("sigmoid", "sigmoid/1"):
        torch.manual_seed(0)
        model = task.model(0)
        swap_(model, spec, example_inputs=x)
        output = model(x)
        task.loss(output, y).backward()
        grads[spec] = model.linear.bias.grad

    p = output[0, 1].detach()
    torch.testing.assert_close(grads["sigmoid/1"] * p * (1 - p), grads["sigmoid"])


@pytest.mark.parametrize("name", ["jamming:ones", "jamming:ones-0.5", "jamming:step", "jamming:digits"])
def test_a_task_passes_the_check(name):
    check(resolve(name))


def test_the_digits_are_split_80_to_20_with_a_tenth_held_back():
    data = load_data(resolve("jamming:digits"), 3)

    assert [len(data.train), len(data.validation), len(data.test)] == [1257, 180, 360]
    assert count_duplicates(data) == {"test_examples": 360, "test_in_train": 0, "test_in_validation": 0}


def test_lenet_has_the_papers_settings():
    task = resolve("jamming:lenet")
    optimizer = task.optimizer(task.model(0).parameters(), task.learning_rate)

    assert sum(weight.numel() for weight in task.model(0).parameters()) == 61_706
    assert isinstance(optimizer, torch.optim.SGD)
    assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (0.01, 0)
    assert (task.batch_size, task.epochs) == (64, 20)


def test_a_unit_with_a_step_learns_by_a_rule_and_not_without_one():
    task = resolve("jamming:step")
    learned = run_trial(task, parse_arm("step/1"), seed=0)
    stuck = run_trial(dataclasses.replace(task, epochs=1), parse_arm("step/shuffled"), seed=0)

    assert learned.metric > 0.9  # measured: 0.968
    assert stuck.metric < 0.8  # what the first weights give, whatever they are
