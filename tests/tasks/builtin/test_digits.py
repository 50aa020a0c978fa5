"""The digits are real, split in three by the seed, every class in every part."""

import pytest
import torch

from actlab.evaluate.audit.study_check import count_duplicates
from actlab.studies.arm import parse_arm
from actlab.studies.trials.trial import run_trial
from actlab.tasks import resolve
from actlab.tasks.task import load_data


def test_a_seed_splits_1797_images_in_three_stratified_parts():
    data = load_data(resolve("digits"), 0)

    assert [len(data.train), len(data.validation), len(data.test)] == [1257, 180, 360]
    assert data.test.y.bincount().min() >= 34
    assert abs(float(data.train.x.mean())) < 0.03
    assert abs(float(data.train.x.std()) - 1) < 0.03


def test_the_earlier_protocol_has_the_same_test_images_and_other_splits_in_the_range_0_to_1():
    data, now = load_data(resolve("digits:protocol-1"), 0), load_data(resolve("digits"), 0)

    assert [len(data.train), len(data.validation), len(data.test)] == [1077, 360, 360]
    assert float(data.train.x.min()) == 0.0
    assert float(data.train.x.max()) == 1.0
    assert torch.allclose((data.test.x * 16 - 5) / 6, now.test.x)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("digits", 0.97), ("digits:cnn", 0.98)])
def test_relu_reaches_what_it_reaches_on_this_net(name, least):
    task = resolve(name)
    trials = [run_trial(task, parse_arm("relu"), seed=seed) for seed in range(6)]

    assert sum(trial.metric for trial in trials) / len(trials) >= least


def test_the_parts_do_not_overlap():
    duplicates = count_duplicates(load_data(resolve("digits"), 0))

    assert duplicates == {"test_examples": 360, "test_in_train": 0, "test_in_validation": 0}


def test_a_seed_gives_the_same_split_and_another_seed_another():
    task = resolve("digits")

    first, again, other = load_data(task, 4), load_data(task, 4), load_data(task, 5)

    assert torch.equal(first.test.x, again.test.x)
    assert not torch.equal(first.test.x, other.test.x)


def test_the_cnn_takes_the_same_data():
    task = resolve("digits:cnn")

    assert task.model(0)(load_data(task, 0).train.x[:3]).shape == (3, 10)
