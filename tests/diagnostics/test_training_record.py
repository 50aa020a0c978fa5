"""Training records: the step from which on units stay dead, and the step at which the loss diverges."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from actlab.diagnostics.training_record import Snapshot, TrainingRecord, snapshot_of
from actlab.nn.probes.probe import probe


def record(*shares, losses=(1.0,)):
    looks = tuple(Snapshot(step=step, dead={"a": share}, stuck={}) for step, share in enumerate(shares))
    return TrainingRecord(learning_rate=0.1, losses=losses, looks=looks)


def test_half_of_the_living_must_be_lost():
    assert record(0.2, 0.59).deaths == ()
    (death,) = record(0.2, 0.61).deaths
    assert (death.step, death.before, death.share, death.whole) == (1, 0.2, 0.61, None)


def test_what_was_dead_before_training_is_not_killed_by_it():
    assert record(1.0, 1.0).deaths == ()


def test_what_comes_back_was_not_dead():
    assert record(0.0, 0.9, 1.0, 0.4).deaths == ()
    assert record(0.0, 0.9, 0.4, 0.7, 1.0, 1.0).deaths[0].step == 3


def test_the_first_layer_that_is_lost_as_a_whole_is_where_the_net_died():
    looks = tuple(
        Snapshot(step=step, dead={"a": a, "b": b}, stuck={})
        for step, (a, b) in enumerate([(0, 0), (0.6, 0), (0.7, 1), (1, 1)])
    )
    found = TrainingRecord(learning_rate=0.1, losses=(1.0,), looks=looks)

    assert [death.name for death in found.deaths] == ["a", "b"]
    assert (found.whole.name, found.whole.whole) == ("b", 2)


def test_saturated_units_are_lost_too():
    looks = (Snapshot(step=0, dead={"a": 0.0}, stuck={"a": 0.0}), Snapshot(step=1, dead={"a": 0.3}, stuck={"a": 0.3}))

    assert TrainingRecord(learning_rate=0.1, losses=(1.0,), looks=looks).deaths[0].share == 0.6


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        ((2.0, 1.0), None),
        ((2.0, math.inf), 2),
        ((2.0, math.nan), 2),
        ((2.0, 1e5, 1e6), 2),
        ((2.0, 1e5, 2.0), None),
        ((), None),
    ],
)
def test_a_loss_has_diverged_where_it_stays_away(losses, step):
    found = TrainingRecord(learning_rate=0.1, losses=losses, looks=())

    assert found.diverged == step
    assert found.killed == (step is not None)


def test_further_snapshots_are_put_in_their_places():
    found = record(0.0, 0.1).with_snapshots(
        [Snapshot(step=5, dead={"a": 1.0}, stuck={}), Snapshot(step=1, dead={"a": 0.9}, stuck={})]
    )

    assert [look.step for look in found.looks] == [0, 1, 5]
    assert found.looks[1].dead["a"] == 0.1  # the one that was there


def test_a_snapshot_names_the_units_that_are_dead():
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))
    with torch.no_grad():
        net[0].bias[[1, 4]] = -100.0
        net[0].bias[[0, 2, 3, 5]] = 10.0

    look = snapshot_of(probe(net, [torch.rand(50, 3)]), 7)

    assert (look.step, look.units, look.dead["1 after 0"]) == (7, {"1 after 0": (1, 4)}, pytest.approx(1 / 3))
