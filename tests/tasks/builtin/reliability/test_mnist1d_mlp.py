"""The plain MLP on MNIST-1D reaches its published accuracy and is overconfident, on the published test examples."""

import pytest
import torch

from actlab.studies.arm import parse_arm
from actlab.studies.stackable import obstacle
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.task import load_data


def test_validation_examples_come_from_the_published_training_split_and_the_test_split_is_the_published_one():
    data, published = load_data(resolve("mnist1d:mlp"), 1), load_data(resolve("mnist1d:accuracy"), 1)

    rows = torch.cat((data.train.x, data.validation.x))
    assert sorted(map(bytes, rows.numpy())) == sorted(map(bytes, published.train.x.numpy()))
    assert torch.equal(data.test.x, published.test.x)
    assert torch.equal(data.test.y, published.test.y)


def test_the_net_is_the_same_function_in_training_and_evaluation():
    model, x = resolve("mnist1d:mlp").model(0), torch.randn(5, 40)

    assert torch.equal(model.train()(x), model.eval()(x))
    assert obstacle(resolve("mnist1d:mlp")) is None


@pytest.mark.slow
def test_relu_reaches_what_is_published():
    trials = [run_trial(resolve("mnist1d:mlp"), parse_arm("relu"), seed=seed) for seed in range(3)]

    assert sum(trial.metric for trial in trials) / 3 >= 0.68  # arXiv:2011.14439
