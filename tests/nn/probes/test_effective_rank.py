"""Effective rank, compared with NumPy's covariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from actlab.nn.probes.effective_rank import UnitCovariance


def exact(rows):
    covariance = np.cov(rows.double().numpy().T, bias=True)
    return np.trace(covariance) ** 2 / np.sum(covariance**2)


def rows(count, width, *, offset=0.0):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, width, generator=generator) * torch.linspace(0.1, 2, width) + offset


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_it_is_the_participation_ratio_far_from_zero_too(offset):
    data, covariance = rows(400, 12, offset=offset), UnitCovariance(12)
    for part in data.split(57):
        covariance.add(part)

    assert covariance.rows == 400
    assert covariance.effective_rank == pytest.approx(exact(data), rel=1e-4)


def test_wide_layers_are_projected_and_what_that_adds_is_taken_off():
    data, covariance = rows(8000, 1500), UnitCovariance(1500)
    covariance.add(data)

    assert covariance.effective_rank == pytest.approx(exact(data), rel=0.05)


def test_two_streams_add_up():
    data = rows(300, 5, offset=2.0)
    whole, first, second = UnitCovariance(5), UnitCovariance(5), UnitCovariance(5)
    whole.add(data)
    first.add(data[:100])
    second.add(data[100:] + 0)
    first.merge(second)
    first.merge(UnitCovariance(5))

    assert first.effective_rank == pytest.approx(whole.effective_rank, rel=1e-6)
    assert first.rows == 300


def test_what_does_not_move_has_no_rank():
    covariance = UnitCovariance(3)
    assert math.isnan(covariance.effective_rank)
    covariance.add(torch.ones(4, 3))
    assert math.isnan(covariance.effective_rank)


def test_without_the_correction_the_projection_would_be_far_off():
    data, covariance = rows(8000, 1500), UnitCovariance(1500)
    covariance.add(data)
    sums = covariance._sums
    mean = sums.total / covariance.rows
    projected = sums.products / covariance.rows - torch.outer(mean, mean)
    plain = float(projected.trace()) ** 2 / float(projected.square().sum())

    assert plain < 0.6 * exact(data)
