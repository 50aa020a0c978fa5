"""The online learners follow torch's SGD, and the problems are those of the paper's code."""

import numpy as np
import pytest
import torch
from torch import nn

from actlab.tasks.builtin.plasticity.slow_regression import Learners, Problems, Stream, _Online, train
from actlab.tasks.training.handle import TrialHandle


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh(), nn.LeakyReLU(0.7)])
def test_each_step_is_that_of_sgd_on_the_squared_error_of_each_net(activation):
    torch.manual_seed(0)
    mine, other = Learners(3), Learners(3)
    other.load_state_dict(mine.state_dict())
    mine.activation = other.activation = activation
    online, optimizer = _Online(mine, 0.01), torch.optim.SGD(other.parameters(), lr=0.01)
    inputs, targets = Problems(3, np.random.default_rng(0)).part(40)

    for x, y in zip(inputs, targets, strict=True):
        errors = (other(torch.from_numpy(x)[None])[0] - torch.from_numpy(y)).square()
        optimizer.zero_grad()
        errors.sum().backward()
        optimizer.step()
        assert online.step(x, y) == pytest.approx(float(errors.detach().mean()), rel=1e-4)
    for name, weight in mine.state_dict().items():
        assert torch.allclose(weight, other.state_dict()[name], atol=1e-5)


def test_targets_are_sums_of_threshold_units_by_the_definition_of_the_paper():
    problems = Problems(2, np.random.default_rng(1))
    inputs, targets = problems.part(5)

    for problem in range(2):
        for x, y in zip(inputs[:, problem], targets[:, problem], strict=True):
            total = problems.output_bias[problem]
            for unit in range(100):
                weights, bias = problems.weights[problem, unit], problems.biases[problem, unit]
                negative = (20 - weights.sum() + bias) / 2
                total += problems.outputs[problem, unit] * float(x @ weights + bias > 0.7 * 21 - negative)
            assert y == total


def test_slow_bits_stay_within_a_part_and_all_fifteen_are_drawn_anew_for_the_next_one():
    problems = Problems(64, np.random.default_rng(0))
    first, second = problems.part(30)[0], problems.part(30)[0]

    assert (first[0, :, :15] == first[-1, :, :15]).all()
    assert (first[0, :, :15] != second[0, :, :15]).mean() == pytest.approx(0.5, abs=0.05)
    assert first[:, :, 15:].mean() == pytest.approx(0.5, abs=0.05)


def test_a_net_learns_from_the_examples_of_one_part():
    torch.manual_seed(0)
    online = _Online(Learners(8), 0.01)
    inputs, targets = Problems(8, np.random.default_rng(0)).part(1500)
    errors = [online.step(x, y) for x, y in zip(inputs, targets, strict=True)]

    assert np.mean(errors[-300:]) < 0.7 * np.mean(errors[:300])


def test_a_seed_gives_the_same_numbers():
    def result(seed):
        torch.manual_seed(0)
        return train(Learners(4), seed, TrialHandle(lr=0.01), Stream(changes=2, examples=60, bin=50))

    assert result(1) == result(1)
    assert result(1) != result(2)
