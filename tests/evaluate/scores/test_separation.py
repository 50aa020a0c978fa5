"""Separation of two samples by a score, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from actlab.evaluate.scores.separation import area_under_roc, false_positive_rate, true_positive_rates


@pytest.mark.parametrize("digits", [1, 6])
@pytest.mark.parametrize("seed", range(5))
def test_both_numbers_are_those_of_scikit_learn(seed: int, digits: int) -> None:
    draws = np.random.default_rng(seed)
    own, other = np.round(draws.normal(1, 1, 83), digits), np.round(draws.normal(0, 2, 61), digits)
    labels, scores = np.r_[np.ones(83), np.zeros(61)], np.r_[own, other]
    assert area_under_roc(own, other) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert false_positive_rate(own, other) == pytest.approx(false[true >= 0.95 - 1e-12][0], abs=1e-12)


@pytest.mark.parametrize("digits", [0, 6])  # with ties between the samples and without
def test_the_curve_is_that_of_scikit_learn_and_has_the_area(digits: int) -> None:
    draws = np.random.default_rng(7)
    own, other = np.round(draws.normal(1, 1, 83), digits), np.round(draws.normal(0, 2, 61), digits)
    false, true, _ = roc_curve(np.r_[np.ones(83), np.zeros(61)], np.r_[own, other], drop_intermediate=False)

    assert true_positive_rates(own, other, false) == pytest.approx([true[false == rate].max() for rate in false])
    fine = np.linspace(0, 1, 20_001)
    area = np.trapezoid(true_positive_rates(own, other, fine), fine)
    assert area == pytest.approx(area_under_roc(own, other), abs=1e-3)


def test_equal_scores_tell_nothing() -> None:
    assert area_under_roc([1.0, 1.0], [1.0]) == 0.5
    assert false_positive_rate([1.0, 1.0], [1.0]) == 1.0


def test_ninety_five_of_a_hundred_examples_are_enough() -> None:
    own = np.arange(100.0)
    assert false_positive_rate(own, [4.5]) == 0.0
    assert false_positive_rate(own, [5.0]) == 1.0


@pytest.mark.parametrize(("own", "other"), [([], [1.0]), ([1.0], []), ([float("nan")], [1.0])])
def test_empty_samples_and_nan_are_refused(own: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match="numbers are needed"):
        area_under_roc(own, other)
