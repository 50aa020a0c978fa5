"""Test images of the noisy digits are those of the digits at every level, with noise of that size, the same for every arm."""

import pytest
import torch

from actlab.studies.arm import parse_arm
from actlab.studies.stackable import obstacle
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.builtin.reliability.noisy_digits import LEVELS, clean_accuracy, kept, noisy_accuracy
from actlab.tasks.task import load_data

NAMES = ["digits:noise", "digits:cnn-noise"]


@pytest.mark.parametrize("name", NAMES)
def test_every_test_image_is_there_at_every_level(name):
    data, plain = load_data(resolve(name), 2), load_data(resolve("digits"), 2)

    parts = data.test.x.split(len(plain.test))
    assert torch.equal(parts[0], plain.test.x)
    for place, part in enumerate(parts):
        rows = data.test.y[place * 360 : (place + 1) * 360]
        assert torch.equal(rows[:, 0], plain.test.y)
        assert rows[:, 1].unique().tolist() == [place]
        assert float((part - plain.test.x).std()) == pytest.approx(LEVELS[place], rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_training_and_validation_have_no_noise(name):
    data, plain = load_data(resolve(name), 2), load_data(resolve("digits"), 2)

    assert torch.equal(data.train.x, plain.train.x)
    assert torch.equal(data.validation.x, plain.validation.x)
    assert data.train.y[:, 1].unique().tolist() == [0]


def test_the_noise_follows_from_the_seed():
    task = resolve("digits:noise")

    assert torch.equal(load_data(task, 1).test.x, load_data(task, 1).test.x)


def test_the_metrics_are_of_the_rows_of_their_levels():
    output = torch.eye(2)[[0, 1, 0, 0, 1, 1]]
    target = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [1, 2]])

    assert clean_accuracy(output, target) == 1.0
    assert noisy_accuracy(output, target) == 0.5
    assert kept(output, target) == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_the_training_is_that_of_the_digits_and_can_be_stacked(name):
    task = resolve(name)
    plain = resolve("digits" if name == "digits:noise" else "digits:cnn")

    assert obstacle(task) is None
    assert (task.epochs, task.learning_rate, task.batch_size) == (plain.epochs, plain.learning_rate, plain.batch_size)
    assert task.model(0)(torch.zeros(3, 64)).shape == (3, 10)


@pytest.mark.slow
def test_noise_costs_relu_a_fifth_to_a_third_of_its_accuracy():
    trial = run_trial(resolve("digits:noise"), parse_arm("relu"), 0)

    assert trial.metric == pytest.approx(0.97, abs=0.02)
    assert 0.65 < trial.metrics["kept"] < 0.85
