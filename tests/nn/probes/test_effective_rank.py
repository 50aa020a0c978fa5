"""Effective rank, against NumPy's covariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from actlab.nn.probes.effective_rank import Spread


def exact(rows):
    covariance = np.cov(rows.double().numpy().T, bias=True)
    return np.trace(covariance) ** 2 / np.sum(covariance**2)


def rows(count, width, *, offset=0.0):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, width, generator=generator) * torch.linspace(0.1, 2, width) + offset


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_it_is_the_participation_ratio_far_from_zero_too(offset):
    data, spread = rows(400, 12, offset=offset), Spread(12)
    for part in data.split(57):
        spread.add(part)

    assert spread.rows == 400
    assert spread.effective_rank == pytest.approx(exact(data), rel=1e-4)


def test_wide_layers_are_projected_and_what_that_adds_is_taken_off():
    data, spread = rows(8000, 1500), Spread(1500)
    spread.add(data)

    assert spread.effective_rank == pytest.approx(exact(data), rel=0.05)


def test_two_streams_add_up():
    data = rows(300, 5, offset=2.0)
    whole, first, second = Spread(5), Spread(5), Spread(5)
    whole.add(data)
    first.add(data[:100])
    second.add(data[100:] + 0)
    first.merge(second)
    first.merge(Spread(5))

    assert first.effective_rank == pytest.approx(whole.effective_rank, rel=1e-6)
    assert first.rows == 300


def test_what_does_not_move_has_no_rank():
    spread = Spread(3)
    assert math.isnan(spread.effective_rank)
    spread.add(torch.ones(4, 3))
    assert math.isnan(spread.effective_rank)


def test_without_the_correction_the_projection_would_be_far_off():
    data, spread = rows(8000, 1500), Spread(1500)
    spread.add(data)
    mean = spread._sum / spread.rows
    covariance = spread._products / spread.rows - torch.outer(mean, mean)
    plain = float(covariance.trace()) ** 2 / float(covariance.square().sum())

    assert plain < 0.6 * exact(data)
