"""The best row stays in the set, and Holm's correction keeps its error rate."""

from __future__ import annotations

import numpy as np
from scipy import stats

from actlab.stats.published.best_set import p_values_of_best
from actlab.stats.published.holm import holm
from actlab.stats.published.sample_summary import Summary, welch_p_values

TABLES, ROWS, RUNS = 800, 6, 5


def _tables(means, deviations, seed):
    data = np.random.default_rng(seed).normal(means, deviations, size=(TABLES, RUNS, ROWS))
    for mean, sd in zip(data.mean(1), data.std(1, ddof=1), strict=True):
        p = welch_p_values([Summary(mean=m, sd=s, runs=RUNS) for m, s in zip(mean, sd, strict=True)])
        yield mean, p


def test_holm_equals_the_definition_by_steps():
    p = np.random.default_rng(0).uniform(size=9) ** 4
    order = np.argsort(p)
    expected = np.empty(9)
    worst = 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, p[i] * (9 - rank)))
        expected[i] = worst

    np.testing.assert_allclose(holm(p), expected)
    assert np.isnan(holm([0.01, np.nan])[1])
    assert holm([0.01, np.nan])[0] == 0.01


def test_the_truly_best_row_is_missing_at_most_at_the_error_rate():
    means, deviations = np.array([0.001, 0.0, 0.0, 0.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.3, 2.0, 1.0, 0.5])
    missing = sum(p_values_of_best(p, mean)[0] <= 0.05 for mean, p in _tables(means, deviations, 1))

    assert stats.binomtest(missing, TABLES, 0.05, alternative="greater").pvalue > 0.01
    assert missing > 0


def test_statements_about_the_baseline_are_false_at_most_at_the_error_rate_and_true_ones_are_made():
    false = sum((holm(p[0])[1:] <= 0.05).any() for _, p in _tables(np.zeros(ROWS), np.ones(ROWS), 2))
    shown = sum((holm(p[0])[1:] <= 0.05).all() for _, p in _tables(np.array([4.0, 0, 0, 0, 0, 0]), np.ones(ROWS), 3))

    assert stats.binomtest(false, TABLES, 0.05, alternative="greater").pvalue > 0.01
    assert shown > 0.9 * TABLES


def test_a_row_that_another_one_beats_is_no_best_row_although_the_best_mean_is_too_noisy_to_beat_it():
    rows = [Summary(mean=10.0, sd=9.0, runs=5), Summary(mean=9.0, sd=0.1, runs=5), Summary(mean=8.0, sd=0.1, runs=5)]
    p = welch_p_values(rows)

    found = p_values_of_best(p, np.array([row.mean for row in rows]))

    assert p[0, 2] > 0.3
    assert found[0] == 1.0
    assert (found > 0.05).tolist() == [True, True, False]


def test_the_best_row_of_a_minimised_metric_is_found_with_negated_means():
    rows = [Summary(mean=1.0, sd=0.1, runs=9), Summary(mean=2.0, sd=0.1, runs=9)]
    p = welch_p_values(rows)

    assert (p_values_of_best(p, -np.array([1.0, 2.0])) > 0.05).tolist() == [True, False]
