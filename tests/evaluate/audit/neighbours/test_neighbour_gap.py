"""P-values of near neighbours: uniform where there is no copy, whatever the dimension and the density."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from actlab.evaluate.audit.neighbours.neighbour_gap import chosen_by_rate, gap_p_values

CLOUDS = {
    "normal, 2 dimensions": lambda r: r.normal(size=(3000, 2)),
    "normal, 20 dimensions": lambda r: r.normal(size=(3000, 20)),
    "lognormal": lambda r: r.lognormal(size=(3000, 5)),
    "a curve in 10 dimensions": lambda r: (
        np.cos(np.arange(10) * r.random((3000, 1))) + 1e-4 * r.normal(size=(3000, 10))
    ),
    "two clusters": lambda r: r.normal(size=(3000, 6)) + 50 * r.integers(0, 2, (3000, 1)),
}


def distances(points, queries):
    return np.sort(cdist(points[:queries], points[queries:]), axis=1)[:, :20]


@pytest.mark.parametrize("name", CLOUDS)
def test_a_share_of_p_has_a_p_value_below_p(name):
    cloud = CLOUDS[name](np.random.default_rng(0))

    p, _ = gap_p_values(distances(cloud, 1000), cloud.shape[1])

    assert (p <= 0.1).mean() <= 0.12  # 0.1 and two standard errors
    assert (p <= 0.01).mean() <= 0.02
    assert not chosen_by_rate(p, 0.01).any()


def test_the_tail_is_that_of_the_f_distribution():
    random = np.random.default_rng(1)
    # neighbours in 3 dimensions of uniform density: volumes are a Poisson process
    volumes = np.cumsum(random.exponential(size=(200_000, 12)), axis=1)

    p, _ = gap_p_values(volumes ** (1 / 3))

    for level in (0.5, 0.1, 0.01, 0.001):  # the smallest of 3 p-values, times 3
        assert (p <= level).mean() == pytest.approx(1 - (1 - level / 3) ** 3, rel=0.15)


def test_several_copies_are_counted_by_the_gap_behind_them():
    far = np.linspace(1.0, 1.6, 16)

    p, copies = gap_p_values(np.array([[0.01, 0.011, 0.012, 0.013, *far]]))

    assert p[0] < 1e-6
    assert copies[0] == 4


def test_too_few_neighbours_and_equal_distances_say_nothing():
    few = np.array([[0.001, 1.0, 1.1, 1.2, np.inf, np.inf, np.inf, np.inf]])

    assert gap_p_values(few)[0][0] == 1.0
    assert gap_p_values(np.ones((1, 10)))[0][0] == 1.0
    assert gap_p_values(np.zeros((1, 10)))[0][0] == 1.0


def test_rejections_are_those_of_benjamini_and_hochberg():
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216])  # their example's first numbers

    assert chosen_by_rate(p, 0.05).sum() == 2
    assert not chosen_by_rate(np.array([]), 0.05).any()
