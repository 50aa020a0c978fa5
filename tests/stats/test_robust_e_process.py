"""The robust e-process is valid, no outlier blinds it, and its power is that of the process without limits."""

from __future__ import annotations

import numpy as np
import pytest

from actlab.stats.e_process import Floats, log_growth
from actlab.stats.robust_e_process import log_robust_growth


def draws(name: str, studies: int, seeds: int) -> Floats:
    """Differences that are symmetric about zero."""
    rng = np.random.default_rng(5)
    shape = (studies, seeds)
    return {
        "Gaussian": lambda: rng.normal(size=shape),
        "Cauchy": lambda: rng.standard_cauchy(size=shape),
        "sign flips": lambda: rng.choice([-1.0, 1.0], size=shape),
        "steps with ties": lambda: np.round(rng.normal(size=shape)),
        "rare and large": lambda: rng.choice([-1000.0, -1.0, 1.0, 1000.0], p=[0.05, 0.45, 0.45, 0.05], size=shape),
    }[name]()


@pytest.mark.parametrize("name", ["Gaussian", "Cauchy", "sign flips", "steps with ties", "rare and large"])
def test_evidence_of_20_is_ever_reached_in_at_most_a_twentieth_of_null_studies(name: str) -> None:
    paths = log_robust_growth(draws(name, 4000, 20)).cumsum(-1)
    assert (paths.max(-1) >= np.log(20)).mean() <= 0.05


@pytest.mark.parametrize("past", [[0.3, -1.0, 2.0], [1.0, 1.0], [0.0, 0.0, 5.0], [1e-3, 1e3, -1.0, 0.5], []])
def test_a_bet_is_odd_in_its_difference_and_does_not_decrease_with_it(past: list[float]) -> None:
    sizes = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 4001)])
    series = np.concatenate([np.tile(past, (len(sizes), 1)), sizes[:, None]], axis=1)
    against = series * np.concatenate([np.ones(len(past)), [-1.0]])
    bets, opposite = (np.expm1(log_robust_growth(it)[:, -1]) for it in (series, against))
    assert np.allclose(bets, -opposite, atol=1e-12)
    assert (np.diff(bets) >= -1e-12).all()
    assert bets[0] == 0


def test_no_later_difference_changes_what_was_decided_before() -> None:
    series = draws("Cauchy", 50, 12)
    assert np.array_equal(log_robust_growth(series)[:, :7], log_robust_growth(series[:, :7]))


@pytest.mark.parametrize("scale", [1e-250, 1e-3, 1e250])
def test_the_unit_of_the_numbers_does_not_matter(scale: float) -> None:
    series = draws("Gaussian", 20, 10) + 1
    assert np.allclose(log_robust_growth(scale * series), log_robust_growth(series), atol=1e-9)


@pytest.mark.parametrize(("position", "size"), [(0, -1000.0), (0, 1000.0), (9, -1000.0)])
def test_one_outlier_does_not_blind_it(position: int, size: float) -> None:
    series = np.random.default_rng(0).normal(size=(500, 20)) + 2
    series[:, position] = size
    reached, blind = ((growth(series).sum(-1) >= np.log(40)).mean() for growth in (log_robust_growth, log_growth))
    assert reached >= 0.85
    assert blind <= 0.01


def test_without_outliers_the_power_is_that_of_the_process_without_limits() -> None:
    series = np.random.default_rng(0).normal(size=(4000, 20)) + 1
    robust, plain = ((growth(series).sum(-1) >= np.log(40)).mean() for growth in (log_robust_growth, log_growth))
    assert robust == pytest.approx(plain, abs=0.03)


def test_zeros_are_no_evidence_unless_they_count_as_gains() -> None:
    assert not log_robust_growth(np.zeros((2, 6))).any()
    assert np.exp(log_robust_growth(np.zeros(8), zero_gains=True).sum()) > 40
    assert log_robust_growth(np.zeros((3, 0))).shape == (3, 0)
