"""The best row stays in the set, and Holm's correction keeps its error rate."""

from __future__ import annotations

from itertools import combinations

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


def _closed(p, scores, alpha):
    """Return which rows are worse, by going through all sets of rows."""
    rows = range(len(scores))
    worse = np.where(scores[None, :] > scores[:, None], p / 2, 1 - p / 2)
    kept = set()
    for size in range(1, len(scores) + 1):
        inside = alpha / (size * (size - 1)) * (1 if size == len(scores) else 0.5) if size > 1 else 0.0
        outside = alpha / (size * (len(scores) - size)) * (1 if size == 1 else 0.5) if size < len(scores) else 0.0
        for members in combinations(rows, size):
            if not any(worse[i, j] <= (inside if j in members else outside) for i in members for j in rows if i != j):
                kept |= set(members)
    return np.array([i not in kept for i in rows])


def test_a_row_is_worse_only_where_the_closed_test_over_all_sets_says_so_and_nearly_always_there():
    random = np.random.default_rng(4)
    agreed = total = 0
    for _ in range(60):
        rows = int(random.integers(2, 7))
        data = random.normal(
            random.normal(0, 1.2, rows) * random.choice([0, 1]), random.uniform(0.3, 1.5, rows), size=(6, rows)
        )
        mean = data.mean(0)
        p = welch_p_values([Summary(mean=m, sd=s, runs=6) for m, s in zip(mean, data.std(0, ddof=1), strict=True)])
        expected, found = _closed(p, mean, 0.05), p_values_of_best(p, mean) <= 0.05

        assert not (found & ~expected).any()
        agreed, total = agreed + (found & expected).sum(), total + expected.sum()
    assert agreed >= 0.95 * total > 10


def test_no_truly_best_row_is_called_worse_more_often_than_the_error_rate():
    hair = np.array([0.001, 0.0, 0.0, 0.0, 0.0, 0.0])
    deviations = np.array([1.0, 1.0, 0.3, 2.0, 1.0, 0.5])
    single = sum(p_values_of_best(p, mean)[0] <= 0.05 for mean, p in _tables(hair, deviations, 1))
    any_of_equal = sum((p_values_of_best(p, mean) <= 0.05).any() for mean, p in _tables(np.zeros(ROWS), deviations, 5))
    two_of_six = sum(
        (p_values_of_best(p, mean)[:2] <= 0.05).any()
        for mean, p in _tables(np.array([3.0, 3, 0, 0, 0, 0]), np.ones(ROWS), 6)
    )

    for errors in (single, any_of_equal, two_of_six):
        assert stats.binomtest(errors, TABLES, 0.05, alternative="greater").pvalue > 0.01
    assert any_of_equal > 0


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
