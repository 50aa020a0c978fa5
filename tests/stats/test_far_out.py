"""Values far from all others are found, and Gaussian samples have almost none."""

from __future__ import annotations

import numpy as np
import pytest

from actlab.stats.far_out import far_out


@pytest.mark.parametrize("count", [1, 2, 5])
def test_up_to_a_quarter_of_collapses_is_found(count):
    values = 0.97 + 0.01 * np.random.default_rng(0).normal(size=20)
    values[:count] = 0.1

    assert far_out(values).tolist() == [True] * count + [False] * (20 - count)


@pytest.mark.parametrize("n", [6, 10, 30])
def test_few_gaussian_samples_have_one(n):
    samples = np.random.default_rng(0).normal(size=(1000, n))

    assert np.mean([far_out(sample).any() for sample in samples]) < 0.01


def test_half_of_collapses_is_no_exception():
    assert not far_out([0.1, 0.9, 0.1, 0.9, 0.1, 0.9]).any()


def test_one_step_of_a_metric_among_equal_values_is_far_only_beyond_the_resolution():
    values = [1.0] * 9 + [1 - 1 / 360]

    assert not far_out(values, resolution=0.005).any()
    assert far_out(values).tolist() == [False] * 9 + [True]


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1.0, 1.0, 99.0]])
def test_of_fewer_than_five_none_is_far(values):
    assert not far_out(values).any()


def test_the_unit_does_not_matter():
    values = np.array([0.97, 0.98, 0.1, 0.97, 0.96, 0.98])

    assert far_out(values * 1e-200).tolist() == far_out(values).tolist()
