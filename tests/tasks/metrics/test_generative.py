"""Distances between samples: closed forms for normal distributions, and sets whose precision and recall are known."""

import numpy as np
import pytest
import torch
from scipy import linalg

from actlab.errors import TaskError
from actlab.tasks.metrics.generative import frechet_distance, precision, recall


def normal(count, mean, covariance, seed=0):
    """Return samples whose mean and covariance are exactly those asked for."""
    points = np.random.default_rng(seed).standard_normal((count, len(mean)))
    points -= points.mean(0)
    points = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points.T))).T
    return torch.from_numpy(points @ np.linalg.cholesky(covariance).T + mean)


def covariance(size, seed):
    root = np.random.default_rng(seed).standard_normal((size, size))
    return root @ root.T + 0.1 * np.eye(size)


def test_the_distance_of_normals_is_the_closed_form():
    first, second = covariance(5, 1), covariance(5, 2)
    means = np.arange(5.0), np.ones(5)

    found = frechet_distance(normal(50, means[0], first), normal(70, means[1], second, seed=3))

    between = linalg.sqrtm(first @ second).real
    wanted = ((means[0] - means[1]) ** 2).sum() + np.trace(first + second - 2 * between)
    assert found == pytest.approx(wanted, rel=1e-9)


def test_commuting_covariances_need_no_matrix_root():
    found = frechet_distance(normal(30, [0, 0], np.diag([4.0, 9.0])), normal(30, [3, 4], np.diag([1.0, 25.0])))

    assert found == pytest.approx(25 + (2 - 1) ** 2 + (3 - 5) ** 2)


def test_the_same_samples_are_at_distance_0_even_where_a_feature_is_dead():
    points = normal(40, [0, 0, 0], covariance(3, 4))
    points = torch.cat((points, torch.zeros(40, 1, dtype=points.dtype)), 1).float()

    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)


def test_the_distance_is_symmetric():
    one, other = (
        torch.randn(30, 4, generator=torch.Generator().manual_seed(0)),
        2 * torch.rand(40, 4, generator=torch.Generator().manual_seed(1)),
    )

    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one), rel=1e-9)


def clusters(*centres, count=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([torch.randn(count, 2, generator=generator) + torch.tensor(centre) for centre in centres])


def test_identical_sets_have_both_at_1():
    points = clusters((0.0, 0.0), (100.0, 0.0))

    assert (precision(points, points), recall(points, points)) == (1.0, 1.0)


def test_disjoint_sets_have_both_at_0():
    one, other = clusters((0.0, 0.0)), clusters((1000.0, 0.0), seed=1)

    assert (precision(one, other), recall(one, other)) == (0.0, 0.0)


def test_a_dropped_mode_costs_recall_and_not_precision():
    real = clusters((0.0, 0.0), (100.0, 0.0), (0.0, 100.0), (100.0, 100.0))
    generated = clusters((0.0, 0.0), count=200, seed=1)

    assert precision(generated, real) > 0.85
    assert 0.15 < recall(generated, real) <= 0.25


def test_an_invented_mode_costs_precision_and_not_recall():
    real = clusters((0.0, 0.0), count=200)
    generated = clusters((0.0, 0.0), (500.0, 0.0), count=200, seed=1)

    assert 0.4 < precision(generated, real) <= 0.5
    assert recall(generated, real) > 0.9


def test_the_radius_is_that_of_the_neighbour_asked_for():
    real = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    probe = torch.tensor([[13.0]])  # 6 from the last one, whose neighbours are at 4, 6 and 7

    assert [precision(probe, real, k) for k in (1, 2, 3)] == [0.0, 1.0, 1.0]


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TaskError, match=r"got \(3, 2\) and \(3, 4\)"):
        frechet_distance(torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(TaskError, match="3 samples, and 3 nearest"):
        precision(torch.zeros(3, 2), torch.zeros(3, 2))
