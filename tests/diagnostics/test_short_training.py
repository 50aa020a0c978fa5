"""Short trainings: the step at which units die, and a learning rate at which none do."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tests.studies.tiny import tiny
from torch import nn
from torch.nn import functional as F

from actlab.diagnostics import short_training as module
from actlab.diagnostics.remedy import Remedy, Swap
from actlab.diagnostics.short_training import first_steps, safe_learning_rate, short_trial, untrained_metric
from actlab.tasks import Data, Split


def sgd(parameters, lr):
    return torch.optim.SGD(list(parameters), lr=lr)


def falling(seed):
    """One ReLU unit of weight 1 and bias 0, and an output of weight 1: with SGD its sums can be followed by hand."""
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight.fill_(1.0)
            layer.bias.fill_(0.0)
    return net


def ones(_seed):
    part = Split(x=torch.ones(40, 1), y=torch.full((40, 1), 2.0))
    return Data(train=part, test=part, validation=part)


def by_hand(lr, steps):
    """The same net in plain numbers: return the step from which on its unit is zero, and the losses."""
    w, b, v, c = 1.0, 0.0, 1.0, 0.0
    losses, dead = [], None
    for step in range(steps):
        s = w + b
        h = max(0.0, s)
        dead = step if h == 0 and dead is None else dead if h == 0 else None
        out = v * h + c
        losses.append((out - 2) ** 2)
        g = 2 * (out - 2)
        gh = g * v if s > 0 else 0.0
        w, b, v, c = w - lr * gh, b - lr * gh, v - lr * g * h, c - lr * g
    return (steps if dead is None and w + b <= 0 else dead), losses


@pytest.fixture
def one_unit():
    return tiny(model=falling, data=ones, loss=F.mse_loss, optimizer=sgd, batch_size=40, epochs=30, direction="min")


@pytest.mark.parametrize("lr", [0.05, 0.6, 1.0])
def test_losses_and_the_step_of_death_are_those_computed_by_hand(one_unit, lr):
    step, losses = by_hand(lr, 30)

    course = first_steps(dataclasses.replace(one_unit, learning_rate=lr), 0, steps=30)

    assert course.losses == pytest.approx(losses, rel=1e-4, abs=1e-6)
    assert [death.step for death in course.deaths] == ([] if step is None else [step])
    assert (course.whole is None) == (step is None)


def test_there_are_rates_on_both_sides_of_death():
    assert by_hand(0.05, 30)[0] is None
    assert by_hand(0.6, 30)[0] is not None


def test_the_safe_rate_lies_within_a_factor_of_two_below_the_edge(one_unit):
    rate = safe_learning_rate(one_unit, 0, steps=30, killing=100.0)

    assert by_hand(rate, 30)[0] is None
    # two halvings of a decade on a log scale leave a factor of 10 ** 0.25
    edge = next(lr for lr in (rate * 1.01**i for i in range(400)) if by_hand(lr, 30)[0] is not None)
    assert edge < rate * 10**0.25 * 1.02


def test_what_dies_at_every_rate_has_no_safe_rate(one_unit, monkeypatch):
    monkeypatch.setattr(module, "_kills", lambda *_: True)

    assert safe_learning_rate(one_unit, 0, steps=5, killing=1.0) is None


def test_a_short_trial_never_reads_the_test_split():
    def data(seed):
        made = tiny().data(seed)
        return dataclasses.replace(made, test=Split(x=torch.full((4, 4), float("nan")), y=torch.zeros(4).long()))

    for drop in (False, True):
        one = tiny(
            data=lambda seed, drop=drop: dataclasses.replace(data(seed), **({"validation": None} if drop else {}))
        )
        assert short_trial(one, 0, Remedy(), steps=5).value < 0


def test_a_remedy_changes_the_model_and_the_rate_that_are_trained():
    plain = short_trial(tiny(), 0, Remedy(), steps=6)
    swapped = short_trial(tiny(), 0, Remedy(changes=(Swap(paths=("1",), spec="gelu"),)), steps=6)
    slower = short_trial(tiny(), 0, Remedy(learning_rate=1e-9), steps=6)

    assert len({plain.value, swapped.value, slower.value}) == 3
    assert slower.value == pytest.approx(untrained_metric(tiny(), 0), abs=1e-5)


def test_a_trial_is_the_same_to_the_bit_and_leaves_the_generators_alone():
    random = torch.get_rng_state()
    first, second = (short_trial(tiny(), 3, Remedy(), steps=7) for _ in range(2))

    assert first == second
    assert torch.equal(torch.get_rng_state(), random)
    assert first_steps(tiny(), 3, steps=7) == first_steps(tiny(), 3, steps=7)


def test_a_trial_is_no_longer_than_the_task():
    assert short_trial(tiny(epochs=1), 0, Remedy(), steps=100).steps == 3
    assert len(first_steps(tiny(steps=2), 0, steps=100).losses) == 2


def test_a_trial_that_diverges_is_told():
    one = tiny(optimizer=sgd, learning_rate=1e30, loss=lambda output, _: (output**2).sum(), epochs=5)

    assert short_trial(one, 0, Remedy(), steps=15).diverged
    assert first_steps(one, 0, steps=15).diverged is not None
